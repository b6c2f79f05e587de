//! Copies snapshot and journal to another directory, also while a server writes them. What was acknowledged before the copy
//! began is in it: the active segment is copied up to its last whole line.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::directory::{self, Files};
use super::line::Line;
use super::lines::Lines;
use super::scene::{FirstLine, Scene, SceneError};
use crate::runtime::disk::{DiskFile, Open};

/// So much is copied and synced at a time, so that a sync of the journal beside it never waits for more.
const PIECE_BYTES: usize = 1 << 20;
/// A server removes old segments at most once for each snapshot: soon none goes away while it is copied.
const TRIES_MAX: usize = 10;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing that could be copied.
    #[error("{0}")]
    Scene(#[from] SceneError),
    /// Something cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Copies the files of `from` to those of `to`, whose directory is there. `progress` is told the bytes copied and the bytes in all.
/// The copy is on disk when this returns. Returns its bytes.
pub fn copy(
    from: &Files,
    to: &Files,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, CopyError> {
    for _ in 1..TRIES_MAX {
        match copy_once(from, to, progress) {
            Err(CopyError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                clear(to.directory())?;
            }
            copied => return copied,
        }
    }
    copy_once(from, to, progress)
}

/// A segment that a server removed meanwhile is an error of the kind `NotFound`.
fn copy_once(
    from: &Files,
    to: &Files,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let scene = Scene::look(from, || open(from, &from.snapshot))?;
    let snapshot = match scene.beside {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened?),
    };
    let mut total = size(snapshot.as_deref())? + size(scene.active.as_deref())?;
    for first_offset in &scene.full {
        total += open(from, &from.full(*first_offset))?.size()?;
    }
    let mut done = 0;
    let mut tell = |bytes: u64| {
        done += bytes;
        progress(done, total);
    };
    if let Some(snapshot) = &snapshot {
        copy_file(&**snapshot, &to.snapshot, &mut tell)?;
    }
    for first_offset in &scene.full {
        let file = open(from, &from.full(*first_offset))?;
        copy_file(&*file, &to.full(*first_offset), &mut tell)?;
    }
    if let Some(active) = &scene.active {
        copy_active(&**active, &to.active, &mut tell)?;
    }
    to.disk.sync_directory(to.directory())?;
    Ok(done)
}

fn open(files: &Files, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    let opened = files.disk.open(path, Open::Read);
    opened.map_err(|error| directory::describe(error, format!("cannot read {}", path.display())))
}

fn size(file: Option<&dyn DiskFile>) -> io::Result<u64> {
    file.map_or(Ok(0), |file| file.size())
}

/// A file that nobody writes any more.
fn copy_file(from: &dyn DiskFile, to: &Path, tell: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut writer = Writer::create(to)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read_at(writer.position, &mut piece)?;
        if read == 0 {
            return writer.sync();
        }
        writer.write(&piece[..read])?;
        tell(read as u64);
    }
}

/// The segment that a server may be writing: each line where it stands, as far as they follow each other, and newlines behind.
fn copy_active(from: &dyn DiskFile, to: &Path, tell: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut writer = Writer::create(to)?;
    let mut expected = FirstLine::read(from)?.map(|line| line.offset);
    loop {
        let before = writer.position;
        // Memory may remember what was there before the disk was written past it.
        from.forget_cached();
        let mut lines = Lines::from(from, before);
        while let Some((at, line)) = lines.next_line()? {
            let Ok(Line { offset, .. }) = Line::read(line) else {
                break;
            };
            if Some(offset) != expected {
                break;
            }
            expected = Some(offset + 1);
            writer.fill(at)?;
            writer.write(line)?;
            writer.write(b"\n")?;
        }
        if writer.position == before {
            break;
        }
    }
    writer.fill(from.size()?.max(writer.position))?;
    writer.sync()?;
    tell(writer.position);
    Ok(())
}

/// Writes a new file from its beginning on, synced again and again.
struct Writer {
    file: File,
    position: u64,
    pending: Vec<u8>,
}

impl Writer {
    fn create(path: &Path) -> io::Result<Writer> {
        let file = File::create_new(path);
        let cannot = |error| directory::describe(error, format!("cannot make {}", path.display()));
        Ok(Writer {
            file: file.map_err(cannot)?,
            position: 0,
            pending: Vec::with_capacity(2 * PIECE_BYTES),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        self.position += bytes.len() as u64;
        match self.pending.len() >= PIECE_BYTES {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// Newlines up to byte `position`.
    fn fill(&mut self, position: u64) -> io::Result<()> {
        while self.position < position {
            let missing = (position - self.position).min(PIECE_BYTES as u64) as usize;
            self.write(&vec![b'\n'; missing])?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        io::Write::write_all(&mut self.file, &self.pending)?;
        self.pending.clear();
        self.file.sync_data()
    }
}

/// Removes what an attempt before has left.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}
