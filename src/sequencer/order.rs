//! The core of the sequencer: gives changes their offsets, gathers them into groups, and holds answers back until
//! what they show is on disk. Pure: decisions come in, groups and replies go out.
//!
//! ```text
//!   decisions ─▶ gathering groups ─▶ one group in flight ─▶ durable
//!   replies      held until the durable end has passed the offset they wait for
//! ```

use std::collections::VecDeque;

use shards::Timestamp;

use crate::faults::{self, Fault};
use crate::journal::format::{Group, SealedGroup, Written};
use crate::messages::{Ordered, Outcome, Reply};

/// A group is closed beyond this many bytes. A segment is at least twice as large.
const GROUP_BYTES_MAX: usize = 512 << 10;
/// While this many bytes wait for the disk, no further decisions are taken: they wait in their lanes, which fill,
/// and the edge answers 503.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Groups whose memory is kept for the next: the one that was written last, and two that a large turn of batches fills while it
/// was. Memory that is made anew for each is cleared by the kernel first, page by page.
const SPARE_GROUPS_MAX: usize = 3;

/// The order of all changes.
#[derive(Debug)]
pub struct Order {
    next_offset: u64,
    durable_end: u64,
    /// Every change below this offset is known to be on disk, also where it is acknowledged before.
    synced_end: u64,
    sync_per_group: bool,
    gathering: VecDeque<Group>,
    waiting_bytes: usize,
    in_flight_end: Option<u64>,
    held: VecDeque<Held>,
    failed: bool,
    /// The memory of groups that were written, [`SPARE_GROUPS_MAX`] at most.
    written: Vec<Written>,
}

/// A reply that may be released when the durable end reaches `at`.
#[derive(Debug)]
struct Held {
    at: u64,
    changes: u32,
    reply: Reply,
}

/// A reply whose time has come.
#[derive(Debug)]
pub struct Released {
    /// How many changes of the reply's shard became durable with it.
    pub changes: u32,
    /// The reply.
    pub reply: Reply,
}

impl Order {
    /// Goes on at `next_offset`; all before is on disk. With `sync_per_group`, an appended group is a synced one.
    pub fn new(next_offset: u64, sync_per_group: bool) -> Order {
        Order {
            next_offset,
            durable_end: next_offset,
            synced_end: next_offset,
            sync_per_group,
            gathering: VecDeque::new(),
            waiting_bytes: 0,
            in_flight_end: None,
            held: VecDeque::new(),
            failed: false,
            written: Vec::with_capacity(SPARE_GROUPS_MAX),
        }
    }

    /// The offset that the next change gets.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Every change below this offset is known to be on disk.
    pub fn synced_end(&self) -> u64 {
        self.synced_end
    }

