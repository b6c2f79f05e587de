//! The journal's lines, and the events that are served: the same bytes.
//!
//! ```text
//! {"offset":1001,"timestamp":...,"data":{...},"_":{"batch":990,"key":"...","crc32c":"9ae0daaf"}}\n
//!  └────────────── served bytes ─────────────┘     │         │     └ of the line before `,"crc32c"`
//!                                                  │         └ idempotency key, of updates
//!                                                  └ every earlier offset than this was on disk when the line was
//!                                                    written; with a sync per group, the group's first offset
//! ```
//!
//! A shard encodes what it knows ([`Changes`]); the sequencer adds the offset, the group and the checksum
//! ([`Group`]); [`super::line`] reads it back.

use std::ops::Range;

use serde::Deserialize;
use shards::{Identity, Product, Timestamp};

use crate::encoding;
use crate::runtime::file::BLOCK;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The stock changed by an update.
    InventoryUpdated,
    /// A product came into being.
    ProductCreated,
    /// A product is gone.
    ProductDeleted,
    /// Properties were set.
    ProductModified,
}

impl EventKind {
    /// In the order of their numbers.
    pub const ALL: [EventKind; 4] = [
        EventKind::InventoryUpdated,
        EventKind::ProductCreated,
        EventKind::ProductDeleted,
        EventKind::ProductModified,
    ];

    /// The kind whose `eventType` is `name`.
    pub fn by_name(name: &[u8]) -> Option<EventKind> {
        let mut kinds = EventKind::ALL.into_iter();
        kinds.find(|kind| kind.as_str().as_bytes() == name)
    }

    /// `eventType`
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::InventoryUpdated => "inventory_updated",
            EventKind::ProductCreated => "product_created",
            EventKind::ProductDeleted => "product_deleted",
            EventKind::ProductModified => "product_modified",
        }
    }
}

/// A change, before it has an offset.
#[derive(Debug)]
pub struct Change<'a> {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The product after it.
    pub product: &'a Product,
    /// For an update: who, under which key, and by how much.
    pub update: Option<(&'a Identity, i64)>,
}

/// Changes of one shard in the order decided, encoded but for what the sequencer adds.
///
/// ```text
///   ┌ served_len u32 ┬ private_len u32 ┬ served bytes ┬ private bytes ┐ ...
/// ```
#[derive(Debug, Default)]
pub struct Changes {
    bytes: Vec<u8>,
    count: u32,
    latest_at: Timestamp,
}

/// Room for a change of the usual size.
const CHANGE_BYTES_USUAL: usize = 384;

impl Changes {
    const HEADER: usize = 8;

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// When the latest of them took effect.
    pub fn latest_at(&self) -> Timestamp {
        self.latest_at
    }

    /// Makes room for `count` more of the usual size.
    pub fn reserve(&mut self, count: usize) {
        self.bytes
            .reserve(count * (Changes::HEADER + CHANGE_BYTES_USUAL));
    }

    /// Adds a change.
    pub fn push(&mut self, change: &Change<'_>) {
        self.reserve(1);
        let out = &mut self.bytes;
        let header_at = out.len();
        out.extend_from_slice(&[0; Changes::HEADER]);
        encode_served(out, change);
        let private_at = out.len();
        if let Some((identity, _)) = change.update {
            out.extend_from_slice(KEY);
            encoding::string(out, identity.key());
        }
        let served_len = (private_at - header_at - Changes::HEADER) as u32;
        let private_len = (out.len() - private_at) as u32;
        out[header_at..][..4].copy_from_slice(&served_len.to_le_bytes());
        out[header_at + 4..][..4].copy_from_slice(&private_len.to_le_bytes());
        self.count += 1;
        self.latest_at = self.latest_at.max(change.at);
    }

    /// The served and the private bytes of each change.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (header, after) = rest.split_at_checked(Changes::HEADER)?;
            let length = |at: usize| {
                u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes")) as usize
            };
            let (served, after) = after.split_at(length(0));
            let (private, after) = after.split_at(length(4));
            rest = after;
            Some((served, private))
        })
    }
}

fn encode_served(out: &mut Vec<u8>, change: &Change<'_>) {
    out.extend_from_slice(b"\"timestamp\":");
    encoding::timestamp(out, change.at);
    out.extend_from_slice(b",\"eventType\":\"");
    out.extend_from_slice(change.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"productId\":");
    encoding::string(out, &change.product.id);
    out.extend_from_slice(b",\"version\":");
    encoding::integer(out, change.product.version);
    out.extend_from_slice(b",\"data\":");
    encoding::product(out, change.product);
    if let Some((identity, delta)) = change.update {
        out.extend_from_slice(b",\"storeId\":");
        encoding::string(out, identity.store_id());
        out.extend_from_slice(b",\"delta\":");
        encoding::integer(out, delta);
    }
}

