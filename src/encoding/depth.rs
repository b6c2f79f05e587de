//! How deep a JSON text nests, before it is parsed: sonic-rs recurses without a bound and would take the process down.
//!
//! Every body from outside is looked at, so 64 bytes are looked at together wherever nothing in them is escaped:
//!
//! ```text
//!   bytes      {"a":"[","b":[1]}
//!   quotes     .#.#.#.#.#.#.....      a bit for each byte
//!   in strings .##..##..##......      each bit is the parity of the quotes up to it
//!   openings   #............#...      brackets that stand in no string
//! ```

/// The deepest nesting that is parsed. The deepest that anything here needs is 4.
pub const DEPTH_MAX: usize = 32;

/// Bytes that are looked at together: a bit of a word for each.
const BLOCK: usize = u64::BITS as usize;

/// Whether the JSON text nests deeper than `limit`. Brackets in strings do not count.
pub fn nests_deeper_than(json: &[u8], limit: usize) -> bool {
    if !has_more_openings(json, limit) {
        return false;
    }
    let (blocks, rest) = json.as_chunks();
    let mut scan = Scan::default();
    blocks.iter().any(|block| scan.block(block, limit)) || scan.bytes(rest, limit)
}

/// Whether there are more than `limit` openings, strings or not: most bodies have few, and this is quickly seen.
fn has_more_openings(json: &[u8], limit: usize) -> bool {
    // Counted in bytes, sixteen at a time, as long as a byte can hold it.
    let count = |part: &[u8]| {
        part.iter()
            .map(|byte| u8::from(is_opening(*byte)))
            .sum::<u8>()
    };
    let mut found = 0;
    json.chunks(usize::from(u8::MAX)).any(|part| {
        found += usize::from(count(part));
        found > limit
    })
}

fn is_opening(byte: u8) -> bool {
    byte == b'[' || byte == b'{'
}

fn is_closing(byte: u8) -> bool {
    byte == b']' || byte == b'}'
}

/// What is known behind the bytes that were looked at.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    /// Behind a backslash in a string.
    escaped: bool,
}

impl Scan {
    /// Looks at the next bytes, one after the other. Returns whether it was deeper than `limit` somewhere.
    fn bytes(&mut self, bytes: &[u8], limit: usize) -> bool {
        for &byte in bytes {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else if byte == b'"' {
                self.in_string = true;
            } else if is_opening(byte) {
                self.depth += 1;
                if self.depth > limit {
                    return true;
                }
            } else if is_closing(byte) {
                self.depth = self.depth.saturating_sub(1);
            }
        }
        false
    }

    /// As [`Scan::bytes`], all of them together where their order does not matter: nothing is escaped, and even if all of the
    /// openings came first it would not be too deep, and if all of the closings did, none would be one too many.
    fn block(&mut self, bytes: &[u8; BLOCK], limit: usize) -> bool {
        if self.escaped || bits(bytes, |byte| byte == b'\\') != 0 {
            return self.bytes(bytes, limit);
        }
        let parity = parity_of_lower(bits(bytes, |byte| byte == b'"'));
        let strings = match self.in_string {
            true => !parity,
            false => parity,
        };
        let openings = (bits(bytes, is_opening) & !strings).count_ones() as usize;
        let closings = (bits(bytes, is_closing) & !strings).count_ones() as usize;
        if self.depth + openings > limit || closings > self.depth {
            return self.bytes(bytes, limit);
        }
        self.depth = self.depth + openings - closings;
        self.in_string = strings >> (BLOCK - 1) == 1;
        false
    }
}

/// A bit for each of the bytes of which `is_it` says so, the first lowest.
#[inline(always)]
fn bits(bytes: &[u8; BLOCK], is_it: impl Fn(u8) -> bool) -> u64 {
    // The lowest bits of eight bytes, gathered in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let found = bytes.map(|byte| u8::from(is_it(byte)));
    let (words, _) = found.as_chunks();
    let gathered = words
        .iter()
        .map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    gathered
        .enumerate()
        .fold(0, |all, (at, eight)| all | eight << (8 * at))
}

/// Each bit is the parity of the bits up to it.
fn parity_of_lower(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn bits_are_those_of_the_bytes_in_order() {
        for at in 0..BLOCK {
            let mut bytes = [b'.'; BLOCK];
            bytes[at] = b'#';
            assert_eq!(1 << at, bits(&bytes, |byte| byte == b'#'));
            assert_eq!(!(1 << at), bits(&bytes, |byte| byte == b'.'));
        }
        assert_eq!(0b0110_0011, parity_of_lower(0b1010_0101) & 0xff);
    }

    proptest! {
        #[test]
        fn many_bytes_together_are_as_one_after_the_other(
            parts in prop::collection::vec(
                prop::sample::select(vec!["[", "]", "{", "}", "\"", "\\", "a", "[[[[", "]]", "                "]), 0..400),
            limit in 0_usize..20,
        ) {
            let json = parts.concat();
            let expected = Scan::default().bytes(json.as_bytes(), limit);
            prop_assert_eq!(expected, nests_deeper_than(json.as_bytes(), limit));
        }
    }
}
