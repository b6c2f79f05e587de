//! The recent events, and the polls that wait for the next. Pure: time comes in, answers go out.
//!
//! ```text
//!   blocks: [ 990.. | 1001.. | 1040.. ]  end = 1055     one block per group, served bytes as they are on disk
//!   parked: polls at offset 1055, by deadline           due: polls to be answered, in slices
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::encoding;
use crate::journal::format::Events;
use crate::messages::{FeedAnswer, FeedReply, FeedReplyTo, Poll};

/// A page takes no further block of events beyond this many bytes, so that a store far behind cannot make the
/// sequencer copy without end. It can be larger by what one group holds.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// Recovery joins events to blocks of this many, so that old ones can be dropped in pieces.
const RESTORED_BLOCK_EVENTS: usize = 256;

/// The feed of durable events.
#[derive(Debug)]
pub struct Feed {
    blocks: VecDeque<Block>,
    end: u64,
    events_max: usize,
    waiters_max: usize,
    parked: BTreeMap<(u64, u64), Poll>,
    parked_at: HashMap<FeedReplyTo, (u64, u64)>,
    parked_count: u64,
    due: VecDeque<Poll>,
    latest_page: Option<(PageKey, FeedAnswer)>,
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

/// What makes two polls the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PageKey {
    offset: u64,
    limit: u32,
    end: u64,
}

/// What comes of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled {
    /// An answer.
    Answered(FeedReply),
    /// Its first event is no longer in memory.
    OlderThanMemory(Poll),
}

impl Feed {
    /// An empty feed that keeps at least the latest `events_max` events.
    pub fn new(events_max: usize, waiters_max: usize) -> Feed {
        Feed {
            blocks: VecDeque::new(),
            end: 0,
            events_max,
            waiters_max,
            parked: BTreeMap::new(),
            parked_at: HashMap::new(),
            parked_count: 0,
            due: VecDeque::new(),
            latest_page: None,
        }
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

    /// Takes the events of a group that is on disk. All who waited for it are due.
    pub fn publish(&mut self, first: u64, events: Events) {
        self.append(first, events);
        self.due
            .extend(std::mem::take(&mut self.parked).into_values());
        self.parked_at.clear();
    }

    fn append(&mut self, first: u64, events: Events) {
        assert_eq!(self.end, first, "offsets are dense");
        let block = Block { first, events };
        self.end = block.end();
        self.blocks.push_back(block);
        while let Some(second) = self.blocks.get(1)
            && self.end - second.first >= self.events_max as u64
        {
            self.blocks.pop_front();
        }
    }

    /// Answers `poll` now, or parks it and returns nothing.
    pub fn poll(&mut self, now_ms: u64, poll: Poll) -> Option<Polled> {
        if poll.offset != self.end || poll.wait_ms == 0 {
            return Some(self.answer(poll));
        }
        if self.waiters() >= self.waiters_max {
            return Some(answered(&poll, FeedAnswer::TooManyWaiters));
        }
        self.parked_count += 1;
        let key = (now_ms + u64::from(poll.wait_ms), self.parked_count);
        self.parked.insert(key, poll);
        self.parked_at.insert(poll.to, key);
        None
    }

    /// Drops a parked poll. None if it was answered or is due: then its answer is on its way.
    pub fn forget(&mut self, to: FeedReplyTo) -> Option<FeedAnswer> {
        let key = self.parked_at.remove(&to)?;
        self.parked.remove(&key);
        Some(FeedAnswer::Forgotten)
    }

    /// Makes the polls due whose time is over.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some(entry) = self.parked.first_entry()
            && entry.key().0 <= now_ms
        {
            let poll = entry.remove();
            self.parked_at.remove(&poll.to);
            self.due.push_back(poll);
        }
    }

    /// Makes every parked poll due, whatever its time.
    pub fn expire_all(&mut self) {
        self.expire(u64::MAX);
    }

