//! A disk that keeps the promises of POSIX and no others, and fails at the worst moment.
//!
//! ```text
//!   write ─▶ visible ──sync──▶ durable        between the two: kept, lost, torn, reordered, with a wrong bit
//!   rename ─▶ visible ──sync of the directory──▶ durable
//! ```
//!
//! What goes past the page cache is completed when the world says so; all else happens at once. A crash can be set for
//! some operation to come, in whichever piece of code it happens: from then on nothing has any effect.

mod inode;
mod names;
mod ops;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use central_inventory::runtime::disk::{DirectFile, Disk, DiskFile, Local, Open};

pub use inode::Loss;
use inode::{Change, Inode, remains};
use names::{InodeId, Names};
use ops::{OpKind, Ops};

use crate::ledger::Ledger;
use crate::random::Random;
use crate::trace::Trace;

/// How often operations fail, in parts of a million.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Writes and renames.
    pub write: u32,
    /// Syncs, of files and of directories.
    pub sync: u32,
    /// Reads.
    pub read: u32,
    /// No file can grow.
    pub is_full: bool,
}

/// What was done to the disk's users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// Operations that failed.
    pub failed: u64,
    /// Reads among them.
    pub reads_failed: u64,
}

/// The disk, held by whoever uses it.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

struct State {
    inodes: BTreeMap<InodeId, Inode>,
    inode_count: InodeId,
    names: Names,
    ops: Ops,
    random: Random,
    weather: Weather,
    harm: Harm,
    /// The crash comes with the operation that counts it down to 0.
    crash_in: Option<u64>,
    is_dead: bool,
    /// What goes past the page cache may be durable when it is written.
    writes_through: bool,
    ledger: Arc<Mutex<Ledger>>,
    trace: Arc<Mutex<Trace>>,
}

/// What an operation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Fails,
    /// The machine or the process ends in the middle of it.
    Crash,
}

impl SimulatedDisk {
    /// An empty disk that draws from `random`; groups written to it go into `ledger`. If it `writes_through`, they may
    /// need no sync.
    pub fn new(
        random: Random,
        writes_through: bool,
        ledger: Arc<Mutex<Ledger>>,
        trace: Arc<Mutex<Trace>>,
    ) -> SimulatedDisk {
        let state = State {
            inodes: BTreeMap::new(),
            inode_count: 0,
            names: Names::default(),
            ops: Ops::default(),
            random,
            weather: Weather::default(),
            harm: Harm::default(),
            crash_in: None,
            is_dead: false,
            writes_through,
            ledger,
            trace,
        };
        SimulatedDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Sets how often operations fail.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// How often operations fail.
    pub fn weather(&self) -> Weather {
        self.state().weather
    }

    /// What was done so far.
    pub fn harm(&self) -> Harm {
        self.state().harm
    }

    /// Lets the crash come with the `count`-th operation from now.
    pub fn crash_at(&self, count: u64) {
        self.state().crash_in = Some(count.max(1));
    }

    /// Nothing fails any more.
    pub fn calm(&self) {
        let mut state = self.state();
        state.weather = Weather::default();
        state.crash_in = None;
    }

    /// Whether that operation has come.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Whether an operation past the page cache is on its way.
    pub fn has_pending(&self) -> bool {
        self.state().ops.has_pending()
    }

    /// Completes one of them.
    pub fn complete_one(&self) {
        let mut state = self.state();
        let Some((id, inode, kind)) = state.ops.next_pending() else {
            return;
        };
        let result = state.perform(inode, kind);
        let waker = state.ops.complete(id, result);
        drop(state);
        // Outside of the lock: who is woken may look at the disk.
        waker.into_iter().for_each(std::task::Waker::wake);
    }

    /// The process is gone; what it wrote is still on its way to the disk.
    pub fn kill(&self) {
        let mut state = self.state();
        state.interrupt();
        state.revive();
    }

    /// The machine is gone, and with it what was not synced, by chance.
    pub fn lose_power(&self) -> Loss {
        let mut state = self.state();
        state.interrupt();
        let State {
            inodes,
            names,
            random,
            ..
        } = &mut *state;
        let loss = match random.below(6) {
            0 => Loss::All,
            1 => Loss::Nothing,
            _ => Loss::Some,
        };
        names.lose_power(loss, random);
        inodes.retain(|id, _| names.durable().values().any(|used| used == id));
        for inode in inodes.values_mut() {
            inode.lose_power(loss, random);
        }
        state.revive();
        loss
    }

    /// The bytes that a power loss leaves for certain, of every file with a name that it leaves.
    pub fn durable_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let names = state.names.durable().iter();
        names
            .map(|(path, inode)| (path.clone(), state.inodes[inode].durable().to_vec()))
            .collect()
    }

