//! The memory of applied updates: it finds the first answer of a repeat, forgets after the TTL, and is bounded.
//!
//! ```text
//!   table: hash(identity) ──▶ number ─┐
//!   entries (oldest first): [ e, e, e, e, e ]
//!                             ▲ expire pops here  ▲ remember pushes here
//! ```
//!
//! The TTL is the same for all, so order of effect is order of expiry and no entry is stored twice. Both grow in small steps.

mod entries;
mod table;

use ahash::RandomState;

use crate::identity::IdentityRef;
use crate::{Receipt, Ticket, Timestamp};
use entries::Entries;
use table::Table;

/// How many expired entries an update that meets a full memory clears away at most, so that no single update
/// pays for all of them.
const ROOM_SLICE: usize = 64;

/// How many places are looked at one right after the other: more than a processor has reads under way.
const LOOK_AHEAD_TOGETHER: usize = 64;

/// One applied update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub identity: IdentityRef<'a>,
    pub effect: &'a Effect,
}

/// What is remembered of an applied update besides its identity.
#[derive(Debug)]
pub(crate) struct Effect {
    pub delta: i64,
    pub receipt: Receipt,
    pub ticket: Ticket,
}

#[derive(Debug)]
pub(crate) struct Memory {
    hasher: RandomState,
    table: Table,
    entries: Entries,
    ttl_ms: u64,
    entries_max: usize,
}

impl Memory {
    pub fn new(ttl_ms: u64, entries_max: usize, hasher: RandomState) -> Memory {
        assert!(
            entries_max > 0,
            "a memory of nothing would refuse everything"
        );
        Memory {
            hasher,
            table: Table::new(),
            entries: Entries::default(),
            ttl_ms,
            entries_max,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_live(&self, effect_at: Timestamp, now: Timestamp) -> bool {
        now.0 < effect_at.0.saturating_add(self.ttl_ms)
    }

    /// What the table is keyed by; computed once per update.
    pub fn hash_of(&self, identity: IdentityRef<'_>) -> u64 {
        self.hasher.hash_one(identity)
    }

    /// Brings near what [`Memory::find`] will read of those. Many such reads take little longer than one: they do not wait for
    /// each other, as long as there is little to be done in between. So all hashes are computed first.
    pub fn look_ahead<'i>(&self, mut identities: impl Iterator<Item = IdentityRef<'i>>) {
        let mut hashes = [0; LOOK_AHEAD_TOGETHER];
        loop {
            let mut count = 0;
            for (hash, identity) in hashes.iter_mut().zip(&mut identities) {
                *hash = self.hash_of(identity);
                count += 1;
            }
            hashes[..count]
                .iter()
                .for_each(|hash| self.table.look_ahead(*hash));
            if count < LOOK_AHEAD_TOGETHER {
                return;
            }
        }
    }

    /// The entry of `identity`, which has `hash`, unless its time is over.
    pub fn find(&self, identity: IdentityRef<'_>, hash: u64, now: Timestamp) -> Option<&Effect> {
        let is_it = |number| self.entries.get(number).identity == identity;
        let effect = self.entries.get(self.table.find(hash, is_it)?).effect;
        self.is_live(effect.receipt.at, now).then_some(effect)
    }

    /// Whether one more can be remembered, after forgetting what has expired.
    pub fn make_room(&mut self, now: Timestamp) -> bool {
        if self.entries.len() >= self.entries_max {
            self.expire(now, ROOM_SLICE);
        }
        self.entries.len() < self.entries_max
    }

    /// Remembers the `effect` of `identity`, which has `hash`; the caller has made room. Takes the place of an expired one with
    /// the same identity.
    pub fn remember(&mut self, identity: IdentityRef<'_>, hash: u64, effect: Effect) {
        assert!(self.entries.len() < self.entries_max, "room is made first");
        self.insert(identity, hash, effect);
    }

    /// Remembers what the journal says. The promise was given, so the bound does not apply.
    pub fn restore(&mut self, identity: IdentityRef<'_>, effect: Effect) {
        self.insert(identity, self.hash_of(identity), effect);
    }

    fn insert(&mut self, identity: IdentityRef<'_>, hash: u64, effect: Effect) {
        let entries = &self.entries;
        let is_same = |number| entries.get(number).identity == identity;
        self.table.insert(hash, entries.next(), is_same);
        self.entries.push(identity, effect);
    }

    /// Forgets up to `limit` entries whose time is over, oldest first. Returns how many.
    pub fn expire(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < limit && self.forget_oldest_if_over(now) {
            forgotten += 1;
        }
        forgotten
    }

    fn forget_oldest_if_over(&mut self, now: Timestamp) -> bool {
        let oldest = match self.entries.front() {
            Some(oldest) if !self.is_live(oldest.effect.receipt.at, now) => oldest,
            _ => return false,
        };
        // Not found where a later update with the same identity took its place in the table.
        self.table
            .remove(self.hash_of(oldest.identity), self.entries.first());
        self.entries.pop();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn memory(ttl_ms: u64, entries_max: usize) -> Memory {
        Memory::new(ttl_ms, entries_max, RandomState::with_seeds(1, 2, 3, 4))
    }

    fn find<'m>(memory: &'m Memory, key: &str, now: u64) -> Option<&'m Effect> {
        let identity = Identity::new("s", "p", key);
        let hash = memory.hash_of(identity.view());
        memory.find(identity.view(), hash, Timestamp(now))
    }

    pub(super) fn effect(at: u64) -> Effect {
        Effect {
            delta: 1,
            receipt: Receipt {
                quantity: 1,
                version: 1,
                at: Timestamp(at),
            },
            ticket: Ticket(1),
        }
    }

    fn remember(memory: &mut Memory, key: &str, at: u64) {
        let identity = Identity::new("s", "p", key);
        let hash = memory.hash_of(identity.view());
        memory.remember(identity.view(), hash, effect(at));
    }

    #[test]
    fn it_forgets_exactly_when_the_time_is_over() {
        let mut memory = memory(10, 4);
        remember(&mut memory, "a", 100);
        assert!(find(&memory, "a", 109).is_some());
        assert!(find(&memory, "a", 110).is_none());
        assert_eq!(0, memory.expire(Timestamp(109), 10));
        assert_eq!(1, memory.expire(Timestamp(110), 10));
        assert_eq!(0, memory.len());
    }

    #[test]
    fn a_full_memory_makes_room_only_from_what_has_expired() {
        let mut memory = memory(10, 2);
        remember(&mut memory, "a", 0);
        remember(&mut memory, "b", 5);
        assert!(!memory.make_room(Timestamp(9)));
        assert!(memory.make_room(Timestamp(10)));
        assert_eq!(1, memory.len());
    }

    #[test]
    fn a_key_used_again_after_its_time_outlives_the_first_use() {
        let mut memory = memory(10, 4);
        remember(&mut memory, "a", 0);
        remember(&mut memory, "a", 20);
        assert_eq!(1, memory.expire(Timestamp(20), 10));
        let found = find(&memory, "a", 21).expect("the second use");
        assert_eq!(Timestamp(20), found.receipt.at);
        assert_eq!(1, memory.expire(Timestamp(30), 10));
        assert!(memory.table.is_empty());
    }
}
