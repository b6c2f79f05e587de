//! A start: snapshot, then journal, then what is left of a crash is cut off.
//!
//! A line that cannot be read is a torn tail, never acknowledged, unless a later line could only have been written
//! after it was on disk: then acknowledged data is damaged, and the server refuses to start and says where.
//! Everything that was read is synced before any of it is served: a crashed predecessor may have left pages that
//! never were on disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use shards::{Receipt, Replayed, Shard, Timestamp};

use super::directory::{self, Paths};
use super::format::{EventKind, Events, Line, LineError};
use super::snapshot::{self, Snapshot, SnapshotError};
use crate::runtime::file::BLOCK;
use crate::sequencer::feed::Feed;
use crate::shard::router::Router;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A file cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The snapshot cannot be used.
    #[error("{path}: {error}", path = path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// Acknowledged data is damaged.
    #[error("{path}: damaged at byte {byte}, where the event with offset {offset} should be: {problem}. \
             Acknowledged changes are lost from here on; restore the file from a copy.", path = path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it, in bytes from its start.
        byte: usize,
        /// The offset that was expected there.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A segment is missing.
    #[error("{path}: begins with offset {found}, but the events from offset {expected} on are in no file: \
             a segment is missing", path = path.display())]
    Missing {
        /// The first segment behind the gap.
        path: PathBuf,
        /// The offset that should come next.
        expected: u64,
        /// The offset that comes.
        found: u64,
    },
    /// Not a journal of this server.
    #[error("{path}: is not a journal of this server. It was left as it is. Set EVENTS_FILE_PATH to another file, and DATA_PATH to the data file to start from.", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// What a start found.
#[derive(Debug)]
pub struct Recovered {
    /// The first offset to assign.
    pub next_offset: u64,
    /// Where the active segment goes on.
    pub tail: Tail,
    /// For a person.
    pub report: Report,
}

/// Where the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The first offset of the active segment.
    pub first_offset: u64,
    /// The next byte to write: a whole number of blocks.
    pub position: u64,
    /// The size of the active segment, bytes.
    pub size: u64,
}

/// Figures about a start.
#[derive(Debug, Default)]
pub struct Report {
    /// Products in the snapshot.
    pub snapshot_products: usize,
    /// Events replayed.
    pub events: u64,
    /// Segments read.
    pub segments: usize,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: usize,
}

/// What to start from where there is neither snapshot nor journal.
pub enum FirstStart {
    /// Without a product.
    Empty,
    /// With the bundled sample.
    Sample,
}

/// The sample catalogue.
const SAMPLE: &str = include_str!("../../data/inventory_test_data.json");

/// Fills `shards` and `feed` from disk and leaves the journal ready to be continued.
pub fn recover(
    paths: &Paths,
    segment_bytes: u64,
    first_start: FirstStart,
    router: &Router,
    shards: &mut [Shard],
    feed: &mut Feed,
    now: Timestamp,
) -> Result<Recovered, RecoverError> {
    // No active segment: a first start, or a crash between the two renames of a rotation.
    let active_exists = paths.active.exists();
    let full = paths
        .full_segments()
        .map_err(|error| file_error(paths.directory(), error))?;
    let has_journal = active_exists || !full.is_empty();
    let snapshot = read_snapshot(&paths.snapshot, first_start, has_journal)?;
    let mut replay = Replay {
        router,
        shards,
        feed,
        now,
        covered_to: snapshot.next_offset,
        next_offset: None,
        report: Report::default(),
    };
    replay.restore_snapshot(snapshot);
    for (first_offset, path) in &full {
        replay.full_segment(*first_offset, path)?;
    }
    let tail = match active_exists {
        true => replay.active_segment(&paths.active)?,
        false => None,
    };
    let next_offset = replay.next_offset.unwrap_or(replay.covered_to);
    if next_offset < replay.covered_to {
        return Err(missing(&paths.snapshot, next_offset, replay.covered_to));
    }
    let report = replay.report;
    let tail = match tail {
        Some(tail) => tail,
        None => new_active(paths, segment_bytes, next_offset)?,
    };
    for directory in [paths.directory(), directory::parent(&paths.snapshot)] {
        directory::sync_directory(directory).map_err(|error| file_error(directory, error))?;
    }
    Ok(Recovered {
        next_offset,
        tail,
        report,
    })
}

