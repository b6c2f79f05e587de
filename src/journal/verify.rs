//! Reads everything that a start would read, and more, without stopping at the first fault, and changes nothing.
//!
//! A start demands the same of every line; what is found here besides is the product versions below the snapshot, and
//! whether the snapshot's versions lie on the journal's.

mod findings;
mod versions;

use std::io;
use std::path::Path;

use super::directory::Files;
use super::history;
use super::line::{Line, LineError};
use super::lines::Lines;
use super::recover::is_left_over;
use super::scene::{FirstLine, Scene, SceneError};
use super::snapshot::{self, Coverage, Snapshot, SnapshotError};
use super::tear::{self, Place, Verdict};
use crate::runtime::disk::{DiskFile, Open};
use versions::Versions;

pub use findings::{FAULTS_LISTED_MAX, Findings, Found, Kind, Segment, SnapshotSummary, TornTail};

/// Lines between two reports of progress.
const LINES_PER_REPORT: u64 = 4096;

/// Verifies snapshot and journal. `progress` is told the bytes read and the bytes in all.
pub fn verify(files: &Files, progress: &mut dyn FnMut(u64, u64)) -> Result<Findings, SceneError> {
    let scene = Scene::look(files, || snapshot::read(files))?;
    let mut verifier = Verifier {
        files,
        a_server_runs: scene.a_server_runs,
        coverage: None,
        versions: Versions::default(),
        next: Next::First,
        findings: Findings::default(),
        bytes_total: 0,
        bytes_before: 0,
        progress,
    };
    verifier.findings.a_server_runs = scene.a_server_runs;
    verifier.bytes_total = verifier.size_of(&scene.full, scene.active.as_deref());
    verifier.snapshot(scene.beside);
    verifier.missing_segments(&scene.full);
    for &first_offset in &scene.full {
        verifier.full_segment(first_offset);
    }
    if let Some(active) = scene.active {
        verifier.active_segment(&*active);
    }
    verifier.end();
    Ok(verifier.findings)
}

/// The offset that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// No line was read yet.
    First,
    Offset(u64),
    /// What came before could not be read.
    Unknown,
}

struct Verifier<'a> {
    files: &'a Files,
    a_server_runs: bool,
    /// None where there is no snapshot that can be read.
    coverage: Option<Coverage>,
    versions: Versions,
    next: Next,
    findings: Findings,
    bytes_total: u64,
    /// Bytes of the segments that are done.
    bytes_before: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Where a scan of a segment is.
struct Scan<'a> {
    path: &'a Path,
    file: &'a dyn DiskFile,
    kind: Kind,
    expected: u64,
    valid_end: u64,
    /// Lines that cannot be read since the last that can.
    bad: u64,
    events: u64,
    read_again_from: Option<u64>,
}

/// What to do after a line.
enum Step {
    GoOn,
    /// Read again from the end of the last good line: the file has grown meanwhile.
    Again,
    /// The rest is torn.
    End,
}

