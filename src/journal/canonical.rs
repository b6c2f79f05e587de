//! Reads a line of the journal by position: each member where this program writes it, strings without escapes. That is
//! nearly every line, some five times as fast as JSON ([measured](../../perf/README.md)); whatever differs in the
//! least is left to the JSON parser. The checksum is checked before.

use std::borrow::Cow;

use shards::Timestamp;

use super::format::{CHECKSUM_DIGITS, EventKind, LINE_END};
use super::line::{Line, LineProduct, LineUpdate};
use crate::encoding;

/// Reads `line`; none if it is not exactly as this program writes it.
pub fn read(line: &[u8]) -> Option<Line<'_>> {
    if has_control_bytes(line) {
        return None;
    }
    let mut cursor = Cursor {
        rest: std::str::from_utf8(line).ok()?,
    };
    let offset = cursor.literal("{\"offset\":")?.integer()?;
    let time = cursor.literal(",\"timestamp\":")?.string()?;
    let at = encoding::parse_timestamp(time)?;
    let kind = kind_of(cursor.literal(",\"eventType\":")?.string()?)?;
    let id = cursor.literal(",\"productId\":")?.string()?;
    let version = cursor.literal(",\"version\":")?.integer()?;
    let product = cursor.product((time, at))?;
    if product.id != id || product.version != version || !product.is_in_range() {
        return None;
    }
    let sold = match kind {
        EventKind::InventoryUpdated => {
            let store_id = cursor.literal(",\"storeId\":")?.string()?;
            let delta = cursor.literal(",\"delta\":")?.signed_integer()?;
            Some((store_id, delta))
        }
        _ => None,
    };
    let served_end = line.len() - cursor.rest.len();
    let batch = cursor.literal(",\"_\":{\"batch\":")?.integer()?;
    let update = match sold {
        Some((store_id, delta)) => Some(LineUpdate {
            store_id: Cow::Borrowed(store_id),
            key: Cow::Borrowed(cursor.literal(",\"key\":")?.string()?),
            delta,
        }),
        None => None,
    };
    cursor.literal(",\"crc32c\":\"")?;
    let line = Line {
        offset,
        batch,
        at,
        kind,
        product,
        update,
        served_end,
    };
    let is_at_end = cursor.rest.len() == CHECKSUM_DIGITS + LINE_END.len();
    (is_at_end && line.has_ids_in_range()).then_some(line)
}

/// JSON has them as escapes only. By the least byte, which is found in many at a time.
fn has_control_bytes(line: &[u8]) -> bool {
    line.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

fn kind_of(name: &str) -> Option<EventKind> {
    [
        EventKind::InventoryUpdated,
        EventKind::ProductCreated,
        EventKind::ProductDeleted,
        EventKind::ProductModified,
    ]
    .into_iter()
    .find(|kind| kind.as_str() == name)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Goes on behind `expected`.
    fn literal(&mut self, expected: &str) -> Option<&mut Self> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(self)
    }

    /// Takes the first `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// An integer as it is written: digits, no leading zero.
    fn integer(&mut self) -> Option<u64> {
        let bytes = self.rest.as_bytes();
        let length = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = self.take(length);
        match digits.starts_with('0') && length > 1 {
            true => None,
            false => digits.parse().ok(),
        }
    }

    /// A number as prices are: digits, no leading zero, and maybe a fraction.
    fn decimal(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| {
            let digits = bytes[from..].iter().take_while(|b| b.is_ascii_digit());
            Some(digits.count()).filter(|count| *count > 0)
        };
        let whole = digits(0)?;
        if whole > 1 && bytes[0] == b'0' {
            return None;
        }
        match bytes.get(whole) {
            Some(b'.') => Some(self.take(whole + 1 + digits(whole + 1)?)),
            _ => Some(self.take(whole)),
        }
    }

    fn signed_integer(&mut self) -> Option<i64> {
        let is_negative = self.rest.starts_with('-');
        self.take(usize::from(is_negative));
        let magnitude = i64::try_from(self.integer()?).ok()?;
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.literal("\"")?;
        let end = memchr::memchr2(b'"', b'\\', self.rest.as_bytes())?;
        let text = self.take(end);
        self.literal("\"")?;
        Some(text)
    }

    /// The product; its time is most often the `known` one.
    fn product(&mut self, known: (&str, Timestamp)) -> Option<LineProduct<'a>> {
        let id = self.literal(",\"data\":{\"productId\":")?.string()?;
        let name = self.literal(",\"name\":")?.string()?;
        let available = self.literal(",\"available\":")?.integer()?;
        let version = self.literal(",\"version\":")?.integer()?;
        let time = self.literal(",\"lastUpdated\":")?.string()?;
        let updated_at = match time == known.0 {
            true => known.1,
            false => encoding::parse_timestamp(time)?,
        };
        self.literal(",\"price\":")?;
        let price = self.decimal()?;
        self.literal("}")?;
        Some(LineProduct {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            price: Cow::Borrowed(price),
            available,
            version,
            updated_at,
        })
    }
}
