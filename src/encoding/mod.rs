//! The JSON that is the same wherever it stands: on the wire, in the feed, in the journal and in the snapshot.
//!
//! Written member by member because a price is copied digit for digit and because this is the inner loop of every
//! write; strings are escaped by sonic-rs, integers printed by itoa, times by humantime.

mod depth;

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use shards::{Product, Timestamp};

pub use depth::{DEPTH_MAX, nests_deeper_than};

/// Appends `text` as a JSON string. What has nothing to escape, nearly all there is, is copied; for the rest the library makes room
/// for six times as much first.
pub fn string(out: &mut Vec<u8>, text: &str) {
    if has_escaped(text.as_bytes()) {
        sonic_rs::to_writer(out, text).expect("a string can be written to memory");
        return;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether some byte of `text` is escaped in JSON. Ids, names and keys are short: eight bytes are looked at together, the last
/// eight of a longer text once more.
fn has_escaped(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let last = text.last_chunk().copied().unwrap_or_else(|| {
        let mut word = [b' '; WORD];
        word[..rest.len()].copy_from_slice(rest);
        word
    });
    words
        .iter()
        .copied()
        .chain([last])
        .any(|word| word_has_escaped(u64::from_ne_bytes(word)))
}

const WORD: usize = size_of::<u64>();

/// [`has_escaped`] of eight bytes: the highest bit of a byte says that it is one.
fn word_has_escaped(word: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; WORD]);
    const HIGHEST: u64 = EACH << 7;
    // Of a byte below 128 that is below `than`; what is borrowed only reaches bytes above one that is found itself.
    let below = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & HIGHEST != 0
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
    with_time(at, |quoted| out.extend_from_slice(quoted));
}

/// How many bytes a time has.
pub const TIME_BYTES: usize = "2026-11-22T14:40:02.123Z".len();

/// A time as text: RFC 3339, UTC, milliseconds.
pub fn time(at: Timestamp) -> [u8; TIME_BYTES] {
    with_time(at, |quoted| {
        *quoted[1..].first_chunk().expect("it has quotes")
    })
}

/// A time in quotes.
type Quoted = [u8; TIME_BYTES + 2];

/// So many times of late are kept as text: what is decided now and what was decided some milliseconds ago, and is answered now,
/// come by turns.
const TIMES_KEPT: usize = 8;

/// All that is decided within a millisecond has the same time: it is written once.
fn with_time<T>(at: Timestamp, take: impl FnOnce(&Quoted) -> T) -> T {
    thread_local! {
        static WRITTEN: RefCell<[(Option<Timestamp>, Quoted); TIMES_KEPT]> =
            const { RefCell::new([(None, [b'"'; TIME_BYTES + 2]); TIMES_KEPT]) };
    }
    WRITTEN.with_borrow_mut(|written| {
        let (of, quoted) = &mut written[at.0 as usize % TIMES_KEPT];
        if *of != Some(at) {
            let since_epoch = Duration::from_millis(at.0.min(TIMESTAMP_MAX_MS));
            let time = humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch);
            let (_, text) = quoted.split_at_mut(1);
            write!(&mut text[..TIME_BYTES], "{time}").expect("every such time has so many bytes");
            *of = Some(at);
        }
        take(quoted)
    })
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
    fn what_is_escaped_is_found_wherever_it_stands() {
        for length in 0..40 {
            for byte in 0..=u8::MAX {
                let is_escaped = byte < b' ' || byte == b'"' || byte == b'\\';
                for at in 0..length {
                    let mut text = vec![b'!'; length];
                    text[at] = byte;
                    assert_eq!(is_escaped, has_escaped(&text), "{byte} at {at} of {length}");
                }
            }
            assert!(!has_escaped(&vec![b'~'; length]));
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
}
