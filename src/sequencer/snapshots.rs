//! Snapshots while the server runs: made from the shards part by part, so that no request waits for one, and followed
//! by the removal of the segments that nobody needs any more.
//!
//! ```text
//!   begin: the next offset B ─▶ ask every shard, part by part ─▶ the next offset E, when the last part came
//!   ─▶ wait until everything below E is on disk ─▶ publish ─▶ remove what is covered, expired and forgotten
//! ```
//!
//! A part shows a change only if the change went before it in its lane, so what a snapshot holds lies below E; and it
//! holds every change below B, which its shard had decided before the first part was asked for.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use slog::{error, info};

use super::Role;
use crate::faults::{self, Fault};
use crate::journal::directory::Files;
use crate::journal::segments::Extent;
use crate::journal::snapshot::{Coverage, FullSegment, Writer};
use crate::messages::{SnapshotPart, SnapshotRequest};
use crate::runtime::clock::{self, Uptime};
use crate::runtime::executor::{self, Notify};

/// After a snapshot that came to nothing, such as on a full disk, the next is tried so much later.
const RETRY_AFTER_MS: u64 = 10_000;

/// When to make one, and what to keep.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// A snapshot is due when so many bytes were appended since the last.
    pub journal_bytes: u64,
    /// Events can be read at least so long.
    pub retention_ms: u64,
    /// Applied updates are remembered so long, and are read back from the segments by a start.
    pub idempotency_ttl_ms: u64,
    /// So many of the latest events are read back into memory by a start.
    pub events_in_memory: u64,
}

/// The state of snapshots.
pub struct Snapshots {
    files: Files,
    extent: Rc<Extent>,
    policy: Policy,
    /// The latest snapshot holds every change below this offset.
    covered_to: Cell<u64>,
    /// What had been appended when it was begun.
    appended_before: Cell<u64>,
    not_before_ms: Cell<u64>,
    uptime: Uptime,
    /// Rung when one may be due.
    due: Notify,
    /// A part, and the next offset when it came.
    part: RefCell<Option<(Box<SnapshotPart>, u64)>>,
    arrived: Notify,
}

impl Snapshots {
    /// Of the journal `extent` in `files`, whose latest snapshot covers everything below `covered_to`.
    pub fn new(files: Files, extent: Rc<Extent>, covered_to: u64, policy: Policy) -> Snapshots {
        Snapshots {
            files,
            extent,
            policy,
            covered_to: Cell::new(covered_to),
            appended_before: Cell::new(0),
            not_before_ms: Cell::new(0),
            uptime: Uptime::start(),
            due: Notify::default(),
            part: RefCell::default(),
            arrived: Notify::default(),
        }
    }

    /// Looks whether something is to be done.
    pub(super) fn beat(&self, role: &Role) {
        if self.is_due(role) || role.wiring.lifecycle.acceptors_are_done() {
            self.due.ring();
        }
        if role.wiring.lifecycle.has_failed_journal() {
            self.due.ring();
        }
    }

    /// Takes a part that came when the next offset was `end`.
    pub fn receive(&self, part: Box<SnapshotPart>, end: u64) {
        let before = self.part.replace(Some((part, end)));
        assert!(before.is_none(), "one part is under way at a time");
        self.arrived.ring();
    }

    /// More is on disk, or nothing ever will be.
    pub fn journal_went_on(&self) {
        self.arrived.ring();
    }

    /// Segments on disk, with the active one.
    pub(super) fn segment_count(&self) -> usize {
        self.extent.full_count() + 1
    }

    /// The latest snapshot holds every change below this offset.
    pub(super) fn covered_to(&self) -> u64 {
        self.covered_to.get()
    }

    fn is_due(&self, role: &Role) -> bool {
        if self.uptime.now_ms() < self.not_before_ms.get() {
            return false;
        }
        let appended = self.extent.appended_bytes() - self.appended_before.get();
        appended >= self.policy.journal_bytes || self.oldest_may_go(role)
    }

    fn oldest_may_go(&self, role: &Role) -> bool {
        let next_offset = role.order.borrow().next_offset();
        let oldest = self.extent.oldest_full();
        oldest.is_some_and(|(segment, end)| self.may_go(&segment, end, next_offset))
    }

    /// Whether nobody needs `segment`, which ends at `end`, when a snapshot covers everything below `covered_to`.
    fn may_go(&self, segment: &FullSegment, end: u64, covered_to: u64) -> bool {
        let policy = &self.policy;
        let kept_ms = policy.retention_ms.max(policy.idempotency_ttl_ms);
        segment.latest_at.0.saturating_add(kept_ms) <= clock::wall_now().0
            && end.saturating_add(policy.events_in_memory) <= covered_to
    }

    /// The full segments that a snapshot which covers everything below `covered_to` lists, and the first offset that
    /// is kept.
    fn kept(&self, covered_to: u64) -> (Vec<FullSegment>, u64) {
        let mut full = self.extent.full();
        let active = match self.extent.segment_of(u64::MAX) {
            Some((first_offset, _)) => first_offset,
            None => unreachable!("the active segment has no end"),
        };
        let ends: Vec<u64> = full.iter().skip(1).map(|s| s.first_offset).collect();
        let ends = || ends.iter().copied().chain([active]);
        let gone = full.iter().zip(ends());
        let gone = gone
            .take_while(|(segment, end)| self.may_go(segment, *end, covered_to))
            .count();
        let mut kept_from = full.get(gone).map_or(active, |s| s.first_offset);
        if faults::is_planted(Fault::RemoveUncoveredSegment) {
            kept_from = active;
        }
        let covered = ends().take_while(|end| *end <= covered_to).count();
        full.truncate(covered);
        full.retain(|segment| segment.first_offset >= kept_from);
        (full, kept_from)
    }
}

