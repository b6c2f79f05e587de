//! Events that are no longer in memory, read from the segments that are kept. Blocks; finds its way in a segment
//! without an index, by bisection over lines.

use std::io;
use std::path::Path;

use super::directory::Files;
use super::format::Events;
use super::line::Line;
use super::lines::{self, Lines};
use crate::runtime::disk::{DiskFile, Open};
use crate::runtime::file::BLOCK;

/// Bisection ends at a stretch of this many bytes, which is then read line by line.
const STRETCH_BYTES: u64 = 16 << 10;
/// How much is read at a time while bisecting.
const PROBE_BYTES: usize = 4 << 10;
/// What an event's line begins with, up to what follows its offset.
const HEAD_BYTES_MAX: usize = 32;
/// How much is read at a time while collecting events.
const CHUNK_BYTES: usize = 128 << 10;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The first offset.
    pub offset: u64,
    /// The most events.
    pub limit: usize,
    /// The first offset that must not be read: from there on events are in memory, or not durable yet.
    pub before: u64,
    /// No further event is read beyond so many bytes.
    pub bytes_max: usize,
}

impl Wanted {
    /// What is wanted besides `events`; none if that is enough.
    pub fn besides(&self, events: &Events) -> Option<Wanted> {
        let left = Wanted {
            offset: self.offset + events.len() as u64,
            limit: self.limit - events.len(),
            bytes_max: self.bytes_max.saturating_sub(events.len_bytes()),
            ..*self
        };
        (left.limit > 0 && left.bytes_max > 0 && left.offset < left.before).then_some(left)
    }
}

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// What should be there is not, or is not what was written.
    #[error("the event with offset {0} is damaged")]
    Damaged(u64),
    /// The segment begins elsewhere: the journal has gone on to another one meanwhile.
    #[error("the segment was renamed")]
    Moved,
}

/// Reads the events that `wanted` names and that the segment at `path` holds: at least the first.
pub fn read(files: &Files, path: &Path, wanted: &Wanted) -> Result<Events, HistoryError> {
    let file = files.disk.open(path, Open::Read)?;
    let mut lines = Lines::in_chunks(&*file, find(&*file, wanted.offset)?, CHUNK_BYTES);
    let mut events = Events::default();
    let mut next = wanted.offset;
    while events.len() < wanted.limit && events.len_bytes() < wanted.bytes_max {
        if next >= wanted.before {
            break;
        }
        let Some((_, line)) = lines.next_line()? else {
            break;
        };
        let offset = offset_of(line).ok_or(HistoryError::Damaged(next))?;
        if offset < next {
            continue;
        }
        if events.is_empty() && offset > next {
            return Err(HistoryError::Moved);
        }
        let line = Line::served(line).ok().filter(|_| offset == next);
        let served = line.ok_or(HistoryError::Damaged(next))?;
        events.push(|out| {
            out.extend_from_slice(served);
            out.push(b'}');
        });
        next += 1;
    }
    match events.is_empty() {
        true => Err(HistoryError::Damaged(wanted.offset)),
        false => Ok(events),
    }
}

/// A byte from which on the lines lead to the one with `offset`.
pub(super) fn find(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.size()?);
    while high - low > STRETCH_BYTES {
        let middle = low + (high - low) / 2;
        match first_offset_from(file, middle, high)? {
            Some(found) if found <= offset => low = middle,
            _ => high = middle,
        }
    }
    // What begins in the middle of a line begins with a piece of it; that one has a smaller offset, so go back to
    // where it begins.
    line_start(file, low)
}

/// The offset of the first whole line behind byte `position`, if one begins before `end`. Looks no further than the
/// padding of a group: more newlines than that stand only behind the last group of the active segment, as far as it
/// was made in advance.
fn first_offset_from(file: &dyn DiskFile, position: u64, end: u64) -> io::Result<Option<u64>> {
    let start = line_end(file, position)?;
    let mut buffer = [0; BLOCK + HEAD_BYTES_MAX];
    let read = file.read_at(start, &mut buffer)?;
    let newlines = lines::newlines_before(&buffer[..read]);
    Ok(match start + (newlines as u64) < end {
        true => offset_of(&buffer[newlines..read]),
        false => None,
    })
}

/// The first newline from byte `position` on.
fn line_end(file: &dyn DiskFile, position: u64) -> io::Result<u64> {
    let mut buffer = [0; PROBE_BYTES];
    let mut at = position;
    loop {
        let read = file.read_at(at, &mut buffer)?;
        if let Some(found) = memchr::memchr(b'\n', &buffer[..read]) {
            return Ok(at + found as u64);
        }
        at += read as u64;
        if read < buffer.len() {
            return Ok(at);
        }
    }
}

