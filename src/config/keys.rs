//! API keys: how they are read, and that no message, log or debug output ever shows one.

use std::ffi::OsString;
use std::fmt;

use super::reader::Reader;
use super::values::Environment;
use super::variables::{Variable, named};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 256;

const REGULAR: &str = "API_KEYS";
const ADMIN: &str = "ADMIN_API_KEYS";

/// An API key. It has no `Display` and its `Debug` hides it; it has no `==` either, so that whoever judges a request cannot
/// compare it in a way that leaks timing.
#[derive(Clone)]
pub struct Key(Box<str>);

impl Key {
    /// The bytes that a client sends.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The regular and the admin keys. `environment` is `None` if it could not be read: then nothing is known about what it demands.
pub(super) fn read<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    environment: Option<Environment>,
) -> (Vec<Key>, Vec<Key>) {
    let regular = read_list(reader, REGULAR, environment);
    let admin = read_list(reader, ADMIN, environment);
    refuse_shared(reader, &regular, &admin);
    (regular, admin)
}

fn read_list<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    name: &str,
    environment: Option<Environment>,
) -> Vec<Key> {
    let production = environment == Some(Environment::Production);
    let keys = reader.read_secret(name, parse);
    if reader.refused(name) {
        return Vec::new();
    }
    match keys {
        Some(keys) => {
            if production {
                refuse_examples(reader, name, &keys);
            }
            keys
        }
        None if production => {
            reader.refuse(name, None, "not set, with ENVIRONMENT=production");
            Vec::new()
        }
        None => examples(name).collect(),
    }
}

fn parse(_: &Variable, text: &str) -> Result<Vec<Key>, String> {
    text.split(',')
        .zip(1..)
        .map(|(item, position)| key(item.trim_ascii(), position))
        .collect()
}

fn key(text: &str, position: usize) -> Result<Key, String> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > KEY_BYTES_MAX {
        "is longer than 256 bytes"
    } else if text.chars().any(char::is_control) {
        "has a control character"
    } else {
        return Ok(Key(text.into()));
    };
    Err(format!("the key at position {position} {problem}"))
}

/// The keys that anyone can read in the documentation: the table's defaults.
fn examples(name: &str) -> impl Iterator<Item = Key> {
    named(name).default.split(',').map(|key| Key(key.into()))
}

fn refuse_examples<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    name: &str,
    keys: &[Key],
) {
    for (key, position) in keys.iter().zip(1..) {
        if examples(REGULAR)
            .chain(examples(ADMIN))
            .any(|example| example.0 == key.0)
        {
            let problem =
                format!("the key at position {position} is an example of the documentation");
            reader.refuse(name, None, problem);
        }
    }
}

fn refuse_shared<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    regular: &[Key],
    admin: &[Key],
) {
    for (key, position) in admin.iter().zip(1..) {
        if let Some(index) = regular.iter().position(|other| other.0 == key.0) {
            let problem = format!(
                "the key at position {position} stands in {REGULAR} too, at position {}",
                index + 1
            );
            reader.refuse(ADMIN, None, problem);
        }
    }
}
