//! The versions of every product, as the journal leads to them and as the snapshot shows them. Pure.

use ahash::AHashMap;
use shards::Known;

use crate::journal::snapshot::{Coverage, Snapshot};

/// Of every product. Memory grows with the products, as a server's does.
#[derive(Debug, Default)]
pub struct Versions {
    products: AHashMap<Box<str>, Version>,
    coverage: Coverage,
    /// Without a snapshot to compare with, a product's first version is taken as it is.
    is_blind: bool,
    /// Events that could not be read: each may have been any product's.
    lost: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Version {
    /// In the latest line; 0 before the first.
    read: u64,
    /// In the snapshot; 0 if it is not there.
    shown: u64,
    /// How many events were lost before the latest line.
    lost_before: u64,
}

impl Versions {
    /// The snapshot that stands below the journal, or in it.
    pub fn take_snapshot(&mut self, snapshot: &Snapshot) {
        for known in snapshot.known() {
            let shown = match known {
                Known::Stands(product) => product.version,
                Known::Gone(_, version) => version,
            };
            let version = Version {
                shown,
                ..Version::default()
            };
            self.products.insert(known.id().into(), version);
        }
        self.coverage = snapshot.coverage.clone();
    }

    /// There is a snapshot, but it cannot be read.
    pub fn forget_snapshot(&mut self) {
        self.is_blind = true;
    }

    /// So many events cannot be read here.
    pub fn lose(&mut self, events: u64) {
        self.lost = self.lost.saturating_add(events);
    }

    /// The product `id` has `version` after the event at `offset`. What is wrong with that is said once: what follows
    /// is compared with this version.
    pub fn take(&mut self, offset: u64, id: &str, version: u64) -> Result<(), String> {
        if !self.products.contains_key(id) {
            self.products.insert(id.into(), Version::default());
        }
        let known = self.products.get_mut(id).expect("just inserted");
        let before = *known;
        known.read = version;
        known.lost_before = self.lost;
        let lost = self.lost - before.lost_before;
        let is_covered = offset < self.coverage.next_offset;
        let follows = |after: u64| version > after && version - after <= lost.saturating_add(1);
        let is_next = match before.read {
            0 if self.is_blind || is_covered => true,
            0 if offset < self.coverage.end_offset => {
                version <= before.shown.saturating_add(lost).saturating_add(1)
            }
            0 => follows(before.shown),
            read => follows(read),
        };
        if !is_next {
            let expected = before.read.max(before.shown * u64::from(before.read == 0)) + 1;
            return Err(format!(
                "the version of product {id:?} is {version}, but {expected} must follow"
            ));
        }
        if before.read > 0 && offset >= self.coverage.end_offset && version <= before.shown {
            // Said once.
            known.shown = 0;
            return Err(format!(
                "product {id:?} has version {version} here, but the snapshot, which cannot hold this change, has {}",
                before.shown
            ));
        }
        let is_new_to_snapshot = before.read <= before.shown && version > before.shown;
        if !self.is_blind && is_covered && is_new_to_snapshot {
            return Err(format!(
                "product {id:?} has version {version} here, but the snapshot, which should hold this change, has {}",
                before.shown
            ));
        }
        Ok(())
    }

    /// Products that the snapshot shows in a version which the journal, read to its end, does not lead to.
    pub fn beyond_the_journal(&self) -> impl Iterator<Item = String> {
        let lost = self.lost;
        let is_beyond = move |v: &Version| {
            let reach = v.read.saturating_add(lost - v.lost_before);
            v.read > 0 && v.shown > reach
        };
        let beyond = self.products.iter().filter(move |(_, v)| is_beyond(v));
        beyond.map(|(id, v)| {
            format!(
                "it shows version {} of product {id:?}, but the journal leads to {} only",
                v.shown, v.read
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Above a snapshot of `shown` that covers everything below 10 and may show what is below 12.
    fn versions(shown: &[(&str, u64)]) -> Versions {
        let mut versions = Versions::default();
        let tombstones = shown.iter().map(|(id, version)| ((*id).into(), *version));
        versions.take_snapshot(&Snapshot {
            products: Vec::new(),
            tombstones: tombstones.collect(),
            coverage: Coverage {
                latest_at: shards::Timestamp(0),
                next_offset: 10,
                end_offset: 12,
                kept_from: 0,
                segments: None,
            },
        });
        versions
    }

    fn beyond(versions: &Versions) -> usize {
        versions.beyond_the_journal().count()
    }

    #[test]
    fn versions_grow_by_one_from_the_first_that_is_seen() {
        let mut versions = versions(&[("a", 6)]);
        versions.take(3, "a", 5).unwrap();
        versions.take(4, "a", 6).unwrap();
        versions.take(12, "a", 7).unwrap();
        assert!(versions.take(13, "a", 7).is_err());
        assert!(versions.take(14, "a", 9).unwrap_err().contains("but 8"));
        versions.take(15, "a", 10).unwrap();
        assert!(versions.take(16, "new", 2).is_err());
    }

    #[test]
    fn a_snapshot_made_while_changes_went_on_may_show_some_of_them() {
        for shown in [1, 2, 3] {
            let mut versions = versions(&[("a", shown)]);
            versions.take(9, "a", 1).unwrap();
            versions.take(10, "a", 2).unwrap();
            versions.take(11, "a", 3).unwrap();
            assert_eq!(0, beyond(&versions));
        }
        let mut versions = versions(&[("a", 3)]);
        versions.take(11, "a", 3).unwrap();
        versions.take(12, "a", 4).unwrap();
    }

    #[test]
    fn a_snapshot_beside_the_journal_is_noticed() {
        let mut behind = versions(&[("a", 1)]);
        behind.take(8, "a", 1).unwrap();
        assert!(behind.take(9, "a", 2).unwrap_err().contains("snapshot"));
        let mut ahead = versions(&[("a", 9)]);
        ahead.take(9, "a", 1).unwrap();
        ahead.take(11, "a", 2).unwrap();
        assert_eq!(1, beyond(&ahead));
    }

    #[test]
    fn what_is_lost_is_not_blamed_on_what_follows() {
        let mut versions = versions(&[("a", 1)]);
        versions.take(12, "a", 2).unwrap();
        versions.lose(2);
        versions.take(15, "a", 5).unwrap();
        assert!(versions.take(16, "a", 7).is_err());
    }
}