    /// Lets a bit of a file that is durable be wrong from now on.
    pub fn rot(&self, path: &Path, byte: usize, bit: u8) {
        let mut state = self.state();
        let inode = state.names.find(path).expect("it has just been listed");
        let file = state.inodes.get_mut(&inode);
        file.expect("every name has its file").rot(byte, bit);
    }
}

impl State {
    /// Decides what becomes of an operation that fails `parts` times in a million.
    fn fate(&mut self, parts: u32) -> Fate {
        if self.is_dead {
            return Fate::Crash;
        }
        if let Some(left) = &mut self.crash_in {
            *left -= 1;
            if *left == 0 {
                self.crash_in = None;
                self.is_dead = true;
                self.note(&[1], &[], || "disk: the crash comes here".to_owned());
                return Fate::Crash;
            }
        }
        if parts > 0 && self.random.chance(parts) {
            self.harm.failed += 1;
            return Fate::Fails;
        }
        Fate::Fine
    }

    fn note(&self, numbers: &[u64], bytes: &[u8], describe: impl FnOnce() -> String) {
        let mut trace = self.trace.lock().expect("no holder panics");
        trace.add(numbers, bytes, describe);
    }

    fn inode(&mut self, id: InodeId) -> &mut Inode {
        // A file whose last name is gone is there as long as it is open.
        self.inodes.entry(id).or_default()
    }

