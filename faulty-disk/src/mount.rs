//! The volume as the kernel asks for it: FUSE requests in, replies out.
//!
//! Nothing is cached by the kernel, neither names nor attributes nor bytes, so that every read shows what the volume
//! holds and every write arrives at once and whole, also one past the page cache.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use rustix::fs::OFlags;

use crate::fault::Operation;
use crate::file::File;
use crate::names::{Inode, Place};
use crate::shared::{Shared, Target};
use crate::volume::{BLOCK, Node, Volume};

const UNCACHED: Duration = Duration::ZERO;
/// Inodes are never used for another file.
const GENERATION: Generation = Generation(0);
/// The largest write that the kernel passes on whole.
const WRITE_BYTES_MAX: u32 = 1 << 20;
/// What an unlimited disk says that it holds.
const UNLIMITED: u64 = 1 << 40;
const NAME_BYTES_MAX: u32 = 255;

type Result<T> = std::result::Result<T, Errno>;

pub(crate) struct Mounted {
    shared: Arc<Shared>,
}

impl Mounted {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn look<T>(&self, inode: INodeNo, effect: impl FnOnce(&mut Volume) -> Result<T>) -> Result<T> {
        let target = Target::Inode(inode.0);
        self.shared.perform(Operation::Look, target, effect)
    }

    fn make(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        node: Node,
    ) -> Result<FileAttr> {
        let place = Place::new(parent.0, name);
        self.shared
            .perform(Operation::Create, Target::Name(name), |volume| {
                let inode = volume.create(place, node)?;
                attributes(volume, inode, request)
            })
    }

    fn write_bytes(&self, inode: INodeNo, position: usize, bytes: &[u8]) -> Result<usize> {
        self.shared.perform_or(
            Operation::Write,
            Target::Inode(inode.0),
            |volume| volume.write(inode.0, position, bytes),
            |volume, random| volume.write_failed(inode.0, position, bytes, random),
        )
    }

    fn sync_file(&self, inode: INodeNo) -> Result<()> {
        self.shared.spend_sync_time(inode.0);
        self.shared.perform_or(
            Operation::SyncFile,
            Target::Inode(inode.0),
            |volume| volume.sync_file(inode.0),
            |volume, random| volume.sync_file_failed(inode.0, random),
        )
    }

    fn sync_directory(&self, inode: INodeNo) -> Result<()> {
        self.shared.spend_sync_time(inode.0);
        let target = Target::Inode(inode.0);
        self.shared
            .perform(Operation::SyncDirectory, target, |volume| {
                volume.sync_directory(inode.0)
            })
    }
}

