//! Operations past the page cache: on their way until the world completes them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};

use super::SimulatedDisk;
use super::names::InodeId;

/// An operation, in the order in which they were begun.
pub type OpId = u64;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum OpKind {
    /// Bytes to be written.
    Write {
        /// Where.
        position: u64,
        /// Which.
        bytes: Vec<u8>,
    },
    /// Bytes to be written, and durable when they are.
    WriteThrough {
        /// Where.
        position: u64,
        /// Which.
        bytes: Vec<u8>,
    },
    /// What was written is to be durable.
    Sync,
}

/// All operations that somebody waits for.
#[derive(Default)]
pub struct Ops {
    begun: OpId,
    pending: BTreeMap<OpId, (InodeId, OpKind)>,
    results: BTreeMap<OpId, io::Result<()>>,
    wakers: BTreeMap<OpId, Waker>,
}

impl Ops {
    /// Begins one.
    pub fn submit(&mut self, inode: InodeId, kind: OpKind) -> OpId {
        self.begun += 1;
        self.pending.insert(self.begun, (inode, kind));
        self.begun
    }

    /// Whether one is on its way.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes the one begun first.
    pub fn next_pending(&mut self) -> Option<(OpId, InodeId, OpKind)> {
        let (id, (inode, kind)) = self.pending.pop_first()?;
        Some((id, inode, kind))
    }

    /// Takes all of them; nobody waits for them any more.
    pub fn take_pending(&mut self) -> Vec<(InodeId, OpKind)> {
        self.results.clear();
        self.wakers.clear();
        std::mem::take(&mut self.pending).into_values().collect()
    }

    /// One is over. Returns who is to be woken.
    pub fn complete(&mut self, id: OpId, result: io::Result<()>) -> Option<Waker> {
        self.results.insert(id, result);
        self.wakers.remove(&id)
    }
}

/// Waits for an operation.
pub async fn wait(disk: SimulatedDisk, id: OpId) -> io::Result<()> {
    poll_fn(|context| {
        let mut state = disk.state();
        if let Some(result) = state.ops.results.remove(&id) {
            return Poll::Ready(result);
        }
        state.ops.wakers.insert(id, context.waker().clone());
        Poll::Pending
    })
    .await
}