    fn find(&self, path: &Path) -> io::Result<InodeId> {
        let found = self.names.find(path);
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn open(&mut self, path: &Path, how: Open) -> io::Result<InodeId> {
        let fate = self.fate(0);
        self.note(&[2, how as u64], path_bytes(path), || {
            format!("disk: open {} to {how:?}: {fate:?}", path.display())
        });
        if fate != Fate::Fine {
            return Err(failure());
        }
        match (how, self.names.find(path)) {
            (Open::Create | Open::Fill, Some(inode)) => {
                self.inode(inode).change(Change::Truncate);
                Ok(inode)
            }
            (Open::Create | Open::Fill, None) if self.weather.is_full => {
                self.harm.failed += 1;
                Err(full())
            }
            (Open::Create | Open::Fill, None) => {
                let inode = self.inode_count;
                self.inode_count += 1;
                self.inodes.insert(inode, Inode::default());
                self.names.give(path, inode);
                Ok(inode)
            }
            (_, found) => found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn read(&mut self, id: InodeId, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let fate = self.fate(self.weather.read);
        self.note(&[3, id as u64, position], &[], || {
            format!("disk: read file {id} from {position}: {fate:?}")
        });
        match fate {
            Fate::Fine => {}
            Fate::Crash => return Err(failure()),
            Fate::Fails => {
                self.harm.reads_failed += 1;
                return Err(failure());
            }
        }
        let bytes = self.inode(id).visible();
        let start = (position as usize).min(bytes.len());
        let length = buffer.len().min(bytes.len() - start);
        buffer[..length].copy_from_slice(&bytes[start..start + length]);
        Ok(length)
    }

    fn write(&mut self, id: InodeId, change: Change) -> io::Result<()> {
        let Change::Write {
            position,
            bytes,
            end_offset,
        } = &change
        else {
            unreachable!("only bytes are written");
        };
        let end = position + bytes.len();
        let grows = end > self.inode(id).visible().len();
        let is_full = self.weather.is_full && grows;
        let fate = self.fate(self.weather.write);
        self.note(&[4, id as u64, *position as u64], bytes, || {
            let length = bytes.len();
            format!(
                "disk: write file {id}, {length} bytes from {position}: {fate:?}, full: {is_full}"
            )
        });
        if fate == Fate::Fine && !is_full {
            let written = *end_offset;
            self.inode(id).change(change);
            if let Some(end) = written {
                self.ledger().wrote_to(end);
            }
            return Ok(());
        }
        if !is_full {
            for piece in remains(change, &mut self.random) {
                self.inode(id).change(piece);
            }
            return Err(failure());
        }
        self.harm.failed += 1;
        Err(full())
    }

    fn sync(&mut self, id: InodeId) -> io::Result<()> {
        let fate = self.fate(self.weather.sync);
        self.note(&[5, id as u64], &[], || {
            format!("disk: sync file {id}: {fate:?}")
        });
        let is_done = match fate {
            Fate::Fine => true,
            Fate::Crash => self.random.coin(),
            Fate::Fails => {
                let State { inodes, random, .. } = self;
                let inode = inodes.entry(id).or_default();
                if inode.fail_sync(random) {
                    self.ledger().lose();
                }
                return Err(failure());
            }
        };
        if is_done {
            let synced = self.inode(id).sync();
            synced
                .into_iter()
                .for_each(|end| self.ledger().synced_to(end));
        }
        match fate {
            Fate::Fine => Ok(()),
            _ => Err(failure()),
        }
    }

    fn perform(&mut self, inode: InodeId, kind: OpKind) -> io::Result<()> {
        match kind {
            OpKind::Sync => self.sync(inode),
            OpKind::WriteThrough { position, bytes } => {
                self.perform(inode, OpKind::Write { position, bytes })?;
                self.sync(inode)
            }
            OpKind::Write { position, bytes } => {
                let end_offset = self.ledger().end_offset_of(&bytes);
                let position = position as usize;
                self.write(
                    inode,
                    Change::Write {
                        position,
                        bytes,
                        end_offset,
                    },
                )
            }
        }
    }

    /// What was on its way past the page cache when everything ended is there by chance.
    fn interrupt(&mut self) {
        self.is_dead = true;
        for (inode, kind) in self.ops.take_pending() {
            // It fails, as everything does now; some of it may be on the disk.
            let _ = self.perform(inode, kind);
        }
    }

    fn revive(&mut self) {
        self.is_dead = false;
        self.crash_in = None;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no holder panics")
    }

    fn change_names(&mut self, what: u64, describe: impl FnOnce() -> String) -> io::Result<()> {
        let fate = self.fate(self.weather.write);
        self.note(&[what], &[], || format!("disk: {}: {fate:?}", describe()));
        match fate {
            Fate::Fine => Ok(()),
            _ => Err(failure()),
        }
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn failure() -> io::Error {
    io::Error::other("simulated I/O error")
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().open(path, how)?;
        Ok(Box::new(File {
            disk: self.clone(),
            inode,
        }))
    }

    fn open_direct<'a>(&'a self, path: &'a Path) -> Local<'a, io::Result<Box<dyn DirectFile>>> {
        let opened = self.state().open(path, Open::Write);
        let disk = self.clone();
        Box::pin(async move {
            let file: Box<dyn DirectFile> = Box::new(File {
                disk,
                inode: opened?,
            });
            Ok(file)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change_names(6, || {
            format!("rename {} to {}", from.display(), to.display())
        })?;
        match state.names.rename(from, to) {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change_names(7, || format!("remove {}", path.display()))?;
        state.find(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let read = state.weather.read;
        match state.fate(read) {
            Fate::Fine => Ok(state.names.list(directory)),
            Fate::Crash => Err(failure()),
            Fate::Fails => {
                state.harm.reads_failed += 1;
                Err(failure())
            }
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let parts = state.weather.sync;
        let fate = state.fate(parts);
        state.note(&[8], &[], || format!("disk: sync the directory: {fate:?}"));
        if fate != Fate::Fine {
            return Err(failure());
        }
        state.names.sync(directory);
        Ok(())
    }
}

/// An open file.
struct File {
    disk: SimulatedDisk,
    inode: InodeId,
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        Ok(state.inode(self.inode).visible().len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.state().read(self.inode, position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let change = Change::Write {
            position: position as usize,
            bytes: bytes.to_vec(),
            end_offset: None,
        };
        self.disk.state().write(self.inode, change)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().sync(self.inode)
    }

    fn forget_cached(&self) {
        let mut state = self.disk.state();
        if !state.is_dead {
            state.inode(self.inode).forget_cached();
        }
    }
}

impl DirectFile for File {
    fn write_blocks<'a>(
        &'a self,
        position: u64,
        blocks: &'a [u8],
        through: bool,
    ) -> Local<'a, io::Result<()>> {
        let mut state = self.disk.state();
        assert!(state.writes_through || !through);
        state.ledger().append(blocks);
        let bytes = blocks.to_vec();
        let kind = match through {
            true => OpKind::WriteThrough { position, bytes },
            false => OpKind::Write { position, bytes },
        };
        let id = state.ops.submit(self.inode, kind);
        drop(state);
        Box::pin(ops::wait(self.disk.clone(), id))
    }

    fn writes_through(&self) -> bool {
        self.disk.state().writes_through
    }

    fn sync(&self) -> Local<'_, io::Result<()>> {
        let id = self.disk.state().ops.submit(self.inode, OpKind::Sync);
        Box::pin(ops::wait(self.disk.clone(), id))
    }

    fn close(self: Box<Self>) -> Local<'static, io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