/// Where the line that byte `position` lies in begins; `position` itself between lines.
fn line_start(file: &dyn DiskFile, position: u64) -> io::Result<u64> {
    let mut buffer = [0; PROBE_BYTES];
    let mut end = position;
    while end > 0 {
        let start = end.saturating_sub(PROBE_BYTES as u64);
        let piece = &mut buffer[..(end - start) as usize];
        let read = file.read_at(start, piece)?;
        if let Some(found) = memchr::memrchr(b'\n', &piece[..read]) {
            return Ok(start + found as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The offset that a line begins with.
pub(super) fn offset_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"offset\":")?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::{Change, Changes, EventKind, Group};
    use shards::{Price, Product, Ticket, Timestamp};
    use std::path::PathBuf;

    /// A segment with the events from 100 on, in groups of `group`, `bytes` large.
    fn segment(count: u64, group: usize, bytes: usize) -> (tempfile::TempDir, Files, PathBuf) {
        let product = Product {
            id: "p".into(),
            name: "n".into(),
            price: Price::new("1"),
            available: 1,
            version: 1,
            updated_at: Timestamp(0),
            ticket: Ticket(0),
        };
        let mut changes = Changes::default();
        (0..count).for_each(|_| {
            changes.push(&Change {
                kind: EventKind::ProductCreated,
                at: Timestamp(0),
                product: &product,
                update: None,
            })
        });
        let mut content = Vec::new();
        let mut first = 100;
        for lines in changes.iter().collect::<Vec<_>>().chunks(group) {
            let mut group = Group::new(first, first);
            for (served, private) in lines {
                group.push(Timestamp(0), served, private);
            }
            first += lines.len() as u64;
            content.extend_from_slice(&group.seal().blocks);
        }
        content.resize(bytes.max(content.len()), b'\n');
        let directory = tempfile::tempdir().unwrap();
        let active = directory.path().join("events.json");
        std::fs::write(&active, content).unwrap();
        let files = Files::new(directory.path().join("inventory.json"), active.clone());
        (directory, files, active)
    }

    fn wanted(offset: u64, limit: usize) -> Wanted {
        Wanted {
            offset,
            limit,
            before: u64::MAX,
            bytes_max: 1 << 20,
        }
    }

    #[test]
    fn every_event_is_found_wherever_it_stands() {
        for (group, bytes) in [(1, 0), (7, 1 << 20), (500, 1 << 20)] {
            let (_directory, files, path) = segment(500, group, bytes);
            for offset in 100..600 {
                let events = read(&files, &path, &wanted(offset, 3)).unwrap();
                let head = format!("{{\"offset\":{offset},");
                assert!(events.range(0, 1).starts_with(head.as_bytes()));
                assert_eq!(3.min(600 - offset) as usize, events.len());
            }
        }
    }

    /// A file that counts what is read of it.
    struct Counting {
        file: std::fs::File,
        read: std::cell::Cell<usize>,
    }

    impl DiskFile for Counting {
        fn size(&self) -> io::Result<u64> {
            DiskFile::size(&self.file)
        }

        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            self.read.set(self.read.get() + buffer.len());
            DiskFile::read_at(&self.file, position, buffer)
        }

        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn sync(&self) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn forget_cached(&self) {}
    }

    #[test]
    fn what_a_segment_has_in_advance_is_not_read_to_find_an_event() {
        let (_directory, _files, path) = segment(500, 7, 64 << 20);
        let counting = Counting {
            file: std::fs::File::open(path).unwrap(),
            read: std::cell::Cell::new(0),
        };
        find(&counting, 350).unwrap();
        let read = counting.read.get();
        assert!(read < 256 << 10, "{read} bytes were read");
    }

    #[test]
    fn a_read_ends_where_it_is_told_to() {
        let (_directory, files, path) = segment(100, 10, 1 << 16);
        let bounded = Wanted {
            before: 103,
            ..wanted(100, 50)
        };
        assert_eq!(3, read(&files, &path, &bounded).unwrap().len());
        let small = Wanted {
            bytes_max: 1,
            ..wanted(100, 50)
        };
        assert_eq!(1, read(&files, &path, &small).unwrap().len());
    }

    #[test]
    fn what_is_damaged_or_elsewhere_is_not_served() {
        let (_directory, files, path) = segment(100, 10, 1 << 16);
        let moved = read(&files, &path, &wanted(99, 5));
        assert!(matches!(moved, Err(HistoryError::Moved)), "{moved:?}");
        let beyond = read(&files, &path, &wanted(200, 5));
        assert!(matches!(beyond, Err(HistoryError::Damaged(200))));
        let mut content = std::fs::read(&path).unwrap();
        let at = memchr::memmem::find(&content, b"{\"offset\":150").unwrap();
        content[at + 40] ^= 1;
        std::fs::write(&path, content).unwrap();
        let damaged = read(&files, &path, &wanted(148, 5));
        assert!(matches!(damaged, Err(HistoryError::Damaged(150))));
        assert!(read(&files, &path, &wanted(151, 5)).is_ok());
    }
}
