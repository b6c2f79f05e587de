//! The sequencer's executor: orders what the shards decide, writes the journal, releases the answers when they are
//! on disk, and serves those who wait for events.
//!
//! ```text
//!   shards ─decisions─▶ inbox ─▶ Order ─group─▶ writer ─▶ journal
//!   acceptors ─polls─▶ inbox ─▶ Feed ◀─events─┘ │
//!   acceptors ◀──────────── replies, pages ─────┘
//! ```
//!
//! Two more look after what is on disk: `snapshots` makes snapshots and removes old segments, `read_back` reads events
//! that are no longer in memory. Two tasks share the two pure cores: the inbox, which never waits for the disk, and the writer, which has one
//! group in flight. What comes in meanwhile is the next group: it grows with the load, without a timer.

pub mod feed;
pub mod filter;
mod gauges;
pub mod order;
mod read_back;
pub mod snapshots;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slog::{Logger, crit};

use crate::journal::directory::Files;
use crate::journal::format::SealedGroup;
use crate::journal::segments::{Extent, Segments};
use crate::lifecycle::Lifecycle;
use crate::messages::{Decision, FeedAnswer, FeedReply, FeedRequest, Poll, Reply, SnapshotRequest};
use crate::observe::metrics::roles::SequencerMetrics;
use crate::runtime::clock::Uptime;
use crate::runtime::executor::{self, Notify};
use crate::runtime::lane::{Doorbell, Receiver, Sender};
use feed::{Feed, Polled};
use order::{Order, Released};
use read_back::ReadBack;
use snapshots::{Policy, Snapshots};

/// Messages taken off one lane before the next gets its turn.
const TURN: usize = 256;
/// Polls answered before others get their turn: a commit with thousands of waiters must not delay the next group. One
/// whose filter was compared in vain counts for an eighth of them.
const DUE_SLICE: usize = 128;

/// Where groups go.
pub enum Journal {
    /// To disk.
    Disk(Box<Segments>),
    /// Nowhere: `ENABLE_JSON_PERSISTENCE=false`.
    Memory,
}

impl Journal {
    async fn append(&mut self, group: &SealedGroup) -> io::Result<bool> {
        match self {
            Journal::Disk(segments) => segments.append(group).await,
            Journal::Memory => Ok(true),
        }
    }

    fn sync_is_due(&self) -> bool {
        match self {
            Journal::Disk(segments) => segments.sync_is_due(),
            Journal::Memory => false,
        }
    }

    fn is_dirty(&self) -> bool {
        match self {
            Journal::Disk(segments) => segments.is_dirty(),
            Journal::Memory => false,
        }
    }

    async fn sync(&mut self) -> io::Result<()> {
        match self {
            Journal::Disk(segments) => segments.sync_now().await,
            Journal::Memory => Ok(()),
        }
    }

    async fn close(self) -> io::Result<()> {
        match self {
            Journal::Disk(segments) => segments.close().await,
            Journal::Memory => Ok(()),
        }
    }
}

/// What the sequencer is wired to.
pub struct Wiring {
    /// Its own doorbell.
    pub bell: Arc<Doorbell>,
    /// From each shard.
    pub decisions: Vec<Receiver<Decision>>,
    /// To each shard.
    pub snapshot_requests: Vec<Sender<SnapshotRequest>>,
    /// From each acceptor.
    pub feed_requests: Vec<Receiver<FeedRequest>>,
    /// Answers to each acceptor.
    pub replies: Vec<Sender<Reply>>,
    /// Pages to each acceptor.
    pub feed_replies: Vec<Sender<FeedReply>>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// What it counts.
    pub metrics: Arc<SequencerMetrics>,
    /// For what an operator must know.
    pub log: Logger,
}

/// What is kept on disk beside the active segment.
pub struct Archive {
    /// Where.
    pub files: Files,
    /// The segments.
    pub extent: Rc<Extent>,
    /// The first offset that the snapshot on disk need not hold.
    pub covered_to: u64,
    /// When to make a snapshot, and what to keep.
    pub policy: Policy,
}

/// Runs until every shard is done and everything decided is on disk. Without an `archive`, in memory, there are no
/// snapshots, and no events but those in memory.
pub async fn run(
    order: Order,
    feed: Feed,
    journal: Journal,
    archive: Option<Archive>,
    wiring: Wiring,
) {
    let mut role = Role {
        order: RefCell::new(order),
        feed: RefCell::new(feed),
        uptime: Uptime::start(),
        work: Notify::default(),
        sync_wanted: Cell::new(false),
        due_since: Cell::new(None),
        snapshots: None,
        read_back: None,
        wiring,
    };
    if let Some(archive) = archive {
        let (files, extent) = (archive.files, archive.extent);
        let read_back = ReadBack::new(files.clone(), extent.clone());
        role.read_back = Some(Rc::new(read_back));
        let snapshots = Snapshots::new(files, extent, archive.covered_to, archive.policy);
        role.snapshots = Some(Rc::new(snapshots));
    }
    let role = Rc::new(role);
    match (&role.snapshots, &role.read_back) {
        (Some(snapshots), Some(read_back)) => {
            executor::spawn(snapshots::run(role.clone(), snapshots.clone()));
            executor::spawn(read_back::run(role.clone(), read_back.clone()));
        }
        _ => role.wiring.lifecycle.snapshots_done(),
    }
    executor::spawn(inbox(role.clone()));
    executor::spawn(heartbeat(role.clone()));
    writer(&role, journal).await;
}