/// The bundled sample as a snapshot that covers nothing.
pub fn sample() -> Snapshot {
    snapshot::parse(SAMPLE.as_bytes()).expect("the sample is tested")
}

/// Puts `snapshot` into `shards`, each product where `router` says.
pub fn restore_snapshot(snapshot: Snapshot, router: &Router, shards: &mut [Shard]) {
    for product in snapshot.products {
        shards[router.shard_of(&product.id)].restore_product(product);
    }
    for (id, version) in snapshot.tombstones {
        shards[router.shard_of(&id)].restore_tombstone(id, version);
    }
}

fn read_snapshot(
    path: &Path,
    first_start: FirstStart,
    has_journal: bool,
) -> Result<Snapshot, RecoverError> {
    let snapshot = snapshot::read(path).map_err(|error| RecoverError::Snapshot {
        path: path.to_owned(),
        error,
    })?;
    if let Some(snapshot) = snapshot {
        return Ok(snapshot);
    }
    let snapshot = match first_start {
        FirstStart::Sample if !has_journal => sample(),
        _ => Snapshot::default(),
    };
    if !has_journal {
        // On disk before the first change, so that the journal always has something to stand on.
        snapshot::write(path, &snapshot).map_err(|error| file_error(path, error))?;
    }
    Ok(snapshot)
}

fn new_active(paths: &Paths, size: u64, first_offset: u64) -> Result<Tail, RecoverError> {
    directory::make_segment(&paths.active, size)
        .map_err(|error| file_error(&paths.active, error))?;
    Ok(Tail {
        first_offset,
        position: 0,
        size,
    })
}

fn missing(path: &Path, expected: u64, found: u64) -> RecoverError {
    RecoverError::Missing {
        path: path.to_owned(),
        expected,
        found,
    }
}

fn file_error(path: &Path, error: io::Error) -> RecoverError {
    RecoverError::File {
        path: path.to_owned(),
        error,
    }
}

struct Replay<'a> {
    router: &'a Router,
    shards: &'a mut [Shard],
    feed: &'a mut Feed,
    now: Timestamp,
    /// Below this the snapshot has the state already; only identities and events are taken.
    covered_to: u64,
    next_offset: Option<u64>,
    report: Report,
}

