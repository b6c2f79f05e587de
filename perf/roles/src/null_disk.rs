//! A disk that takes everything at once and keeps nothing: what is left is what the sequencer itself costs.

use std::io;
use std::path::Path;

use central_inventory::runtime::disk::{DirectFile, Disk, DiskFile, Local, Open};

/// The disk, and every file on it.
#[derive(Clone, Copy, Debug)]
pub struct NullDisk;

impl Disk for NullDisk {
    fn open(&self, _: &Path, _: Open) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(NullDisk))
    }

    fn open_direct<'a>(&'a self, _: &'a Path) -> Local<'a, io::Result<Box<dyn DirectFile>>> {
        Box::pin(async { Ok(Box::new(NullDisk) as Box<dyn DirectFile>) })
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for NullDisk {
    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget_cached(&self) {}
}

impl DirectFile for NullDisk {
    fn write_blocks<'a>(&'a self, _: u64, _: &'a [u8], _: bool) -> Local<'a, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn writes_through(&self) -> bool {
        false
    }

    fn sync(&self) -> Local<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn close(self: Box<Self>) -> Local<'static, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
