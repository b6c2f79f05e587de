//! The journal on disk, as the sequencer writes it: append a group, make it durable, go on to the next segment.
//!
//! A write only ever touches blocks that hold nothing acknowledged. A failed write or sync is never tried again:
//! the caller poisons the journal (invariant 9).

use std::cell::RefCell;
use std::fs;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::directory::{self, Paths};
use super::format::SealedGroup;
use super::recover::Tail;
use crate::config::JournalSync;
use crate::runtime::executor::{self, Notify};
use crate::runtime::file::DirectFile;

/// The active segment and the spare that follows it.
pub struct Segments {
    paths: Paths,
    segment_bytes: u64,
    sync: JournalSync,
    active: DirectFile,
    tail: Tail,
    spare: Rc<Spare>,
    last_sync: Instant,
    dirty: bool,
}

#[derive(Default)]
struct Spare {
    state: RefCell<SpareState>,
    changed: Notify,
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
        paths: Paths,
        tail: Tail,
        segment_bytes: u64,
        sync: JournalSync,
    ) -> io::Result<Segments> {
        let active = DirectFile::open(&paths.active).await?;
        let segments = Segments {
            spare: Rc::default(),
            paths,
            segment_bytes,
            sync,
            active,
            tail,
            last_sync: Instant::now(),
            dirty: false,
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
        self.active
            .write_blocks(self.tail.position, &group.blocks)
            .await?;
        self.tail.position += length;
        self.dirty = true;
        if self.sync == JournalSync::Always || self.sync_is_due() {
            self.sync_now().await?;
        }
        Ok(!self.dirty)
    }

    /// Whether there is something to sync and `JOURNAL_SYNC=interval` says that it is time.
    pub fn sync_is_due(&self) -> bool {
        match self.sync {
            JournalSync::Interval(interval) => self.dirty && self.last_sync.elapsed() >= interval,
            JournalSync::Always | JournalSync::Never => false,
        }
    }

    /// Makes all that was written durable.
    pub async fn sync_now(&mut self) -> io::Result<()> {
        self.active.sync().await?;
        self.dirty = false;
        self.last_sync = Instant::now();
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
        let (paths, first_offset) = (self.paths.clone(), self.tail.first_offset);
        executor::blocking(move || {
            fs::rename(&paths.active, paths.full(first_offset))?;
            fs::rename(paths.spare(), &paths.active)?;
            directory::sync_directory(paths.directory())
        })
        .await?;
        let next = DirectFile::open(&self.paths.active).await?;
        std::mem::replace(&mut self.active, next).close().await?;
        self.tail = Tail {
            first_offset: next_first_offset,
            position: 0,
            size: self.segment_bytes,
        };
        self.prepare_spare();
        Ok(())
    }

    /// Waits until the spare is ready; one more attempt is made where preparing it failed, since space may have
    /// been freed meanwhile. Nothing acknowledged depends on it yet.
    async fn spare_ready(&self) -> io::Result<()> {
        let mut retried = false;
        loop {
            match self.spare.state.replace(SpareState::Preparing) {
                SpareState::Ready => return Ok(()),
                SpareState::Failed(error) if retried => return Err(error),
                SpareState::Failed(_) => {
                    retried = true;
                    self.prepare_spare();
                }
                SpareState::Preparing => {}
            }
            self.spare.changed.wait().await;
        }
    }

    fn prepare_spare(&self) {
        let (spare, path, size) = (self.spare.clone(), self.paths.spare(), self.segment_bytes);
        spare.state.replace(SpareState::Preparing);
        executor::spawn(async move {
            let made = executor::blocking(move || directory::make_segment(&path, size)).await;
            spare.state.replace(match made {
                Ok(()) => SpareState::Ready,
                Err(error) => SpareState::Failed(error),
            });
            spare.changed.ring();
        });
    }
}
