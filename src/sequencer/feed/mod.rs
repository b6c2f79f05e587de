//! The recent events, and the questions that wait for the next. Pure: time comes in, answers go out.
//!
//! ```text
//!   blocks: [ 990.. | 1001.. | 1040.. ]  end = 1055     one block per group, served bytes as they are on disk
//!   waiting: questions at offset 1055, by deadline      due: questions to be answered, in slices
//! ```
//!
//! A group makes all due that wait for any event, at once and however many they are. Those that wait for certain events
//! are compared with its events afterwards, one step at a time, as the due ones are answered.

mod in_flight;
mod page;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::journal::format::Events;
use crate::messages::{FeedAnswer, FeedReply, FeedReplyTo, Form, Poll};
use crate::sequencer::filter::{Filter, Subject};
pub use in_flight::InFlight;
pub use page::MATCHED_AT_A_TIME;
use page::Page;
pub use waiting::Waiter;
use waiting::{Progress, Queue, Waiting};

/// Recovery joins events to blocks of this many, so that old ones can be dropped in pieces.
const RESTORED_BLOCK_EVENTS: usize = 256;
/// Pages that are kept while no event comes, for who asks the same, hold at most about so many bytes together.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// The feed of durable events.
#[derive(Debug)]
pub struct Feed {
    blocks: VecDeque<Block>,
    end: u64,
    events_max: usize,
    waiters_max: usize,
    waiting: Waiting,
    due: VecDeque<Waiter>,
    /// Those that waited for any event, by the group that made them due.
    due_about_all: VecDeque<Queue>,
    due_about_all_count: usize,
    /// Every event before this offset has been compared with those that wait for some.
    compared_to: u64,
    /// How far the event at that offset has been.
    comparing: Progress,
    pages: HashMap<Question, FeedAnswer>,
    pages_bytes: usize,
    in_flight: InFlight,
}

#[derive(Debug)]
struct Block {
    first: u64,
    events: Events,
}

impl Block {
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// What makes two polls the same question, as long as no event comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    from: u64,
    limit: u32,
    form: Form,
    filter: Option<Arc<Filter>>,
}

/// What comes of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled {
    /// An answer.
    Answered(FeedReply),
    /// Its first event is no longer in memory.
    OlderThanMemory(Waiter),
    /// It waits, or is due again: a filter has more to be compared with than fits in a turn.
    Later,
}

impl Feed {
    /// An empty feed that keeps at least the latest `events_max` events.
    pub fn new(events_max: usize, waiters_max: usize) -> Feed {
        Feed {
            blocks: VecDeque::new(),
            end: 0,
            events_max,
            waiters_max,
            waiting: Waiting::default(),
            due: VecDeque::new(),
            due_about_all: VecDeque::new(),
            due_about_all_count: 0,
            compared_to: 0,
            comparing: Progress::default(),
            pages: HashMap::new(),
            pages_bytes: 0,
            in_flight: InFlight::default(),
        }
    }

    /// The pages that are on their way.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// The end: the offset of the next event to become durable.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The first offset that is read from memory. Blocks are dropped whole, so the front one may begin earlier; what a store can
    /// read does not depend on how changes happened to be grouped.
    pub fn oldest(&self) -> u64 {
        let kept_from = self.blocks.front().map_or(self.end, |block| block.first);
        kept_from.max(self.end.saturating_sub(self.events_max as u64))
    }

    /// Lets an empty feed begin at `offset`.
    pub fn begin_at(&mut self, offset: u64) {
        if self.blocks.is_empty() {
            self.end = offset;
        }
        assert_eq!(self.end, offset, "the feed ends where the journal ends");
    }