/// Events as they are served, joined by commas, and where each ends.
#[derive(Debug, Default)]
pub struct Events {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Events {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all of them.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the event whose JSON `write` appends.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_empty() {
            self.bytes.push(b',');
        }
        write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).expect("a group is far below 4 GiB");
        self.ends.push(end);
    }

    /// Adds all of `more` behind.
    pub fn append(&mut self, more: &Events) {
        for at in 0..more.len() {
            self.push(|out| out.extend_from_slice(more.range(at, at + 1)));
        }
    }

    /// The end of the longest range of events that begins with `from`, ends at `to` at the latest and has no event that
    /// begins `bytes` or more behind its first byte. It has one at least.
    pub fn end_within(&self, from: usize, to: usize, bytes: usize) -> usize {
        let start = self.start(from);
        let ends = &self.ends[from..to - 1];
        // One more for the comma between.
        from + 1 + ends.partition_point(|end| *end as usize + 1 - start < bytes)
    }

    /// Events `from..to` by position, joined by commas.
    pub fn range(&self, from: usize, to: usize) -> &[u8] {
        assert!(from < to && to <= self.len());
        &self.bytes[self.start(from)..self.ends[to - 1] as usize]
    }

    /// Where the event at that position begins.
    fn start(&self, at: usize) -> usize {
        // One more for the comma between.
        at.checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize + 1)
    }
}

/// Changes that are written and synced together.
#[derive(Debug)]
pub struct Group {
    first_offset: u64,
    batch: u64,
    latest_at: Timestamp,
    lines: Vec<u8>,
    /// Where the served bytes of each change stand in its lines, without the brace that ends them.
    served: Vec<Range<u32>>,
}

impl Group {
    /// An empty group whose first change will have `first_offset`. Its first byte is only written when all before
    /// offset `batch` is on disk.
    pub fn new(first_offset: u64, batch: u64) -> Group {
        Group::after(first_offset, batch, Written::default())
    }

    /// As [`Group::new`], with the memory of a group that was written.
    pub fn after(first_offset: u64, batch: u64, written: Written) -> Group {
        assert!(batch <= first_offset);
        let Written {
            mut blocks,
            mut served,
        } = written;
        blocks.clear();
        served.clear();
        Group {
            first_offset,
            batch,
            latest_at: Timestamp(0),
            lines: blocks,
            served,
        }
    }

    /// The offset of its first change.
    pub fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// The offset after its last change.
    pub fn end_offset(&self) -> u64 {
        self.first_offset + self.served.len() as u64
    }

    /// The bytes of its lines.
    pub fn len_bytes(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has no change.
    pub fn is_empty(&self) -> bool {
        self.served.is_empty()
    }

    /// Adds a change under the next offset, which took effect at `at` or earlier.
    pub fn push(&mut self, at: Timestamp, served: &[u8], private: &[u8]) {
        self.latest_at = self.latest_at.max(at);
        let offset = self.end_offset();
        let line_at = self.lines.len();
        let line = &mut self.lines;
        line.reserve(served.len() + private.len() + 96);
        line.extend_from_slice(b"{\"offset\":");
        encoding::integer(line, offset);
        line.push(b',');
        line.extend_from_slice(served);
        let end = |line: &[u8]| u32::try_from(line.len()).expect("a group is far below 4 GiB");
        self.served.push(line_at as u32..end(line));
        line.extend_from_slice(PRIVATE);
        encoding::integer(line, self.batch);
        line.extend_from_slice(private);
        let checksum = crc32c::crc32c(&line[line_at..]);
        line.extend_from_slice(CHECKSUM);
        line.extend_from_slice(&hex(checksum));
        line.extend_from_slice(LINE_END);
        line.push(b'\n');
    }

    /// The lines, padded with newlines to whole blocks, and the events to serve once they are on disk.
    pub fn seal(mut self) -> SealedGroup {
        let padded = self.lines.len().next_multiple_of(BLOCK);
        self.lines.resize(padded, b'\n');
        SealedGroup {
            end_offset: self.end_offset(),
            first_offset: self.first_offset,
            latest_at: self.latest_at,
            events: self.events(),
            blocks: self.lines,
            served: self.served,
        }
    }

    /// The events to serve, in no more memory than they take: the feed keeps them for long.
    fn events(&self) -> Events {
        let bytes: usize = self.served.iter().map(|served| served.len() + 2).sum();
        let mut events = Events {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(self.served.len()),
        };
        for served in &self.served {
            let served = &self.lines[served.start as usize..served.end as usize];
            events.push(|out| {
                out.extend_from_slice(served);
                out.push(b'}');
            });
        }
        events
    }
}

/// What is left of a group that was written: its memory, which the next needs.
#[derive(Debug, Default)]
pub struct Written {
    blocks: Vec<u8>,
    served: Vec<Range<u32>>,
}

impl SealedGroup {
    /// Takes it apart once it is on disk: its events, and the memory for another.
    pub fn into_events(self) -> (Events, Written) {
        let written = Written {
            blocks: self.blocks,
            served: self.served,
        };
        (self.events, written)
    }
}

/// A group ready to be written.
#[derive(Debug)]
pub struct SealedGroup {
    /// The offset of its first change.
    pub first_offset: u64,
    /// The offset after its last change.
    pub end_offset: u64,
    /// When the latest of its changes took effect.
    pub latest_at: Timestamp,
    /// What to write: whole blocks.
    pub blocks: Vec<u8>,
    /// What to serve.
    pub events: Events,
    served: Vec<Range<u32>>,
}

/// What stands between the served bytes and the mark.
pub(super) const PRIVATE: &[u8] = b",\"_\":{\"batch\":";
/// What stands before the idempotency key.
pub(super) const KEY: &[u8] = b",\"key\":";
/// What stands before the digits of the checksum.
pub(super) const CHECKSUM: &[u8] = b",\"crc32c\":\"";
/// How many they are.
pub(super) const CHECKSUM_DIGITS: usize = 8;
/// What stands behind them.
pub(super) const LINE_END: &[u8] = b"\"}}";

/// Eight hexadecimal digits.
pub fn hex(checksum: u32) -> [u8; CHECKSUM_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|i| DIGITS[(checksum >> (28 - 4 * i)) as usize & 0xf])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::line::Line;
    use shards::Price;

