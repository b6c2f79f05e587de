//! The names in all directories: which are on disk, which were changed since their directory was synced, and what a
//! reader sees.
//!
//! A power loss keeps any combination of the changes, as POSIX allows: the second of two may survive the first, also
//! where the first was to make way for it, and then it takes the name from what had it. Only what is not there cannot
//! be moved or removed, and a move is whole or has not happened. Journaling file systems are kinder than that; a
//! program that relies on it should not be correct by luck.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::fate::Fates;
use crate::random::Random;

pub(crate) type Inode = u64;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) directory: Inode,
    pub(crate) name: OsString,
}

impl Place {
    pub(crate) fn new(directory: Inode, name: &OsStr) -> Self {
        let name = name.to_owned();
        Self { directory, name }
    }
}

#[derive(Default)]
pub(crate) struct Names {
    durable: BTreeMap<Place, Inode>,
    /// In order.
    pending: Vec<Change>,
    visible: BTreeMap<Place, Inode>,
}

#[derive(Clone)]
enum Change {
    Add {
        place: Place,
        inode: Inode,
    },
    Remove {
        place: Place,
        inode: Inode,
    },
    Move {
        from: Place,
        to: Place,
        inode: Inode,
    },
}

impl Names {
    pub(crate) fn get(&self, place: &Place) -> Option<Inode> {
        self.visible.get(place).copied()
    }

    /// The names in a directory.
    pub(crate) fn list(&self, directory: Inode) -> impl Iterator<Item = (&OsStr, Inode)> {
        let first = Place::new(directory, OsStr::new(""));
        self.visible
            .range(first..)
            .take_while(move |(place, _)| place.directory == directory)
            .map(|(place, inode)| (place.name.as_os_str(), *inode))
    }

    /// A name that a reader sees `inode` by.
    pub(crate) fn name_of(&self, inode: Inode) -> Option<&OsStr> {
        let found = self.visible.iter().find(|(_, known)| **known == inode);
        found.map(|(place, _)| place.name.as_os_str())
    }

    /// The inodes that a reader sees a name of.
    pub(crate) fn visible_inodes(&self) -> impl Iterator<Item = Inode> {
        self.visible.values().copied()
    }

    /// Every inode that has a name, or had one that a power loss may bring back.
    pub(crate) fn reachable(&self) -> BTreeSet<Inode> {
        let added = self.pending.iter().filter_map(|change| match change {
            Change::Add { inode, .. } => Some(inode),
            Change::Remove { .. } | Change::Move { .. } => None,
        });
        let named = self.durable.values().chain(self.visible.values());
        named.chain(added).copied().collect()
    }

