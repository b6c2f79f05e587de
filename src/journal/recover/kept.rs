//! Which segments are there, which of them are kept, and which of those a start must read.

use std::io;

use shards::Timestamp;

use super::{RecoverError, Settings, file_error, missing};
use crate::journal::directory::Files;
use crate::journal::snapshot::{Coverage, FullSegment};
use crate::runtime::disk::Open;

/// The segments that are there.
pub(super) struct Found {
    full: Vec<u64>,
    pub(super) has_active: bool,
}

/// The full segments that are kept, and how many of the oldest need not be read.
pub(super) struct Kept {
    pub(super) full: Vec<FullSegment>,
    pub(super) skipped: usize,
    /// No earlier event will be among the latest that memory holds.
    pub(super) in_memory_from: u64,
}

impl Found {
    pub(super) fn look(files: &Files) -> Result<Found, RecoverError> {
        let full = files.full_segments();
        let full = full.map_err(|error| file_error(files.directory(), error))?;
        // No active segment: a first start, or a crash between the two renames of a rotation.
        let has_active = match files.disk.open(&files.active, Open::Read) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(file_error(&files.active, error)),
        };
        Ok(Found { full, has_active })
    }

    pub(super) fn has_journal(&self) -> bool {
        self.has_active || !self.full.is_empty()
    }

    /// Compares with what the snapshot lists: what it lists must be there; what is older than it keeps was about to be
    /// removed when the server stopped. All else is read: the segment that was active when the snapshot was made is not
    /// listed, and may have been closed since without a further change.
    pub(super) fn kept(
        &self,
        files: &Files,
        coverage: &Coverage,
        settings: &Settings,
    ) -> Result<Kept, RecoverError> {
        let listed = coverage.segments.as_deref().unwrap_or_default();
        for segment in listed {
            let first_offset = segment.first_offset;
            if self.full.binary_search(&first_offset).is_err() {
                let later = self.full.iter().find(|first| **first > first_offset);
                let behind = later.map_or(files.active.clone(), |first| files.full(*first));
                let found = later.copied().unwrap_or(coverage.next_offset);
                return Err(missing(&behind, first_offset, found));
            }
        }
        let mut full = Vec::new();
        for &first_offset in &self.full {
            match listed_at(listed, first_offset) {
                Some(segment) => full.push(segment),
                None if is_left_over(first_offset, coverage) => {}
                None => full.push(FullSegment {
                    first_offset,
                    latest_at: Timestamp(u64::MAX),
                }),
            }
        }
        let last = full.last().map_or(0, |segment| segment.first_offset);
        let journal_end_min = last.max(coverage.end_offset);
        let in_memory_from = journal_end_min.saturating_sub(settings.events_in_memory as u64);
        let skipped = skippable(&full, in_memory_from, coverage, settings);
        Ok(Kept {
            full,
            skipped,
            in_memory_from,
        })
    }
}

/// Whether a full segment was about to be removed when the server stopped: a start ignores it.
pub(in crate::journal) fn is_left_over(first_offset: u64, coverage: &Coverage) -> bool {
    let listed = coverage.segments.as_deref().unwrap_or_default();
    first_offset < coverage.kept_from && listed_at(listed, first_offset).is_none()
}

/// The one of `listed` that begins with `first_offset`. There may be tens of thousands.
fn listed_at(listed: &[FullSegment], first_offset: u64) -> Option<FullSegment> {
    let at = listed.binary_search_by_key(&first_offset, |segment| segment.first_offset);
    at.ok().map(|at| listed[at])
}

/// How many of the oldest segments hold nothing that a start needs: their changes are in the snapshot, their updates
/// are forgotten, and there are later events enough to fill the memory.
fn skippable(
    full: &[FullSegment],
    in_memory_from: u64,
    coverage: &Coverage,
    settings: &Settings,
) -> usize {
    let is_over = |pair: &[FullSegment]| {
        let end = pair[1].first_offset;
        let forgotten_at = pair[0].latest_at.0;
        end <= coverage.next_offset
            && end <= in_memory_from
            && forgotten_at.saturating_add(settings.idempotency_ttl_ms) <= settings.now.0
    };
    full.windows(2).take_while(|pair| is_over(pair)).count()
}
