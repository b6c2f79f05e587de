//! The snapshot file, `DATA_PATH`: every product, and the versions of deleted ones.
//!
//! ```text
//! {"products":{
//! "PROD-001":{...},
//! ...
//! },"tombstones":{
//! "PROD-007":12,...
//! },"metadata":{"formatVersion":1,"productCount":100,"lastOffset":1286,"endOffset":1290,
//!               "latestTimestamp":"...","keptFrom":0,"segments":[{"firstOffset":0,"latestTimestamp":"..."},...],
//!               "crc32c":"9ae0daaf"}}
//!                         └ of all bytes before `,"crc32c"`
//! ```
//!
//! It is made while changes go on. It holds every change up to `lastOffset`, and may hold later ones, all below
//! `endOffset`: each id as it was when its turn came. The journal is kept from `keptFrom` on; a segment that begins
//! before may go. `segments` are the full segments from there on that it covers, each with the time of its latest
//! change. The segment that was active is not among them, also if it holds nothing that is not covered.
//!
//! A catalogue to start from has the same form without `tombstones` and with less `metadata`, or none.

mod encoder;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use shards::{Known, Product, QUANTITY_MAX, Timestamp, VERSION_MAX};

pub use encoder::{Encoder, Part, encode};

use super::directory::Files;
use super::format;
use super::line::ProductJson;
use crate::faults::{self, Fault};
use crate::runtime::disk::{DiskFile, Open};
use crate::{encoding, rules};

/// The version of this form. A snapshot with a greater one was written by a later program and is refused.
const FORMAT_VERSION: u64 = 1;
/// A snapshot is written and synced in pieces of this size, so that a sync of the journal beside it never waits for
/// more than a piece.
const PIECE_BYTES: usize = 1 << 20;
const CHECKSUM: &[u8] = b",\"crc32c\":\"";

/// A snapshot in memory.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The products that exist.
    pub products: Vec<Product>,
    /// The ids and last versions of those deleted.
    pub tombstones: Vec<(Box<str>, u64)>,
    /// What it says of the journal.
    pub coverage: Coverage,
}

impl Snapshot {
    /// All that it holds, products first.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        let tombstones = self.tombstones.iter();
        let products = self.products.iter().map(Known::Stands);
        products.chain(tombstones.map(|(id, version)| Known::Gone(id, *version)))
    }
}

/// What a snapshot says of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The first offset that it need not hold.
    pub next_offset: u64,
    /// The first offset that it cannot hold; at least `next_offset`.
    pub end_offset: u64,
    /// No change that it holds is later; 0 where it says nothing.
    pub latest_at: Timestamp,
    /// The first offset of the oldest segment that is kept.
    pub kept_from: u64,
    /// The full segments below `next_offset` that are kept, oldest first. None where it says nothing of segments.
    pub segments: Option<Vec<FullSegment>>,
}

/// A full segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullSegment {
    /// Its first offset.
    pub first_offset: u64,
    /// The time of its latest change.
    pub latest_at: Timestamp,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It is not what was written.
    #[error("damaged: its checksum does not match. Restore the file from a copy.")]
    Checksum,
    /// It is not JSON of this form.
    #[error("it is not a snapshot or a catalogue: {0}")]
    Form(String),
    /// A product breaks a rule.
    #[error("product {id:?}: {member} {problem}")]
    Product {
        /// The product.
        id: String,
        /// The member at fault.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is of a later version.
    #[error(
        "its format version is {0}, this program knows versions up to {FORMAT_VERSION}: use a later program"
    )]
    Version(u64),
}

#[derive(Deserialize)]
struct SnapshotJson<'a> {
    #[serde(borrow)]
    products: Members<'a, ProductJson<'a>>,
    #[serde(borrow, default)]
    tombstones: Members<'a, u64>,
    #[serde(default)]
    metadata: MetadataJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MetadataJson {
    format_version: Option<u64>,
    last_offset: Option<u64>,
    end_offset: Option<u64>,
    latest_timestamp: Option<String>,
    kept_from: Option<u64>,
    segments: Option<Vec<SegmentJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SegmentJson {
    first_offset: u64,
    latest_timestamp: String,
}

/// The members of an object in the order in which they stand.
struct Members<'a, V>(Vec<(Cow<'a, str>, V)>);