/// Makes snapshots until the server stops, and the last one then.
pub(super) async fn run(role: Rc<Role>, snapshots: Rc<Snapshots>) {
    let lifecycle = &role.wiring.lifecycle;
    loop {
        snapshots.due.wait().await;
        if lifecycle.has_failed_journal() {
            break;
        }
        let is_last = lifecycle.acceptors_are_done();
        let has_news = role.order.borrow().next_offset() > snapshots.covered_to.get();
        if (is_last && has_news) || (!is_last && snapshots.is_due(&role)) {
            attempt(&role, &snapshots).await;
        }
        if is_last {
            break;
        }
    }
    lifecycle.snapshots_done();
}

async fn attempt(role: &Role, snapshots: &Snapshots) {
    let (log, metrics) = (&role.wiring.log, &role.wiring.metrics);
    let started = Uptime::start();
    match take(role, snapshots).await {
        Ok(None) => {}
        Ok(Some(made)) => {
            let ms = started.now_ms();
            metrics.snapshots.increment();
            metrics.snapshot_ms.set(ms);
            info!(log, "Snapshot written"; "next_offset" => made.covered_to, "bytes" => made.bytes,
                "segments_removed" => made.segments_removed, "ms" => ms);
        }
        Err(error) => {
            metrics.snapshots_failed.increment();
            let again_at = snapshots.uptime.now_ms() + RETRY_AFTER_MS;
            snapshots.not_before_ms.set(again_at);
            error!(log, "A snapshot could not be written; the journal goes on, and grows"; "error" => %error);
        }
    }
}

/// What came of a snapshot.
struct Made {
    covered_to: u64,
    bytes: u64,
    segments_removed: usize,
}

/// Makes a snapshot; nothing where the journal failed meanwhile.
async fn take(role: &Role, snapshots: &Snapshots) -> io::Result<Option<Made>> {
    let covered_to = role.order.borrow().next_offset();
    let appended = snapshots.extent.appended_bytes();
    let files = snapshots.files.clone();
    let mut writer = executor::blocking(move || Writer::create(&files)).await?;
    let mut end_offset = covered_to;
    for shard in 0..role.wiring.snapshot_requests.len() {
        let mut after = None;
        loop {
            let Some((part, end)) = ask(role, snapshots, shard, after).await else {
                return Ok(None);
            };
            end_offset = end;
            writer.push(&part.part);
            if writer.is_piece_full() {
                writer = executor::blocking(move || writer.flush()).await?;
            } else {
                // Nothing here waits for I/O where the shards are on this CPU, and updates are no later than a part.
                executor::let_io_run().await;
            }
            after = part.more_after;
            if after.is_none() {
                break;
            }
        }
    }
    if !is_durable(role, snapshots, end_offset).await {
        return Ok(None);
    }
    let (segments, kept_from) = snapshots.kept(covered_to);
    let coverage = Coverage {
        next_offset: covered_to,
        end_offset,
        // Everything that it may hold was appended.
        latest_at: snapshots.extent.latest_at(),
        kept_from,
        segments: Some(segments),
    };
    let bytes = executor::blocking(move || writer.publish(&coverage)).await?;
    snapshots.covered_to.set(covered_to);
    snapshots.appended_before.set(appended);
    let segments_removed = remove_before(snapshots, kept_from).await?;
    Ok(Some(Made {
        covered_to,
        bytes,
        segments_removed,
    }))
}

/// Asks `shard` for the part after `after`; nothing where the journal failed meanwhile.
async fn ask(
    role: &Role,
    snapshots: &Snapshots,
    shard: usize,
    after: Option<Box<str>>,
) -> Option<(SnapshotPart, u64)> {
    role.wiring.snapshot_requests[shard]
        .send(SnapshotRequest { after })
        .expect("one request is under way at a time");
    loop {
        if let Some((part, end)) = snapshots.part.take() {
            return Some((*part, end));
        }
        if role.wiring.lifecycle.has_failed_journal() {
            return None;
        }
        snapshots.arrived.wait().await;
    }
}

/// Waits until every change below `end` is on disk; false if that will never be.
async fn is_durable(role: &Role, snapshots: &Snapshots, end: u64) -> bool {
    if faults::is_planted(Fault::PublishSnapshotEarly) {
        return true;
    }
    while role.order.borrow().synced_end() < end {
        if role.wiring.lifecycle.has_failed_journal() {
            return false;
        }
        role.want_sync();
        snapshots.arrived.wait().await;
    }
    true
}

/// Removes the full segments before `kept_from`, oldest first, each for good before the next: a gap would look like
/// a loss. They are no longer read when the first is removed.
async fn remove_before(snapshots: &Snapshots, kept_from: u64) -> io::Result<usize> {
    let extent = &snapshots.extent;
    while extent
        .oldest_full()
        .is_some_and(|(oldest, _)| oldest.first_offset < kept_from)
    {
        extent.drop_oldest();
    }
    let files = snapshots.files.clone();
    executor::blocking(move || {
        let mut removed = 0;
        for first_offset in files.full_segments()? {
            if first_offset >= kept_from {
                break;
            }
            files.disk.remove(&files.full(first_offset))?;
            files.disk.sync_directory(files.directory())?;
            removed += 1;
        }
        Ok(removed)
    })
    .await
}
