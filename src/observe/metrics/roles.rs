//! What shards, the sequencer and the executors count.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use shards::{AdminAnswer, UpdateAnswer};

use super::cells::{Cell, DURATIONS, GROUPS, Histogram};
use super::process::{self, ThreadTimes};
use crate::journal::format::EventKind;

/// What a shard decided, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// An update took effect.
    Applied,
    /// It had taken effect before.
    Replayed,
    /// Refused for a stale version.
    VersionConflict,
    /// Refused since stock would fall below zero.
    Insufficient,
    /// Refused since a number would grow too large.
    OutOfRange,
    /// Refused since there is no such product.
    NotFound,
    /// Refused since its key was used for another delta.
    KeyReused,
    /// Refused since the idempotency memory is full.
    MemoryFull,
    /// A product was created.
    Created,
    /// A product was set.
    Modified,
    /// A product was deleted.
    Deleted,
    /// An admin change was refused.
    AdminRefused,
}

impl Decided {
    /// Each, in the order of their numbers.
    pub const ALL: [Decided; 12] = [
        Decided::Applied,
        Decided::Replayed,
        Decided::VersionConflict,
        Decided::Insufficient,
        Decided::OutOfRange,
        Decided::NotFound,
        Decided::KeyReused,
        Decided::MemoryFull,
        Decided::Created,
        Decided::Modified,
        Decided::Deleted,
        Decided::AdminRefused,
    ];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Decided::Applied => "applied",
            Decided::Replayed => "replayed",
            Decided::VersionConflict => "version_conflict",
            Decided::Insufficient => "insufficient_inventory",
            Decided::OutOfRange => "quantity_out_of_range",
            Decided::NotFound => "product_not_found",
            Decided::KeyReused => "idempotency_key_reused",
            Decided::MemoryFull => "overloaded",
            Decided::Created => "created",
            Decided::Modified => "modified",
            Decided::Deleted => "deleted",
            Decided::AdminRefused => "admin_refused",
        }
    }

    /// Whether the update was found in the idempotency memory; none of what is no update.
    pub fn was_remembered(self) -> Option<bool> {
        match self {
            Decided::Replayed | Decided::KeyReused => Some(true),
            Decided::Applied
            | Decided::VersionConflict
            | Decided::Insufficient
            | Decided::OutOfRange
            | Decided::NotFound
            | Decided::MemoryFull => Some(false),
            Decided::Created | Decided::Modified | Decided::Deleted | Decided::AdminRefused => None,
        }
    }
}

/// What one shard counts. Written on its executor alone.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    decisions: [Cell; Decided::ALL.len()],
    /// Products that exist.
    pub products: Cell,
    /// Applied updates that are remembered.
    pub idempotency_entries: Cell,
    /// Whether it is at work: 0 or 1.
    pub is_active: Cell,
}

impl ShardMetrics {
    /// Counts what became of an update.
    pub fn update(&self, answer: &UpdateAnswer) {
        self.count(match answer {
            UpdateAnswer::Applied(_) => Decided::Applied,
            UpdateAnswer::Replayed(_) => Decided::Replayed,
            UpdateAnswer::VersionConflict(_) => Decided::VersionConflict,
            UpdateAnswer::Insufficient(_) => Decided::Insufficient,
            UpdateAnswer::OutOfRange(_) => Decided::OutOfRange,
            UpdateAnswer::NotFound => Decided::NotFound,
            UpdateAnswer::KeyReused(_) => Decided::KeyReused,
            UpdateAnswer::MemoryFull => Decided::MemoryFull,
        });
    }

    /// Counts what became of an admin change that would be an event of `kind`.
    pub fn admin(&self, kind: EventKind, answer: &AdminAnswer) {
        self.count(match (answer, kind) {
            (AdminAnswer::Done { .. }, EventKind::ProductCreated) => Decided::Created,
            (AdminAnswer::Done { .. }, EventKind::ProductDeleted) => Decided::Deleted,
            (AdminAnswer::Done { .. }, _) => Decided::Modified,
            _ => Decided::AdminRefused,
        });
    }

    fn count(&self, decided: Decided) {
        self.decisions[decided as usize].increment();
    }

    /// How often it was decided so.
    pub fn decisions(&self, decided: Decided) -> u64 {
        self.decisions[decided as usize].get()
    }
}

/// What became of a question to the feed, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// A page with events.
    Events,
    /// A page without.
    Empty,
    /// 410 `offset_expired`
    OffsetExpired,
    /// 410 `offset_beyond_end`
    OffsetBeyondEnd,
    /// As many wait as may.
    TooManyWaiters,
    /// Its client went away.
    Forgotten,
    /// Its events cannot be read from disk.
    Unreadable,
}

impl Polled {
    /// Each, in the order of their numbers.
    pub const ALL: [Polled; 7] = [
        Polled::Events,
        Polled::Empty,
        Polled::OffsetExpired,
        Polled::OffsetBeyondEnd,
        Polled::TooManyWaiters,
        Polled::Forgotten,
        Polled::Unreadable,
    ];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Polled::Events => "events",
            Polled::Empty => "empty",
            Polled::OffsetExpired => "offset_expired",
            Polled::OffsetBeyondEnd => "offset_beyond_end",
            Polled::TooManyWaiters => "too_many_waiters",
            Polled::Forgotten => "forgotten",
            Polled::Unreadable => "unreadable",
        }
    }
}