    /// Takes an event from the journal at start: its bytes without the closing brace.
    pub fn restore(&mut self, offset: u64, served: &[u8]) {
        let push = |events: &mut Events| {
            events.push(|out| {
                out.extend_from_slice(served);
                out.push(b'}');
            });
        };
        match self.blocks.back_mut() {
            Some(block) if block.events.len() < RESTORED_BLOCK_EVENTS => {
                assert_eq!(offset, block.end(), "offsets are dense");
                push(&mut block.events);
                self.end = offset + 1;
            }
            _ => {
                if self.blocks.is_empty() {
                    self.end = offset;
                }
                let mut events = Events::default();
                push(&mut events);
                self.append(offset, events);
            }
        }
    }

    /// Takes the events of a group that is on disk. All who wait for any event are due; those who wait for some are
    /// found by and by.
    pub fn publish(&mut self, first: u64, events: Events) {
        self.append(first, events);
        let queue = self.waiting.take_about_all();
        if !queue.is_empty() {
            self.due_about_all_count += queue.len();
            self.due_about_all.push_back(queue);
        }
    }

    fn append(&mut self, first: u64, events: Events) {
        assert_eq!(self.end, first, "offsets are dense");
        let block = Block { first, events };
        self.end = block.end();
        self.forget_pages();
        self.blocks.push_back(block);
        while let Some(second) = self.blocks.get(1)
            && self.end - second.first >= self.events_max as u64
        {
            self.blocks.pop_front();
        }
    }

    /// Answers `poll` now, or lets it wait. One with a filter is due, and has its turn with the others: to compare it
    /// with events takes longer than to answer.
    pub fn poll(&mut self, now_ms: u64, poll: Poll) -> Polled {
        if poll.offset > self.end {
            let end = self.end;
            return answered(&poll, FeedAnswer::BeyondEnd { end });
        }
        let waits = poll.wait_ms > 0;
        let waiter = Waiter {
            from: poll.offset,
            deadline_ms: waits.then(|| now_ms + u64::from(poll.wait_ms)),
            poll,
        };
        if waiter.poll.filter.is_some() {
            self.due.push_back(waiter);
            return Polled::Later;
        }
        self.answer(waiter, &Events::default())
    }

    /// Answers `waiter` with the events that begin with `older`, read back from disk, and go on in memory where they
    /// lead there.
    pub fn answer(&mut self, waiter: Waiter, older: &Events) -> Polled {
        let from = waiter.from + older.len() as u64;
        if older.is_empty() && from < self.oldest() {
            return Polled::OlderThanMemory(waiter);
        }
        let question = Question {
            from: waiter.from,
            limit: waiter.poll.limit,
            form: waiter.poll.form,
            filter: waiter.poll.filter.clone(),
        };
        if let Some(page) = self.pages.get(&question) {
            return answered(&waiter.poll, page.clone());
        }
        let filter = question.filter.as_deref();
        let limit = waiter.poll.limit as usize;
        let bytes_max = self.in_flight.page_bytes_max();
        let mut page = Page::new(question.form, filter, question.from, limit, bytes_max);
        page.take(question.from, older);
        if page.next() >= self.oldest() {
            self.take_from_memory(&mut page);
        }
        if page.is_empty() && page.next() < self.end {
            // A filter, and nothing that it matches yet.
            let from = page.next();
            self.due.push_back(Waiter { from, ..waiter });
            return Polled::Later;
        }
        if page.is_empty() && waiter.deadline_ms.is_some() {
            return self.park(Waiter {
                from: page.next(),
                ..waiter
            });
        }
        let page = page.finish(self.end, &self.in_flight);
        self.keep(question, &page);
        answered(&waiter.poll, page)
    }

    fn take_from_memory(&self, page: &mut Page<'_>) {
        let next = page.next();
        let first_block = self.blocks.partition_point(|block| block.end() <= next);
        for block in self.blocks.range(first_block..) {
            if page.is_full() {
                break;
            }
            page.take(block.first, &block.events);
        }
    }

