//! The files of the journal: their names, the lock on their directory, and making a change of names durable.
//!
//! ```text
//!   data/inventory.json                      DATA_PATH: the snapshot
//!   data/events.json                         EVENTS_FILE_PATH: the active segment
//!   data/events.00000000000000001000.json    a full segment, by its first offset
//!   data/events.spare.json                   the next segment, made ready in advance
//!   data/.central-inventory.lock             held while a server runs
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::runtime::disk::{Disk, Open, SystemDisk, Writes};
use crate::runtime::file::BLOCK;

pub(super) const LOCK_NAME: &str = ".central-inventory.lock";
/// Digits of the first offset in a segment's name: enough for any u64, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 20;
/// A new segment is filled and synced in pieces of this size, so that a sync of the journal beside it never waits
/// for more than a piece.
const FILL_PIECE: usize = 1 << 20;

/// The files of a journal and its snapshot, and the disk that they are on.
#[derive(Clone, Debug)]
pub struct Files {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The snapshot.
    pub snapshot: PathBuf,
    /// The active segment.
    pub active: PathBuf,
}

impl Files {
    /// On the machine's own disk.
    pub fn new(snapshot: PathBuf, active: PathBuf) -> Files {
        Files {
            disk: Arc::new(SystemDisk::default()),
            snapshot,
            active,
        }
    }

    /// The same, with segments written that way.
    pub fn written(self, writes: Writes) -> Files {
        Files {
            disk: Arc::new(SystemDisk { writes }),
            ..self
        }
    }

    /// The directory of the segments.
    pub fn directory(&self) -> &Path {
        parent(&self.active)
    }

    /// The directory of the snapshot.
    pub fn snapshot_directory(&self) -> &Path {
        parent(&self.snapshot)
    }

    /// Where a snapshot is written before it takes its name.
    pub fn snapshot_aside(&self) -> PathBuf {
        let mut name = self.snapshot.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.snapshot.with_file_name(name)
    }

    /// The next segment, made ready in advance.
    pub fn spare(&self) -> PathBuf {
        self.named("spare")
    }

    /// A full segment.
    pub fn full(&self, first_offset: u64) -> PathBuf {
        self.named(&format!("{first_offset:0OFFSET_DIGITS$}"))
    }

    fn named(&self, part: &str) -> PathBuf {
        let (stem, extension) = self.name_parts();
        self.active
            .with_file_name(format!("{stem}.{part}{extension}"))
    }

    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
        let stem = text(self.active.file_stem()).unwrap_or_default();
        let extension = text(self.active.extension()).map_or_else(String::new, |e| format!(".{e}"));
        (stem, extension)
    }

    /// The first offsets of the full segments, oldest first.
    pub fn full_segments(&self) -> io::Result<Vec<u64>> {
        let (stem, extension) = self.name_parts();
        let offset_of = |name: String| -> Option<u64> {
            let digits = name
                .strip_prefix(&stem)?
                .strip_prefix('.')?
                .strip_suffix(&extension)?;
            (digits.len() == OFFSET_DIGITS)
                .then(|| digits.parse().ok())
                .flatten()
        };
        let names = self.disk.names(self.directory())?;
        let mut found: Vec<u64> = names.into_iter().filter_map(offset_of).collect();
        found.sort_unstable();
        Ok(found)
    }
}

/// The directory that `path` is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The exclusive locks of a running server; released when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<File>,
}

/// Makes the directories of `files` and locks them.
pub fn lock(files: &Files) -> io::Result<Lock> {
    let mut directories = vec![files.directory(), files.snapshot_directory()];
    for directory in &directories {
        fs::create_dir_all(directory).map_err(|error| {
            describe(
                error,
                format!("cannot make the directory {}", directory.display()),
            )
        })?;
    }
    directories.sort();
    directories.dedup_by_key(|directory| fs::canonicalize(directory).ok());
    let locks = directories
        .into_iter()
        .map(lock_directory)
        .collect::<io::Result<_>>()?;
    Ok(Lock { _files: locks })
}

fn lock_directory(directory: &Path) -> io::Result<File> {
    let path = directory.join(LOCK_NAME);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| cannot_write(directory, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!(
                "the directory {} is in use by another central-inventory server: stop that one, or set DATA_PATH \
                 and EVENTS_FILE_PATH to a directory of its own",
                directory.display()
            ),
        )),
        Err(TryLockError::Error(error)) => {
            Err(describe(error, format!("cannot lock {}", path.display())))
        }
    }
}

