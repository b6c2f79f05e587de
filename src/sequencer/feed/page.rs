//! What a question to the feed is answered with: events as they are served, put together from runs of them.

use super::in_flight::InFlight;
use crate::encoding;
use crate::journal::format::Events;
use crate::messages::{FeedAnswer, Form};
use crate::sequencer::filter::{Filter, Subject};

/// The most of a page of a stream, which holds what its client has not read yet; there are many.
const STREAM_BYTES_MAX: usize = 64 << 10;
/// A filter is held against so many events at a time, some 60 us; then others get their turn.
pub const MATCHED_AT_A_TIME: u64 = 1024;

/// A page that is being put together.
pub struct Page<'a> {
    form: Form,
    filter: Option<&'a Filter>,
    limit: usize,
    bytes_max: usize,
    next: u64,
    matched_to: u64,
    count: usize,
    out: Vec<u8>,
}

impl<'a> Page<'a> {
    /// Of at most `limit` events from the offset `from` on, the last of which begins before `bytes_max`.
    pub fn new(
        form: Form,
        filter: Option<&'a Filter>,
        from: u64,
        limit: usize,
        bytes_max: usize,
    ) -> Page<'a> {
        let mut out = Vec::with_capacity(256);
        if form == Form::Page {
            out.extend_from_slice(b"{\"events\":[");
        }
        Page {
            form,
            filter,
            limit,
            bytes_max: match form {
                Form::Page => bytes_max,
                Form::Stream => bytes_max.min(STREAM_BYTES_MAX),
            },
            next: from,
            matched_to: from + MATCHED_AT_A_TIME,
            count: 0,
            out,
        }
    }

    /// The first offset that was not looked at.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether no event was taken.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether it takes no further event.
    pub fn is_full(&self) -> bool {
        self.count >= self.limit
            || (self.count > 0 && self.out.len() >= self.bytes_max)
            || (self.filter.is_some() && self.next >= self.matched_to)
    }

    /// Takes what belongs on it of `events`, the first of which has the offset `first`, not above where it stands.
    pub fn take(&mut self, first: u64, events: &Events) {
        let end = first + events.len() as u64;
        if self.form == Form::Page && self.filter.is_none() {
            let room = (self.limit - self.count) as u64;
            let to = end.min(self.next + room);
            if !self.is_full() && self.next < to {
                let (from, to) = ((self.next - first) as usize, (to - first) as usize);
                let to = events.end_within(from, to, self.bytes_max - self.out.len());
                self.push(events.range(from, to));
                self.count += to - from;
                self.next = first + to as u64;
            }
            return;
        }
        while !self.is_full() && self.next < end {
            let at = (self.next - first) as usize;
            let event = events.range(at, at + 1);
            let subject = Subject::of(event);
            if self.filter.is_none_or(|filter| filter.matches(subject)) {
                match self.form {
                    Form::Page => self.push(event),
                    Form::Stream => self.push_message(subject.kind.as_str(), event),
                }
                self.count += 1;
            }
            self.next += 1;
        }
    }

    fn push(&mut self, events: &[u8]) {
        if self.count > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(events);
    }

    /// An event's JSON has no line feed: it is one line of data.
    fn push_message(&mut self, kind: &str, event: &[u8]) {
        self.out.extend_from_slice(b"id: ");
        encoding::integer(&mut self.out, self.next);
        self.out.extend_from_slice(b"\nevent: ");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.extend_from_slice(b"\ndata: ");
        self.out.extend_from_slice(event);
        self.out.extend_from_slice(b"\n\n");
    }

    /// The answer, where the feed ends at `end`.
    pub fn finish(mut self, end: u64, in_flight: &InFlight) -> FeedAnswer {
        if self.form == Form::Page {
            let out = &mut self.out;
            out.extend_from_slice(b"],\"nextOffset\":");
            encoding::integer(out, self.next);
            out.extend_from_slice(b",\"hasMore\":");
            out.extend_from_slice(if self.next < end { b"true" } else { b"false" });
            out.extend_from_slice(b",\"count\":");
            encoding::integer(out, self.count as u64);
            out.push(b'}');
        }
        FeedAnswer::Page {
            bytes: in_flight.send(self.out),
            events: self.count as u32,
            next: self.next,
        }
    }
}
