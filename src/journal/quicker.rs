//! Which way of making a group durable is the quicker one now: a sync that is part of the write, or one behind it. Pure.
//!
//! The first is one operation, done by a worker of the kernel's on the CPU that the disk interrupts; the second are two, the sync
//! by a worker on the executor's own CPU. Whose worker is kept waiting depends on what runs where: on most machines the first is
//! quicker by a tenth or more, but where the disk's CPU is busy for milliseconds on end it is three times as slow
//! (perf/experiments/2026-11-29-written-through-again). So both are measured: the one that was quicker of late is used, and now and
//! then the other.

use std::time::Duration;

/// How a group becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The sync is part of the write.
    Through,
    /// The sync follows the write.
    Behind,
}

/// Every so many groups the way that was slower of late has its turn: often enough to notice a change within a second under load,
/// seldom enough to cost hardly anything.
const TRY_EVERY: u32 = 32;
/// By this part of itself a median of late goes up where a group took longer, and down where it did not: one that stood still, since
/// the disk or the machine did, counts as any other.
const STEP: f64 = 1.0 / 32.0;

/// Chooses between the ways, by the median of what groups took of late, in seconds.
#[derive(Debug, Default)]
pub struct Quicker {
    groups: u32,
    through: Option<f64>,
    behind: Option<f64>,
}

impl Quicker {
    /// The way of the next group.
    pub fn choose(&mut self) -> Way {
        self.groups = self.groups.wrapping_add(1);
        let quicker = match (self.through, self.behind) {
            (None, _) => return Way::Through,
            (_, None) => return Way::Behind,
            (Some(through), Some(behind)) if behind < through => Way::Behind,
            _ => Way::Through,
        };
        match (quicker, self.groups.is_multiple_of(TRY_EVERY)) {
            (Way::Through, true) => Way::Behind,
            (Way::Behind, true) => Way::Through,
            (quicker, false) => quicker,
        }
    }

    /// A group that went that way was durable after `took`.
    pub fn took(&mut self, way: Way, took: Duration) {
        let median = match way {
            Way::Through => &mut self.through,
            Way::Behind => &mut self.behind,
        };
        let took = took.as_secs_f64();
        *median = Some(match *median {
            None => took,
            Some(median) if took > median => median * (1.0 + STEP),
            Some(median) => median * (1.0 - STEP),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many groups of `count` go through, where the ways take so many microseconds.
    fn through_of(quicker: &mut Quicker, count: u32, through: u64, behind: u64) -> u32 {
        let mut went_through = 0;
        for _ in 0..count {
            let way = quicker.choose();
            went_through += u32::from(way == Way::Through);
            let took = match way {
                Way::Through => through,
                Way::Behind => behind,
            };
            quicker.took(way, Duration::from_micros(took));
        }
        went_through
    }

    #[test]
    fn the_quicker_way_is_used_and_the_other_one_tried() {
        let mut quicker = Quicker::default();
        let tried = 3200 / TRY_EVERY;
        assert!(through_of(&mut quicker, 3200, 200, 250) >= 3200 - tried - 1);
        // A change is noticed after some tries.
        through_of(&mut quicker, 20 * TRY_EVERY, 3000, 1000);
        assert_eq!(tried, through_of(&mut quicker, 3200, 3000, 1000));
        through_of(&mut quicker, 100 * TRY_EVERY, 200, 250);
        assert_eq!(3200 - tried, through_of(&mut quicker, 3200, 200, 250));
    }

    #[test]
    fn a_group_that_stood_still_decides_nothing() {
        let mut quicker = Quicker::default();
        through_of(&mut quicker, 3200, 200, 250);
        quicker.took(Way::Through, Duration::from_millis(500));
        let tried = 320 / TRY_EVERY;
        assert_eq!(320 - tried, through_of(&mut quicker, 320, 200, 250));
    }
}
