//! How much memory the request bodies of an acceptor take together.

use std::cell::Cell;
use std::rc::Rc;

/// The bound on the bytes of all bodies that are held at a time.
#[derive(Debug)]
pub struct BodyMemory {
    bytes_max: usize,
    free: Cell<usize>,
}

/// The bound is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// The share of one body, given back when dropped.
#[derive(Debug)]
pub struct Held {
    memory: Rc<BodyMemory>,
    bytes: usize,
}

impl BodyMemory {
    /// Of `bytes` bytes.
    pub fn new(bytes: usize) -> BodyMemory {
        BodyMemory {
            bytes_max: bytes,
            free: Cell::new(bytes),
        }
    }

    /// Bytes that are held.
    pub fn used(&self) -> usize {
        self.bytes_max - self.free.get()
    }

    /// A share of nothing yet.
    pub fn hold(self: &Rc<Self>) -> Held {
        Held {
            memory: self.clone(),
            bytes: 0,
        }
    }
}

impl Held {
    /// Makes the share at least `bytes` large.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = bytes.saturating_sub(self.bytes);
        let free = self.memory.free.get();
        let left = free.checked_sub(more).ok_or(Exhausted)?;
        self.memory.free.set(left);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.free.set(self.memory.free.get() + self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_free_again_at_its_end() {
        let memory = Rc::new(BodyMemory::new(10));
        let (mut first, mut second) = (memory.hold(), memory.hold());
        assert_eq!(Ok(()), first.grow_to(4));
        assert_eq!(Ok(()), first.grow_to(2));
        assert_eq!(Ok(()), second.grow_to(6));
        assert_eq!(Err(Exhausted), first.grow_to(5));
        drop(second);
        assert_eq!(Ok(()), first.grow_to(10));
        drop(first);
        assert_eq!(10, memory.free.get());
    }
}
