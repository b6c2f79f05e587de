//! What a verification finds.

use std::io;
use std::path::{Path, PathBuf};

/// So many faults are listed; more are counted.
pub const FAULTS_LISTED_MAX: usize = 100;

/// All that was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whether a server ran: its last group may look torn.
    pub a_server_runs: bool,
    /// The snapshot, if there is one that can be read.
    pub snapshot: Option<SnapshotSummary>,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    /// The first [`FAULTS_LISTED_MAX`] faults.
    pub faults: Vec<Found>,
    /// How many there are.
    pub fault_count: u64,
    /// Files that could not be read, and why.
    pub unreadable: Vec<String>,
    /// What a start would cut.
    pub torn: Option<TornTail>,
    /// The offset at which the journal ends, if it could be read.
    pub next_offset: Option<u64>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Where in it, if in one place.
    pub byte: Option<u64>,
    /// The offset of the event that is at fault or that should be there.
    pub offset: Option<u64>,
    /// What is wrong, as a sentence without a full stop.
    pub problem: String,
}

/// A tail that was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub byte: u64,
    /// How long it is.
    pub bytes: u64,
    /// The offset that is to be assigned there.
    pub offset: u64,
}

/// A snapshot in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// Products that exist.
    pub products: u64,
    /// Products that were deleted.
    pub deleted: u64,
    /// The first offset that it need not hold.
    pub next_offset: u64,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Complete.
    Full,
    /// Being written.
    Active,
    /// Covered by the snapshot and not listed there: it was about to be removed, and a start ignores it.
    LeftOver,
}

/// A segment in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The first offset.
    pub first_offset: u64,
    /// The offset after the last.
    pub next_offset: u64,
    /// Events that can be read.
    pub events: u64,
    /// The size of the file.
    pub bytes: u64,
}

impl Findings {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.fault_count == 0
    }

    pub(super) fn add(
        &mut self,
        path: &Path,
        byte: Option<u64>,
        offset: Option<u64>,
        problem: String,
    ) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_LISTED_MAX {
            self.faults.push(Found {
                path: path.to_owned(),
                byte,
                offset,
                problem,
            });
        }
    }

    pub(super) fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        let sentence = format!("{}: cannot be read: {error}", path.display());
        self.unreadable.push(sentence);
    }
}
