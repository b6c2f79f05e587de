//! A line of the journal, read back: is it what was written, and what does it say?

use std::borrow::Cow;

use serde::Deserialize;
use shards::{Identity, Product, ProductView, Timestamp};

use super::canonical;
use super::format::{CHECKSUM, CHECKSUM_DIGITS, EventKind, KEY, LINE_END, PRIVATE, hex};
use crate::encoding;
use crate::faults::{self, Fault};

/// The checksum member and what follows it, without the newline.
const TRAILER_LEN: usize = CHECKSUM.len() + CHECKSUM_DIGITS + LINE_END.len();

/// A line read back. It borrows from the line what it can.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its offset.
    pub offset: u64,
    /// Every earlier offset than this was on disk when the line was written.
    pub batch: u64,
    /// When it took effect.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The product after it.
    pub product: LineProduct<'a>,
    /// For an update: who, under which key, and by how much.
    pub update: Option<LineUpdate<'a>>,
    /// Where the served bytes end; the event is those and a closing brace.
    pub served_end: usize,
}

/// The product of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct LineProduct<'a> {
    /// `productId`
    pub id: Cow<'a, str>,
    /// `name`
    pub name: Cow<'a, str>,
    /// `price`, digit for digit.
    pub price: Cow<'a, str>,
    /// `available`
    pub available: u64,
    /// `version`
    pub version: u64,
    /// `lastUpdated`
    pub updated_at: Timestamp,
}

/// What an update's line tells besides.
#[derive(Debug, PartialEq, Eq)]
pub struct LineUpdate<'a> {
    /// `storeId`
    pub store_id: Cow<'a, str>,
    /// The idempotency key.
    pub key: Cow<'a, str>,
    /// `delta`
    pub delta: i64,
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not end as a line ends.
    #[error("it is not a whole line of the journal")]
    Incomplete,
    /// It is not what was written.
    #[error("its checksum does not match")]
    Checksum,
    /// The checksum matches but the content makes no sense: not written by this program.
    #[error("its checksum matches but it is not a change that this version understands")]
    Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineJson<'a> {
    offset: u64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    event_type: EventKind,
    #[serde(borrow)]
    data: ProductJson<'a>,
    #[serde(borrow)]
    store_id: Option<Cow<'a, str>>,
    delta: Option<i64>,
    #[serde(rename = "_", borrow)]
    private: PrivateJson<'a>,
}

#[derive(Deserialize)]
struct PrivateJson<'a> {
    batch: u64,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

impl PrivateJson<'_> {
    /// Whether `tail`, behind the served bytes, is what is written for it: then what stands before is all that is
    /// served, and a whole event.
    fn is_as_written(&self, tail: &[u8]) -> bool {
        let mut written = PRIVATE.to_vec();
        encoding::integer(&mut written, self.batch);
        if let Some(key) = &self.key {
            written.extend_from_slice(KEY);
            encoding::string(&mut written, key);
        }
        written.extend_from_slice(CHECKSUM);
        tail.len() == written.len() + TRAILER_LEN - CHECKSUM.len() && tail.starts_with(&written)
    }
}

/// A product as it stands in the journal and in the snapshot.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductJson<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    available: u64,
    version: u64,
    #[serde(borrow)]
    last_updated: Cow<'a, str>,
    #[serde(borrow)]
    price: sonic_rs::LazyValue<'a>,
}

impl<'a> ProductJson<'a> {
    /// The product it says; none if a value makes no sense.
    pub fn into_product(self) -> Option<Product> {
        Some(self.into_line_product()?.view().to_product())
    }

    fn into_line_product(self) -> Option<LineProduct<'a>> {
        let digits = self.price.as_raw_str();
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let product = LineProduct {
            price: Cow::Owned(digits.to_owned()),
            id: self.product_id,
            name: self.name,
            available: self.available,
            version: self.version,
            updated_at: encoding::parse_timestamp(&self.last_updated)?,
        };
        (is_number && product.is_in_range()).then_some(product)
    }
}

impl LineProduct<'_> {
    /// Whether its numbers are ones that a shard can have.
    pub(super) fn is_in_range(&self) -> bool {
        self.available <= shards::QUANTITY_MAX && (1..=shards::VERSION_MAX).contains(&self.version)
    }

    /// The product.
    pub fn view(&self) -> ProductView<'_> {
        ProductView {
            id: &self.id,
            name: &self.name,
            price: &self.price,
            available: self.available,
            version: self.version,
            updated_at: self.updated_at,
        }
    }
}

impl<'a> Line<'a> {
    /// The served bytes of a line, without the closing brace.
    pub fn served(line: &[u8]) -> Result<&[u8], LineError> {
        check_frame(line)?;
        let served_end = memchr::memmem::rfind(line, PRIVATE).ok_or(LineError::Content)?;
        Ok(&line[..served_end])
    }

