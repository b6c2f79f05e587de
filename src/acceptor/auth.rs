//! Who may ask: the keys of `X-API-Key`.

use subtle::ConstantTimeEq;

use crate::config::Key;

/// The name of the header that carries the key.
pub const KEY_HEADER: &str = "x-api-key";

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing: there was no key, or an unknown one.
    None,
    /// The regular endpoints.
    Regular,
    /// Those and the admin endpoints.
    Admin,
}

/// The keys a server knows.
#[derive(Debug)]
pub struct Keys {
    regular: Vec<Key>,
    admin: Vec<Key>,
}

impl Keys {
    /// Takes the keys of the configuration.
    pub fn new(regular: Vec<Key>, admin: Vec<Key>) -> Keys {
        Keys { regular, admin }
    }

    /// What `key` opens. Every known key is looked at, and one of the same length compared in full,
    /// so that the time says nothing of how much matched.
    pub fn access(&self, key: &[u8]) -> Access {
        let is_admin = any_equal(&self.admin, key);
        let is_regular = any_equal(&self.regular, key);
        match (is_admin, is_regular) {
            (true, _) => Access::Admin,
            (false, true) => Access::Regular,
            (false, false) => Access::None,
        }
    }
}

fn any_equal(known: &[Key], key: &[u8]) -> bool {
    let equal = |known: &Key| known.as_bytes().ct_eq(key);
    let found = known
        .iter()
        .map(equal)
        .fold(subtle::Choice::from(0), |found, one| found | one);
    found.into()
}
