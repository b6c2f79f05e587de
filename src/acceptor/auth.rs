//! Who may ask: the keys of `X-API-Key`.

use subtle::Choice;

use crate::config::{Key, KeyLists};

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
    lists: KeyLists,
}

impl Keys {
    /// Takes the keys of the configuration.
    pub fn new(lists: KeyLists) -> Keys {
        Keys { lists }
    }

    /// What `key` opens. It is hashed once and its digest compared in full with that of every known key, so that the time says
    /// nothing of how much matched, nor of how long the known ones are.
    pub fn access(&self, key: &[u8]) -> Access {
        let Some(key) = Key::presented(key) else {
            return Access::None;
        };
        let is_admin = any_equal(&self.lists.admin, &key);
        let is_regular = any_equal(&self.lists.regular, &key);
        match (is_admin, is_regular) {
            (true, _) => Access::Admin,
            (false, true) => Access::Regular,
            (false, false) => Access::None,
        }
    }
}

fn any_equal(known: &[Key], key: &Key) -> bool {
    let found = known
        .iter()
        .map(|known| known.ct_eq(key))
        .fold(Choice::from(0), |found, one| found | one);
    found.into()
}