    /// Whether a poll is due.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Answers the poll that is due longest.
    pub fn answer_next_due(&mut self) -> Option<Polled> {
        let poll = self.due.pop_front()?;
        Some(self.answer(poll))
    }

    fn answer(&mut self, poll: Poll) -> Polled {
        if poll.offset > self.end {
            return answered(&poll, FeedAnswer::BeyondEnd { end: self.end });
        }
        if poll.offset < self.oldest() {
            return Polled::OlderThanMemory(poll);
        }
        let key = PageKey {
            offset: poll.offset,
            limit: poll.limit,
            end: self.end,
        };
        if let Some((latest, page)) = &self.latest_page
            && *latest == key
        {
            return answered(&poll, page.clone());
        }
        let page = self.encode_page(poll.offset, poll.limit as usize);
        self.latest_page = Some((key, page.clone()));
        answered(&poll, page)
    }

    fn encode_page(&self, offset: u64, limit: usize) -> FeedAnswer {
        self.encode_behind(begin_page(), offset, offset, limit)
    }

    /// A page for `poll` that begins with `older`, events that were read back from disk, and goes on in memory where
    /// they lead there.
    pub fn page_behind(&self, poll: &Poll, older: &Events) -> FeedAnswer {
        let mut out = begin_page();
        out.extend_from_slice(older.range(0, older.len()));
        let next = poll.offset + older.len() as u64;
        let limit = match next >= self.oldest() {
            true => poll.limit as usize,
            false => older.len(),
        };
        self.encode_behind(out, poll.offset, next, limit)
    }

    /// Completes a page from `offset` on that has the events before `next` already.
    fn encode_behind(
        &self,
        mut out: Vec<u8>,
        offset: u64,
        mut next: u64,
        limit: usize,
    ) -> FeedAnswer {
        let first_block = self.blocks.partition_point(|block| block.end() <= next);
        for block in self.blocks.range(first_block..) {
            let left = limit - (next - offset) as usize;
            if left == 0 || (next > offset && out.len() >= PAGE_BYTES_MAX) {
                break;
            }
            let from = (next - block.first) as usize;
            let to = (from + left).min(block.events.len());
            if next > offset {
                out.push(b',');
            }
            out.extend_from_slice(block.events.range(from, to));
            next += (to - from) as u64;
        }
        out.extend_from_slice(b"],\"nextOffset\":");
        encoding::integer(&mut out, next);
        out.extend_from_slice(b",\"hasMore\":");
        out.extend_from_slice(if next < self.end { b"true" } else { b"false" });
        out.extend_from_slice(b",\"count\":");
        encoding::integer(&mut out, next - offset);
        out.push(b'}');
        FeedAnswer::Page {
            json: out.into(),
            events: (next - offset) as u32,
        }
    }

    /// How many events are in memory.
    pub fn events_in_memory(&self) -> u64 {
        self.end - self.oldest()
    }

    /// How many polls wait, or are about to be answered.
    pub fn waiters(&self) -> usize {
        self.parked.len() + self.due.len()
    }
}

fn answered(poll: &Poll, answer: FeedAnswer) -> Polled {
    Polled::Answered(FeedReply {
        to: poll.to,
        answer,
    })
}