impl Replay<'_> {
    fn restore_snapshot(&mut self, snapshot: Snapshot) {
        self.report.snapshot_products = snapshot.products.len();
        restore_snapshot(snapshot, self.router, self.shards);
    }

    fn full_segment(&mut self, first_offset: u64, path: &Path) -> Result<(), RecoverError> {
        let expected = self.next_offset.unwrap_or(self.covered_to);
        let gap = match self.next_offset {
            Some(next) => first_offset != next,
            None => first_offset > self.covered_to,
        };
        if gap {
            return Err(missing(path, expected, first_offset));
        }
        self.next_offset = Some(first_offset);
        let bytes = fs::read(path).map_err(|error| file_error(path, error))?;
        match self.lines(path, &bytes)? {
            Scan { torn: None, .. } => Ok(()),
            // A segment is only closed when all of it is on disk.
            Scan {
                torn: Some(torn), ..
            } => Err(self.damaged(path, torn.at, torn.error.to_string())),
        }
    }

    fn active_segment(&mut self, path: &Path) -> Result<Option<Tail>, RecoverError> {
        let bytes = fs::read(path).map_err(|error| file_error(path, error))?;
        if looks_foreign(&bytes) {
            return Err(RecoverError::Foreign {
                path: path.to_owned(),
            });
        }
        let first_offset = self.first_offset_of_active(path, &bytes)?;
        self.next_offset = Some(first_offset);
        let scan = self.lines(path, &bytes)?;
        let size = bytes.len() as u64;
        let position = (scan.valid_end as u64).next_multiple_of(BLOCK as u64);
        if let Some(torn) = &scan.torn {
            self.report.torn_bytes = torn.end - torn.at;
        }
        cut_and_sync(path, scan.torn.as_ref()).map_err(|error| file_error(path, error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Tail {
            first_offset,
            position,
            size: size - size % BLOCK as u64,
        }))
    }

    /// Where the active segment must begin: behind the full ones, or else where its first line says, if that leaves no
    /// gap behind the snapshot.
    fn first_offset_of_active(&self, path: &Path, bytes: &[u8]) -> Result<u64, RecoverError> {
        let first = lines_from(bytes, 0)
            .next()
            .and_then(|(at, line)| Some((at, Line::read(line).ok()?)));
        let expected = self.next_offset.unwrap_or(self.covered_to);
        match (self.next_offset, first) {
            // The first line stands where the first group was written, so nothing before it was torn: what is
            // missing was in a segment that is closed, or gone.
            (Some(next), Some((0, line))) if line.offset > next => {
                Err(missing(path, expected, line.offset))
            }
            (None, Some((_, line))) if line.offset > expected => {
                Err(missing(path, expected, line.offset))
            }
            (None, Some((_, line))) => Ok(line.offset),
            _ => Ok(expected),
        }
    }

    /// Takes every line up to the first that cannot be read.
    fn lines(&mut self, path: &Path, bytes: &[u8]) -> Result<Scan, RecoverError> {
        self.report.segments += 1;
        let mut valid_end = 0;
        for (line_at, line) in lines_from(bytes, 0) {
            let expected = self.next_offset.expect("set before the first line");
            match Line::read(line) {
                Ok(read) if read.offset == expected && read.batch <= expected => {
                    self.take(path, line_at, line, read)?;
                    valid_end = (line_at + line.len() + 1).min(bytes.len());
                }
                Ok(read) if read.offset < expected => {
                    let problem = format!("the event with offset {} is there again", read.offset);
                    return Err(self.damaged(path, line_at, problem));
                }
                // A line that could only follow what is missing here is judged like what comes after damage.
                Ok(_) => return self.torn(path, bytes, line_at, valid_end, LineError::Incomplete),
                Err(LineError::Content) => {
                    return Err(self.damaged(path, line_at, LineError::Content.to_string()));
                }
                Err(error) => return self.torn(path, bytes, line_at, valid_end, error),
            }
        }
        Ok(Scan {
            valid_end,
            torn: None,
        })
    }

    /// Decides whether what begins at `torn_at` was never acknowledged.
    fn torn(
        &self,
        path: &Path,
        bytes: &[u8],
        torn_at: usize,
        valid_end: usize,
        error: LineError,
    ) -> Result<Scan, RecoverError> {
        let expected = self.next_offset.expect("set before the first line");
        let damaged = |why: &str| Err(self.damaged(path, torn_at, format!("{error}, {why}")));
        if expected < self.covered_to {
            return damaged("and the snapshot says that it was on disk");
        }
        let mut end = torn_at;
        for (line_at, line) in lines_from(bytes, torn_at) {
            end = line_at + line.len();
            let Ok(later) = Line::read(line) else {
                continue;
            };
            if later.batch > expected {
                return damaged("and later changes were written after it was on disk");
            }
            if later.offset <= expected {
                return damaged("and what should be there comes after it");
            }
        }
        if is_in_padding(torn_at, valid_end) && end > valid_end.next_multiple_of(BLOCK) {
            return damaged("in the padding behind a group that is followed by another");
        }
        Ok(Scan {
            valid_end,
            torn: Some(Torn {
                at: torn_at,
                end,
                error,
            }),
        })
    }

    fn take(
        &mut self,
        path: &Path,
        line_at: usize,
        line: &[u8],
        read: Line,
    ) -> Result<(), RecoverError> {
        let mut event = Events::default();
        event.push(|out| {
            out.extend_from_slice(&line[..read.served_end]);
            out.push(b'}');
        });
        self.feed.restore(read.offset, event);
        let offset = read.offset;
        let shard = &mut self.shards[self.router.shard_of(&read.product.id)];
        if let Some((identity, delta)) = read.update {
            let receipt = Receipt {
                quantity: read.product.available,
                version: read.product.version,
                at: read.at,
            };
            shard.restore_identity(self.now, identity, delta, receipt);
        }
        if offset >= self.covered_to {
            let change = match read.kind {
                EventKind::ProductDeleted => Replayed::Gone(read.product),
                _ => Replayed::Stands(read.product),
            };
            if let Err(error) = shard.restore_change(read.at, change) {
                let problem = format!(
                    "the product's version is {}, but {} must follow",
                    error.found_version, error.expected_version
                );
                return Err(self.damaged(path, line_at, problem));
            }
        }
        self.report.events += 1;
        self.next_offset = Some(offset + 1);
        Ok(())
    }

    fn damaged(&self, path: &Path, byte: usize, problem: String) -> RecoverError {
        RecoverError::Damaged {
            path: path.to_owned(),
            byte,
            offset: self.next_offset.unwrap_or(self.covered_to),
            problem,
        }
    }
}

