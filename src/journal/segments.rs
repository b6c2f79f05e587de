//! The journal on disk, as the sequencer writes it: append a group, make it durable, go on to the next segment.
//!
//! A write only ever touches blocks that hold nothing acknowledged. A failed write or sync is never tried again:
//! the caller poisons the journal (invariant 9).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shards::Timestamp;

use super::directory::{self, Files};
use super::format::SealedGroup;
use super::quicker::{Quicker, Way};
use super::snapshot::FullSegment;
use crate::config::JournalSync;
use crate::faults::{self, Fault};
use crate::observe::metrics::roles::SequencerMetrics;
use crate::runtime::clock::Uptime;
use crate::runtime::disk::DirectFile;
use crate::runtime::executor::{self, Notify};

/// Where the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The first offset of the active segment.
    pub first_offset: u64,
    /// The next byte to write: a whole number of blocks.
    pub position: u64,
    /// The size of the active segment, bytes.
    pub size: u64,
    /// The time of the latest change in it.
    pub latest_at: Timestamp,
}

/// What the journal consists of; the writer, the snapshots and the readers of old events share it.
#[derive(Debug)]
pub struct Extent {
    /// The full segments, oldest first.
    full: RefCell<VecDeque<FullSegment>>,
    active_first_offset: Cell<u64>,
    appended_bytes: Cell<u64>,
    latest_at: Cell<Timestamp>,
}

impl Extent {
    /// The full segments `full`, and an active one that begins at `active_first_offset`. The latest change took effect
    /// at `latest_at`.
    pub fn new(full: Vec<FullSegment>, active_first_offset: u64, latest_at: Timestamp) -> Extent {
        Extent {
            full: RefCell::new(full.into()),
            active_first_offset: Cell::new(active_first_offset),
            appended_bytes: Cell::new(0),
            latest_at: Cell::new(latest_at),
        }
    }

    /// The first offset that is on disk.
    pub fn oldest(&self) -> u64 {
        let full = self.full.borrow();
        full.front()
            .map_or(self.active_first_offset.get(), |s| s.first_offset)
    }

    /// How many full segments there are.
    pub fn full_count(&self) -> usize {
        self.full.borrow().len()
    }

    /// The full segments, oldest first.
    pub fn full(&self) -> Vec<FullSegment> {
        self.full.borrow().iter().copied().collect()
    }

    /// The oldest full segment and the offset where it ends.
    pub fn oldest_full(&self) -> Option<(FullSegment, u64)> {
        let full = self.full.borrow();
        let end = full
            .get(1)
            .map_or(self.active_first_offset.get(), |s| s.first_offset);
        full.front().map(|segment| (*segment, end))
    }

    /// The oldest full segment is gone.
    pub fn drop_oldest(&self) {
        self.full.borrow_mut().pop_front();
    }

    /// The first offset of the segment that holds `offset`, and whether it is the active one. None if it is gone.
    pub fn segment_of(&self, offset: u64) -> Option<(u64, bool)> {
        if offset >= self.active_first_offset.get() {
            return Some((self.active_first_offset.get(), true));
        }
        let full = self.full.borrow();
        let after = full.partition_point(|segment| segment.first_offset <= offset);
        let before = after.checked_sub(1)?;
        Some((full[before].first_offset, false))
    }

    /// The time of the latest change.
    pub fn latest_at(&self) -> Timestamp {
        self.latest_at.get()
    }

    /// Bytes appended since the start.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes.get()
    }
}

/// The active segment and the spare that follows it.
pub struct Segments {
    files: Files,
    segment_bytes: u64,
    sync: JournalSync,
    active: Box<dyn DirectFile>,
    tail: Tail,
    extent: Rc<Extent>,
    spare: ForMe,
    since_sync: Uptime,
    dirty: bool,
    quicker: Quicker,
    metrics: Arc<SequencerMetrics>,
}

#[derive(Default)]
struct Spare {
    state: RefCell<SpareState>,
    changed: Notify,
    /// Nobody will use it: preparing it may end, and with it the executor.
    unwanted: Arc<AtomicBool>,
}

#[derive(Default)]
enum SpareState {
    #[default]
    Preparing,
    Ready,
    Failed(io::Error),
}

impl Segments {
    /// Opens the active segment where recovery left it, and begins to prepare the spare.
    pub async fn open(
        files: Files,
        tail: Tail,
        extent: Rc<Extent>,
        segment_bytes: u64,
        sync: JournalSync,
        metrics: Arc<SequencerMetrics>,
    ) -> io::Result<Segments> {
        let active = files.disk.open_direct(&files.active).await?;
        let segments = Segments {
            spare: ForMe(Rc::default()),
            files,
            segment_bytes,
            sync,
            active,
            tail,
            extent,
            since_sync: Uptime::start(),
            dirty: false,
            quicker: Quicker::default(),
            metrics,
        };
        segments.prepare_spare();
        Ok(segments)
    }

    /// Writes `group` and, with `JOURNAL_SYNC=always`, makes it durable. Returns whether all that was written so
    /// far is on disk.
    pub async fn append(&mut self, group: &SealedGroup) -> io::Result<bool> {
        let length = group.blocks.len() as u64;
        if self.tail.position + length > self.tail.size {
            self.rotate(group.first_offset).await?;
        }
        assert!(
            self.tail.position + length <= self.tail.size,
            "a group fits a segment"
        );
        let begun = Uptime::start();
        match self.active.writes_through() {
            true => {
                let way = self.quicker.choose();
                self.write(group, way).await?;
                self.quicker.took(way, begun.elapsed());
            }
            false => self.write(group, Way::Behind).await?,
        }
        Ok(!self.dirty)
    }

