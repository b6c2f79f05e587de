//! A start: snapshot, then journal (`read` changes nothing), then what is left of a crash is cut off (`mend`).
//!
//! A line that cannot be read is a torn tail, never acknowledged, unless something shows that it was on disk (`tear`):
//! then acknowledged data is damaged, and the server refuses to start and says where.
//! Everything that was read is synced before any of it is served: a crashed predecessor may have left pages that
//! never were on disk.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use shards::{Receipt, Replayed, Shard, Timestamp};

use super::directory::{self, Files};
use super::foreign;
use super::format::EventKind;
use super::line::{Line, LineError};
use super::lines::Lines;
use super::segments::Tail;
use super::snapshot::{self, FullSegment, Snapshot, SnapshotError};
use super::tear::{self, Place, Verdict};
use crate::faults::{self, Fault};
use crate::runtime::disk::{DiskFile, Open};
use crate::runtime::file::BLOCK;
use crate::sequencer::feed::Feed;
use crate::shard::router::Router;

mod kept;

use kept::Found;
pub(super) use kept::is_left_over;

/// Lines between two looks at whether somebody wants to know how far it is, or wants it to end.
const LINES_PER_LOOK: u64 = 4096;
/// A torn tail is overwritten in pieces of this size.
const CUT_PIECE: usize = 1 << 20;

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
        byte: u64,
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
    /// It was told to end.
    #[error("stopped while recovering")]
    Interrupted,
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
    /// The full segments that are kept, oldest first.
    pub full: Vec<FullSegment>,
    /// The first offset that the snapshot need not hold.
    pub covered_to: u64,
    /// The time of the latest change.
    pub latest_at: Timestamp,
    /// For a person.
    pub report: Report,
}

/// Figures about a start.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Products in the snapshot.
    pub snapshot_products: usize,
    /// Events replayed.
    pub events: u64,
    /// Segments read.
    pub segments: usize,
    /// Segments that the snapshot covers and that nothing is needed from.
    pub segments_skipped: usize,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: u64,
}

/// How far a start is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Events replayed.
    pub events: u64,
    /// Bytes of the journal that were read.
    pub bytes: u64,
    /// Bytes of the journal that are to be read.
    pub bytes_total: u64,
}

/// What to start from where there is neither snapshot nor journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// Without a product.
    Empty,
    /// With the bundled sample.
    Sample,
}

impl FirstStart {
    fn snapshot(self) -> Snapshot {
        match self {
            FirstStart::Empty => Snapshot::default(),
            FirstStart::Sample => sample(),
        }
    }
}

/// What a start goes by.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The size of a segment, bytes.
    pub segment_bytes: u64,
    /// What to start from where there is nothing.
    pub first_start: FirstStart,
    /// The wall clock.
    pub now: Timestamp,
    /// How long an applied update is remembered.
    pub idempotency_ttl_ms: u64,
    /// So many of the latest events are read back into memory.
    pub events_in_memory: usize,
}

/// What is filled.
pub struct Target<'a> {
    /// Which shard owns a product.
    pub router: &'a Router,
    /// The shards, empty.
    pub shards: &'a mut [Shard],
    /// The feed, empty.
    pub feed: &'a mut Feed,
}

/// The sample catalogue.
const SAMPLE: &str = include_str!("../../data/inventory_test_data.json");

/// Fills `target` from disk and leaves the journal ready to be continued. `watch` is told now and then how far it is,
/// and may end it.
pub fn recover(
    files: &Files,
    settings: &Settings,
    target: Target<'_>,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Recovered, RecoverError> {
    read(files, settings, target, Open::Write, watch)?.mend(files, settings)
}

/// What is on disk, looked at without a change.
#[derive(Debug)]
pub struct Looked {
    /// The offset at which the journal ends.
    pub next_offset: u64,
    /// The time of the latest change.
    pub latest_at: Timestamp,
    /// For a person.
    pub report: Report,
}

/// Fills `target` from disk as a start does, and changes nothing there.
pub fn look(
    files: &Files,
    settings: &Settings,
    target: Target<'_>,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Looked, RecoverError> {
    let read = read(files, settings, target, Open::Read, watch)?;
    Ok(Looked {
        next_offset: read.next_offset,
        latest_at: read.latest_at,
        report: read.report,
    })
}