    fn product() -> Product {
        Product {
            id: "PROD-\"1\"".into(),
            name: "Ein Gerät,\"_\":{\"batch\":".into(),
            price: Price::new("10.50"),
            available: 8,
            version: 6,
            updated_at: Timestamp(1_705_314_600_123),
            ticket: shards::Ticket(0),
        }
    }

    #[test]
    fn a_range_ends_with_the_event_that_begins_before_so_many_bytes() {
        let mut events = Events::default();
        for event in ["aaaa", "bb", "c", "dddd"] {
            events.push(|out| out.extend_from_slice(event.as_bytes()));
        }
        for from in 0..4 {
            for to in from + 1..=4 {
                for bytes in 0..20 {
                    let end = events.end_within(from, to, bytes);
                    // The bytes of those before the one in question, and the comma.
                    let begins = |at: usize| events.range(from, at).len() + 1;
                    let expected = (from + 1..to).take_while(|at| begins(*at) < bytes).last();
                    let expected = expected.map_or(from + 1, |at| at + 1);
                    assert_eq!(expected, end, "{from}..{to} of {bytes} bytes");
                }
            }
        }
    }

    fn group_of(updates: usize) -> SealedGroup {
        let product = product();
        let identity = Identity::new("store-s1", &product.id, "key\n1");
        let mut changes = Changes::default();
        for _ in 0..updates {
            changes.push(&Change {
                kind: EventKind::InventoryUpdated,
                at: product.updated_at,
                product: &product,
                update: Some((&identity, -2)),
            });
        }
        let mut group = Group::new(1000, 1000);
        for (served, private) in changes.iter() {
            group.push(changes.latest_at(), served, private);
        }
        group.seal()
    }

    #[test]
    fn a_line_reads_back_as_what_was_written() {
        let group = group_of(2);
        assert_eq!(0, group.blocks.len() % BLOCK);
        let lines: Vec<&[u8]> = group
            .blocks
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .collect();
        assert_eq!(2, lines.len());
        let line = Line::read(lines[1]).unwrap();
        assert_eq!((1001, 1000), (line.offset, line.batch));
        assert_eq!(product(), line.product.view().to_product());
        let update = line.update.as_ref().unwrap();
        let identity = Identity::new("store-s1", "PROD-\"1\"", "key\n1");
        assert_eq!((identity, -2), (line.identity(update), update.delta));
        let event = [&lines[1][..line.served_end], b"}"].concat();
        assert_eq!(group.events.range(1, 2), event);
    }

    #[test]
    fn a_line_has_the_documented_shape() {
        let group = group_of(1);
        let line = group.blocks.split(|b| *b == b'\n').next().unwrap();
        let text = std::str::from_utf8(line).unwrap();
        let (head, checksum) = text.split_at(text.len() - 11);
        assert_eq!(
            head,
            r#"{"offset":1000,"timestamp":"2024-01-15T10:30:00.123Z","eventType":"inventory_updated","productId":"PROD-\"1\"","version":6,"data":{"productId":"PROD-\"1\"","name":"Ein Gerät,\"_\":{\"batch\":","available":8,"version":6,"lastUpdated":"2024-01-15T10:30:00.123Z","price":10.50},"storeId":"store-s1","delta":-2,"_":{"batch":1000,"key":"key\n1","crc32c":""#
        );
        assert!(checksum.ends_with("\"}}"), "{checksum}");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let group = group_of(1);
        let line = group.blocks.split(|b| *b == b'\n').next().unwrap();
        for bit in 0..line.len() * 8 {
            let mut damaged = line.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Line::read(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let group = group_of(1);
        let line = group.blocks.split(|b| *b == b'\n').next().unwrap();
        for len in 0..line.len() {
            assert!(Line::read(&line[..len]).is_err(), "{len} bytes");
        }
    }
}
