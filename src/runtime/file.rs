//! A file that is written past the page cache, in whole blocks, and synced through io_uring.

use std::io;
use std::path::Path;

use glommio::io::{DmaFile, OpenOptions};

/// The unit of every write: a multiple of any disk's sector, and the page of the page cache.
pub const BLOCK: usize = 4096;

/// An open file.
pub struct DirectFile {
    file: DmaFile,
}

impl DirectFile {
    /// Opens an existing file for writing.
    pub async fn open(path: &Path) -> io::Result<DirectFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .dma_open(path)
            .await
            .map_err(io::Error::from)?;
        Ok(DirectFile { file })
    }

    /// Writes `bytes` at `position`; both are whole blocks. Short writes are continued.
    ///
    /// # Errors
    /// As the system says. What the blocks hold is not known then.
    pub async fn write_blocks(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(position.is_multiple_of(BLOCK as u64) && bytes.len().is_multiple_of(BLOCK));
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let mut buffer = self.file.alloc_dma_buffer(rest.len());
            buffer.as_bytes_mut()[..rest.len()].copy_from_slice(rest);
            let written = self
                .file
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

    /// Makes what was written durable (fdatasync).
    pub async fn sync(&self) -> io::Result<()> {
        self.file.fdatasync().await.map_err(io::Error::from)
    }

    /// Closes the file.
    pub async fn close(self) -> io::Result<()> {
        self.file.close().await.map_err(io::Error::from)
    }
}