struct Role {
    order: RefCell<Order>,
    feed: RefCell<Feed>,
    uptime: Uptime,
    /// Rung when the writer may have something to do.
    work: Notify,
    /// Whether what was written is to be synced, whatever `JOURNAL_SYNC` says.
    sync_wanted: Cell<bool>,
    /// Since when polls are due that wait for events, until all are answered.
    due_since: Cell<Option<Duration>>,
    snapshots: Option<Rc<Snapshots>>,
    read_back: Option<Rc<ReadBack>>,
    wiring: Wiring,
}

async fn heartbeat(role: Rc<Role>) {
    loop {
        executor::beat().await;
        let mut feed = role.feed.borrow_mut();
        match role.wiring.lifecycle.is_draining() {
            true => feed.expire_all(),
            false => feed.expire(role.uptime.now_ms()),
        }
        let is_due = feed.has_due();
        drop(feed);
        if is_due || role.is_over() {
            role.wiring.bell.ring();
        }
        if let Some(snapshots) = &role.snapshots {
            snapshots.beat(&role);
        }
        role.publish_levels();
        role.work.ring();
    }
}

async fn inbox(role: Rc<Role>) {
    loop {
        let taken = role.take_feed_requests() + role.take_decisions();
        let has_answered = role.feed.borrow().has_due();
        let has_more = role.answer_due();
        if role.order.borrow().has_group() {
            role.work.ring();
        }
        if has_more {
            role.ring_acceptors();
            executor::let_io_run().await;
        } else if taken > 0 || has_answered {
            role.ring_acceptors();
            executor::yield_now().await;
        } else {
            role.wiring
                .bell
                .wait(Duration::ZERO, || role.has_mail())
                .await;
        }
    }
}

impl Role {
    fn has_mail(&self) -> bool {
        self.wiring
            .feed_requests
            .iter()
            .any(|lane| !lane.is_empty())
            || (self.order.borrow().has_room() && self.has_decisions())
            || self.feed.borrow().has_due()
    }

    fn has_decisions(&self) -> bool {
        self.wiring.decisions.iter().any(|lane| !lane.is_empty())
    }

    /// Whether nothing more will come and nothing waits.
    fn is_over(&self) -> bool {
        self.wiring.lifecycle.shards_are_done()
            && !self.has_decisions()
            && self.order.borrow().is_idle()
    }

    fn take_decisions(&self) -> usize {
        let mut order = self.order.borrow_mut();
        let mut taken = 0;
        for lane in &self.wiring.decisions {
            for _ in 0..TURN {
                if !order.has_room() {
                    return taken;
                }
                let Some(decision) = lane.pop() else { break };
                taken += 1;
                match decision {
                    Decision::SnapshotPart(part) => {
                        let snapshots = self.snapshots.as_ref();
                        let snapshots = snapshots.expect("a part comes to whoever asked for it");
                        snapshots.receive(part, order.next_offset());
                    }
                    Decision::Ordered(ordered) => {
                        if let Some(released) = order.take(ordered) {
                            self.release(released);
                        }
                    }
                }
            }
        }
        taken
    }

    fn take_feed_requests(&self) -> usize {
        let mut taken = 0;
        for lane in &self.wiring.feed_requests {
            for _ in 0..TURN {
                let Some(request) = lane.pop() else { break };
                taken += 1;
                self.serve_feed(request);
            }
        }
        taken
    }

    fn serve_feed(&self, request: FeedRequest) {
        let mut feed = self.feed.borrow_mut();
        let (to, answer) = match request {
            FeedRequest::Poll(poll) => {
                let wait_ms = match self.wiring.lifecycle.is_draining() {
                    true => 0,
                    false => poll.wait_ms,
                };
                let polled = feed.poll(self.uptime.now_ms(), Poll { wait_ms, ..poll });
                drop(feed);
                return self.answer(polled);
            }
            FeedRequest::Forget(to) => {
                let in_memory = feed.forget(to);
                let read_back = self.read_back.as_ref();
                (
                    to,
                    in_memory.or_else(|| read_back.and_then(|r| r.forget(to))),
                )
            }
            FeedRequest::End(to) => (to, Some(FeedAnswer::End(feed.end()))),
        };
        if let Some(answer) = answer {
            self.send_feed(FeedReply { to, answer });
        }
    }

