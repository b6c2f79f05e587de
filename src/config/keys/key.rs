//! One API key, of which only the SHA-256 digest is kept.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The longest key, in bytes. A longer one is not even hashed.
pub(super) const KEY_BYTES_MAX: usize = 256;
/// What stands before a key that is given as its digest.
const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_BYTES: usize = 32;
const DIGEST_WORDS: usize = DIGEST_BYTES / size_of::<u64>();

/// An API key: the SHA-256 digest of what a client sends. It has no `Display` and its `Debug` hides it; it has no `==` either, so
/// that whoever judges a request cannot compare it in a way that leaks timing.
#[derive(Clone, Copy)]
pub struct Key([u64; DIGEST_WORDS]);

impl Key {
    /// The key that a client presents; none if it is empty or longer than any key is.
    pub fn presented(bytes: &[u8]) -> Option<Key> {
        (1..=KEY_BYTES_MAX)
            .contains(&bytes.len())
            .then(|| Key::of(bytes))
    }

    /// Whether both are the same key, in a time that says nothing of either. By words, not by bytes as a slice would be: every
    /// request is compared with every key.
    pub fn ct_eq(&self, other: &Key) -> Choice {
        let words = self.0.iter().zip(&other.0);
        let difference = words.fold(0, |found, (one, other)| found | (one ^ other));
        difference.ct_eq(&0)
    }

    /// The key that an item of the configuration gives, as itself or as its digest.
    pub(super) fn parse(text: &str) -> Result<Key, String> {
        if let Some(digits) = after_prefix(text) {
            return Key::of_digits(digits);
        }
        if text.is_empty() {
            Err("is empty".to_owned())
        } else if text.len() > KEY_BYTES_MAX {
            Err(format!("is longer than {KEY_BYTES_MAX} bytes"))
        } else if text.chars().any(char::is_control) {
            Err("has a control character".to_owned())
        } else {
            Ok(Key::of(text.as_bytes()))
        }
    }

    /// Whether both are the same key, for those who judge the configuration: it is not a client that they answer.
    pub(super) fn is(&self, other: &Key) -> bool {
        self.0 == other.0
    }

    fn of(bytes: &[u8]) -> Key {
        Key::of_digest(Sha256::digest(bytes).into())
    }

    fn of_digest(digest: [u8; DIGEST_BYTES]) -> Key {
        let mut words = [0; DIGEST_WORDS];
        for (word, bytes) in words.iter_mut().zip(digest.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Key(words)
    }

    fn of_digits(digits: &str) -> Result<Key, String> {
        let key = from_hex(digits)
            .map(Key::of_digest)
            .ok_or("is not a digest: sha256: is followed by 64 hexadecimal digits")?;
        match key.is(&Key::of(b"")) {
            true => Err("is the digest of an empty key".to_owned()),
            false => Ok(key),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

fn after_prefix(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_at_checked(DIGEST_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(DIGEST_PREFIX).then_some(rest)
}

fn from_hex(digits: &str) -> Option<[u8; DIGEST_BYTES]> {
    if digits.len() != 2 * DIGEST_BYTES {
        return None;
    }
    let mut bytes = [0; DIGEST_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}