impl Verifier<'_> {
    fn size_of(&self, full: &[u64], active: Option<&dyn DiskFile>) -> u64 {
        let size = |file: &dyn DiskFile| file.size().unwrap_or(0);
        let full = full.iter().map(|first| self.files.full(*first));
        let full = full.filter_map(|path| self.files.disk.open(&path, Open::Read).ok());
        full.map(|file| size(&*file)).sum::<u64>() + active.map_or(0, size)
    }

    fn snapshot(&mut self, read: Result<Option<Snapshot>, SnapshotError>) {
        let path = &self.files.snapshot;
        match read {
            Ok(Some(snapshot)) => {
                self.versions.take_snapshot(&snapshot);
                self.findings.snapshot = Some(SnapshotSummary {
                    products: snapshot.products.len() as u64,
                    deleted: snapshot.tombstones.len() as u64,
                    next_offset: snapshot.coverage.next_offset,
                });
                self.coverage = Some(snapshot.coverage);
            }
            // As a start takes it: the journal stands on nothing.
            Ok(None) => self.coverage = Some(Coverage::default()),
            Err(SnapshotError::Read(error)) => self.findings.cannot_read(path, &error),
            Err(error) => self.findings.add(path, None, None, error.to_string()),
        }
        if self.coverage.is_none() {
            self.versions.forget_snapshot();
        }
    }

    fn missing_segments(&mut self, full: &[u64]) {
        let listed = self.coverage.iter().filter_map(|c| c.segments.as_ref());
        let missing = listed
            .flatten()
            .filter(|segment| !full.contains(&segment.first_offset));
        for segment in missing {
            let problem = "the segment is missing; the snapshot lists it".to_owned();
            let path = self.files.full(segment.first_offset);
            let offset = Some(segment.first_offset);
            self.findings.add(&path, None, offset, problem);
        }
    }

    fn full_segment(&mut self, first_offset: u64) {
        let path = self.files.full(first_offset);
        let file = match self.files.disk.open(&path, Open::Read) {
            Ok(file) => file,
            // A server removes what nobody needs.
            Err(error) if self.a_server_runs && error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.cannot_read(&path, &error),
        };
        let coverage = self.coverage.clone().unwrap_or_default();
        if is_left_over(first_offset, &coverage) {
            return self.summarize(&path, &*file, Kind::LeftOver, first_offset, 0);
        }
        self.begin(&path, first_offset);
        self.next = Next::Offset(first_offset);
        self.scan(&path, &*file, Kind::Full, first_offset);
    }

    fn active_segment(&mut self, file: &dyn DiskFile) {
        let path = self.files.active.clone();
        let first = match FirstLine::read(file) {
            Ok(first) => first,
            Err(error) => return self.cannot_read(&path, &error),
        };
        let first_offset = match (self.next, first) {
            // What is missing before a line that stands first is in no file; before any other it is judged as what is torn.
            (Next::Offset(next), Some(first)) if first.at == 0 && first.offset > next => {
                self.begin(&path, first.offset);
                first.offset
            }
            (Next::Offset(next), _) => next,
            (Next::First | Next::Unknown, Some(first)) => {
                let begins_at = first.segment_begins_at();
                self.begin(&path, begins_at);
                begins_at.max(self.covered_to().min(first.offset))
            }
            (Next::First | Next::Unknown, None) => self.covered_to(),
        };
        self.scan(&path, file, Kind::Active, first_offset);
    }

    /// Checks that a segment which begins with the offset `found` leaves no gap.
    fn begin(&mut self, path: &Path, found: u64) {
        let expected = match self.next {
            Next::First if self.coverage.is_some() => self.covered_to().min(found),
            Next::Offset(next) => next,
            Next::First | Next::Unknown => return,
        };
        if found > expected {
            self.versions.lose(found - expected);
            let last = found - 1;
            let problem = format!(
                "begins with offset {found}, but the events with offsets {expected} to {last} are in no file: a \
                 segment is missing"
            );
            self.findings.add(path, Some(0), Some(expected), problem);
        } else if found < expected {
            let problem =
                format!("begins with offset {found}, but the segment before it ends at {expected}");
            self.findings.add(path, Some(0), Some(found), problem);
        }
    }

    fn covered_to(&self) -> u64 {
        self.coverage.as_ref().map_or(0, |c| c.next_offset)
    }

    fn shown_to(&self) -> u64 {
        self.coverage.as_ref().map_or(0, |c| c.end_offset)
    }

    fn scan(&mut self, path: &Path, file: &dyn DiskFile, kind: Kind, first_offset: u64) {
        let mut scan = Scan {
            path,
            file,
            kind,
            expected: first_offset,
            valid_end: 0,
            bad: 0,
            events: 0,
            read_again_from: None,
        };
        if !self.a_server_runs {
            file.forget_cached();
        }
        match self.lines(&mut scan) {
            Ok(()) => self.next = Next::Offset(scan.expected),
            Err(error) => self.cannot_read(path, &error),
        }
        self.summarize(path, file, kind, first_offset, scan.events);
    }

    fn lines(&mut self, scan: &mut Scan<'_>) -> io::Result<()> {
        let file = scan.file;
        let mut lines = Lines::from(file, 0);
        while let Some((at, line)) = lines.next_line()? {
            match self.line(scan, at, line)? {
                Step::GoOn => {}
                Step::Again => lines = Lines::from(file, scan.valid_end),
                Step::End => break,
            }
        }
        Ok(())
    }

    fn line(&mut self, scan: &mut Scan<'_>, at: u64, line: &[u8]) -> io::Result<Step> {
        let expected = scan.expected;
        match Line::read(line) {
            Ok(read) if read.offset < expected => {
                let problem = format!("the event with offset {} is there again", read.offset);
                self.findings
                    .add(scan.path, Some(at), Some(expected), problem);
                Ok(Step::GoOn)
            }
            Ok(read) => {
                if read.offset > expected + scan.bad {
                    let (first, last) = (expected + scan.bad, read.offset - 1);
                    let problem =
                        format!("the events with offsets {first} to {last} are in no line");
                    let step = self.bad(scan, at, first, problem)?;
                    if !matches!(step, Step::GoOn) {
                        return Ok(step);
                    }
                }
                self.good(scan, at, line, &read);
                Ok(Step::GoOn)
            }
            Err(error) => {
                let claimed = history::offset_of(line).filter(|offset| *offset >= expected);
                let claimed = claimed.filter(|_| error == LineError::Checksum);
                let offset = claimed.unwrap_or(expected + scan.bad);
                // What was never written by this program was not torn off either.
                let step = match error {
                    LineError::Content => {
                        self.fault(scan, at, offset, error.to_string());
                        Step::GoOn
                    }
                    _ => self.bad(scan, at, offset, error.to_string())?,
                };
                scan.bad += u64::from(matches!(step, Step::GoOn));
                Ok(step)
            }
        }
    }

    fn good(&mut self, scan: &mut Scan<'_>, at: u64, line: &[u8], read: &Line<'_>) {
        self.versions.lose(read.offset - scan.expected);
        if read.batch > read.offset {
            let problem = format!(
                "its mark `batch`, {}, is above its offset, {}",
                read.batch, read.offset
            );
            self.fault(scan, at, read.offset, problem);
        }
        let product = &read.product;
        let taken = self
            .versions
            .take(read.offset, &product.id, product.version);
        if let Err(problem) = taken {
            self.fault(scan, at, read.offset, problem);
        }
        scan.expected = read.offset + 1;
        scan.valid_end = at + line.len() as u64 + 1;
        scan.bad = 0;
        scan.events += 1;
        if scan.events.is_multiple_of(LINES_PER_REPORT) {
            (self.progress)(self.bytes_before + scan.valid_end, self.bytes_total);
        }
    }

    /// What cannot be read where the event with `offset` should be: damage, or a torn tail.
    fn bad(
        &mut self,
        scan: &mut Scan<'_>,
        at: u64,
        offset: u64,
        problem: String,
    ) -> io::Result<Step> {
        // To judge is to read on. After so much damage it does not matter whether the tail is torn besides.
        let is_judged =
            scan.kind == Kind::Active && self.findings.fault_count < FAULTS_LISTED_MAX as u64;
        if !is_judged {
            self.fault(scan, at, offset, problem);
            return Ok(Step::GoOn);
        }
        let place = Place {
            at,
            valid_end: scan.valid_end,
            expected: scan.expected,
            shown_to: self.shown_to(),
        };
        match tear::judge(scan.file, place)? {
            Verdict::Torn { end } => {
                self.findings.torn = Some(TornTail {
                    path: scan.path.to_owned(),
                    byte: at,
                    bytes: end - at,
                    offset: scan.expected,
                });
                Ok(Step::End)
            }
            // What the server wrote between reading here and looking behind must not make this look damaged.
            Verdict::Damaged(_) if self.a_server_runs && scan.may_read_again() => Ok(Step::Again),
            Verdict::Damaged(why) => {
                self.fault(scan, at, offset, format!("{problem}, {why}"));
                Ok(Step::GoOn)
            }
        }
    }

    fn fault(&mut self, scan: &Scan<'_>, at: u64, offset: u64, problem: String) {
        self.findings
            .add(scan.path, Some(at), Some(offset), problem);
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        self.findings.cannot_read(path, error);
        self.next = Next::Unknown;
        self.versions.lose(u64::MAX);
    }

    fn summarize(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
        kind: Kind,
        first_offset: u64,
        events: u64,
    ) {
        let bytes = file.size().unwrap_or(0);
        self.bytes_before += bytes;
        (self.progress)(self.bytes_before, self.bytes_total);
        let next_offset = match (kind, self.next) {
            (Kind::Full | Kind::Active, Next::Offset(next)) => next,
            _ => first_offset,
        };
        self.findings.segments.push(Segment {
            path: path.to_owned(),
            kind,
            first_offset,
            next_offset,
            events,
            bytes,
        });
    }

    /// Compares the end of the journal with what the snapshot shows.
    fn end(&mut self) {
        let next_offset = match self.next {
            Next::Offset(next) => next,
            Next::First => self.covered_to(),
            Next::Unknown => return,
        };
        self.findings.next_offset = Some(next_offset);
        let path = &self.files.snapshot;
        let shown_to = self.shown_to();
        if next_offset < shown_to {
            let last = shown_to - 1;
            let problem = format!(
                "it may show changes up to offset {last}, but the journal ends before offset {next_offset}"
            );
            self.findings.add(path, None, Some(next_offset), problem);
            return;
        }
        for problem in self.versions.beyond_the_journal() {
            self.findings.add(path, None, None, problem);
        }
    }
}

impl Scan<'_> {
    /// Once at each place.
    fn may_read_again(&mut self) -> bool {
        let here = Some(self.valid_end);
        self.bad == 0 && std::mem::replace(&mut self.read_again_from, here) != here
    }
}

#[cfg(test)]
mod tests;
