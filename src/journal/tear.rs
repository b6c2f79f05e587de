//! Tells a torn tail, which was never acknowledged, from damage. Changes nothing.
//!
//! What cannot be read at the end of the active segment is torn, unless something behind it could only have been
//! written after it was on disk.

use std::io;

use super::line::Line;
use super::lines::Lines;
use crate::runtime::disk::DiskFile;
use crate::runtime::file::BLOCK;

/// The least that a disk writes whole.
const SECTOR: u64 = 512;

/// A place in the active segment where no line can be read that should be there.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The byte.
    pub at: u64,
    /// The byte after the last good line before it.
    pub valid_end: u64,
    /// The offset that should be there.
    pub expected: u64,
    /// The first offset that the snapshot cannot hold.
    pub shown_to: u64,
}

/// What begins at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never acknowledged, up to byte `end`.
    Torn {
        /// The byte after the last one that is not a newline.
        end: u64,
    },
    /// Acknowledged data is damaged, and why that is known.
    Damaged(&'static str),
}

/// Judges what begins at `place` of the active segment `file`.
pub fn judge(file: &dyn DiskFile, place: Place) -> io::Result<Verdict> {
    let damaged = |why| Ok(Verdict::Damaged(why));
    let expected = place.expected;
    if expected < place.shown_to {
        return damaged("and the snapshot says that it was on disk");
    }
    let mut end = place.at;
    let mut lines = Lines::from(file, place.at);
    while let Some((line_at, line)) = lines.next_line()? {
        end = line_at + line.len() as u64;
        let Ok(later) = Line::read(line) else {
            continue;
        };
        if later.batch > expected {
            return damaged("and later changes were written after it was on disk");
        }
        // Written when all before the damage was on disk, so what is damaged is the padding there.
        let follows = later.offset == expected || is_in_padding(place.at, place.valid_end);
        if later.batch == expected && follows {
            return damaged("in the padding behind a group that was on disk");
        }
        if later.offset < expected {
            return damaged("and what comes after it is there already");
        }
    }
    Ok(Verdict::Torn { end })
}

/// Whether byte `at` lies in the padding of the group that ends at `group_end`. In a group that goes on, the next
/// line begins right there; newlines behind it in the same sector were written with it, and to the end of the block
/// nothing else ever was. (At the end of a sector the next one may be lost, and tells nothing.)
fn is_in_padding(at: u64, group_end: u64) -> bool {
    let is_told = !group_end.is_multiple_of(SECTOR);
    is_told && at > group_end && at < group_end.next_multiple_of(BLOCK as u64)
}
