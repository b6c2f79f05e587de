//! A queue of entries that are numbered in the order in which they came. It grows by a chunk at a time: nothing is copied,
//! so that no request waits for one large move.
//!
//! ```text
//!   chunk:  rows [ r0, r1, r2 ... ]      of the same size each
//!           text "store-1p-1k-1store-2p-1k-2 ..."      the identity of each, to where its row says that it ends
//! ```

use std::collections::VecDeque;

use super::{Effect, Entry};
use crate::identity::IdentityRef;

/// Entries of a chunk: some 48 KB, and the text.
const CHUNK_ENTRIES: usize = 1024;

/// The lowest bits of the number of an entry. As many as can be remembered at a time are told apart by them.
pub type Number = u32;

/// The most entries at a time.
const ENTRIES_MAX: u64 = 1 << Number::BITS;

/// The entries that are remembered.
#[derive(Debug, Default)]
pub struct Entries {
    /// All but the last are full. What has left the first is still in it.
    chunks: VecDeque<Chunk>,
    /// An emptied chunk, taken before a new one is made.
    spare: Option<Chunk>,
    /// The number of the oldest.
    first: u64,
    len: u64,
}

#[derive(Debug, Default)]
struct Chunk {
    rows: Vec<Row>,
    text: String,
}

#[derive(Debug)]
struct Row {
    effect: Effect,
    text_end: u32,
    store_len: u8,
    product_len: u8,
}

// As many as updates of some minutes are kept.
const _: () = assert!(size_of::<Row>() == 48);

impl Chunk {
    /// An empty one, with room for as much text as `before` has.
    fn after(before: Option<&Chunk>, spare: Option<Chunk>) -> Chunk {
        let mut chunk = spare.unwrap_or_default();
        let text_bytes = before.map_or(0, |before| before.text.len());
        chunk.rows.clear();
        chunk.rows.reserve_exact(CHUNK_ENTRIES);
        chunk.text.clear();
        // What was needed for long keys is not kept for short ones.
        chunk.text.shrink_to(text_bytes.saturating_mul(2));
        chunk.text.reserve_exact(text_bytes);
        chunk
    }

    fn push(&mut self, identity: IdentityRef<'_>, effect: Effect) {
        let (text, store_len, product_len) = identity.parts();
        if self.text.capacity() - self.text.len() < text.len() {
            // By a little, since it was made for as much as the one before had.
            self.text.reserve_exact(text.len().max(self.text.len() / 8));
        }
        self.text.push_str(text);
        self.rows.push(Row {
            effect,
            text_end: u32::try_from(self.text.len()).expect("the edge bounds ids and keys"),
            store_len,
            product_len,
        });
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let row = &self.rows[at];
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.rows[before].text_end);
        let text = &self.text[start as usize..row.text_end as usize];
        Entry {
            identity: IdentityRef::of_parts(text, row.store_len, row.product_len),
            effect: &row.effect,
        }
    }
}

impl Entries {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// The number of the oldest.
    pub fn first(&self) -> Number {
        self.first as Number
    }

    /// The number that the next entry gets.
    pub fn next(&self) -> Number {
        (self.first + self.len) as Number
    }

    /// The entry with a number that is still remembered.
    pub fn get(&self, number: Number) -> Entry<'_> {
        let behind_first = number.wrapping_sub(self.first());
        let number = self.first + u64::from(behind_first);
        let chunk = chunk_of(number) - chunk_of(self.first);
        self.chunks[chunk as usize].entry(place_of(number))
    }

    pub fn front(&self) -> Option<Entry<'_>> {
        (self.len > 0).then(|| self.chunks[0].entry(place_of(self.first)))
    }

    /// # Panics
    /// If there are as many as can be told apart.
    pub fn push(&mut self, identity: IdentityRef<'_>, effect: Effect) {
        assert!(self.len < ENTRIES_MAX, "entries are told apart");
        if place_of(self.first + self.len) == 0 {
            let chunk = Chunk::after(self.chunks.back(), self.spare.take());
            self.chunks.push_back(chunk);
        }
        let last = self.chunks.back_mut().expect("the first has number 0");
        last.push(identity, effect);
        self.len += 1;
    }

    /// Forgets the oldest.
    ///
    /// # Panics
    /// If there is none.
    pub fn pop(&mut self) {
        assert!(self.len > 0, "there is one to forget");
        self.first += 1;
        self.len -= 1;
        if place_of(self.first) == 0 {
            self.spare = self.chunks.pop_front();
        }
    }
}

fn chunk_of(number: u64) -> u64 {
    number / CHUNK_ENTRIES as u64
}

fn place_of(number: u64) -> usize {
    (number % CHUNK_ENTRIES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::super::tests::effect;
    use super::*;
    use crate::Identity;

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
        // Numbers that end their bits on the way.
        let begin = ENTRIES_MAX - 2 * CHUNK_ENTRIES as u64;
        let mut entries = Entries {
            first: begin,
            ..Entries::default()
        };
        let mut oldest = begin;
        // Keys of many lengths: from none to some hundred bytes.
        let identity = |number: u64| {
            let key = "k".repeat((number * 7 % 300) as usize);
            Identity::new("store", &number.to_string(), &key)
        };
        let check = |number: u64, entry: Entry<'_>| {
            assert_eq!(number, entry.effect.receipt.at.0);
            assert_eq!(identity(number).view(), entry.identity);
        };
        for length in LENGTHS.into_iter().cycle().take(30) {
            while entries.len() < length {
                let number = oldest + entries.len() as u64;
                assert_eq!(number as Number, entries.next());
                entries.push(identity(number).view(), effect(number));
            }
            while entries.len() > length {
                check(oldest, entries.front().unwrap());
                entries.pop();
                oldest += 1;
            }
            assert_eq!(length, entries.len());
            assert_eq!(length == 0, entries.front().is_none());
            for number in oldest..oldest + length as u64 {
                check(number, entries.get(number as Number));
            }
        }
    }

    #[test]
    fn room_for_long_keys_is_not_kept_for_short_ones() {
        let mut entries = Entries::default();
        for key in ["k".repeat(400), "k".to_owned()] {
            for _ in 0..4 * CHUNK_ENTRIES {
                entries.push(Identity::new("s", "p", &key).view(), effect(0));
            }
            while entries.len() > CHUNK_ENTRIES {
                entries.pop();
            }
        }
        let room: usize = entries.chunks.iter().map(|c| c.text.capacity()).sum();
        assert!(room < 20 * CHUNK_ENTRIES, "{room} bytes");
    }
}
