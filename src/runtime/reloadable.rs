//! What can be replaced while the server runs: keys, for one. The main thread replaces the value; each data core follows with a
//! copy of its own and looks on its heartbeat whether there is a newer one, so that a request takes no lock and no atomic.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

/// A value that is replaced as a whole.
#[derive(Debug)]
pub struct Reloadable<T> {
    /// How often it was replaced. Only changed under the lock.
    generation: AtomicU64,
    current: Mutex<Arc<T>>,
}

impl<T> Reloadable<T> {
    /// Begins with `value`.
    pub fn new(value: T) -> Reloadable<T> {
        Reloadable {
            generation: AtomicU64::new(0),
            current: Mutex::new(Arc::new(value)),
        }
    }

    /// Puts `value` in place. Followers have it after their next heartbeat.
    pub fn replace(&self, value: T) {
        let mut current = self.current.lock().expect("no holder panics");
        *current = Arc::new(value);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A follower, which begins with the value as it is.
    pub fn follow(self: &Arc<Self>) -> Follower<T> {
        let current = self.current.lock().expect("no holder panics");
        Follower {
            seen: Cell::new(self.generation.load(Ordering::Relaxed)),
            current: RefCell::new(current.clone()),
            source: self.clone(),
        }
    }
}

/// One core's copy of a [`Reloadable`].
#[derive(Debug)]
pub struct Follower<T> {
    source: Arc<Reloadable<T>>,
    seen: Cell<u64>,
    current: RefCell<Arc<T>>,
}

impl<T> Follower<T> {
    /// Takes over a newer value, if there is one: called on each heartbeat. It never waits: while the value is being
    /// replaced, the next heartbeat will do.
    pub fn refresh(&self) {
        if self.source.generation.load(Ordering::Acquire) == self.seen.get() {
            return;
        }
        match self.source.current.try_lock() {
            Ok(current) => {
                self.seen
                    .set(self.source.generation.load(Ordering::Relaxed));
                self.current.replace(current.clone());
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Poisoned(_)) => unreachable!("no holder panics"),
        }
    }

    /// What `look` finds in the value.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.current.borrow())
    }

    /// The value, to be kept for longer than a look.
    pub fn current(&self) -> Arc<T> {
        self.current.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_has_the_new_value_after_its_next_heartbeat_and_not_before() {
        let source = Arc::new(Reloadable::new("old"));
        let follower = source.follow();
        source.replace("new");
        assert_eq!(follower.with(|value| *value), "old");
        follower.refresh();
        assert_eq!(follower.with(|value| *value), "new");
        assert_eq!(source.follow().with(|value| *value), "new");
    }

    #[test]
    fn whoever_keeps_a_value_has_it_also_when_it_was_replaced() {
        let source = Arc::new(Reloadable::new("old".to_owned()));
        let follower = source.follow();
        let kept = follower.current();
        source.replace("new".to_owned());
        follower.refresh();
        assert_eq!((&**kept, &**follower.current()), ("old", "new"));
    }

    #[test]
    fn a_heartbeat_never_waits_for_who_replaces() {
        let source = Arc::new(Reloadable::new(1));
        let follower = source.follow();
        source.replace(2);
        let replacing = source.current.lock().unwrap();
        follower.refresh();
        assert_eq!(follower.with(|value| *value), 1);
        drop(replacing);
        follower.refresh();
        assert_eq!(follower.with(|value| *value), 2);
    }
}
