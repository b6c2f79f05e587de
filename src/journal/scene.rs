//! The files of a journal at one moment, to be looked at and not changed, also while a server renames and removes some.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{Files, LOCK_NAME};
use super::foreign;
use super::line::Line;
use super::lines::Lines;
use crate::runtime::disk::{DiskFile, Open};

/// A server goes on to another segment some times a second at most: soon nothing changes between two looks.
const LOOKS_MAX: usize = 100;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// A directory or file cannot be read.
    #[error("{path}: cannot be read: {error}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// There is none.
    #[error("there is no journal at {path}: set DATA_PATH and EVENTS_FILE_PATH as for the server", path = path.display())]
    Absent {
        /// Where the active segment should be.
        path: PathBuf,
    },
    /// Not a journal of this server.
    #[error("{path}: is not a journal of this server: set EVENTS_FILE_PATH as for the server", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// What belongs together.
pub struct Scene<B> {
    /// The first offsets of the full segments, oldest first.
    pub full: Vec<u64>,
    /// The active segment. Held open, it stays the same file whatever becomes of its name.
    pub active: Option<Box<dyn DiskFile>>,
    /// What was read beside them.
    pub beside: B,
    /// Whether a server runs.
    pub a_server_runs: bool,
}

impl<B> Scene<B> {
    /// Looks, and reads `beside` them, until no name has changed meanwhile.
    pub fn look(files: &Files, mut beside: impl FnMut() -> B) -> Result<Scene<B>, SceneError> {
        let a_server_runs = a_server_runs(files);
        let mut look_once = || {
            Ok(Scene {
                full: full_segments(files)?,
                active: open(files, &files.active)?,
                beside: beside(),
                a_server_runs,
            })
        };
        let mut scene = look_once()?;
        for _ in 1..LOOKS_MAX {
            let is_whole = scene.active.is_some() && scene.full == full_segments(files)?;
            if !a_server_runs || is_whole {
                break;
            }
            scene = look_once()?;
        }
        scene.check(files)?;
        Ok(scene)
    }

    fn check(&self, files: &Files) -> Result<(), SceneError> {
        let path = || files.active.clone();
        let Some(active) = &self.active else {
            return match self.full.is_empty() {
                true => Err(SceneError::Absent { path: path() }),
                false => Ok(()),
            };
        };
        let size = active.size();
        match size.and_then(|size| foreign::is_not_ours(&**active, size)) {
            Ok(false) => Ok(()),
            Ok(true) => Err(SceneError::Foreign { path: path() }),
            Err(error) => Err(cannot_read(&files.active, error)),
        }
    }
}

/// The first line of a segment.
#[derive(Clone, Copy, Debug)]
pub struct FirstLine {
    /// The byte where it begins.
    pub at: u64,
    /// Its offset.
    pub offset: u64,
    /// Every earlier offset was on disk when it was written.
    pub batch: u64,
}

impl FirstLine {
    /// The first line of `file`, if that one can be read.
    pub fn read(file: &dyn DiskFile) -> io::Result<Option<FirstLine>> {
        let mut lines = Lines::from(file, 0);
        let first = lines.next_line()?;
        Ok(first.and_then(|(at, line)| {
            let Line { offset, batch, .. } = Line::read(line).ok()?;
            Some(FirstLine { at, offset, batch })
        }))
    }

    /// The first offset that the segment must hold: what was on disk before is elsewhere, and what is missing before a
    /// line that does not stand first may have been torn.
    pub fn segment_begins_at(&self) -> u64 {
        match self.at {
            0 => self.offset,
            _ => self.offset.min(self.batch),
        }
    }
}

/// Whether a server holds one of the locks. Makes no file. The lock that this asks for is one that several can have,
/// and is given back at once.
fn a_server_runs(files: &Files) -> bool {
    [files.directory(), files.snapshot_directory()]
        .into_iter()
        .filter_map(|directory| File::open(directory.join(LOCK_NAME)).ok())
        .any(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn full_segments(files: &Files) -> Result<Vec<u64>, SceneError> {
    match files.full_segments() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found.map_err(|error| cannot_read(files.directory(), error)),
    }
}

fn open(files: &Files, path: &Path) -> Result<Option<Box<dyn DiskFile>>, SceneError> {
    match files.disk.open(path, Open::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, error)),
    }
}

fn cannot_read(path: &Path, error: io::Error) -> SceneError {
    SceneError::Read {
        path: path.to_owned(),
        error,
    }
}