/// Fills `target` from disk. Opens the active segment as `how` says, and changes nothing.
fn read(
    files: &Files,
    settings: &Settings,
    target: Target<'_>,
    how: Open,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Read, RecoverError> {
    let found = Found::look(files)?;
    let on_disk = read_snapshot(files)?;
    let is_first_start = on_disk.is_none() && !found.has_journal();
    let snapshot = match is_first_start {
        true => settings.first_start.snapshot(),
        false => on_disk.unwrap_or_default(),
    };
    let kept = found.kept(files, &snapshot.coverage, settings)?;
    let covered_to = snapshot.coverage.next_offset;
    let mut replay = Replay {
        files,
        router: target.router,
        shards: target.shards,
        feed: target.feed,
        now: settings.now,
        covered_to,
        shown_to: snapshot.coverage.end_offset,
        in_memory_from: kept.in_memory_from,
        next_offset: None,
        latest_at: Timestamp(0),
        latest_of_all: Timestamp(0),
        report: Report::default(),
        bytes_total: 0,
        bytes: 0,
        watch,
    };
    replay.report.segments_skipped = kept.skipped;
    replay.bytes_total = replay.size_of(&kept.full[kept.skipped..], found.has_active)?;
    let snapshot_latest_at = snapshot.coverage.latest_at;
    replay.restore_snapshot(snapshot);
    let mut full = kept.full;
    for segment in &mut full[kept.skipped..] {
        segment.latest_at = replay.full_segment(segment.first_offset)?;
    }
    let active = match found.has_active {
        true => Some(replay.active_segment(how)?),
        false => None,
    };
    let next_offset = replay.end()?;
    Ok(Read {
        is_first_start,
        next_offset,
        active,
        full,
        covered_to,
        latest_at: replay.go_on_in_time(snapshot_latest_at),
        report: replay.report,
    })
}

/// What was read, before anything is mended.
struct Read {
    is_first_start: bool,
    next_offset: u64,
    active: Option<Active>,
    full: Vec<FullSegment>,
    covered_to: u64,
    latest_at: Timestamp,
    report: Report,
}

/// The active segment, as it was read.
struct Active {
    file: Box<dyn DiskFile>,
    size: u64,
    first_offset: u64,
    latest_at: Timestamp,
    scan: Scan,
}

impl Read {
    /// Cuts what is torn, makes durable what was read and makes what is missing.
    fn mend(self, files: &Files, settings: &Settings) -> Result<Recovered, RecoverError> {
        if self.is_first_start {
            // On disk before the first change, so that the journal always has something to stand on.
            snapshot::write(files, &settings.first_start.snapshot())
                .map_err(|error| file_error(&files.snapshot, error))?;
        }
        let tail = match self.active {
            Some(active) => active
                .mend()
                .map_err(|error| file_error(&files.active, error))?,
            None => None,
        };
        let tail = match tail {
            Some(tail) => tail,
            None => new_active(files, settings.segment_bytes, self.next_offset)?,
        };
        for directory in [files.directory(), files.snapshot_directory()] {
            let synced = files.disk.sync_directory(directory);
            synced.map_err(|error| file_error(directory, error))?;
        }
        Ok(Recovered {
            next_offset: self.next_offset,
            tail,
            full: self.full,
            covered_to: self.covered_to,
            latest_at: self.latest_at,
            report: self.report,
        })
    }
}

impl Active {
    /// Cuts a torn tail, and syncs. None where the file is empty and must be made anew.
    fn mend(&self) -> io::Result<Option<Tail>> {
        let mut position = self.scan.valid_end.next_multiple_of(BLOCK as u64);
        if let Some(torn) = &self.scan.torn {
            match faults::is_planted(Fault::KeepTornTail) {
                true => position = torn.end.next_multiple_of(BLOCK as u64).min(self.size),
                false => cut(&*self.file, torn)?,
            }
        }
        self.file.sync()?;
        Ok((self.size > 0).then_some(Tail {
            first_offset: self.first_offset,
            position,
            size: self.size - self.size % BLOCK as u64,
            latest_at: self.latest_at,
        }))
    }
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
    if faults::is_planted(Fault::ForgetTombstones) {
        return;
    }
    for (id, version) in snapshot.tombstones {
        shards[router.shard_of(&id)].restore_tombstone(id, version);
    }
}

fn read_snapshot(files: &Files) -> Result<Option<Snapshot>, RecoverError> {
    snapshot::read(files).map_err(|error| RecoverError::Snapshot {
        path: files.snapshot.clone(),
        error,
    })
}

fn new_active(files: &Files, size: u64, first_offset: u64) -> Result<Tail, RecoverError> {
    // Whole before it has the name: a part of a segment, or zeros, could be taken for somebody else's file.
    let spare = files.spare();
    directory::make_segment(&*files.disk, &spare, size, || true)
        .map_err(|error| file_error(&spare, error))?;
    let named = files.disk.rename(&spare, &files.active);
    named.map_err(|error| file_error(&files.active, error))?;
    Ok(Tail {
        first_offset,
        position: 0,
        size,
        latest_at: Timestamp(0),
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
    files: &'a Files,
    router: &'a Router,
    shards: &'a mut [Shard],
    feed: &'a mut Feed,
    now: Timestamp,
    /// Below this the snapshot has the state already; only identities and events are taken.
    covered_to: u64,
    /// Below this the snapshot may have the state already.
    shown_to: u64,
    /// The feed takes no earlier event.
    in_memory_from: u64,
    next_offset: Option<u64>,
    /// The time of the latest change in the segment being read.
    latest_at: Timestamp,
    /// The time of the latest change in any.
    latest_of_all: Timestamp,
    report: Report,
    bytes: u64,
    bytes_total: u64,
    watch: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl Replay<'_> {
    fn restore_snapshot(&mut self, snapshot: Snapshot) {
        self.report.snapshot_products = snapshot.products.len();
        restore_snapshot(snapshot, self.router, self.shards);
    }

    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>, RecoverError> {
        let opened = self.files.disk.open(path, how);
        opened.map_err(|error| file_error(path, error))
    }

    fn size_of(&self, full: &[FullSegment], has_active: bool) -> Result<u64, RecoverError> {
        let full = full.iter().map(|s| self.files.full(s.first_offset));
        let active = has_active.then(|| self.files.active.clone());
        let mut bytes = 0;
        for path in full.chain(active) {
            let size = self.open(&path, Open::Read)?.size();
            bytes += size.map_err(|error| file_error(&path, error))?;
        }
        Ok(bytes)
    }

    /// The offset at which the journal ends, which must not be before what the snapshot shows.
    fn end(&self) -> Result<u64, RecoverError> {
        let next_offset = self.next_offset.unwrap_or(self.covered_to);
        if next_offset < self.shown_to {
            return Err(missing(&self.files.snapshot, next_offset, self.shown_to));
        }
        Ok(match faults::is_planted(Fault::ReuseOffset) {
            true => next_offset.saturating_sub(1),
            false => next_offset,
        })
    }

    /// No change will be stamped earlier than those that there are, also those that only the snapshot knows of, whatever
    /// the wall clock shows. Returns the time of the latest.
    fn go_on_in_time(&mut self, snapshot_latest_at: Timestamp) -> Timestamp {
        let latest_at = self.latest_of_all.max(snapshot_latest_at);
        for shard in &mut *self.shards {
            shard.restore_time(latest_at);
        }
        latest_at
    }

    /// Reads the full segment that begins with `first_offset`; returns the time of its latest change.
    fn full_segment(&mut self, first_offset: u64) -> Result<Timestamp, RecoverError> {
        let path = self.files.full(first_offset);
        let expected = self.next_offset.unwrap_or(self.covered_to);
        let gap = match self.next_offset {
            Some(next) => first_offset != next,
            None => first_offset > self.covered_to,
        };
        if gap {
            return Err(missing(&path, expected, first_offset));
        }
        self.next_offset = Some(first_offset);
        let file = self.open(&path, Open::Read)?;
        match self.lines(&path, &*file)? {
            Scan { torn: None, .. } => Ok(self.latest_at),
            // A segment is only closed when all of it is on disk.
            Scan {
                torn: Some(torn), ..
            } => Err(self.damaged(&path, torn.at, torn.error.to_string())),
        }
    }

    fn active_segment(&mut self, how: Open) -> Result<Active, RecoverError> {
        let files = self.files;
        let path = &files.active;
        let in_file = |error| file_error(path, error);
        let file = self.open(path, how)?;
        file.forget_cached();
        let size = file.size().map_err(in_file)?;
        if foreign::is_not_ours(&*file, size).map_err(in_file)? {
            return Err(RecoverError::Foreign { path: path.clone() });
        }
        let first_offset = self.first_offset_of_active(path, &*file)?;
        self.next_offset = Some(first_offset);
        let scan = self.lines(path, &*file)?;
        if let Some(torn) = &scan.torn {
            self.report.torn_bytes = torn.end - torn.at;
        }
        Ok(Active {
            file,
            size,
            first_offset,
            latest_at: self.latest_at,
            scan,
        })
    }

    /// Where the active segment must begin: behind the full ones, or else where its first line says, if that leaves no
    /// gap behind the snapshot.
    fn first_offset_of_active(
        &self,
        path: &Path,
        file: &dyn DiskFile,
    ) -> Result<u64, RecoverError> {
        let mut lines = Lines::from(file, 0);
        let first = lines
            .next_line()
            .map_err(|error| file_error(path, error))?
            .and_then(|(at, line)| Some((at, Line::read(line).ok()?)));
        let expected = self.next_offset.unwrap_or(self.covered_to);
        // What was on disk before a line that stands here was in a segment. Otherwise it may be the rest of a group
        // that was torn, and of which nothing was acknowledged.
        let follows_missing =
            |at: u64, line: &Line| line.offset > expected && (at == 0 || line.batch > expected);
        match (self.next_offset, first) {
            // The first line stands where the first group was written, so nothing before it was torn: what is
            // missing was in a segment that is closed, or gone.
            (Some(next), Some((0, line))) if line.offset > next => {
                Err(missing(path, expected, line.offset))
            }
            (None, Some((at, line))) if follows_missing(at, &line) => {
                Err(missing(path, expected, line.offset))
            }
            (None, Some((_, line))) => Ok(line.offset.min(expected)),
            _ => Ok(expected),
        }
    }

    /// Takes every line up to the first that cannot be read.
    fn lines(&mut self, path: &Path, file: &dyn DiskFile) -> Result<Scan, RecoverError> {
        self.report.segments += 1;
        self.latest_at = Timestamp(0);
        let mut lines = Lines::from(file, 0);
        let mut valid_end = 0;
        let before = self.bytes;
        loop {
            let next = lines.next_line();
            let Some((at, line)) = next.map_err(|error| file_error(path, error))? else {
                break;
            };
            let expected = self.next_offset.expect("set before the first line");
            let end = at + line.len() as u64;
            let error = match Line::read(line) {
                Ok(read) if read.offset == expected && read.batch <= expected => {
                    self.take(path, at, line, read)?;
                    valid_end = end + 1;
                    self.look(before + valid_end)?;
                    continue;
                }
                Ok(read) if read.offset < expected => {
                    let problem = format!("the event with offset {} is there again", read.offset);
                    return Err(self.damaged(path, at, problem));
                }
                // A line that could only follow what is missing here is judged like what comes after damage.
                Ok(_) => LineError::Incomplete,
                Err(LineError::Content) => {
                    return Err(self.damaged(path, at, LineError::Content.to_string()));
                }
                Err(error) => error,
            };
            let torn = Torn { at, end: at, error };
            return self.torn(path, file, valid_end, torn);
        }
        self.bytes = before + lines.position();
        Ok(Scan {
            valid_end,
            torn: None,
        })
    }

    /// Now and then: says how far it is, and asks whether to go on.
    fn look(&mut self, bytes: u64) -> Result<(), RecoverError> {
        if !self.report.events.is_multiple_of(LINES_PER_LOOK) {
            return Ok(());
        }
        let progress = Progress {
            events: self.report.events,
            bytes,
            bytes_total: self.bytes_total,
        };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(RecoverError::Interrupted),
        }
    }

    /// Decides whether what begins at `torn.at` was never acknowledged.
    fn torn(
        &self,
        path: &Path,
        file: &dyn DiskFile,
        valid_end: u64,
        torn: Torn,
    ) -> Result<Scan, RecoverError> {
        let place = Place {
            at: torn.at,
            valid_end,
            expected: self.next_offset.expect("set before the first line"),
            shown_to: self.shown_to,
        };
        match tear::judge(file, place).map_err(|error| file_error(path, error))? {
            Verdict::Torn { end } => Ok(Scan {
                valid_end,
                torn: Some(Torn { end, ..torn }),
            }),
            Verdict::Damaged(why) => {
                Err(self.damaged(path, torn.at, format!("{}, {why}", torn.error)))
            }
        }
    }

    fn take(
        &mut self,
        path: &Path,
        line_at: u64,
        line: &[u8],
        read: Line<'_>,
    ) -> Result<(), RecoverError> {
        let offset = read.offset;
        if offset >= self.in_memory_from {
            self.feed.restore(offset, &line[..read.served_end]);
        }
        self.latest_at = self.latest_at.max(read.at);
        self.latest_of_all = self.latest_of_all.max(read.at);
        let product = read.product.view();
        let shard = &mut self.shards[self.router.shard_of(product.id)];
        if let Some(update) = &read.update
            && !faults::is_planted(Fault::ForgetIdentities)
        {
            let receipt = Receipt {
                quantity: product.available,
                version: product.version,
                at: read.at,
            };
            let identity = || read.identity(update);
            shard.restore_identity(self.now, identity, update.delta, receipt);
        }
        let is_held = offset < self.covered_to
            || (offset < self.shown_to && product.version <= shard.last_version(product.id));
        if !is_held {
            let change = match read.kind {
                EventKind::ProductDeleted => Replayed::Gone(product),
                _ => Replayed::Stands(product),
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

    fn damaged(&self, path: &Path, byte: u64, problem: String) -> RecoverError {
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
    valid_end: u64,
    torn: Option<Torn>,
}

struct Torn {
    at: u64,
    end: u64,
    error: LineError,
}

fn cut(file: &dyn DiskFile, torn: &Torn) -> io::Result<()> {
    let newlines = vec![b'\n'; CUT_PIECE.min((torn.end - torn.at) as usize)];
    let mut at = torn.at;
    while at < torn.end {
        let length = (torn.end - at).min(CUT_PIECE as u64);
        file.write_at(at, &newlines[..length as usize])?;
        at += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
