//! The JSON that is the same wherever it stands: on the wire, in the feed, in the journal and in the snapshot.
//!
//! Written member by member because a price is copied digit for digit and because this is the inner loop of every
//! write; strings are escaped by sonic-rs, integers printed by itoa, times by humantime.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use shards::{Product, Timestamp};

/// Appends `text` as a JSON string. What has nothing to escape, nearly all there is, is copied; for the rest the library makes room
/// for six times as much first.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // Without an end before the last byte, so that many are looked at together.
    if text
        .bytes()
        .fold(false, |found, byte| found | is_escaped(byte))
    {
        sonic_rs::to_writer(out, text).expect("a string can be written to memory");
        return;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The length of the JSON string that `text` begins with, quotes included. None if it does not end.
pub fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        // Whatever is escaped ends nothing.
        at += 2;
    }
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a time as a JSON string.
pub fn timestamp(out: &mut Vec<u8>, at: Timestamp) {
    out.push(b'"');
    out.extend_from_slice(&time(at));
    out.push(b'"');
}

/// How many bytes a time has.
pub const TIME_BYTES: usize = "2026-11-22T14:40:02.123Z".len();

/// A time as text: RFC 3339, UTC, milliseconds. All that is decided within a millisecond has the same, which is written once.
pub fn time(at: Timestamp) -> [u8; TIME_BYTES] {
    thread_local! {
        static WRITTEN: Cell<Option<(Timestamp, [u8; TIME_BYTES])>> = const { Cell::new(None) };
    }
    if let Some((of, text)) = WRITTEN.get()
        && of == at
    {
        return text;
    }
    let mut text = [0; TIME_BYTES];
    let since_epoch = Duration::from_millis(at.0.min(TIMESTAMP_MAX_MS));
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch);
    write!(&mut text[..], "{time}").expect("every such time has so many bytes");
    WRITTEN.set(Some((at, text)));
    text
}

/// The end of the year 9999: RFC 3339 has four digits for the year.
const TIMESTAMP_MAX_MS: u64 = 253_402_300_799_999;

/// Reads what [`timestamp`] wrote, or any other RFC 3339 time in UTC from 1970 on.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let at = humantime::parse_rfc3339(text).ok()?;
    let since_epoch = at.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(u64::try_from(since_epoch.as_millis()).ok()?))
}

/// Appends a product in the brief's shape.
pub fn product(out: &mut Vec<u8>, product: &Product) {
    out.extend_from_slice(b"{\"productId\":");
    string(out, &product.id);
    out.extend_from_slice(b",\"name\":");
    string(out, &product.name);
    out.extend_from_slice(b",\"available\":");
    integer(out, product.available);
    out.extend_from_slice(b",\"version\":");
    integer(out, product.version);
    out.extend_from_slice(b",\"lastUpdated\":");
    timestamp(out, product.updated_at);
    out.extend_from_slice(b",\"price\":");
    out.extend_from_slice(product.price.as_str().as_bytes());
    out.push(b'}');
}

/// Whether the JSON text nests deeper than `limit`. sonic-rs recurses without a bound and would take the process
/// down, so nothing from outside is parsed before this. Brackets in strings do not count.
pub fn nests_deeper_than(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Whether every backslash in the JSON text begins an escape that JSON has. sonic-rs looks only at those of strings that
/// are read, so what no member asks for could be anything.
pub fn has_sound_escapes(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let digits = match rest.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return false,
        };
        let (_, behind) = rest.split_at(at + 2);
        let code = behind.get(..digits);
        if !code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        rest = &behind[digits..];
    }
    true
}

/// The deepest nesting that is parsed. The deepest that anything here needs is 4.
pub const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_timestamp(at: u64, expected: &str) {
        let mut out = Vec::new();
        timestamp(&mut out, Timestamp(at));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(format!("\"{expected}\""), text);
        assert_eq!(Some(Timestamp(at)), parse_timestamp(expected));
    }

    #[test]
    fn strings_are_written_as_the_library_does() {
        let every = (0..=0x2ff_u32).chain([0x2028, 0xfeff, 0x1_f600]);
        for character in every.filter_map(char::from_u32) {
            for text in [character.to_string(), format!("before{character}behind")] {
                let mut out = b"x".to_vec();
                string(&mut out, &text);
                let expected = format!("x{}", sonic_rs::to_string(&text).unwrap());
                assert_eq!(expected.into_bytes(), out, "{text:?}");
                let read: String = sonic_rs::from_slice(&out[1..]).unwrap();
                assert_eq!(text, read);
            }
        }
    }

    #[test]
    fn the_end_of_a_string_is_its_first_quote_that_is_not_escaped() {
        for text in ["", "a", "\"", "\\", "\\\"", "ä\n\"\\"] {
            let mut encoded = Vec::new();
            string(&mut encoded, text);
            let length = encoded.len();
            for cut in 0..length {
                assert_eq!(None, string_end(&encoded[..cut]), "{text} {cut}");
            }
            encoded.extend_from_slice(b",\"more\"");
            assert_eq!(Some(length), string_end(&encoded), "{text}");
        }
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        check_timestamp(0, "1970-01-01T00:00:00.000Z");
        check_timestamp(1_705_314_600_123, "2024-01-15T10:30:00.123Z");
        check_timestamp(TIMESTAMP_MAX_MS, "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn escapes_are_those_of_json() {
        let check = |json: &str, expected| {
            assert_eq!(expected, has_sound_escapes(json.as_bytes()), "{json}");
        };
        check(r#"{"a":"b"}"#, true);
        check(r#""\"\\\/\b\f\n\r\t\u00e4\uABCD""#, true);
        check(r#""\\x""#, true);
        check(r#""\x""#, false);
        check(r#""\\\x""#, false);
        check(r#""\u00v0""#, false);
        check(r#""\u00"#, false);
        check("\\", false);
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let check = |json: &str, limit, expected| {
            assert_eq!(
                expected,
                nests_deeper_than(json.as_bytes(), limit),
                "{json}"
            );
        };
        check(r#"{"a":[1,2]}"#, 2, false);
        check(r#"{"a":[[1]]}"#, 2, true);
        check(r#"{"a":"[[[[[["}"#, 1, false);
        check(r#"{"a":"\"[[[\\"}"#, 1, false);
        check(r#"["\\",[[]]]"#, 2, true);
        check(r#"[[]],[[]]"#, 2, false);
        check(&"[".repeat(100_000), 32, true);
    }
}