    /// Reads a line, without its newline.
    pub fn read(line: &'a [u8]) -> Result<Line<'a>, LineError> {
        check_frame(line)?;
        match canonical::read(line) {
            Some(read) => Ok(read),
            None => Line::read_json(line),
        }
    }

    /// Reads a line with whatever JSON can express: escapes, or members in another order.
    pub(crate) fn read_json(line: &'a [u8]) -> Result<Line<'a>, LineError> {
        let served_end = memchr::memmem::rfind(line, PRIVATE).ok_or(LineError::Content)?;
        if encoding::nests_deeper_than(line, encoding::DEPTH_MAX) {
            return Err(LineError::Content);
        }
        let text = std::str::from_utf8(line).map_err(|_| LineError::Content)?;
        let json: LineJson<'_> = sonic_rs::from_str(text).map_err(|_| LineError::Content)?;
        match json.private.is_as_written(&line[served_end..]) {
            true => line_from_json(json, served_end).ok_or(LineError::Content),
            false => Err(LineError::Content),
        }
    }

    /// The identity of the line's `update`.
    pub fn identity(&self, update: &LineUpdate<'_>) -> Identity {
        Identity::new(&update.store_id, &self.product.id, &update.key)
    }

    /// Whether its ids are short enough for an identity.
    pub(super) fn has_ids_in_range(&self) -> bool {
        let store_len = self.update.as_ref().map_or(0, |u| u.store_id.len());
        store_len.max(self.product.id.len()) <= Identity::ID_LEN_MAX
    }
}

fn line_from_json(json: LineJson<'_>, served_end: usize) -> Option<Line<'_>> {
    let update = match (json.event_type, json.store_id, json.delta, json.private.key) {
        (EventKind::InventoryUpdated, Some(store_id), Some(delta), Some(key)) => Some(LineUpdate {
            store_id,
            key,
            delta,
        }),
        (EventKind::InventoryUpdated, ..) => return None,
        _ => None,
    };
    let line = Line {
        offset: json.offset,
        batch: json.private.batch,
        at: encoding::parse_timestamp(&json.timestamp)?,
        kind: json.event_type,
        product: json.data.into_line_product()?,
        update,
        served_end,
    };
    line.has_ids_in_range().then_some(line)
}

fn check_frame(line: &[u8]) -> Result<(), LineError> {
    let body_len = line
        .len()
        .checked_sub(TRAILER_LEN)
        .ok_or(LineError::Incomplete)?;
    let (body, trailer) = line.split_at(body_len);
    let digits = trailer
        .strip_prefix(CHECKSUM)
        .and_then(|rest| rest.strip_suffix(LINE_END))
        .ok_or(LineError::Incomplete)?;
    let is_right = hex(crc32c::crc32c(body)) == digits;
    if !is_right && !faults::is_planted(Fault::SkipChecksum) {
        return Err(LineError::Checksum);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::{Change, Changes, Group};
    use shards::{Price, Ticket};

    /// The line of one change.
    fn line(kind: EventKind, id: &str, name: &str, update: Option<(&Identity, i64)>) -> Vec<u8> {
        let product = Product {
            id: id.into(),
            name: name.into(),
            price: Price::new("10.50"),
            available: 0,
            version: shards::VERSION_MAX,
            updated_at: Timestamp(1_705_314_600_123),
            ticket: Ticket(0),
        };
        let mut changes = Changes::default();
        changes.push(&Change {
            kind,
            at: Timestamp(1_705_314_600_999),
            product: &product,
            update,
        });
        let mut group = Group::new(7, 3);
        for (served, private) in changes.iter() {
            group.push(Timestamp(0), served, private);
        }
        let blocks = group.seal().blocks;
        blocks[..memchr::memchr(b'\n', &blocks).unwrap()].to_vec()
    }

    /// The line that begins so, under the right checksum.
    fn sealed(start: &str) -> Vec<u8> {
        let digits = hex(crc32c::crc32c(start.as_bytes()));
        [start.as_bytes(), CHECKSUM, &digits, LINE_END].concat()
    }

    #[test]
    fn what_is_not_json_is_not_read_by_position_either() {
        let written = line(EventKind::ProductCreated, "p", "N", None);
        let text = std::str::from_utf8(&written).unwrap();
        let start = &text[..text.len() - TRAILER_LEN];
        assert!(Line::read(&sealed(start)).is_ok());
        for (from, to) in [
            ("\"N\"", "\"\u{1}\""),
            ("10.50", "010.50"),
            ("10.50", "10.5.0"),
            ("10.50", "10."),
            ("10.50", "1+0"),
        ] {
            let line = sealed(&start.replace(from, to));
            assert_eq!(Err(LineError::Content), Line::read(&line), "{to}");
        }
    }

    /// Else half an event could be served.
    #[test]
    fn the_private_member_is_the_last_and_has_nothing_else_in_it() {
        let written = line(EventKind::ProductCreated, "p", "N", None);
        let text = std::str::from_utf8(&written).unwrap();
        let start = &text[..text.len() - TRAILER_LEN];
        for start in [
            format!("{start},\"more\":1"),
            format!("{start}}},\"more\":{{\"x\":1"),
            format!("{start}}},\"more\":{{\"x\":1,\"_\":{{\"batch\":3}}"),
        ] {
            let line = sealed(&start);
            assert_eq!(Err(LineError::Content), Line::read(&line), "{start}");
        }
    }

    #[test]
    fn what_is_read_by_position_is_what_the_json_says() {
        let identity = Identity::new("Größe", "p/1", "k");
        let update = Some((&identity, -shards::QUANTITY_MAX.cast_signed()));
        for kind in [
            EventKind::ProductCreated,
            EventKind::ProductDeleted,
            EventKind::ProductModified,
        ] {
            let line = line(kind, "p/1", "Gerät {\"_\":", None);
            assert_eq!(Line::read_json(&line), Line::read(&line), "{kind:?}");
        }
        for (name, by_position) in [("Gerät", true), ("a\\b", false), ("\u{1}", false)] {
            let line = line(EventKind::InventoryUpdated, "p/1", name, update);
            let expected = Line::read_json(&line).unwrap();
            assert_eq!(name, expected.product.name);
            assert_eq!(
                by_position.then_some(&expected),
                canonical::read(&line).as_ref()
            );
            assert_eq!(expected, Line::read(&line).unwrap());
        }
    }
}