impl<V> Default for Members<'_, V> {
    fn default() -> Self {
        Members(Vec::new())
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Members<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<'a, V>(PhantomData<Members<'a, V>>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for MembersVisitor<'a, V> {
            type Value = Members<'a, V>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// Reads the snapshot of `files`; none if there is no file.
pub fn read(files: &Files) -> Result<Option<Snapshot>, SnapshotError> {
    match read_bytes(files) {
        Ok(json) => parse(&json).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_bytes(files: &Files) -> io::Result<Vec<u8>> {
    let file = files.disk.open(&files.snapshot, Open::Read)?;
    let mut bytes = vec![0; file.size()? as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Reads a snapshot or a catalogue.
pub fn parse(json: &[u8]) -> Result<Snapshot, SnapshotError> {
    let is_ours = check_checksum(json)?;
    if encoding::nests_deeper_than(json, encoding::DEPTH_MAX) {
        return Err(SnapshotError::Form("it nests too deep".to_owned()));
    }
    let text =
        std::str::from_utf8(json).map_err(|_| SnapshotError::Form("it is not UTF-8".to_owned()))?;
    let json: SnapshotJson<'_> =
        sonic_rs::from_str(text).map_err(|error| SnapshotError::Form(error.to_string()))?;
    if let Some(version) = json.metadata.format_version.filter(|v| *v > FORMAT_VERSION) {
        return Err(SnapshotError::Version(version));
    }
    if !is_ours {
        check_ids_differ(&json)?;
    }
    let mut products = Vec::with_capacity(json.products.0.len());
    for (id, product) in json.products.0 {
        products.push(checked(&id, product)?);
    }
    let mut tombstones = Vec::with_capacity(json.tombstones.0.len());
    for (id, version) in json.tombstones.0 {
        check_tombstone(&id, version)?;
        tombstones.push((id.into(), version));
    }
    Ok(Snapshot {
        products,
        tombstones,
        coverage: coverage(json.metadata)?,
    })
}

/// Whether there is a checksum; an error if it does not match.
fn check_checksum(json: &[u8]) -> Result<bool, SnapshotError> {
    let Some(at) = memchr::memmem::rfind(json, CHECKSUM) else {
        return Ok(false);
    };
    let digits = json[at + CHECKSUM.len()..].get(..8);
    match digits == Some(&format::hex(crc32c::crc32c(&json[..at]))[..]) {
        true => Ok(true),
        false => Err(SnapshotError::Checksum),
    }
}

/// What a person wrote may name one product twice.
fn check_ids_differ(json: &SnapshotJson<'_>) -> Result<(), SnapshotError> {
    let products = json.products.0.iter().map(|(id, _)| id);
    let tombstones = json.tombstones.0.iter().map(|(id, _)| id);
    let mut ids: Vec<&Cow<'_, str>> = products.chain(tombstones).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(SnapshotError::Product {
            id: pair[0].to_string(),
            member: "productId",
            problem: "is there twice",
        }),
    }
}

fn coverage(metadata: MetadataJson) -> Result<Coverage, SnapshotError> {
    let form = |problem: String| Err(SnapshotError::Form(problem));
    let next_offset = match metadata.last_offset {
        None => 0,
        Some(last) if last < QUANTITY_MAX => last + 1,
        Some(last) => return form(format!("lastOffset {last} is beyond every offset")),
    };
    let end_offset = metadata.end_offset.unwrap_or(next_offset);
    if end_offset < next_offset {
        return form(format!("endOffset {end_offset} is not above lastOffset"));
    }
    let kept_from = metadata.kept_from.unwrap_or(0);
    let no_time = || SnapshotError::Form("a latestTimestamp is not a time".to_owned());
    let time_of = |text: &str| encoding::parse_timestamp(text).ok_or_else(no_time);
    let latest_at = metadata.latest_timestamp.as_deref().map(time_of);
    let latest_at = latest_at.transpose()?.unwrap_or_default();
    let Some(listed) = metadata.segments else {
        return Ok(Coverage {
            next_offset,
            end_offset,
            latest_at,
            kept_from,
            segments: None,
        });
    };
    let mut segments = Vec::with_capacity(listed.len());
    for segment in listed {
        segments.push(FullSegment {
            first_offset: segment.first_offset,
            latest_at: time_of(&segment.latest_timestamp)?,
        });
    }
    // As they are written; what a person wrote may stand in any order.
    segments.sort_by_key(|segment| segment.first_offset);
    Ok(Coverage {
        next_offset,
        end_offset,
        latest_at,
        kept_from,
        segments: Some(segments),
    })
}

fn checked(key: &str, product: ProductJson<'_>) -> Result<Product, SnapshotError> {
    let refuse = |member| {
        move |problem| SnapshotError::Product {
            id: key.to_owned(),
            member,
            problem,
        }
    };
    let product = product
        .into_product()
        .ok_or_else(|| refuse("its")("available, version, lastUpdated or price is out of range"))?;
    if *product.id != *key {
        return Err(refuse("productId")("is not the key it stands under"));
    }
    rules::product_id(&product.id).map_err(refuse("productId"))?;
    rules::name(&product.name).map_err(refuse("name"))?;
    rules::price(product.price.as_str()).map_err(refuse("price"))?;
    Ok(product)
}

fn check_tombstone(id: &str, version: u64) -> Result<(), SnapshotError> {
    let refuse = |member| {
        move |problem| SnapshotError::Product {
            id: id.to_owned(),
            member,
            problem,
        }
    };
    rules::product_id(id).map_err(refuse("productId"))?;
    match (1..=VERSION_MAX).contains(&version) {
        true => Ok(()),
        false => Err(refuse("its last version")("is out of range")),
    }
}

/// Writes a snapshot aside, part by part, and then lets it take its name. A crash, or giving up, at any moment
/// leaves the old file or the whole new one. Blocks.
pub struct Writer {
    files: Files,
    aside: PathBuf,
    file: Box<dyn DiskFile>,
    /// What is written of the file.
    written: u64,
    encoder: Encoder,
}

impl Writer {
    /// Begins a snapshot.
    pub fn create(files: &Files) -> io::Result<Writer> {
        let aside = files.snapshot_aside();
        let file = files.disk.open(&aside, Open::Create)?;
        Ok(Writer {
            files: files.clone(),
            aside,
            file,
            written: 0,
            encoder: Encoder::default(),
        })
    }

    /// Adds `part`, in memory.
    pub fn push(&mut self, part: &Part) {
        self.encoder.push(part);
    }

    /// Whether so much is in memory that it should be written.
    pub fn is_piece_full(&self) -> bool {
        self.encoder.is_piece_full()
    }

    /// Writes what is in memory, and makes it durable.
    pub fn flush(mut self) -> io::Result<Writer> {
        let piece = self.encoder.take_piece();
        self.write(&piece)?;
        Ok(self)
    }

    /// Completes the file and gives it its name. Everything below `coverage.end_offset` must be on disk. Returns
    /// its size in bytes.
    pub fn publish(mut self, coverage: &Coverage) -> io::Result<u64> {
        let last = std::mem::take(&mut self.encoder).finish(coverage);
        self.write(&last)?;
        let disk = &self.files.disk;
        disk.rename(&self.aside, &self.files.snapshot)?;
        disk.sync_directory(self.files.snapshot_directory())?;
        Ok(self.written)
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_at(self.written, piece)?;
        if !faults::is_planted(Fault::RenameSnapshotUnsynced) {
            self.file.sync()?;
        }
        self.written += piece.len() as u64;
        Ok(())
    }
}

/// Writes all of `snapshot` at once.
pub fn write(files: &Files, snapshot: &Snapshot) -> io::Result<u64> {
    let mut writer = Writer::create(files)?;
    let mut part = Part::default();
    for known in snapshot.known() {
        match known {
            Known::Stands(product) => part.push_product(product),
            Known::Gone(id, version) => part.push_tombstone(id, version),
        }
        if part.len_bytes() >= PIECE_BYTES {
            writer.push(&std::mem::take(&mut part));
            writer = writer.flush()?;
        }
    }
    writer.push(&part);
    writer.publish(&snapshot.coverage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::{Price, Ticket};

    #[test]
    fn a_snapshot_reads_back_as_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(
            directory.path().join("inventory.json"),
            directory.path().join("events.json"),
        );
        assert!(read(&files).unwrap().is_none());
        let product = Product {
            id: "a\"b".into(),
            name: "Ä".into(),
            price: Price::new("1.50"),
            available: 3,
            version: 2,
            updated_at: Timestamp(1_705_314_600_123),
            ticket: Ticket(0),
        };
        let snapshot = Snapshot {
            products: vec![product.clone()],
            tombstones: vec![("gone".into(), 9)],
            coverage: Coverage {
                next_offset: 12,
                end_offset: 14,
                latest_at: Timestamp(1_705_314_600_124),
                kept_from: 3,
                segments: Some(vec![FullSegment {
                    first_offset: 3,
                    latest_at: Timestamp(1_705_314_600_123),
                }]),
            },
        };
        let size = write(&files, &snapshot).unwrap();
        let back = read(&files).unwrap().unwrap();
        assert_eq!(vec![product], back.products);
        assert_eq!(snapshot.tombstones, back.tombstones);
        assert_eq!(snapshot.coverage, back.coverage);

        let whole = read_bytes(&files).unwrap();
        assert_eq!(size, whole.len() as u64);
        for at in 0..whole.len() - b"}}\n".len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            // Where the checksum's own name is hit there is none to compare with, and nothing else is wrong.
            if let Ok(read) = parse(&damaged) {
                assert_eq!(snapshot.coverage, read.coverage, "byte {at}");
                assert_eq!(back.products, read.products, "byte {at}");
                assert_eq!(back.tombstones, read.tombstones, "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_catalogue_is_said() {
        let check = |json: &str, expected: &str| {
            let error = parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[", "not a snapshot");
        let not_text = b"{\"products\":{\"a\":{\"price\":\"\xff\"}}}";
        assert!(parse(not_text).unwrap_err().to_string().contains("UTF-8"));
        check(
            r#"{"products":{},"metadata":{"formatVersion":2}}"#,
            "format version is 2",
        );
        check(
            r#"{"products":{},"metadata":{"lastOffset":5,"endOffset":5}}"#,
            "endOffset 5",
        );
        check(
            r#"{"products":{},"tombstones":{"a":1,"b":2,"a":3}}"#,
            "there twice",
        );
        let product = |id: &str, price: &str| {
            format!(
                r#"{{"products":{{"a":{{"productId":"{id}","name":"n","available":1,"version":1,"lastUpdated":"2024-01-15T10:30:00Z","price":{price}}}}}}}"#
            )
        };
        check(&product("b", "1"), "not the key");
        check(&product("a", "-1"), "price");
        check(&product("a", "\"1\""), "out of range");
        assert_eq!(
            1,
            parse(product("a", "1.0").as_bytes())
                .unwrap()
                .products
                .len()
        );
    }
}
