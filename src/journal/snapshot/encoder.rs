//! The bytes of a snapshot, piece by piece, wherever they go. Pure.

use std::io;

use shards::{Known, Product};

use super::{CHECKSUM, Coverage, FORMAT_VERSION, PIECE_BYTES};
use crate::encoding;
use crate::journal::format;

/// A run of products and tombstones, encoded.
#[derive(Debug, Default)]
pub struct Part {
    products: Vec<u8>,
    product_count: u64,
    tombstones: Vec<u8>,
}

impl Part {
    /// Adds a product.
    pub fn push_product(&mut self, product: &Product) {
        separate(&mut self.products);
        encoding::string(&mut self.products, &product.id);
        self.products.push(b':');
        encoding::product(&mut self.products, product);
        self.product_count += 1;
    }

    /// Adds the last version of a deleted product.
    pub fn push_tombstone(&mut self, id: &str, version: u64) {
        separate(&mut self.tombstones);
        encoding::string(&mut self.tombstones, id);
        self.tombstones.push(b':');
        encoding::integer(&mut self.tombstones, version);
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.products.len() + self.tombstones.len()
    }
}

fn separate(members: &mut Vec<u8>) {
    members.extend_from_slice(if members.is_empty() { b"\n" } else { b",\n" });
}

/// Puts parts together, and adds the metadata and the checksum.
#[derive(Debug)]
pub struct Encoder {
    /// What is not taken yet.
    pending: Vec<u8>,
    /// Of what was taken.
    checksum: u32,
    product_count: u64,
    /// They follow the products.
    tombstones: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            pending: b"{\"products\":{".to_vec(),
            checksum: 0,
            product_count: 0,
            tombstones: Vec::new(),
        }
    }
}

impl Encoder {
    /// Adds `part`.
    pub fn push(&mut self, part: &Part) {
        if self.product_count > 0 && part.product_count > 0 {
            self.pending.push(b',');
        }
        self.pending.extend_from_slice(&part.products);
        self.product_count += part.product_count;
        if !self.tombstones.is_empty() && !part.tombstones.is_empty() {
            self.tombstones.push(b',');
        }
        self.tombstones.extend_from_slice(&part.tombstones);
    }

    /// Whether so much is in memory that it should be taken.
    pub fn is_piece_full(&self) -> bool {
        self.pending.len() >= PIECE_BYTES
    }

    /// The next bytes.
    pub fn take_piece(&mut self) -> Vec<u8> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.pending);
        std::mem::take(&mut self.pending)
    }

    /// The last bytes.
    pub fn finish(mut self, coverage: &Coverage) -> Vec<u8> {
        self.pending.extend_from_slice(b"\n},\"tombstones\":{");
        self.pending.append(&mut self.tombstones);
        encode_metadata(&mut self.pending, self.product_count, coverage);
        let mut last = self.take_piece();
        last.extend_from_slice(CHECKSUM);
        last.extend_from_slice(&format::hex(self.checksum));
        last.extend_from_slice(b"\"}}\n");
        last
    }
}

/// Encodes a whole snapshot of `known` and hands each piece to `put`.
pub fn encode<'a>(
    known: impl Iterator<Item = Known<'a>>,
    coverage: &Coverage,
    put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut encoder, mut part) = (Encoder::default(), Part::default());
    for known in known {
        match known {
            Known::Stands(product) => part.push_product(product),
            Known::Gone(id, version) => part.push_tombstone(id, version),
        }
        if part.len_bytes() >= PIECE_BYTES {
            encoder.push(&std::mem::take(&mut part));
            put(&encoder.take_piece())?;
        }
    }
    encoder.push(&part);
    put(&encoder.finish(coverage))
}

fn encode_metadata(out: &mut Vec<u8>, product_count: u64, coverage: &Coverage) {
    out.extend_from_slice(b"\n},\"metadata\":{\"formatVersion\":");
    encoding::integer(out, FORMAT_VERSION);
    out.extend_from_slice(b",\"productCount\":");
    encoding::integer(out, product_count);
    if let Some(last) = coverage.next_offset.checked_sub(1) {
        out.extend_from_slice(b",\"lastOffset\":");
        encoding::integer(out, last);
    }
    out.extend_from_slice(b",\"endOffset\":");
    encoding::integer(out, coverage.end_offset);
    out.extend_from_slice(b",\"latestTimestamp\":");
    encoding::timestamp(out, coverage.latest_at);
    out.extend_from_slice(b",\"keptFrom\":");
    encoding::integer(out, coverage.kept_from);
    let Some(segments) = &coverage.segments else {
        return;
    };
    out.extend_from_slice(b",\"segments\":[");
    for (i, segment) in segments.iter().enumerate() {
        let head: &[u8] = if i == 0 { b"{" } else { b",{" };
        out.extend_from_slice(head);
        out.extend_from_slice(b"\"firstOffset\":");
        encoding::integer(out, segment.first_offset);
        out.extend_from_slice(b",\"latestTimestamp\":");
        encoding::timestamp(out, segment.latest_at);
        out.push(b'}');
    }
    out.push(b']');
}