    async fn write(&mut self, group: &SealedGroup, way: Way) -> io::Result<()> {
        let begun = Uptime::start();
        let through = way == Way::Through;
        assert!(
            !(through && self.dirty),
            "what was written before is on disk already"
        );
        self.active
            .write_blocks(self.tail.position, &group.blocks, through)
            .await?;
        self.tail.position += group.blocks.len() as u64;
        self.tail.latest_at = self.tail.latest_at.max(group.latest_at);
        let appended = &self.extent.appended_bytes;
        appended.set(appended.get() + group.blocks.len() as u64);
        let latest_at = &self.extent.latest_at;
        latest_at.set(latest_at.get().max(group.latest_at));
        if through {
            // The sync is part of it.
            self.metrics.syncs.observe_duration(begun.elapsed());
            return Ok(());
        }
        self.dirty = true;
        if faults::is_planted(Fault::AcknowledgeBeforeSync) {
            self.dirty = false;
            return Ok(());
        }
        if self.sync == JournalSync::Always || self.sync_is_due() {
            self.sync_now().await?;
        }
        Ok(())
    }

    /// Whether there is something to sync and `JOURNAL_SYNC=interval` says that it is time.
    pub fn sync_is_due(&self) -> bool {
        match self.sync {
            JournalSync::Interval(interval) => self.dirty && self.since_sync.elapsed() >= interval,
            JournalSync::Always | JournalSync::Never => false,
        }
    }

    /// Whether something that was written is not known to be on disk.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Makes all that was written durable.
    pub async fn sync_now(&mut self) -> io::Result<()> {
        let begun = Uptime::start();
        let mut synced = self.active.sync().await;
        if synced.is_err() && faults::is_planted(Fault::RetrySync) {
            synced = self.active.sync().await;
        }
        synced?;
        self.metrics.syncs.observe_duration(begun.elapsed());
        self.dirty = false;
        self.since_sync = Uptime::start();
        Ok(())
    }

    /// Makes all that was written durable and closes the file.
    pub async fn close(mut self) -> io::Result<()> {
        if self.dirty {
            self.sync_now().await?;
        }
        self.active.close().await
    }

    async fn rotate(&mut self, next_first_offset: u64) -> io::Result<()> {
        if self.dirty {
            self.sync_now().await?;
        }
        self.spare_ready().await?;
        let (files, first_offset) = (self.files.clone(), self.tail.first_offset);
        executor::blocking(move || swap_names(&files, first_offset)).await?;
        let next = self.files.disk.open_direct(&self.files.active).await?;
        std::mem::replace(&mut self.active, next).close().await?;
        self.extent.full.borrow_mut().push_back(FullSegment {
            first_offset,
            latest_at: self.tail.latest_at,
        });
        self.extent.active_first_offset.set(next_first_offset);
        self.tail = Tail {
            first_offset: next_first_offset,
            position: 0,
            size: self.segment_bytes,
            latest_at: Timestamp(0),
        };
        self.prepare_spare();
        Ok(())
    }

    /// Waits until the spare is ready; one more attempt is made where preparing it failed, since space may have
    /// been freed meanwhile. Nothing acknowledged depends on it yet.
    async fn spare_ready(&self) -> io::Result<()> {
        let mut retried = false;
        loop {
            match self.spare.0.state.replace(SpareState::Preparing) {
                SpareState::Ready => return Ok(()),
                SpareState::Failed(error) if retried => return Err(error),
                SpareState::Failed(_) => {
                    retried = true;
                    self.prepare_spare();
                }
                SpareState::Preparing => {}
            }
            self.spare.0.changed.wait().await;
        }
    }

    fn prepare_spare(&self) {
        let (spare, files, size) = (self.spare.0.clone(), self.files.clone(), self.segment_bytes);
        spare.state.replace(SpareState::Preparing);
        executor::spawn(async move {
            let unwanted = spare.unwanted.clone();
            let is_wanted = move || !unwanted.load(Ordering::Relaxed);
            let make =
                move || directory::make_segment(&*files.disk, &files.spare(), size, is_wanted);
            let made = executor::blocking(make).await;
            spare.state.replace(match made {
                Ok(()) => SpareState::Ready,
                Err(error) => SpareState::Failed(error),
            });
            spare.changed.ring();
        });
    }
}

/// The one that the spare is made for.
struct ForMe(Rc<Spare>);

impl Drop for ForMe {
    fn drop(&mut self) {
        self.0.unwanted.store(true, Ordering::Relaxed);
    }
}

/// The full segment gets its own name and the spare becomes the active one. The first name is durable before the
/// second is given: a file system may keep the second change of a directory and lose the first, and the full segment
/// would be lost with its only name.
fn swap_names(files: &Files, first_offset: u64) -> io::Result<()> {
    let sync = || match faults::is_planted(Fault::RotateBeforeSync) {
        true => Ok(()),
        false => files.disk.sync_directory(files.directory()),
    };
    files
        .disk
        .rename(&files.active, &files.full(first_offset))?;
    sync()?;
    files.disk.rename(&files.spare(), &files.active)?;
    sync()
}
