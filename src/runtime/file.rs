//! A segment that is written in whole blocks, past the page cache where the file system allows it, and synced through io_uring.

use std::io;
use std::path::Path;

use glommio::io::{BufferedFile, DmaFile, OpenOptions};
use rustix::fs::OFlags;

use super::disk::{DirectFile, Local};

/// The unit of every write: a multiple of any disk's sector, and the page of the page cache.
pub const BLOCK: usize = 4096;

/// A [`DirectFile`] of the machine's own disk.
pub struct DmaSegment {
    file: DmaFile,
    /// The same file once more, to write through.
    through: Option<DmaFile>,
}

impl DmaSegment {
    /// Opens an existing file for writing, and to write through if it `writes_through`.
    pub async fn open(path: &Path, writes_through: bool) -> io::Result<DmaSegment> {
        Ok(DmaSegment {
            file: open(path, OFlags::empty()).await?,
            through: match writes_through {
                true => Some(open(path, OFlags::DSYNC).await?),
                false => None,
            },
        })
    }
}

async fn open(path: &Path, flags: OFlags) -> io::Result<DmaFile> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .dma_open(path)
        .await
        .map_err(io::Error::from)
}

/// Short writes are continued.
async fn write_all(file: &DmaFile, position: u64, bytes: &[u8]) -> io::Result<()> {
    assert!(position.is_multiple_of(BLOCK as u64) && bytes.len().is_multiple_of(BLOCK));
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        let mut buffer = file.alloc_dma_buffer(rest.len());
        buffer.as_bytes_mut()[..rest.len()].copy_from_slice(rest);
        let written = file
            .write_at(buffer, position + done as u64)
            .await
            .map_err(io::Error::from)?;
        // A torn write is continued from the last whole block.
        let whole = written - written % BLOCK;
        if whole == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        done += whole;
    }
    Ok(())
}

impl DirectFile for DmaSegment {
    fn write_blocks<'a>(
        &'a self,
        position: u64,
        blocks: &'a [u8],
        through: bool,
    ) -> Local<'a, io::Result<()>> {
        let file = match &self.through {
            Some(durable) if through => durable,
            None if through => unreachable!("whoever asks for it knows whether it can be"),
            _ => &self.file,
        };
        Box::pin(write_all(file, position, blocks))
    }

    fn writes_through(&self) -> bool {
        self.through.is_some()
    }

    fn sync(&self) -> Local<'_, io::Result<()>> {
        Box::pin(async { self.file.fdatasync().await.map_err(io::Error::from) })
    }

    fn close(self: Box<Self>) -> Local<'static, io::Result<()>> {
        Box::pin(async {
            if let Some(through) = self.through {
                through.close().await.map_err(io::Error::from)?;
            }
            self.file.close().await.map_err(io::Error::from)
        })
    }
}

/// A [`DirectFile`] on a file system that refuses direct I/O: the same blocks, through the page cache.
pub struct BufferedSegment {
    file: BufferedFile,
}

impl BufferedSegment {
    /// Opens an existing file for writing.
    pub async fn open(path: &Path) -> io::Result<BufferedSegment> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .buffered_open(path)
            .await
            .map_err(io::Error::from)?;
        Ok(BufferedSegment { file })
    }

    /// Short writes are continued.
    async fn write_all(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = bytes[done..].to_vec();
            let written = self.file.write_at(rest, position + done as u64).await;
            match written.map_err(io::Error::from)? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                written => done += written,
            }
        }
        Ok(())
    }
}

impl DirectFile for BufferedSegment {
    fn write_blocks<'a>(
        &'a self,
        position: u64,
        blocks: &'a [u8],
        through: bool,
    ) -> Local<'a, io::Result<()>> {
        assert!(!through, "whoever asks for it knows whether it can be");
        Box::pin(self.write_all(position, blocks))
    }

    fn writes_through(&self) -> bool {
        false
    }

    fn sync(&self) -> Local<'_, io::Result<()>> {
        Box::pin(async { self.file.fdatasync().await.map_err(io::Error::from) })
    }

    fn close(self: Box<Self>) -> Local<'static, io::Result<()>> {
        Box::pin(async { self.file.close().await.map_err(io::Error::from) })
    }
}