    /// Sends the answer, or has the events read back from disk first.
    fn answer(&self, polled: Polled) {
        let waiter = match polled {
            Polled::Answered(reply) => return self.send_feed(reply),
            Polled::Later => return,
            Polled::OlderThanMemory(waiter) => waiter,
        };
        let feed = self.feed.borrow();
        let oldest = match &self.read_back {
            Some(read_back) if waiter.from >= read_back.oldest() => return read_back.push(waiter),
            Some(read_back) => read_back.oldest(),
            None => feed.oldest(),
        };
        let end = feed.end();
        self.send_feed(FeedReply {
            to: waiter.poll.to,
            answer: FeedAnswer::Expired { oldest, end },
        });
    }

    fn send_feed(&self, reply: FeedReply) {
        self.count_answer(&reply.answer);
        // An acceptor has at most as many questions under way as its lane has slots.
        let lane = &self.wiring.feed_replies[reply.to.acceptor as usize];
        lane.push(reply)
            .expect("a feed lane holds all that may be in flight");
    }

    /// Answers polls that are due, a slice of them. Returns whether more may be.
    fn answer_due(&self) -> bool {
        let mut spent = 0;
        while spent < DUE_SLICE {
            let due = self.feed.borrow_mut().answer_next_due();
            let Some(polled) = due else {
                self.due_since.set(None);
                return false;
            };
            spent += match polled {
                Polled::Later => DUE_SLICE / 8,
                _ => 1,
            };
            self.count_delivery();
            self.answer(polled);
        }
        true
    }

    /// Has what was written synced, also where `JOURNAL_SYNC` would not yet.
    fn want_sync(&self) {
        self.sync_wanted.set(true);
        self.work.ring();
    }

    fn release(&self, released: Released) {
        let to = released.reply.to;
        // First the ticket, then the answer: whoever has seen the answer finds the change durable.
        self.wiring
            .lifecycle
            .add_durable(to.shard.into(), released.changes.into());
        let lane = &self.wiring.replies[to.acceptor as usize];
        lane.push(released.reply)
            .expect("a reply lane holds all that may be in flight");
    }

    /// More may be on disk than a snapshot waits for.
    fn tell_snapshots(&self) {
        if let Some(snapshots) = &self.snapshots {
            snapshots.journal_went_on();
        }
    }

    fn ring_acceptors(&self) {
        self.wiring.replies.iter().for_each(Sender::ring);
        self.wiring.feed_replies.iter().for_each(Sender::ring);
    }
}

async fn writer(role: &Role, mut journal: Journal) {
    let mut released = Vec::new();
    loop {
        if role.wiring.lifecycle.has_failed_journal() {
            if role.is_over() {
                return;
            }
            role.work.wait().await;
            continue;
        }
        if role.sync_wanted.take() && journal.is_dirty() {
            if let Err(error) = sync(role, &mut journal).await {
                poison(role, &error, &mut released);
            }
            continue;
        }
        let group = role.order.borrow_mut().next_group();
        let result = match group {
            Some(group) => write_group(role, &mut journal, group, &mut released).await,
            None if journal.sync_is_due() => sync(role, &mut journal).await,
            None if role.is_over() => break,
            None => {
                role.work.wait().await;
                Ok(())
            }
        };
        if let Err(error) = result {
            poison(role, &error, &mut released);
        }
    }
    if let Err(error) = journal.close().await {
        poison(role, &error, &mut released);
    }
}

async fn write_group(
    role: &Role,
    journal: &mut Journal,
    group: SealedGroup,
    released: &mut Vec<Released>,
) -> io::Result<()> {
    let begun = Uptime::start();
    let synced = journal.append(&group).await?;
    role.count_group(&group, begun.elapsed());
    role.order.borrow_mut().written(synced, released);
    let first_offset = group.first_offset;
    let (events, written) = group.into_events();
    role.order.borrow_mut().recycle(written);
    role.publish(first_offset, events);
    for release in released.drain(..) {
        role.release(release);
    }
    role.ring_acceptors();
    // The inbox answers those who waited, and may have room for decisions again.
    role.wiring.bell.ring();
    role.tell_snapshots();
    Ok(())
}

async fn sync(role: &Role, journal: &mut Journal) -> io::Result<()> {
    journal.sync().await?;
    role.order.borrow_mut().synced();
    role.tell_snapshots();
    Ok(())
}

/// Invariant 9: no acknowledgement after a failed write or sync, and no second try.
fn poison(role: &Role, error: &io::Error, released: &mut Vec<Released>) {
    crit!(role.wiring.log, "The journal failed: no change is accepted any more. Mend the disk and restart";
        "error" => %error);
    role.wiring.lifecycle.fail_journal();
    role.order.borrow_mut().fail(released);
    for release in released.drain(..) {
        role.release(release);
    }
    role.ring_acceptors();
    role.wiring.bell.ring();
    role.tell_snapshots();
}