    /// Every change below this offset may be acknowledged.
    pub fn durable_end(&self) -> u64 {
        self.durable_end
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether further decisions may be taken now.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Whether a group waits to be written.
    pub fn has_group(&self) -> bool {
        !self.gathering.is_empty()
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.gathering.is_empty() && self.in_flight_end.is_none() && self.held.is_empty()
    }

    /// Takes what was decided. Returns its reply at once where nothing has to be waited for, or never will be.
    pub fn take(&mut self, ordered: Ordered) -> Option<Released> {
        let (changes, reply) = match ordered {
            Ordered::Changes(changes, reply) => {
                if !self.failed {
                    for (served, private) in changes.iter() {
                        self.append(changes.latest_at(), served, private);
                    }
                }
                (changes.count(), reply)
            }
            Ordered::Held(reply) => (0, reply),
        };
        let held = Held {
            at: self.next_offset,
            changes,
            reply,
        };
        if self.failed {
            return Some(storage_failed(held));
        }
        if held.at <= self.durable_end {
            return Some(release(held));
        }
        self.held.push_back(held);
        None
    }

    fn append(&mut self, at: Timestamp, served: &[u8], private: &[u8]) {
        let full = |group: &Group| group.len_bytes() >= GROUP_BYTES_MAX;
        if self.gathering.back().is_none_or(full) {
            let batch = match self.sync_per_group {
                _ if faults::is_planted(Fault::LoseGroupBoundary) => 0,
                true => self.next_offset,
                false => self.synced_end,
            };
            let written = self.written.pop().unwrap_or_default();
            self.gathering
                .push_back(Group::after(self.next_offset, batch, written));
        }
        let group = self.gathering.back_mut().expect("there is one now");
        let before = group.len_bytes();
        group.push(at, served, private);
        self.waiting_bytes += group.len_bytes() - before;
        self.next_offset += 1;
        assert_eq!(group.end_offset(), self.next_offset, "offsets are dense");
    }

    /// The next group to write. One is in flight at a time.
    pub fn next_group(&mut self) -> Option<SealedGroup> {
        assert!(
            self.in_flight_end.is_none(),
            "one group is in flight at a time"
        );
        let group = self.gathering.pop_front()?;
        assert_eq!(
            group.first_offset(),
            self.durable_end,
            "groups are written in order"
        );
        self.waiting_bytes -= group.len_bytes();
        self.in_flight_end = Some(group.end_offset());
        Some(group.seal())
    }

    /// Takes the memory of a group that was written, for the next.
    pub fn recycle(&mut self, written: Written) {
        if self.written.len() < SPARE_GROUPS_MAX {
            self.written.push(written);
        }
    }

    /// The group in flight may be acknowledged; `synced` if all that was written is on disk. Appends the replies
    /// that were held for it to `released`.
    pub fn written(&mut self, synced: bool, released: &mut Vec<Released>) {
        let end = self.in_flight_end.take().expect("a group was in flight");
        assert!(end > self.durable_end && end <= self.next_offset);
        self.durable_end = end;
        if synced {
            self.synced_end = end;
        }
        while let Some(held) = self.held.front()
            && held.at <= end
        {
            let held = self.held.pop_front().expect("it was just seen");
            released.push(release(held));
        }
    }

    /// All that was acknowledged is on disk.
    pub fn synced(&mut self) {
        self.synced_end = self.durable_end;
    }

    /// The journal failed: nothing that waits will ever be on disk. From now on every decision is answered so.
    pub fn fail(&mut self, released: &mut Vec<Released>) {
        self.failed = true;
        self.in_flight_end = None;
        self.gathering.clear();
        self.waiting_bytes = 0;
        released.extend(self.held.drain(..).map(storage_failed));
    }
}

fn release(held: Held) -> Released {
    Released {
        changes: held.changes,
        reply: held.reply,
    }
}

fn storage_failed(held: Held) -> Released {
    Released {
        changes: 0,
        reply: Reply {
            to: held.reply.to,
            outcome: Outcome::StorageFailed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::{Change, Changes, EventKind};
    use crate::messages::{ExchangeKey, ReplyTo};
    use shards::{Price, Product, Ticket, Timestamp};

    fn reply(index: u32) -> Reply {
        let exchange = ExchangeKey {
            index,
            generation: 0,
        };
        Reply {
            to: ReplyTo {
                exchange,
                acceptor: 0,
                shard: 0,
            },
            outcome: Outcome::Product(None),
        }
    }

    fn changes(count: usize, index: u32) -> Ordered {
        let product = Product {
            id: "p".into(),
            name: "n".into(),
            price: Price::new("1"),
            available: 1,
            version: 1,
            updated_at: Timestamp(0),
            ticket: Ticket(0),
        };
        let mut changes = Changes::default();
        for _ in 0..count {
            changes.push(&Change {
                kind: EventKind::ProductCreated,
                at: Timestamp(0),
                product: &product,
                update: None,
            });
        }
        Ordered::Changes(changes, reply(index))
    }

    fn indices(released: &[Released]) -> Vec<u32> {
        released.iter().map(|r| r.reply.to.exchange.index).collect()
    }

    #[test]
    fn replies_follow_their_group_and_not_before() {
        let mut order = Order::new(10, true);
        let mut released = Vec::new();
        assert!(order.take(changes(2, 1)).is_none());
        let group = order.next_group().unwrap();
        assert_eq!((10, 12), (group.first_offset, group.end_offset));
        // While the first group is on its way, the next gathers; a refusal waits behind what it shows.
        assert!(order.take(Ordered::Held(reply(2))).is_none());
        assert!(order.take(changes(1, 3)).is_none());
        assert!(order.take(Ordered::Held(reply(4))).is_none());
        order.written(true, &mut released);
        assert_eq!(vec![1, 2], indices(&released));
        released.clear();
        let group = order.next_group().unwrap();
        assert_eq!((12, 13), (group.first_offset, group.end_offset));
        order.written(true, &mut released);
        assert_eq!(vec![3, 4], indices(&released));
        assert!(order.is_idle());
    }

    #[test]
    fn a_reply_with_nothing_to_wait_for_goes_at_once() {
        let mut order = Order::new(0, true);
        assert!(order.take(Ordered::Held(reply(1))).is_some());
    }

    #[test]
    fn large_requests_are_split_into_groups_and_answered_after_the_last() {
        let mut order = Order::new(0, true);
        assert!(order.take(changes(10_000, 1)).is_none());
        let mut released = Vec::new();
        let mut groups = 0;
        while let Some(group) = order.next_group() {
            assert!(released.is_empty());
            assert!(group.blocks.len() <= GROUP_BYTES_MAX + (16 << 10));
            groups += 1;
            order.written(true, &mut released);
        }
        assert!(groups > 1);
        assert_eq!(10_000, released[0].changes);
    }

    #[test]
    fn after_a_failure_everything_is_refused() {
        let mut order = Order::new(0, true);
        let mut released = Vec::new();
        order.take(changes(1, 1));
        order.next_group().unwrap();
        order.take(changes(1, 2));
        order.fail(&mut released);
        assert_eq!(vec![1, 2], indices(&released));
        released.extend(order.take(changes(1, 3)));
        let all_failed = released
            .iter()
            .all(|r| matches!(r.reply.outcome, Outcome::StorageFailed));
        assert!(all_failed && released.len() == 3);
        assert!(!order.has_group());
    }

    #[test]
    fn without_a_sync_per_group_the_mark_stays_at_what_is_on_disk() {
        let mut order = Order::new(0, false);
        let mut released = Vec::new();
        for expected_batch in [0, 0, 2] {
            order.take(changes(1, 1));
            let group = order.next_group().unwrap();
            let line = group.blocks.split(|b| *b == b'\n').next().unwrap();
            let batch = crate::journal::line::Line::read(line).unwrap().batch;
            assert_eq!(expected_batch, batch);
            order.written(false, &mut released);
            if order.durable_end == 2 {
                order.synced();
            }
        }
    }
}
