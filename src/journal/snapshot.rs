//! The snapshot file, `DATA_PATH`: every product, and the versions of deleted ones, up to an offset.
//!
//! ```text
//! {"products":{"PROD-001":{...},...},
//!  "tombstones":{"PROD-007":12,...},
//!  "metadata":{"formatVersion":1,"lastOffset":1286,"productCount":100}}
//! ```
//!
//! A catalogue to start from has the same form without `lastOffset` and `tombstones`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shards::{Product, QUANTITY_MAX};

use super::directory;
use super::format::ProductJson;
use crate::{encoding, rules};

/// The version of this form. A snapshot with a greater one was written by a later program and is refused.
const FORMAT_VERSION: u64 = 1;

/// A snapshot in memory.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The products that exist.
    pub products: Vec<Product>,
    /// The ids and last versions of those deleted.
    pub tombstones: Vec<(Box<str>, u64)>,
    /// The first offset that it does not cover.
    pub next_offset: u64,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
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
    products: HashMap<Cow<'a, str>, ProductJson<'a>>,
    #[serde(borrow, default)]
    tombstones: HashMap<Cow<'a, str>, u64>,
    #[serde(default)]
    metadata: MetadataJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MetadataJson {
    format_version: Option<u64>,
    last_offset: Option<u64>,
}

/// Reads the snapshot at `path`; none if there is no file.
pub fn read(path: &Path) -> Result<Option<Snapshot>, SnapshotError> {
    match fs::read(path) {
        Ok(json) => parse(&json).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a snapshot or a catalogue.
pub fn parse(json: &[u8]) -> Result<Snapshot, SnapshotError> {
    if encoding::nests_deeper_than(json, encoding::DEPTH_MAX) {
        return Err(SnapshotError::Form("it nests too deep".to_owned()));
    }
    let json: SnapshotJson<'_> =
        sonic_rs::from_slice(json).map_err(|error| SnapshotError::Form(error.to_string()))?;
    if let Some(version) = json.metadata.format_version.filter(|v| *v > FORMAT_VERSION) {
        return Err(SnapshotError::Version(version));
    }
    let mut products = Vec::with_capacity(json.products.len());
    for (id, product) in json.products {
        products.push(checked(&id, product)?);
    }
    Ok(Snapshot {
        products,
        tombstones: json
            .tombstones
            .into_iter()
            .map(|(id, version)| (id.into(), version))
            .collect(),
        next_offset: next_offset(json.metadata.last_offset)?,
    })
}

fn next_offset(last: Option<u64>) -> Result<u64, SnapshotError> {
    match last {
        None => Ok(0),
        Some(last) if last < QUANTITY_MAX => Ok(last + 1),
        Some(last) => Err(SnapshotError::Form(format!(
            "lastOffset {last} is beyond every offset"
        ))),
    }
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

/// Writes `snapshot` to `path` so that a crash at any moment leaves either the old file or the whole new one.
pub fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let aside = aside(path);
    let mut out = BufWriter::new(File::create(&aside)?);
    write_json(&mut out, snapshot)?;
    out.into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    fs::rename(&aside, path)?;
    directory::sync_directory(directory::parent(path))
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write_json(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let mut piece = Vec::new();
    out.write_all(b"{\"products\":{")?;
    for (i, product) in snapshot.products.iter().enumerate() {
        piece.clear();
        piece.extend_from_slice(if i == 0 { b"\n" } else { b",\n" });
        encoding::string(&mut piece, &product.id);
        piece.push(b':');
        encoding::product(&mut piece, product);
        out.write_all(&piece)?;
    }
    out.write_all(b"\n},\"tombstones\":{")?;
    for (i, (id, version)) in snapshot.tombstones.iter().enumerate() {
        piece.clear();
        piece.extend_from_slice(if i == 0 { b"\n" } else { b",\n" });
        encoding::string(&mut piece, id);
        piece.push(b':');
        encoding::integer(&mut piece, *version);
        out.write_all(&piece)?;
    }
    let count = snapshot.products.len();
    write!(
        out,
        "\n}},\"metadata\":{{\"formatVersion\":{FORMAT_VERSION},\"productCount\":{count}"
    )?;
    if let Some(last) = snapshot.next_offset.checked_sub(1) {
        write!(out, ",\"lastOffset\":{last}")?;
    }
    out.write_all(b"}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::{Price, Ticket, Timestamp};

    #[test]
    fn a_snapshot_reads_back_as_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inventory.json");
        assert!(read(&path).unwrap().is_none());
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
            next_offset: 12,
        };
        write(&path, &snapshot).unwrap();
        let back = read(&path).unwrap().unwrap();
        assert_eq!(vec![product], back.products);
        assert_eq!(snapshot.tombstones, back.tombstones);
        assert_eq!(12, back.next_offset);
    }

    #[test]
    fn what_is_wrong_with_a_catalogue_is_said() {
        let check = |json: &str, expected: &str| {
            let error = parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[", "not a snapshot");
        check(
            r#"{"products":{},"metadata":{"formatVersion":2}}"#,
            "format version is 2",
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
