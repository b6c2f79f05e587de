//! A file system without a kernel: files and directories by inode, their names, and the space they take.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use fuser::Errno;

use crate::fate::Fates;
use crate::file::File;
use crate::names::{Inode, Names, Place};
use crate::random::Random;

pub(crate) const ROOT: Inode = 1;
/// The unit of space. A write that meets the end of it is cut to whole blocks.
pub(crate) const BLOCK: u64 = 4096;

type Result<T> = std::result::Result<T, Errno>;

pub(crate) struct Volume {
    nodes: BTreeMap<Inode, Node>,
    names: Names,
    handles: BTreeMap<u64, Inode>,
    last_inode: Inode,
    last_handle: u64,
    /// In bytes; without a limit there is always room.
    capacity: Option<u64>,
}

pub(crate) enum Node {
    File(File),
    Directory,
}

impl Volume {
    pub(crate) fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Directory)]),
            names: Names::default(),
            handles: BTreeMap::new(),
            last_inode: ROOT,
            last_handle: 0,
            capacity: None,
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    pub(crate) fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    /// The bytes of all files that have a name or are open.
    pub(crate) fn used(&self) -> u64 {
        let in_use = self.in_use();
        let lengths = in_use.iter().map(|inode| match self.nodes.get(inode) {
            Some(Node::File(file)) => file.len() as u64,
            Some(Node::Directory) | None => 0,
        });
        lengths.sum()
    }

    pub(crate) fn node(&self, inode: Inode) -> Result<&Node> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    pub(crate) fn look_up(&self, place: &Place) -> Result<Inode> {
        self.names.get(place).ok_or(Errno::ENOENT)
    }

    /// The names in a directory, by inode: an order that stays while names come and go.
    pub(crate) fn list(&self, directory: Inode) -> Result<Vec<(&OsStr, Inode)>> {
        let Node::Directory = self.node(directory)? else {
            return Err(Errno::ENOTDIR);
        };
        let mut entries: Vec<_> = self.names.list(directory).collect();
        entries.sort_by_key(|(_, inode)| *inode);
        Ok(entries)
    }

    /// A name of `inode`, for people; empty for the root and for what has none.
    pub(crate) fn name_of(&self, inode: Inode) -> String {
        let name = self.names.name_of(inode);
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    pub(crate) fn open(&mut self, inode: Inode) -> Result<u64> {
        self.node(inode)?;
        self.last_handle += 1;
        self.handles.insert(self.last_handle, inode);
        Ok(self.last_handle)
    }

    /// A handle from before a power loss is not known any more, and that is no error.
    pub(crate) fn close(&mut self, handle: u64) {
        self.handles.remove(&handle);
        self.forget_unreachable();
    }

    pub(crate) fn create(&mut self, place: Place, node: Node) -> Result<Inode> {
        if self.names.get(&place).is_some() {
            return Err(Errno::EEXIST);
        }
        self.last_inode += 1;
        self.nodes.insert(self.last_inode, node);
        self.names.add(place, self.last_inode);
        Ok(self.last_inode)
    }

    pub(crate) fn unlink(&mut self, place: Place) -> Result<()> {
        match self.node(self.look_up(&place)?)? {
            Node::File(_) => self.names.remove(place),
            Node::Directory => return Err(Errno::EISDIR),
        }
        Ok(())
    }

    pub(crate) fn remove_directory(&mut self, place: Place) -> Result<()> {
        let entries = self.list(self.look_up(&place)?)?;
        if !entries.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.names.remove(place);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: Place, to: Place, may_replace: bool) -> Result<()> {
        let moved = self.look_up(&from)?;
        match self.names.get(&to) {
            Some(same) if same == moved => return Ok(()),
            Some(_) if !may_replace => return Err(Errno::EEXIST),
            Some(other) if matches!(self.node(other)?, Node::Directory) => {
                return Err(Errno::EISDIR);
            }
            _ => self.names.rename(from, to),
        }
        Ok(())
    }

    pub(crate) fn read(&self, inode: Inode, position: usize, length: usize) -> Result<&[u8]> {
        match self.node(inode)? {
            Node::File(file) => Ok(file.read(position, length)),
            Node::Directory => Err(Errno::EISDIR),
        }
    }

    /// Writes as much as there is room for; `ENOSPC` if that is nothing.
    pub(crate) fn write(&mut self, inode: Inode, position: usize, bytes: &[u8]) -> Result<usize> {
        let room = self.room_for(inode, position, bytes.len())?;
        if room == 0 && !bytes.is_empty() {
            return Err(Errno::ENOSPC);
        }
        self.file(inode)?.write(position, &bytes[..room]);
        Ok(room)
    }

    pub(crate) fn write_failed(
        &mut self,
        inode: Inode,
        position: usize,
        bytes: &[u8],
        random: &mut Random,
    ) {
        if let Ok(file) = self.file(inode) {
            file.write_failed(position, bytes, random);
        }
    }

    pub(crate) fn resize(&mut self, inode: Inode, length: usize) -> Result<()> {
        let now = self.file(inode)?.len();
        if self.room_for(inode, now, length.saturating_sub(now))? < length.saturating_sub(now) {
            return Err(Errno::ENOSPC);
        }
        self.file(inode)?.resize(length);
        Ok(())
    }

    pub(crate) fn sync_file(&mut self, inode: Inode) -> Result<()> {
        self.file(inode)?.sync();
        Ok(())
    }

    pub(crate) fn sync_file_failed(&mut self, inode: Inode, random: &mut Random) {
        if let Ok(file) = self.file(inode) {
            file.sync_failed(random);
        }
    }

    pub(crate) fn sync_directory(&mut self, directory: Inode) -> Result<()> {
        self.node(directory)?;
        self.names.sync(directory);
        self.forget_unreachable();
        Ok(())
    }

    /// What was not synced meets its fate; nothing is open any more, and what lost all its names is gone.
    pub(crate) fn lose_power(&mut self, random: &mut Random) -> Fates {
        let mut fates = Fates::default();
        self.handles.clear();
        self.names.lose_power(random, &mut fates);
        self.forget_unreachable();
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.lose_power(random, &mut fates);
            }
        }
        fates
    }

    fn file(&mut self, inode: Inode) -> Result<&mut File> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    /// How many of `length` bytes at `position` there is room for. Bytes that the file has already need none.
    fn room_for(&mut self, inode: Inode, position: usize, length: usize) -> Result<usize> {
        let now = self.file(inode)?.len();
        let Some(capacity) = self.capacity else {
            return Ok(length);
        };
        let left = capacity.saturating_sub(self.used()) / BLOCK * BLOCK;
        let longest = now + left as usize;
        Ok(longest.saturating_sub(position).min(length))
    }

    fn in_use(&self) -> BTreeSet<Inode> {
        let open = self.handles.values().copied();
        self.names.visible_inodes().chain(open).collect()
    }

    /// What has no name any more, can get none back and is not open is gone.
    fn forget_unreachable(&mut self) {
        let mut reachable = self.names.reachable();
        reachable.insert(ROOT);
        reachable.extend(self.handles.values());
        self.nodes.retain(|inode, _| reachable.contains(inode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place::new(ROOT, OsStr::new(name))
    }

    fn with_file(name: &str) -> (Volume, Inode) {
        let mut volume = Volume::new();
        let inode = volume.create(place(name), Node::File(File::default()));
        (volume, inode.unwrap())
    }

    #[test]
    fn a_synced_file_whose_directory_was_not_synced_may_be_gone() {
        let survives = |seed| {
            let (mut volume, inode) = with_file("a");
            volume.write(inode, 0, b"bytes").unwrap();
            volume.sync_file(inode).unwrap();
            volume.lose_power(&mut Random::new(seed));
            let found = volume.look_up(&place("a"));
            found.map(|inode| volume.read(inode, 0, 9).unwrap().to_vec())
        };
        let outcomes: Vec<_> = (0..100).map(survives).collect();
        assert!(outcomes.contains(&Ok(b"bytes".to_vec())));
        assert!(outcomes.contains(&Err(Errno::ENOENT)));
        assert_eq!(
            BTreeSet::from_iter(outcomes.iter().map(Result::is_ok)).len(),
            2
        );
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_then_refuses_and_still_overwrites() {
        let (mut volume, inode) = with_file("a");
        volume.set_capacity(Some(2 * BLOCK));
        let three_blocks = vec![7; 3 * BLOCK as usize];
        assert_eq!(
            volume.write(inode, 0, &three_blocks),
            Ok(2 * BLOCK as usize)
        );
        let end = 2 * BLOCK as usize;
        assert_eq!(volume.write(inode, end, b"more"), Err(Errno::ENOSPC));
        assert_eq!(volume.write(inode, 0, b"over"), Ok(4));
        volume.unlink(place("a")).unwrap();
        assert_eq!(volume.used(), 0, "what has no name takes no room");
    }

    #[test]
    fn a_file_without_a_name_lives_as_long_as_it_is_open() {
        let (mut volume, inode) = with_file("a");
        let handle = volume.open(inode).unwrap();
        volume.unlink(place("a")).unwrap();
        volume.sync_directory(ROOT).unwrap();
        assert!(volume.write(inode, 0, b"still").is_ok());
        volume.close(handle);
        assert_eq!(volume.write(inode, 0, b"gone"), Err(Errno::ENOENT));
    }

    #[test]
    fn a_removed_file_may_come_back_with_its_bytes() {
        let comes_back = |seed| {
            let (mut volume, inode) = with_file("a");
            volume.write(inode, 0, b"bytes").unwrap();
            volume.sync_file(inode).unwrap();
            volume.sync_directory(ROOT).unwrap();
            volume.unlink(place("a")).unwrap();
            volume.lose_power(&mut Random::new(seed));
            let found = volume.look_up(&place("a")).ok()?;
            Some(volume.read(found, 0, 9).unwrap().to_vec())
        };
        let outcomes: BTreeSet<_> = (0..100).map(comes_back).collect();
        assert_eq!(outcomes, BTreeSet::from([None, Some(b"bytes".to_vec())]));
    }
}
