//! One file: what is on disk, what was written since the last sync, and what a reader sees.

use crate::fate::{Fate, Fates, Mood};
use crate::random::Random;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Default)]
pub(crate) struct File {
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// `durable` with all of `pending` applied: the page cache.
    visible: Vec<u8>,
}

#[derive(Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Resize { length: usize },
}

impl File {
    pub(crate) fn len(&self) -> usize {
        self.visible.len()
    }

    /// At most `length` bytes; fewer at the end of the file.
    pub(crate) fn read(&self, position: usize, length: usize) -> &[u8] {
        let start = position.min(self.len());
        let end = position.saturating_add(length).min(self.len());
        &self.visible[start..end]
    }

    pub(crate) fn write(&mut self, position: usize, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.change(Change::Write { position, bytes });
    }

    pub(crate) fn resize(&mut self, length: usize) {
        self.change(Change::Resize { length });
    }

    /// A write that the disk refused: some of its sectors may have been written.
    pub(crate) fn write_failed(&mut self, position: usize, bytes: &[u8], random: &mut Random) {
        // What lies beyond the end is not torn: the file does not grow by a write that failed.
        let end = bytes.len().min(self.len().saturating_sub(position));
        for (at, sector) in sectors(position, &bytes[..end]) {
            if random.coin() {
                self.write(at, sector);
            }
        }
    }

    /// Everything written so far is on disk when this returns.
    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
        debug_assert!(self.durable == self.visible);
    }

    /// A sync that the disk refused: each write is on disk, or lost for good and out of the reader's sight, or waits
    /// for the next sync as before.
    pub(crate) fn sync_failed(&mut self, random: &mut Random) {
        let mut still_pending = Vec::new();
        for change in self.pending.drain(..) {
            match random.below(3) {
                0 => change.apply(&mut self.durable),
                1 => {}
                _ => still_pending.push(change),
            }
        }
        self.pending = still_pending;
        self.visible.clone_from(&self.durable);
        for change in &self.pending {
            change.apply(&mut self.visible);
        }
    }

    /// What is on disk after the power failed becomes all there is. Each write since the last sync draws its fate,
    /// so that a later one may survive an earlier.
    pub(crate) fn lose_power(&mut self, random: &mut Random, fates: &mut Fates) {
        let mood = Mood::draw(random);
        for change in self.pending.drain(..) {
            let fate = change.apply_in_part(&mut self.durable, mood.fate(random), random);
            fates.count(fate);
        }
        let grew = self.visible.len() > self.durable.len();
        if grew && random.coin() {
            // The size reached the disk, the bytes did not.
            self.durable.resize(self.visible.len(), 0);
        }
        self.visible.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }
}

impl Change {
    fn apply(&self, target: &mut Vec<u8>) {
        match self {
            Change::Write { position, bytes } => put(target, *position, bytes),
            Change::Resize { length } => target.resize(*length, 0),
        }
    }

    /// Applies what `fate` leaves of this change; returns the fate that it had, since only a write can be torn.
    fn apply_in_part(&self, target: &mut Vec<u8>, fate: Fate, random: &mut Random) -> Fate {
        match (fate, self) {
            (Fate::Dropped, _) => {}
            (Fate::Torn, Change::Write { position, bytes }) => {
                for (at, sector) in sectors(*position, bytes) {
                    if random.coin() {
                        put(target, at, sector);
                    }
                }
            }
            (Fate::Flipped, Change::Write { position, bytes }) if !bytes.is_empty() => {
                let mut damaged = bytes.clone();
                damaged[any_changed(target, *position, bytes, random)] ^= 1 << random.below(8);
                put(target, *position, &damaged);
            }
            _ => {
                self.apply(target);
                return Fate::Kept;
            }
        }
        fate
    }
}

/// Writes `bytes` at `position`; what lies between the end and there becomes zeros.
fn put(target: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[position..end].copy_from_slice(bytes);
}

/// Where to damage a write: in a byte that it changes, where there is one.
fn any_changed(target: &[u8], position: usize, bytes: &[u8], random: &mut Random) -> usize {
    let is_changed = |at: &usize| target.get(position + at) != Some(&bytes[*at]);
    let changed: Vec<usize> = (0..bytes.len()).filter(is_changed).collect();
    match changed.is_empty() {
        true => random.below(bytes.len()),
        false => changed[random.below(changed.len())],
    }
}

