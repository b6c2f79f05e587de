//! The events of the journal as they are served, from any offset on, straight from the segments. Changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::Files;
use super::history;
use super::line::Line;
use super::lines::Lines;
use super::scene::{FirstLine, Scene, SceneError};
use super::tear::{self, Place, Verdict};
use crate::runtime::disk::{DiskFile, Open};

/// Which events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first offset; none is the oldest there is.
    pub from: Option<u64>,
    /// The last offset; none is the latest there is.
    pub to: Option<u64>,
}

/// Why a dump ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// There is no journal.
    #[error("{0}")]
    Scene(#[from] SceneError),
    /// A segment cannot be read.
    #[error("{path}: cannot be read: {error}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// What was read cannot be handed on.
    #[error("the events cannot be written: {0}")]
    Put(io::Error),
    /// A line is not what was written.
    #[error("{path}: damaged at byte {byte}, where the event with offset {offset} should be: {problem}. \
             `central-inventory journal verify` lists all that is damaged.", path = path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// What should be there.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// Events are in no file.
    #[error("{path}: begins with offset {found}, but the events from offset {expected} on are in no file; \
             `--from {found}` goes on there", path = path.display())]
    Missing {
        /// The segment behind the gap.
        path: PathBuf,
        /// What should come next.
        expected: u64,
        /// What comes.
        found: u64,
    },
    /// The first event that is wanted is gone.
    #[error("the oldest event in the journal has offset {0}: give --from that one or a later")]
    TooOld(u64),
    /// The first event that is wanted is not there yet.
    #[error("the journal ends before offset {0}: give --from an earlier one")]
    Beyond(u64),
}

/// A torn tail that a dump ended at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where in the active segment.
    pub byte: u64,
}