/// What is met first where a volume belongs to somebody else, so it says whose it would have to be.
fn cannot_write(directory: &Path, error: io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            ": give it to user {} (chown), or run the server as its owner",
            rustix::process::geteuid().as_raw()
        ),
        io::ErrorKind::ReadOnlyFilesystem => ": it is mounted read-only".to_owned(),
        _ => String::new(),
    };
    let what = format!("cannot write to the directory {}", directory.display());
    io::Error::new(error.kind(), format!("{what}: {error}{advice}"))
}

/// The same error, with what was being done in front.
pub fn describe(error: io::Error, what: String) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Whether the file system of `path`, a file, takes writes past the page cache.
///
/// # Errors
/// If the file cannot be opened for another reason.
pub fn takes_direct_io(path: &Path) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_file) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(error) => {
            let what = format!("cannot open {} for writing", path.display());
            Err(describe(error.into(), what))
        }
    }
}

/// File systems whose writes with `O_DSYNC` are as durable as writes with a sync behind them, by their numbers in statfs(2).
/// Others of the kernel may be so too. One in user space is only told of the flag, and may ignore it without a word, where a
/// sync must be answered.
const KEEP_WRITE_THROUGH: [i64; 2] = [EXT4, XFS];
const EXT4: i64 = 0xef53;
const XFS: i64 = 0x5846_5342;

/// Whether the file system of `path` is known to keep what a write with `O_DSYNC` promises.
pub fn keeps_write_through(path: &Path) -> bool {
    let kind = rustix::fs::statfs(path).map(|found| found.f_type);
    kind.is_ok_and(|kind| KEEP_WRITE_THROUGH.contains(&kind))
}

/// Makes a segment of `size` bytes of newlines at `path`, on disk with its name when this returns, so that
/// writing to it later changes no metadata. Gives up between two pieces when `is_wanted` says so.
pub fn make_segment(
    disk: &dyn Disk,
    path: &Path,
    size: u64,
    is_wanted: impl Fn() -> bool,
) -> io::Result<()> {
    assert!(
        size.is_multiple_of(BLOCK as u64),
        "a segment is whole blocks"
    );
    let file = disk.open(path, Open::Fill)?;
    let room = vec![b'\n'; FILL_PIECE + BLOCK];
    // Direct I/O takes whole blocks of memory too.
    let (_, piece) = room.split_at(room.as_ptr().align_offset(BLOCK));
    let mut position = 0;
    while position < size {
        if !is_wanted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = (size - position).min(FILL_PIECE as u64);
        file.write_at(position, &piece[..length as usize])?;
        file.sync()?;
        position += length;
    }
    disk.sync_directory(parent(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_by_their_first_offset_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Files::new(
            directory.path().join("inventory.json"),
            directory.path().join("events.json"),
        );
        for path in [
            paths.full(1000),
            paths.full(7),
            paths.spare(),
            paths.active.clone(),
        ] {
            fs::write(path, "").unwrap();
        }
        fs::write(directory.path().join("events.12.json"), "").unwrap();
        assert_eq!(vec![7, 1000], paths.full_segments().unwrap());
        assert!(paths.full(7).ends_with("events.00000000000000000007.json"));
    }

    #[test]
    fn whose_a_directory_must_be_is_said() {
        let said = |kind: io::ErrorKind| cannot_write(Path::new("/data"), kind.into()).to_string();
        let denied = said(io::ErrorKind::PermissionDenied);
        let user = format!("give it to user {} ", rustix::process::geteuid().as_raw());
        assert!(
            denied.contains("/data") && denied.contains(&user),
            "{denied}"
        );
        assert!(said(io::ErrorKind::ReadOnlyFilesystem).contains("read-only"));
    }

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Files::new(
            directory.path().join("a/inventory.json"),
            directory.path().join("events.json"),
        );
        let held = lock(&paths).unwrap();
        assert!(
            lock(&paths)
                .unwrap_err()
                .to_string()
                .contains("in use by another")
        );
        drop(held);
        lock(&paths).unwrap();
    }
}
