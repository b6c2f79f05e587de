//! Names of files: those that are seen, and those that a power loss leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::inode::Loss;
use crate::random::Random;

/// A file, by its place in the disk's table.
pub type InodeId = usize;

/// All names of all directories.
#[derive(Clone, Debug, Default)]
pub struct Names {
    visible: BTreeMap<PathBuf, InodeId>,
    durable: BTreeMap<PathBuf, InodeId>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Give(PathBuf, InodeId),
    Move(PathBuf, PathBuf, InodeId),
    Remove(PathBuf, InodeId),
}

impl Names {
    /// The file that is called `path`.
    pub fn find(&self, path: &Path) -> Option<InodeId> {
        self.visible.get(path).copied()
    }

    /// The names in `directory`.
    pub fn list(&self, directory: &Path) -> Vec<String> {
        let paths = self.visible.keys();
        let inside = paths.filter(|path| path.parent() == Some(directory));
        inside
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect()
    }

    /// The names that a power loss leaves for certain.
    pub fn durable(&self) -> &BTreeMap<PathBuf, InodeId> {
        &self.durable
    }

    /// A new file is called `path`.
    pub fn give(&mut self, path: &Path, inode: InodeId) {
        self.change(NameChange::Give(path.to_owned(), inode));
    }

    /// What is called `from` is called `to` from now on.
    pub fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let Some(inode) = self.find(from) else {
            return false;
        };
        self.change(NameChange::Move(from.to_owned(), to.to_owned(), inode));
        true
    }

    /// The name is gone.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some(inode) = self.find(path) else {
            return false;
        };
        self.change(NameChange::Remove(path.to_owned(), inode));
        true
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.visible, &change);
        self.pending.push(change);
    }

    /// Makes the changes in `directory` durable.
    pub fn sync(&mut self, directory: &Path) {
        for change in std::mem::take(&mut self.pending) {
            match change.directory() == Some(directory) {
                true => apply(&mut self.durable, &change),
                false => self.pending.push(change),
            }
        }
    }

    /// The power is gone: any of the changes may be lost, each by itself.
    pub fn lose_power(&mut self, loss: Loss, random: &mut Random) {
        for change in std::mem::take(&mut self.pending) {
            let is_kept = match loss {
                Loss::All => false,
                Loss::Nothing => true,
                Loss::Some => random.coin(),
            };
            if is_kept {
                apply(&mut self.durable, &change);
            }
        }
        self.visible.clone_from(&self.durable);
    }
}

impl NameChange {
    fn directory(&self) -> Option<&Path> {
        match self {
            NameChange::Give(path, _)
            | NameChange::Move(path, ..)
            | NameChange::Remove(path, _) => path.parent(),
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, InodeId>, change: &NameChange) {
    let mut drop_name = |path: &PathBuf, inode: &InodeId| {
        if names.get(path) == Some(inode) {
            names.remove(path);
        }
    };
    match change {
        NameChange::Give(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Move(from, to, inode) => {
            drop_name(from, inode);
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove(path, inode) => drop_name(path, inode),
    }
}