impl Filesystem for Mounted {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let set = config.set_max_write(WRITE_BYTES_MAX);
        set.map(|_| ())
            .map_err(|most| io::Error::other(format!("writes are limited to {most} bytes")))
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let place = Place::new(parent.0, name);
        let found = self.look(parent, |volume| {
            let inode = volume.look_up(&place)?;
            attributes(volume, inode, request)
        });
        reply_entry(reply, found);
    }

    fn getattr(&self, request: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.look(inode, |volume| attributes(volume, inode.0, request));
        reply_attributes(reply, found);
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let found = match size {
            None => self.look(inode, |volume| attributes(volume, inode.0, request)),
            Some(size) => {
                let target = Target::Inode(inode.0);
                self.shared.perform(Operation::Resize, target, |volume| {
                    volume.resize(inode.0, size as usize)?;
                    attributes(volume, inode.0, request)
                })
            }
        };
        reply_attributes(reply, found);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(request, parent, name, Node::File(File::default()));
        let opened = made.and_then(|attributes| {
            let handle = self.look(attributes.ino, |volume| volume.open(attributes.ino.0))?;
            Ok((attributes, FileHandle(handle)))
        });
        let flags = FopenFlags::FOPEN_DIRECT_IO;
        match opened {
            Ok((attributes, handle)) => {
                reply.created(&UNCACHED, &attributes, GENERATION, handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply_entry(reply, self.make(request, parent, name, Node::Directory));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let place = Place::new(parent.0, name);
        let removed = self
            .shared
            .perform(Operation::Remove, Target::Name(name), |volume| {
                volume.unlink(place)
            });
        reply_empty(reply, removed);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let place = Place::new(parent.0, name);
        let removed = self
            .shared
            .perform(Operation::Remove, Target::Name(name), |volume| {
                volume.remove_directory(place)
            });
        reply_empty(reply, removed);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.intersects(!RenameFlags::RENAME_NOREPLACE) {
            return reply.error(Errno::EINVAL);
        }
        let from = Place::new(parent.0, name);
        let to = Place::new(new_parent.0, new_name);
        let renamed = self
            .shared
            .perform(Operation::Rename, Target::Name(name), |volume| {
                volume.rename(from, to, flags.is_empty())
            });
        reply_empty(reply, renamed);
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if has(flags, OFlags::DIRECT) && self.shared.refuses_direct_io() {
            return reply.error(Errno::EINVAL);
        }
        match self.look(inode, |volume| volume.open(inode.0)) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let target = Target::Inode(inode.0);
        let bytes = self.shared.perform(Operation::Read, target, |volume| {
            let bytes = volume.read(inode.0, offset as usize, size as usize)?;
            Ok(bytes.to_vec())
        });
        match bytes {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut written = self.write_bytes(inode, offset as usize, bytes);
        if has(flags, OFlags::DSYNC) && written.is_ok() {
            written = self.sync_file(inode).and(written);
        }
        match written {
            Ok(written) => reply.written(written as u32),
            Err(error) => reply.error(error),
        }
    }

    /// Each close of a descriptor. There is nothing to do: it is no sync.
    fn flush(
        &self,
        _: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let closed = self.look(inode, |volume| {
            volume.close(handle.0);
            Ok(())
        });
        reply_empty(reply, closed);
    }

    fn fsync(
        &self,
        _: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply_empty(reply, self.sync_file(inode));
    }

    fn fsyncdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply_empty(reply, self.sync_directory(inode));
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.look(inode, |volume| entries_after(volume, inode.0, offset));
        match listed {
            Ok(entries) => {
                for (cookie, inode, kind, name) in entries {
                    if reply.add(INodeNo(inode), cookie, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        let space = self.look(inode, |volume| {
            let capacity = volume.capacity().unwrap_or(UNLIMITED);
            Ok((capacity, capacity.saturating_sub(volume.used())))
        });
        match space {
            Ok((capacity, free)) => {
                let (blocks, free) = (capacity / BLOCK, free / BLOCK);
                let size = BLOCK as u32;
                reply.statfs(blocks, free, free, 0, 0, size, NAME_BYTES_MAX, size);
            }
            Err(error) => reply.error(error),
        }
    }
}

/// The entries of a directory behind `offset`, each with the offset behind it. Offsets are inodes, so that entries
/// that go away meanwhile do not make others disappear; `.` and `..` come first.
fn entries_after(
    volume: &Volume,
    directory: Inode,
    offset: u64,
) -> Result<Vec<(u64, Inode, FileType, String)>> {
    const DOTS: u64 = 2;
    let dots = [(1, "."), (DOTS, "..")]
        .map(|(cookie, name)| (cookie, directory, FileType::Directory, name.to_owned()));
    let mut entries = Vec::from(dots);
    for (name, inode) in volume.list(directory)? {
        let kind = kind(volume.node(inode)?);
        let name = name.to_string_lossy().into_owned();
        entries.push((inode + DOTS, inode, kind, name));
    }
    entries.retain(|(cookie, ..)| *cookie > offset);
    Ok(entries)
}

/// Whether a file was opened with `flag`.
fn has(flags: OpenFlags, flag: OFlags) -> bool {
    OFlags::from_bits_retain(flags.0.cast_unsigned()).contains(flag)
}

fn kind(node: &Node) -> FileType {
    match node {
        Node::File(_) => FileType::RegularFile,
        Node::Directory => FileType::Directory,
    }
}

/// Everything belongs to who asks: rights are not what is tested here.
fn attributes(volume: &Volume, inode: Inode, request: &Request) -> Result<FileAttr> {
    let node = volume.node(inode)?;
    let (size, perm) = match node {
        Node::File(file) => (file.len() as u64, 0o644),
        Node::Directory => (0, 0o755),
    };
    Ok(FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(node),
        perm,
        nlink: 1,
        uid: request.uid(),
        gid: request.gid(),
        rdev: 0,
        blksize: BLOCK as u32,
        flags: 0,
    })
}

fn reply_entry(reply: ReplyEntry, found: Result<FileAttr>) {
    match found {
        Ok(attributes) => reply.entry(&UNCACHED, &attributes, GENERATION),
        Err(error) => reply.error(error),
    }
}

fn reply_attributes(reply: ReplyAttr, found: Result<FileAttr>) {
    match found {
        Ok(attributes) => reply.attr(&UNCACHED, &attributes),
        Err(error) => reply.error(error),
    }
}

fn reply_empty(reply: ReplyEmpty, done: Result<()>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
