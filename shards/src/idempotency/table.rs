//! Where an entry is, by the hash of its identity. In parts that grow one by one, so that no request waits for the whole
//! table to be laid out anew: of 16,000,000 entries a part has 16,000.

use std::hint::black_box;

use hashbrown::hash_table::{Entry, HashTable};

use super::entries::Number;

/// Parts. A power of two.
const PARTS: usize = 1024;

/// A table of numbers.
#[derive(Debug)]
pub struct Table {
    parts: Box<[HashTable<Slot>]>,
}

/// With the half of its hash that its part does not follow from, so that a part that grows looks at nothing else.
#[derive(Clone, Copy, Debug)]
struct Slot {
    half: u32,
    number: Number,
}

impl Table {
    pub fn new() -> Table {
        Table {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
        }
    }

    /// The number that has `hash` and for which `is_it` says so. It may also be asked of others.
    pub fn find(&self, hash: u64, is_it: impl Fn(Number) -> bool) -> Option<Number> {
        let found = self.parts[part_of(hash)].find(spread(hash as u32), matches(hash, is_it));
        found.map(|slot| slot.number)
    }

    /// Reads what a search for `hash` begins with, so that it is near when that comes.
    pub fn look_ahead(&self, hash: u64) {
        let part = &self.parts[part_of(hash)];
        black_box(part.find(spread(hash as u32), |_| false));
    }

    /// Puts `number` in, in place of the one for which `is_it` says so, if there is one.
    pub fn insert(&mut self, hash: u64, number: Number, is_it: impl Fn(Number) -> bool) {
        let part = &mut self.parts[part_of(hash)];
        let half = hash as u32;
        match part.entry(spread(half), matches(hash, is_it), |slot| spread(slot.half)) {
            Entry::Occupied(mut slot) => slot.get_mut().number = number,
            Entry::Vacant(slot) => {
                slot.insert(Slot { half, number });
            }
        }
    }

    /// Takes `number` out, if it is in.
    pub fn remove(&mut self, hash: u64, number: Number) {
        let part = &mut self.parts[part_of(hash)];
        let is_it = matches(hash, |other| other == number);
        if let Ok(slot) = part.find_entry(spread(hash as u32), is_it) {
            slot.remove();
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(HashTable::is_empty)
    }
}

fn matches(hash: u64, is_it: impl Fn(Number) -> bool) -> impl Fn(&Slot) -> bool {
    move |slot| slot.half == hash as u32 && is_it(slot.number)
}

/// By the higher half: the lower one is what a part is searched by.
fn part_of(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}

/// Half of a hash as a whole one: a hash table looks at the lowest and the highest bits.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads numbers over all bits.
    fn hash(number: Number) -> u64 {
        spread(number).rotate_left(17)
    }

    #[test]
    fn numbers_are_found_replaced_and_gone() {
        let mut table = Table::new();
        for number in 0..100_000 {
            table.insert(hash(number), number, |_| false);
        }
        for number in 0..100_000 {
            let is_it = |other| other == number;
            assert_eq!(Some(number), table.find(hash(number), is_it));
            table.insert(hash(number), number + 1_000_000, is_it);
        }
        for number in 0..100_000 {
            table.remove(hash(number), number);
            let is_it = |other| other == number + 1_000_000;
            assert_eq!(Some(number + 1_000_000), table.find(hash(number), is_it));
            table.remove(hash(number), number + 1_000_000);
            assert_eq!(None, table.find(hash(number), is_it));
        }
        assert!(table.is_empty());
    }

    #[test]
    fn the_same_hash_does_not_make_the_same() {
        let mut table = Table::new();
        table.insert(7, 1, |_| false);
        table.insert(7, 2, |other| other == 2);
        assert_eq!(Some(1), table.find(7, |number| number == 1));
        assert_eq!(Some(2), table.find(7, |number| number == 2));
    }
}
