//! A queue of entries that are numbered in the order in which they came. It grows by a chunk at a time: nothing is copied,
//! so that no request waits for one large move.

use std::collections::VecDeque;

use super::Entry;

/// Entries of a chunk, some 90 KB.
const CHUNK_ENTRIES: usize = 1024;

/// The entries that are remembered.
#[derive(Debug, Default)]
pub struct Entries {
    /// All but the first and the last are full.
    chunks: VecDeque<VecDeque<Entry>>,
    /// An emptied chunk, taken before a new one is made.
    spare: Option<VecDeque<Entry>>,
    /// The number of the oldest.
    first: u64,
    len: usize,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number that the next entry gets.
    pub fn next(&self) -> u64 {
        self.first + self.len as u64
    }

    /// The entry with a number that is still remembered.
    pub fn get(&self, number: u64) -> &Entry {
        // The first chunk is counted as if nothing had left it.
        let gone = (self.first % CHUNK_ENTRIES as u64) as usize;
        let place = (number - self.first) as usize + gone;
        match place / CHUNK_ENTRIES {
            0 => &self.chunks[0][place - gone],
            chunk => &self.chunks[chunk][place % CHUNK_ENTRIES],
        }
    }

    pub fn front(&self) -> Option<&Entry> {
        self.chunks.front()?.front()
    }

    pub fn back(&self) -> Option<&Entry> {
        self.chunks.back()?.back()
    }

    pub fn push(&mut self, entry: Entry) {
        if self.next().is_multiple_of(CHUNK_ENTRIES as u64) {
            let spare = self.spare.take();
            let chunk = spare.unwrap_or_else(|| VecDeque::with_capacity(CHUNK_ENTRIES));
            self.chunks.push_back(chunk);
        }
        let last = self.chunks.back_mut().expect("the first has number 0");
        last.push_back(entry);
        self.len += 1;
    }

    /// Takes the oldest out. Returns its number with it.
    pub fn pop(&mut self) -> Option<(u64, Entry)> {
        let number = self.first;
        let entry = self.chunks.front_mut()?.pop_front()?;
        self.first += 1;
        self.len -= 1;
        if self.first.is_multiple_of(CHUNK_ENTRIES as u64) {
            self.spare = self.chunks.pop_front();
        }
        Some((number, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn at(entry: &Entry) -> u64 {
        entry.receipt.at.0
    }

    #[test]
    fn entries_keep_their_numbers_through_chunks_that_come_and_go() {
        const LENGTHS: [usize; 6] = [
            1,
            CHUNK_ENTRIES - 1,
            CHUNK_ENTRIES,
            CHUNK_ENTRIES + 1,
            3 * CHUNK_ENTRIES + 7,
            0,
        ];
        let mut entries = Entries::default();
        let mut oldest = 0;
        for length in LENGTHS.into_iter().cycle().take(30) {
            while entries.len() < length {
                let number = entries.next();
                entries.push(entry("k", number));
            }
            while entries.len() > length {
                let (number, popped) = entries.pop().unwrap();
                assert_eq!((oldest, oldest), (number, at(&popped)));
                oldest += 1;
            }
            assert_eq!(length, entries.len());
            assert_eq!((length > 0).then_some(oldest), entries.front().map(at));
            let latest = entries.next().checked_sub(1).filter(|_| length > 0);
            assert_eq!(latest, entries.back().map(at));
            for number in oldest..entries.next() {
                assert_eq!(number, at(entries.get(number)));
            }
        }
        assert!(entries.pop().is_none());
    }
}
