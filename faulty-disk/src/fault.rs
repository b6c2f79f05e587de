//! What can be made to go wrong: an operation that fails, or one before which the disk freezes.

/// The kinds of operations that a disk tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Anything that changes nothing and reads no file: looking up, listing, opening, closing.
    Look,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Setting the length of a file.
    Resize,
    /// Making a file or directory.
    Create,
    /// Moving a name to another.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Making a file's bytes and length durable (fsync, fdatasync).
    SyncFile,
    /// Making the names in a directory durable.
    SyncDirectory,
}

/// Something to go wrong, once: at the n-th operation of a kind, on any file or on files of a certain name.
///
/// A write that fails may leave some of its sectors. A sync that fails leaves each write durable, or lost, or still
/// waiting for the next sync. Other operations that fail have no effect.
#[derive(Clone, Debug)]
pub struct Fault {
    operation: Operation,
    name_part: String,
    left: usize,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Fail,
    Freeze,
}

impl Fault {
    /// The next operation of this kind fails with `EIO`.
    pub fn fail(operation: Operation) -> Self {
        Self::new(operation, Effect::Fail)
    }

    /// The disk freezes just before the next operation of this kind.
    pub fn freeze(operation: Operation) -> Self {
        Self::new(operation, Effect::Freeze)
    }

    /// Only operations on files whose name contains `part` count.
    pub fn on(mut self, part: &str) -> Self {
        part.clone_into(&mut self.name_part);
        self
    }

    /// The n-th such operation from now, counted from 1.
    pub fn nth(mut self, count: usize) -> Self {
        assert!(count > 0, "operations are counted from 1");
        self.left = count;
        self
    }

    fn new(operation: Operation, effect: Effect) -> Self {
        Self {
            operation,
            name_part: String::new(),
            left: 1,
            effect,
        }
    }

    /// Counts an operation; returns what it meets if this is the one.
    pub(crate) fn meet(&mut self, operation: Operation, name: &str) -> Option<Effect> {
        if self.left == 0 || operation != self.operation || !name.contains(&self.name_part) {
            return None;
        }
        self.left -= 1;
        (self.left == 0).then_some(self.effect)
    }
}