/// Hands the bytes of each event in `range` to `put`, in order of offset. Says whether the journal ends with a torn tail.
pub fn dump(
    files: &Files,
    range: Range,
    put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Option<Torn>, DumpError> {
    let scene = Scene::look(files, || ())?;
    let active = scene.active.as_deref();
    let in_active = |error| read_error(&files.active, error);
    let first = match active {
        Some(file) => FirstLine::read(file).map_err(in_active)?,
        None => None,
    };
    let active_first = first.map(|first| first.segment_begins_at());
    let oldest = scene.full.first().copied().or(active_first).unwrap_or(0);
    let from = range.from.unwrap_or(oldest);
    if from < oldest {
        return Err(DumpError::TooOld(oldest));
    }
    let mut dump = Dump {
        next: from,
        end: oldest,
        range,
        is_begun: false,
        a_server_runs: scene.a_server_runs,
        put,
    };
    for &first in &scene.full[skipped(&scene.full, active_first, from)..] {
        let path = files.full(first);
        let opened = files.disk.open(&path, Open::Read);
        let file = opened.map_err(|error| read_error(&path, error))?;
        dump.begin(&path, first)?;
        dump.segment(&path, &*file, false)?;
        if dump.is_done() {
            return Ok(None);
        }
    }
    let Some(file) = active else { return Ok(None) };
    if let Some(first) = active_first {
        dump.begin(&files.active, first)?;
    }
    let torn = dump.segment(&files.active, file, true)?;
    match !dump.is_begun && dump.next > dump.end {
        true => Err(DumpError::Beyond(dump.end)),
        false => Ok(torn),
    }
}

/// How many full segments end before the event `from`.
fn skipped(full: &[u64], active_first: Option<u64>, from: u64) -> usize {
    match active_first.is_some_and(|first| first <= from) {
        true => full.len(),
        false => full
            .partition_point(|first| *first <= from)
            .saturating_sub(1),
    }
}

fn read_error(path: &Path, error: io::Error) -> DumpError {
    DumpError::Read {
        path: path.to_owned(),
        error,
    }
}

struct Dump<'a> {
    /// The offset that is wanted next.
    next: u64,
    /// The offset after the latest that was seen.
    end: u64,
    range: Range,
    /// Whether an event was handed out. Before, what is read only leads to the first.
    is_begun: bool,
    a_server_runs: bool,
    put: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Dump<'_> {
    fn is_done(&self) -> bool {
        self.range.to.is_some_and(|to| self.next > to)
    }

    fn begin(&self, path: &Path, first: u64) -> Result<(), DumpError> {
        match first > self.next {
            true => Err(DumpError::Missing {
                path: path.to_owned(),
                expected: self.next,
                found: first,
            }),
            false => Ok(()),
        }
    }

    fn segment(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
        is_active: bool,
    ) -> Result<Option<Torn>, DumpError> {
        let in_file = |error| read_error(path, error);
        let start = match self.is_begun {
            true => 0,
            false => history::find(file, self.next).map_err(in_file)?,
        };
        let mut lines = Lines::from(file, start);
        let (mut valid_end, mut read_again_from) = (None, None);
        while !self.is_done() {
            let Some((at, line)) = lines.next_line().map_err(in_file)? else {
                break;
            };
            let mut problem = match self.line(line)? {
                Ok(()) => {
                    valid_end = Some(at + line.len() as u64 + 1);
                    continue;
                }
                Err(problem) => problem,
            };
            if is_active {
                match self.judge(file, at, valid_end).map_err(in_file)? {
                    Verdict::Torn { .. } => return Ok(Some(Torn { byte: at })),
                    // The server has written on between reading this and looking behind it.
                    Verdict::Damaged(_) if self.a_server_runs && read_again_from != valid_end => {
                        read_again_from = valid_end;
                        lines = Lines::from(file, valid_end.unwrap_or(start));
                        continue;
                    }
                    Verdict::Damaged(why) => problem = format!("{problem}, {why}"),
                }
            }
            return Err(DumpError::Damaged {
                path: path.to_owned(),
                byte: at,
                offset: self.next,
                problem,
            });
        }
        Ok(None)
    }

    /// Hands out the event of `line`, if it is the next.
    fn line(&mut self, line: &[u8]) -> Result<Result<(), String>, DumpError> {
        let offset = history::offset_of(line);
        let is_before = !self.is_begun && offset.is_none_or(|offset| offset < self.next);
        if is_before {
            self.end = offset.map_or(self.end, |offset| offset + 1);
            return Ok(Ok(()));
        }
        let served = match Line::served(line) {
            Ok(served) if offset == Some(self.next) => served,
            Ok(_) => {
                let found = offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
                return Ok(Err(format!("the next whole line has offset {found}")));
            }
            Err(error) => return Ok(Err(error.to_string())),
        };
        (self.put)(served)
            .and_then(|()| (self.put)(b"}\n"))
            .map_err(DumpError::Put)?;
        self.is_begun = true;
        self.next += 1;
        Ok(Ok(()))
    }

    /// The snapshot is not read for this: it could only tell more of a torn tail.
    fn judge(&self, file: &dyn DiskFile, at: u64, valid_end: Option<u64>) -> io::Result<Verdict> {
        let place = Place {
            at,
            valid_end: valid_end.unwrap_or(0),
            expected: self.next,
            shown_to: 0,
        };
        tear::judge(file, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::test_journal::{TestJournal, edit, line_starts};

    fn dumped(
        journal: &TestJournal,
        from: Option<u64>,
        to: Option<u64>,
    ) -> (String, Result<Option<Torn>, DumpError>) {
        let mut bytes = Vec::new();
        let done = dump(&journal.files, Range { from, to }, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        (String::from_utf8(bytes).unwrap(), done)
    }

    fn expected(journal: &TestJournal, from: u64, to: u64) -> String {
        let range = from as usize..(to + 1).min(journal.next_offset) as usize;
        journal.served[range]
            .iter()
            .map(|event| format!("{event}\n"))
            .collect()
    }

    #[test]
    fn every_range_is_what_was_served() {
        let journal = TestJournal::of_two_segments();
        let (all, done) = dumped(&journal, None, None);
        assert!(done.unwrap().is_none());
        assert_eq!(expected(&journal, 0, 99), all);
        for from in 0..=journal.next_offset {
            for to in [from, from + 2, 99] {
                let (events, done) = dumped(&journal, Some(from), Some(to));
                done.unwrap();
                assert_eq!(expected(&journal, from, to), events, "{from} to {to}");
            }
        }
        let (_, beyond) = dumped(&journal, Some(journal.next_offset + 1), None);
        assert!(matches!(beyond, Err(DumpError::Beyond(11))), "{beyond:?}");
    }

    #[test]
    fn a_dump_ends_where_a_line_is_damaged() {
        let journal = TestJournal::of_two_segments();
        let full = journal.files.full(0);
        let at = line_starts(&full)[3];
        edit(&full, |bytes| bytes[at + 30] ^= 1);
        let (events, done) = dumped(&journal, None, None);
        assert_eq!(expected(&journal, 0, 2), events);
        let Err(DumpError::Damaged {
            path, byte, offset, ..
        }) = done
        else {
            panic!("{done:?}")
        };
        assert_eq!((full, at as u64, 3), (path, byte, offset));
        assert_eq!(expected(&journal, 4, 99), dumped(&journal, Some(4), None).0);
    }

    #[test]
    fn a_torn_tail_ends_a_dump_and_damage_in_the_active_segment_fails_it() {
        let journal = TestJournal::of_two_segments();
        let active = &journal.files.active;
        let starts = line_starts(active);
        edit(active, |bytes| bytes[starts[5] + 30] ^= 1);
        let (events, done) = dumped(&journal, None, None);
        assert_eq!(expected(&journal, 0, 9), events);
        assert_eq!(starts[5] as u64, done.unwrap().unwrap().byte);
        edit(active, |bytes| bytes[starts[1] + 30] ^= 1);
        let (events, done) = dumped(&journal, Some(5), None);
        assert_eq!(expected(&journal, 5, 5), events);
        assert!(matches!(done, Err(DumpError::Damaged { offset: 6, .. })));
    }

    #[test]
    fn a_missing_segment_and_what_is_gone_are_said() {
        let mut journal = TestJournal::of_two_segments();
        let middle = journal.rotate();
        journal.group(1);
        std::fs::remove_file(middle).unwrap();
        let (events, done) = dumped(&journal, None, None);
        assert_eq!(expected(&journal, 0, 4), events);
        assert!(
            matches!(
                done,
                Err(DumpError::Missing {
                    expected: 5,
                    found: 11,
                    ..
                })
            ),
            "{done:?}"
        );
        std::fs::remove_file(journal.files.full(0)).unwrap();
        assert!(matches!(
            dumped(&journal, Some(10), None).1,
            Err(DumpError::TooOld(11))
        ));
        assert_eq!(expected(&journal, 11, 99), dumped(&journal, None, None).0);
    }
}