    fn park(&mut self, waiter: Waiter) -> Polled {
        if self.waiters() >= self.waiters_max {
            return answered(&waiter.poll, FeedAnswer::TooManyWaiters);
        }
        if !self.waiting.has_filters() {
            self.compared_to = self.end;
            self.comparing = Progress::default();
        }
        self.waiting.park(waiter);
        Polled::Later
    }

    /// Keeps `page` for who asks the same.
    fn keep(&mut self, question: Question, page: &FeedAnswer) {
        // Who may wait gets no empty page.
        let FeedAnswer::Page { bytes, events, .. } = page else {
            return;
        };
        if *events == 0 {
            return;
        }
        if self.pages_bytes > KEPT_BYTES_MAX {
            self.forget_pages();
        }
        self.pages_bytes += bytes.len() + size_of::<(Question, FeedAnswer)>();
        self.pages.insert(question, page.clone());
    }

    fn forget_pages(&mut self) {
        self.pages.clear();
        self.pages_bytes = 0;
    }

    /// Drops a poll that waits. None if it was answered or is due: then its answer is on its way.
    pub fn forget(&mut self, to: FeedReplyTo) -> Option<FeedAnswer> {
        self.waiting.take_of(to).map(|_| FeedAnswer::Forgotten)
    }

    /// Makes the polls due whose time is over.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some(waiter) = self.waiting.take_expired(now_ms) {
            self.due.push_back(Waiter {
                from: waiter.from.max(self.compared_to),
                deadline_ms: None,
                ..waiter
            });
        }
    }

    /// Makes every waiting poll due, whatever its time.
    pub fn expire_all(&mut self) {
        self.expire(u64::MAX);
    }

    /// Whether a poll is due, or may be.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
            || !self.due_about_all.is_empty()
            || (self.waiting.has_filters() && self.compared_to < self.end)
    }

    /// Answers the poll that is due longest. None if none is.
    pub fn answer_next_due(&mut self) -> Option<Polled> {
        let waiter = self.due.pop_front().or_else(|| self.next_due_about_all());
        let waiter = waiter.or_else(|| self.next_due_about_some())?;
        Some(self.answer(waiter, &Events::default()))
    }

    fn next_due_about_all(&mut self) -> Option<Waiter> {
        let queue = self.due_about_all.front_mut()?;
        let (_, waiter) = queue.pop_first().expect("only those with any are kept");
        self.due_about_all_count -= 1;
        if queue.is_empty() {
            self.due_about_all.pop_front();
        }
        Some(waiter)
    }

    fn next_due_about_some(&mut self) -> Option<Waiter> {
        while self.waiting.has_filters() && self.compared_to < self.end {
            let offset = self.compared_to;
            let at = self.blocks.partition_point(|block| block.end() <= offset);
            let block = &self.blocks[at];
            if offset < block.first {
                // It has left memory meanwhile, so each compares it on disk.
                self.release_filters();
                return self.due.pop_front();
            }
            let position = (offset - block.first) as usize;
            let subject = Subject::of(block.events.range(position, position + 1));
            let found = self
                .waiting
                .take_next_about(offset, subject, &mut self.comparing);
            if found.is_some() {
                return found;
            }
            self.compared_to += 1;
            self.comparing = Progress::default();
        }
        None
    }

    /// Lets each that waits for some events look for them itself.
    fn release_filters(&mut self) {
        for waiter in self.waiting.take_about_some_all() {
            let from = waiter.from.max(self.compared_to);
            self.due.push_back(Waiter { from, ..waiter });
        }
    }

    /// How many events are in memory.
    pub fn events_in_memory(&self) -> u64 {
        self.end - self.oldest()
    }

    /// How many polls wait, or are about to be answered.
    pub fn waiters(&self) -> usize {
        self.waiting.len() + self.due.len() + self.due_about_all_count
    }
}

fn answered(poll: &Poll, answer: FeedAnswer) -> Polled {
    Polled::Answered(FeedReply {
        to: poll.to,
        answer,
    })
}
