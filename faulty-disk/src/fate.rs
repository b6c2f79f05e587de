//! What becomes of something that was not synced when the power fails, and how often each happened.

use std::fmt;
use std::ops::AddAssign;

use crate::random::Random;

/// The fate of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Dropped,
    /// Some sectors are new, some old.
    Torn,
    /// Kept, but for one bit of it.
    Flipped,
}

/// How much of a file's unsynced writes the disk happened to reach. Whole losses and whole survivals are common with
/// real disks and rare where every write draws for itself, so they are drawn first.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    AllKept,
    AllDropped,
    Mixed,
}

impl Mood {
    pub(crate) fn draw(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Mood::AllKept,
            1 => Mood::AllDropped,
            _ => Mood::Mixed,
        }
    }

    pub(crate) fn fate(self, random: &mut Random) -> Fate {
        match self {
            Mood::AllKept => Fate::Kept,
            Mood::AllDropped => Fate::Dropped,
            Mood::Mixed => match random.below(8) {
                0..=1 => Fate::Kept,
                2..=3 => Fate::Dropped,
                4..=5 => Fate::Torn,
                _ => Fate::Flipped,
            },
        }
    }
}

/// How many unsynced writes and changes of names met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Writes that survived whole.
    pub kept: usize,
    /// Writes that are gone.
    pub dropped: usize,
    /// Writes of which some sectors survived.
    pub torn: usize,
    /// Writes that survived but for one bit.
    pub flipped: usize,
    /// Names created, changed or removed that survived.
    pub names_kept: usize,
    /// Names created, changed or removed that are as before.
    pub names_dropped: usize,
}

impl Fates {
    pub(crate) fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Kept => self.kept += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Torn => self.torn += 1,
            Fate::Flipped => self.flipped += 1,
        }
    }
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.torn += other.torn;
        self.flipped += other.flipped;
        self.names_kept += other.names_kept;
        self.names_dropped += other.names_dropped;
    }
}

impl fmt::Display for Fates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "writes: {} kept, {} dropped, {} torn, {} flipped; names: {} kept, {} dropped",
            self.kept, self.dropped, self.torn, self.flipped, self.names_kept, self.names_dropped
        )
    }
}