fn begin_page() -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"events\":[");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::ExchangeKey;

    fn events(first: u64, count: u64) -> Events {
        let mut events = Events::default();
        for offset in first..first + count {
            events.push(|out| out.extend_from_slice(format!("{{\"offset\":{offset}}}").as_bytes()));
        }
        events
    }

    fn poll(index: u32, offset: u64, limit: u32, wait_ms: u32) -> Poll {
        let exchange = ExchangeKey {
            index,
            generation: 0,
        };
        let to = FeedReplyTo {
            exchange,
            acceptor: 0,
        };
        Poll {
            to,
            offset,
            limit,
            wait_ms,
        }
    }

    fn check_page(feed: &mut Feed, offset: u64, limit: u32, expected: &str) {
        match answer(feed, poll(0, offset, limit, 0)) {
            Some(FeedAnswer::Page { json, .. }) => {
                assert_eq!(expected, std::str::from_utf8(&json).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(feed: &mut Feed, poll: Poll) -> Option<FeedAnswer> {
        feed.poll(0, poll).map(answer_of)
    }

    fn answer_of(polled: Polled) -> FeedAnswer {
        match polled {
            Polled::Answered(reply) => reply.answer,
            older => panic!("{older:?}"),
        }
    }

    fn index_of_next_due(feed: &mut Feed) -> Option<u32> {
        match feed.answer_next_due()? {
            Polled::Answered(reply) => Some(reply.to.exchange.index),
            older => panic!("{older:?}"),
        }
    }

    #[test]
    fn pages_run_across_groups_and_say_where_to_go_on() {
        let mut feed = Feed::new(100, 10);
        feed.publish(0, events(0, 2));
        feed.publish(2, events(2, 3));
        check_page(
            &mut feed,
            1,
            3,
            r#"{"events":[{"offset":1},{"offset":2},{"offset":3}],"nextOffset":4,"hasMore":true,"count":3}"#,
        );
        check_page(
            &mut feed,
            4,
            3,
            r#"{"events":[{"offset":4}],"nextOffset":5,"hasMore":false,"count":1}"#,
        );
        check_page(
            &mut feed,
            5,
            3,
            r#"{"events":[],"nextOffset":5,"hasMore":false,"count":0}"#,
        );
    }

    #[test]
    fn the_latest_events_are_kept_in_memory_and_older_ones_are_not() {
        let mut feed = Feed::new(4, 10);
        for first in [0, 3, 6] {
            feed.publish(first, events(first, 3));
        }
        assert_eq!(2, feed.blocks.len());
        assert_eq!(5, feed.oldest());
        let older = poll(0, 4, 1, 1000);
        assert_eq!(Some(Polled::OlderThanMemory(older)), feed.poll(0, older));
        assert_eq!(
            Some(FeedAnswer::BeyondEnd { end: 9 }),
            answer(&mut feed, poll(0, 10, 1, 1000))
        );
    }

    #[test]
    fn a_waiting_poll_is_answered_by_the_next_group_or_by_time() {
        let mut feed = Feed::new(100, 2);
        assert_eq!(None, feed.poll(0, poll(1, 0, 10, 50)));
        assert_eq!(None, feed.poll(0, poll(2, 0, 10, 90)));
        assert_eq!(
            Some(FeedAnswer::TooManyWaiters),
            answer(&mut feed, poll(3, 0, 10, 10))
        );
        feed.expire(49);
        assert!(!feed.has_due());
        feed.expire(50);
        assert_eq!(Some(1), index_of_next_due(&mut feed));
        feed.publish(0, events(0, 1));
        assert_eq!(Some(2), index_of_next_due(&mut feed));
        assert_eq!(None, index_of_next_due(&mut feed));
    }

    #[test]
    fn a_forgotten_poll_makes_room_for_another() {
        let mut feed = Feed::new(100, 1);
        assert_eq!(None, feed.poll(0, poll(1, 0, 10, 50)));
        assert_eq!(
            Some(FeedAnswer::Forgotten),
            feed.forget(poll(1, 0, 0, 0).to)
        );
        assert_eq!(None, feed.forget(poll(1, 0, 0, 0).to));
        assert_eq!(None, feed.poll(0, poll(2, 0, 10, 50)));
    }

    #[test]
    fn restored_events_are_read_like_published_ones() {
        let mut feed = Feed::new(1000, 1);
        for offset in 7..607 {
            feed.restore(offset, format!("{{\"offset\":{offset}").as_bytes());
        }
        feed.begin_at(607);
        assert_eq!(7, feed.oldest());
        feed.publish(607, events(607, 1));
        check_page(
            &mut feed,
            605,
            10,
            r#"{"events":[{"offset":605},{"offset":606},{"offset":607}],"nextOffset":608,"hasMore":false,"count":3}"#,
        );
    }
}