/// The parts of a write that fall into different sectors, each with its position.
fn sectors(position: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = position + done;
        let length = (SECTOR - at % SECTOR).min(bytes.len() - done);
        let part = &bytes[done..done + length];
        done += length;
        (!part.is_empty()).then_some((at, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 500;

    /// Two sectors of old bytes on disk, overwritten with new ones that were not synced.
    fn overwritten() -> File {
        let mut file = File::default();
        file.write(0, &[b'o'; 2 * SECTOR]);
        file.sync();
        file.write(0, &[b'n'; 2 * SECTOR]);
        file
    }

    fn after_power_loss(mut file: File, seed: u64) -> Vec<u8> {
        file.lose_power(&mut Random::new(seed), &mut Fates::default());
        assert_eq!(file.visible, file.durable);
        assert!(file.pending.is_empty());
        file.visible
    }

    fn occurs(outcome: impl Fn(u64) -> bool) -> bool {
        (0..SEEDS).any(outcome)
    }

    #[test]
    fn what_was_synced_survives_every_power_loss() {
        for seed in 0..SEEDS {
            let mut file = overwritten();
            file.sync();
            assert_eq!(after_power_loss(file, seed), [b'n'; 2 * SECTOR]);
        }
    }

    #[test]
    fn what_was_not_synced_is_kept_dropped_torn_or_damaged_by_a_bit() {
        let old_sector = [b'o'; SECTOR].as_slice();
        let new_sector = [b'n'; SECTOR].as_slice();
        for expected in [
            [new_sector, new_sector],
            [old_sector, old_sector],
            [old_sector, new_sector],
            [new_sector, old_sector],
        ] {
            assert!(occurs(
                |seed| after_power_loss(overwritten(), seed) == expected.concat()
            ));
        }
        let flipped_bits =
            |bytes: Vec<u8>| -> u32 { bytes.iter().map(|byte| (byte ^ b'n').count_ones()).sum() };
        assert!(occurs(|seed| flipped_bits(after_power_loss(
            overwritten(),
            seed
        )) == 1));
    }

    #[test]
    fn a_later_write_may_survive_an_earlier_one() {
        let outcome = |seed| {
            let mut file = File::default();
            file.write(0, &[b'-'; 2 * SECTOR]);
            file.sync();
            file.write(0, b"first");
            file.write(SECTOR, b"second");
            after_power_loss(file, seed)
        };
        assert!(occurs(|seed| {
            let bytes = outcome(seed);
            bytes.starts_with(b"-----") && bytes[SECTOR..].starts_with(b"second")
        }));
    }

    #[test]
    fn a_file_that_grew_is_as_short_as_before_or_grown_by_zeros_or_by_its_bytes() {
        let outcome = |seed| {
            let mut file = File::default();
            file.write(0, b"old");
            file.sync();
            file.write(3, b"new");
            after_power_loss(file, seed)
        };
        for expected in [b"old".as_slice(), b"old\0\0\0", b"oldnew"] {
            assert!(occurs(|seed| outcome(seed) == expected));
        }
    }

    #[test]
    fn a_file_that_was_cut_may_come_back_whole() {
        let outcome = |seed| {
            let mut file = File::default();
            file.write(0, b"content");
            file.sync();
            file.resize(0);
            assert_eq!(file.read(0, 10), b"");
            after_power_loss(file, seed)
        };
        assert!(occurs(|seed| outcome(seed) == b"content"));
        assert!(occurs(|seed| outcome(seed).is_empty()));
    }

    #[test]
    fn a_write_lost_by_a_failed_sync_is_not_made_durable_by_the_next() {
        let outcome = |seed| {
            let mut file = overwritten();
            file.sync_failed(&mut Random::new(seed));
            let seen = file.read(0, 1).to_vec();
            file.sync();
            assert_eq!(file.read(0, 1), seen, "a sync changes nothing that is seen");
            after_power_loss(file, seed)[0]
        };
        assert!(occurs(|seed| outcome(seed) == b'o'));
        assert!(occurs(|seed| outcome(seed) == b'n'));
    }

    #[test]
    fn a_write_may_still_wait_after_a_failed_sync() {
        assert!(occurs(|seed| {
            let mut file = overwritten();
            file.sync_failed(&mut Random::new(seed));
            !file.pending.is_empty()
        }));
    }

    #[test]
    fn a_failed_write_may_leave_some_of_its_sectors_and_does_not_grow_the_file() {
        let outcome = |seed| {
            let mut file = File::default();
            file.write(0, &[b'o'; 2 * SECTOR]);
            file.sync();
            file.write_failed(SECTOR, &[b'n'; 2 * SECTOR], &mut Random::new(seed));
            assert_eq!(file.len(), 2 * SECTOR);
            assert_eq!(file.read(0, 1), b"o");
            file.read(SECTOR, 1).to_vec()
        };
        assert!(occurs(|seed| outcome(seed) == b"n"));
        assert!(occurs(|seed| outcome(seed) == b"o"));
    }
}