struct Scan {
    /// The byte after the last good line.
    valid_end: usize,
    torn: Option<Torn>,
}

struct Torn {
    at: usize,
    end: usize,
    error: LineError,
}

/// The lines with anything in them from byte `at` on, and where each begins.
fn lines_from(bytes: &[u8], mut at: usize) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| *byte != b'\n')?;
        let length = memchr::memchr(b'\n', &bytes[start..]);
        at = length.map_or(bytes.len(), |length| start + length);
        Some((start, &bytes[start..at]))
    })
}

/// Whether byte `at` lies in the padding of the group that ends at `group_end`. In a group that goes on, the next
/// line begins right there; newlines behind it in the same sector were written with it, and to the end of the block
/// nothing else ever was. (At the end of a sector the next one may be lost, and tells nothing.)
fn is_in_padding(at: usize, group_end: usize) -> bool {
    let is_told = !group_end.is_multiple_of(SECTOR);
    is_told && at > group_end && at < group_end.next_multiple_of(BLOCK)
}

/// The least that a disk writes whole.
const SECTOR: usize = 512;

/// Whether this was not written by this server: it is the events file of the system that the API comes from, or has
/// no line of ours and not the size of a segment either. What is not ours must not be cut.
fn looks_foreign(bytes: &[u8]) -> bool {
    let mut lines = lines_from(bytes, 0);
    let Some((_, first)) = lines.next() else {
        return false;
    };
    if first.starts_with(LINE_HEAD) || (LINE_HEAD.starts_with(first) && lines.next().is_none()) {
        return false;
    }
    let visible = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    let is_events_file = visible.take(EVENTS_FILE_HEAD.len()).eq(EVENTS_FILE_HEAD);
    is_events_file || (!bytes.len().is_multiple_of(BLOCK) && !has_line(bytes))
}

const LINE_HEAD: &[u8] = b"{\"offset\":";
const EVENTS_FILE_HEAD: &[u8] = b"{\"events\"";

fn has_line(bytes: &[u8]) -> bool {
    lines_from(bytes, 0).any(|(_, line)| Line::read(line).is_ok())
}

fn cut_and_sync(path: &Path, torn: Option<&Torn>) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    if let Some(torn) = torn {
        file.write_all_at(&vec![b'\n'; torn.end - torn.at], torn.at as u64)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests;
