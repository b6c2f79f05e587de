//! The disk as the journal and the snapshot see it: a closed set of operations, so that a simulated disk which loses,
//! tears and reorders whatever was not synced can take its place.
//!
//! What is promised is what POSIX promises: bytes are durable once their file was synced after the write, a name once
//! its directory was synced after the change. Nothing else is, in no order.

use std::fmt;
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;

use rustix::fs::{Advice, OFlags};

use super::file::{BufferedSegment, DmaSegment};

/// A future of this thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What to open a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file, or an existing one emptied, to write.
    Create,
    /// The same, to write whole aligned blocks: past the page cache where segments are, which nobody will read there.
    Fill,
}

/// Files by path. All but [`Disk::open_direct`] block: on an executor they go through `executor::blocking`.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file to append groups to, past the page cache, without blocking.
    fn open_direct<'a>(&'a self, path: &'a Path) -> Local<'a, io::Result<Box<dyn DirectFile>>>;

    /// Gives the file `from` the name `to`, which is taken from whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in `directory`; those that are not UTF-8 are left out.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes names created, changed or removed in `directory` durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// An open file, read and written in place.
pub trait DiskFile: Send {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes from byte `position` on; fewer only at the end of the file.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at byte `position`.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;

    /// Lets later reads see what the disk holds rather than what memory remembers of it.
    fn forget_cached(&self);
}

/// An open segment that groups are written to, in whole blocks.
pub trait DirectFile {
    /// Writes `blocks` at byte `position`; both are whole blocks. Written `through`, they are durable when this returns, whatever
    /// was written before.
    ///
    /// # Errors
    /// As the system says. What the blocks hold is not known then.
    fn write_blocks<'a>(
        &'a self,
        position: u64,
        blocks: &'a [u8],
        through: bool,
    ) -> Local<'a, io::Result<()>>;

    /// Whether blocks can be written through.
    fn writes_through(&self) -> bool;

    /// Makes what was written durable (fdatasync).
    fn sync(&self) -> Local<'_, io::Result<()>>;

    /// Closes the file.
    fn close(self: Box<Self>) -> Local<'static, io::Result<()>>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk {
    /// How segments are written.
    pub writes: Writes,
}

/// Which way blocks take to the disk. Either way they are there after a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// Past the page cache.
    #[default]
    Direct,
    /// Past the page cache, and if wanted there when the write is done (`O_DSYNC`): what else are two operations, with the
    /// executor in between, is one of the kernel's.
    Through,
    /// Through the page cache, where the file system refuses the others.
    Buffered,
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut options = File::options();
        match how {
            Open::Read => options.read(true),
            Open::Write => options.read(true).write(true),
            Open::Create | Open::Fill => options.read(true).write(true).create(true).truncate(true),
        };
        if how == Open::Fill && self.writes != Writes::Buffered {
            let mut direct = options.clone();
            direct.custom_flags(OFlags::DIRECT.bits().cast_signed());
            match direct.open(path) {
                // It takes none: the first segment is made before that is known.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                opened => return Ok(Box::new(opened?)),
            }
        }
        Ok(Box::new(options.open(path)?))
    }

    fn open_direct<'a>(&'a self, path: &'a Path) -> Local<'a, io::Result<Box<dyn DirectFile>>> {
        Box::pin(async move {
            Ok(match self.writes {
                Writes::Direct | Writes::Through => {
                    let through = self.writes == Writes::Through;
                    Box::new(DmaSegment::open(path, through).await?) as Box<dyn DirectFile>
                }
                Writes::Buffered => Box::new(BufferedSegment::open(path).await?),
            })
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn forget_cached(&self) {
        // Advice: where it is not taken, reads are as good as the page cache.
        let _ = rustix::fs::fadvise(self, 0, None, Advice::DontNeed);
    }
}