    pub(crate) fn add(&mut self, place: Place, inode: Inode) {
        self.change(Change::Add { place, inode });
    }

    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(inode) = self.get(&place) {
            self.change(Change::Remove { place, inode });
        }
    }

    /// Moves a name to another, in place of what was there.
    pub(crate) fn rename(&mut self, from: Place, to: Place) {
        if let Some(inode) = self.get(&from) {
            self.change(Change::Move { from, to, inode });
        }
    }

    /// Makes every change of a name in this directory durable, with the changes that those build on.
    pub(crate) fn sync(&mut self, directory: Inode) {
        let mut needed = BTreeSet::new();
        let mut synced = vec![false; self.pending.len()];
        for (change, synced) in self.pending.iter().zip(&mut synced).rev() {
            let here = |place: &Place| place.directory == directory || needed.contains(place);
            *synced = change.places().any(here);
            if *synced {
                needed.extend(change.places().cloned());
            }
        }
        for (change, synced) in std::mem::take(&mut self.pending).into_iter().zip(synced) {
            if synced {
                change.apply(&mut self.durable);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// A seeded part of the changes survives; the rest has not happened.
    pub(crate) fn lose_power(&mut self, random: &mut Random, fates: &mut Fates) {
        for change in self.pending.drain(..) {
            if random.coin() && change.is_possible(&self.durable) {
                change.apply(&mut self.durable);
                fates.names_kept += 1;
            } else {
                fates.names_dropped += 1;
            }
        }
        self.visible.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }
}

impl Change {
    fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Change::Add { place, .. } | Change::Remove { place, .. } => (place, None),
            Change::Move { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    /// Whether what it moves or removes is there.
    fn is_possible(&self, names: &BTreeMap<Place, Inode>) -> bool {
        match self {
            Change::Add { .. } => true,
            Change::Remove { place, inode }
            | Change::Move {
                from: place, inode, ..
            } => names.get(place) == Some(inode),
        }
    }

    fn apply(&self, names: &mut BTreeMap<Place, Inode>) {
        match self {
            Change::Add { place, inode } => {
                names.insert(place.clone(), *inode);
            }
            Change::Remove { place, .. } => {
                names.remove(place);
            }
            Change::Move { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Inode = 1;
    const SEEDS: u64 = 200;

    fn place(name: &str) -> Place {
        Place::new(ROOT, OsStr::new(name))
    }

    /// `active` and `spare` on disk.
    fn two_synced() -> Names {
        let mut names = Names::default();
        names.add(place("active"), 2);
        names.add(place("spare"), 3);
        names.sync(ROOT);
        names
    }

    /// The listings that power losses leave, over many seeds.
    fn outcomes(make: impl Fn() -> Names) -> BTreeSet<String> {
        (0..SEEDS)
            .map(|seed| {
                let mut names = make();
                names.lose_power(&mut Random::new(seed), &mut Fates::default());
                let list = names.list(ROOT);
                let shown: Vec<String> = list
                    .map(|(name, inode)| format!("{}={inode}", name.display()))
                    .collect();
                shown.join(" ")
            })
            .collect()
    }

    #[test]
    fn a_synced_directory_survives_every_power_loss() {
        let all = outcomes(|| {
            let mut names = two_synced();
            names.rename(place("active"), place("full"));
            names.sync(ROOT);
            names
        });
        assert_eq!(all, BTreeSet::from(["full=2 spare=3".to_owned()]));
    }

    #[test]
    fn a_created_name_may_be_lost_and_a_removed_one_may_come_back() {
        let all = outcomes(|| {
            let mut names = two_synced();
            names.add(place("new"), 4);
            names.remove(place("spare"));
            names
        });
        let expected = [
            "active=2 spare=3",
            "active=2 new=4 spare=3",
            "active=2 new=4",
            "active=2",
        ];
        assert_eq!(all, expected.map(str::to_owned).into());
    }

    #[test]
    fn of_two_renames_either_may_survive_alone_and_the_second_takes_the_name_all_the_same() {
        let all = outcomes(|| {
            let mut names = two_synced();
            names.rename(place("active"), place("full"));
            names.rename(place("spare"), place("active"));
            names
        });
        let expected = [
            "active=2 spare=3",
            "full=2 spare=3",
            "active=3 full=2",
            "active=3",
        ];
        assert_eq!(all, expected.map(str::to_owned).into());
    }

    #[test]
    fn what_was_never_there_is_not_moved() {
        let all = outcomes(|| {
            let mut names = two_synced();
            names.add(place("aside"), 4);
            names.rename(place("aside"), place("active"));
            names
        });
        let expected = [
            "active=2 spare=3",
            "active=2 aside=4 spare=3",
            "active=4 spare=3",
        ];
        assert_eq!(all, expected.map(str::to_owned).into());
    }

    #[test]
    fn a_rename_over_a_file_leaves_the_old_or_the_new_one() {
        let all = outcomes(|| {
            let mut names = two_synced();
            names.rename(place("spare"), place("active"));
            names
        });
        let expected = ["active=2 spare=3", "active=3"];
        assert_eq!(all, expected.map(str::to_owned).into());
    }

    #[test]
    fn a_sync_of_one_directory_leaves_another_alone_but_for_what_it_builds_on() {
        let elsewhere = |name| Place::new(9, OsStr::new(name));
        let mut names = two_synced();
        names.add(elsewhere("stays-pending"), 4);
        names.add(elsewhere("moves"), 5);
        names.rename(elsewhere("moves"), place("moved"));
        names.sync(ROOT);
        assert_eq!(names.pending.len(), 1);
        assert_eq!(names.durable.get(&place("moved")), Some(&5));
    }
}
