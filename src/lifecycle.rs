//! What every role must know of the server as a whole: whether it stops, and whether its journal still works.
//! Roles look at it on their heartbeat; nobody waits on it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shared by all roles.
#[derive(Debug)]
pub struct Lifecycle {
    started: Instant,
    recovering: AtomicBool,
    draining: AtomicBool,
    journal_failed: AtomicBool,
    ended: AtomicBool,
    acceptors_running: AtomicUsize,
    snapshots_done: AtomicBool,
    shards_running: AtomicUsize,
    durable_tickets: Vec<DurableTicket>,
}

/// On a cache line of its own: each is read by another core all the time.
#[derive(Debug, Default)]
#[repr(align(64))]
struct DurableTicket(AtomicU64);

impl Lifecycle {
    /// Of a server that begins to start.
    pub fn new(acceptors: usize, shards: usize) -> Lifecycle {
        Lifecycle {
            started: Instant::now(),
            recovering: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            journal_failed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            acceptors_running: AtomicUsize::new(acceptors),
            snapshots_done: AtomicBool::new(false),
            shards_running: AtomicUsize::new(shards),
            durable_tickets: (0..shards).map(|_| DurableTicket::default()).collect(),
        }
    }

    /// How long the server has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The state is there: from now on everything is served.
    pub fn recovered(&self) {
        self.recovering.store(false, Ordering::Release);
    }

    /// Whether the state is still being read from disk.
    pub fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Begins to stop: no new connections, waiting polls are answered, what is in flight is finished.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server stops.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The journal failed: for good, as long as this process runs.
    pub fn fail_journal(&self) {
        self.journal_failed.store(true, Ordering::Release);
    }

    /// Whether the journal failed.
    pub fn has_failed_journal(&self) -> bool {
        self.journal_failed.load(Ordering::Acquire)
    }

    /// Every role has ended: whoever only watches may end too.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether every role has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// An acceptor has no connection left and will send nothing more.
    pub fn acceptor_done(&self) {
        self.acceptors_running.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no acceptor will send anything more.
    pub fn acceptors_are_done(&self) -> bool {
        self.acceptors_running.load(Ordering::Acquire) == 0
    }

    /// No shard is asked for a part of a snapshot any more.
    pub fn snapshots_done(&self) {
        self.snapshots_done.store(true, Ordering::Release);
    }

    /// Whether no shard will be asked for a part of a snapshot any more.
    pub fn snapshots_are_done(&self) -> bool {
        self.snapshots_done.load(Ordering::Acquire)
    }

    /// A shard has answered everything and will decide nothing more.
    pub fn shard_done(&self) {
        self.shards_running.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no shard will decide anything more.
    pub fn shards_are_done(&self) -> bool {
        self.shards_running.load(Ordering::Acquire) == 0
    }

    /// `count` more changes of `shard` are on disk. Only the sequencer calls it.
    pub fn add_durable(&self, shard: usize, count: u64) {
        self.durable_tickets[shard]
            .0
            .fetch_add(count, Ordering::Release);
    }

    /// How many changes of `shard` are on disk: its durable ticket.
    pub fn durable(&self, shard: usize) -> u64 {
        self.durable_tickets[shard].0.load(Ordering::Acquire)
    }
}