/// What the sequencer counts. Written on its executor alone; levels at every heartbeat.
#[derive(Debug)]
pub struct SequencerMetrics {
    /// Events that became durable and were published.
    pub published: Cell,
    /// The offset that the next change gets.
    pub next_offset: Cell,
    /// Every change below it was acknowledged.
    pub durable_offset: Cell,
    /// Bytes that wait to be written.
    pub waiting_bytes: Cell,
    /// Events of each group.
    pub group_events: Histogram,
    /// How long a group took to be written and made durable.
    pub commits: Histogram,
    /// How long each sync took.
    pub syncs: Histogram,
    /// Bytes that were appended to the journal.
    pub journal_bytes: Cell,
    /// Segments on disk, with the active one.
    pub segments: Cell,
    /// Snapshots that were completed.
    pub snapshots: Cell,
    /// Snapshots that came to nothing.
    pub snapshots_failed: Cell,
    /// How long the latest completed one took, in milliseconds.
    pub snapshot_ms: Cell,
    /// The latest snapshot holds every change below this offset.
    pub covered_offset: Cell,
    /// Events in memory.
    pub events_in_memory: Cell,
    /// The first offset that can be read.
    pub oldest_offset: Cell,
    /// The end of the feed.
    pub end_offset: Cell,
    /// Polls that wait.
    pub waiters: Cell,
    /// Bytes of pages on their way.
    pub pages_bytes: Cell,
    /// Answers, by what they said.
    pub polls: [Cell; Polled::ALL.len()],
    /// Events on pages.
    pub delivered: Cell,
    /// From the publication of events to the answer of a poll that waited for them.
    pub delivery_lag: Histogram,
}

impl Default for SequencerMetrics {
    fn default() -> SequencerMetrics {
        SequencerMetrics {
            published: Cell::default(),
            next_offset: Cell::default(),
            durable_offset: Cell::default(),
            waiting_bytes: Cell::default(),
            group_events: Histogram::new(&GROUPS),
            commits: Histogram::new(&DURATIONS),
            syncs: Histogram::new(&DURATIONS),
            journal_bytes: Cell::default(),
            segments: Cell::default(),
            snapshots: Cell::default(),
            snapshots_failed: Cell::default(),
            snapshot_ms: Cell::default(),
            covered_offset: Cell::default(),
            events_in_memory: Cell::default(),
            oldest_offset: Cell::default(),
            end_offset: Cell::default(),
            waiters: Cell::default(),
            pages_bytes: Cell::default(),
            polls: Default::default(),
            delivered: Cell::default(),
            delivery_lag: Histogram::new(&DURATIONS),
        }
    }
}

/// What is known of an executor.
#[derive(Debug)]
pub struct ExecutorMetrics {
    /// Its name in the plan.
    pub name: String,
    /// What it runs.
    pub roles: String,
    /// How late its heartbeat came, each time.
    pub heartbeat_delay: Histogram,
    thread: AtomicU32,
    /// What was last known of its times: they stay when the thread has ended.
    ran_ns: AtomicU64,
    waited_ns: AtomicU64,
}

impl ExecutorMetrics {
    /// Of an executor that is not started yet.
    pub fn new(name: String, roles: String) -> ExecutorMetrics {
        ExecutorMetrics {
            name,
            roles,
            heartbeat_delay: Histogram::new(&DURATIONS),
            thread: AtomicU32::new(0),
            ran_ns: AtomicU64::new(0),
            waited_ns: AtomicU64::new(0),
        }
    }

    /// It runs on the current thread.
    pub fn started(&self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread as u32, Ordering::Relaxed);
    }

    /// The kernel's number of its thread, once it is started.
    pub fn thread(&self) -> Option<u32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0)
    }

    /// How long its thread ran and waited for a CPU, as far as is known. Several threads may ask: the times never fall.
    pub fn thread_times(&self) -> ThreadTimes {
        let now = self.thread().and_then(process::thread_times);
        let now = now.unwrap_or_default();
        let kept = |known: &AtomicU64, now| known.fetch_max(now, Ordering::Relaxed).max(now);
        ThreadTimes {
            ran_ns: kept(&self.ran_ns, now.ran_ns),
            waited_ns: kept(&self.waited_ns, now.waited_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_thread_outlive_it() {
        let executor = std::sync::Arc::new(ExecutorMetrics::new("a".into(), "b".into()));
        let alive = {
            let executor = executor.clone();
            let run = move || {
                executor.started();
                while executor.thread_times().ran_ns == 0 {}
                executor.thread_times()
            };
            std::thread::spawn(run).join().unwrap()
        };
        let thread = executor.thread().unwrap();
        while process::thread_times(thread).is_some() {
            std::thread::yield_now();
        }
        assert!(executor.thread_times().ran_ns >= alive.ran_ns);
    }

    #[test]
    fn numbers_of_enums_are_their_places_in_the_list() {
        for (index, decided) in Decided::ALL.into_iter().enumerate() {
            assert_eq!(index, decided as usize);
        }
        for (index, polled) in Polled::ALL.into_iter().enumerate() {
            assert_eq!(index, polled as usize);
        }
    }
}
