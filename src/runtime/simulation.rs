//! A stand-in for the executor and the clocks of a thread, so that a simulator can run the real roles in one thread
//! under a virtual clock. Only compiled with the feature `simulation`, which the simulator asks for; the server that
//! is shipped has none of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shards::Timestamp;

use super::disk::Local;

/// What an executor offers to the tasks on it.
pub trait Host {
    /// Runs `task` beside the current one.
    fn spawn(&self, task: Local<'static, ()>);
    /// Is ready when `duration` has passed.
    fn sleep(&self, duration: Duration) -> Local<'static, ()>;
    /// Is ready when others had their turn.
    fn yield_now(&self) -> Local<'static, ()>;
    /// Runs `work` at some moment, and is ready after it.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> Local<'static, ()>;
    /// The wall clock. It may jump, also backwards.
    fn wall_now(&self) -> Timestamp;
    /// The time since some fixed moment. It never runs backwards.
    fn monotonic_now(&self) -> Duration;
}

thread_local! {
    static HOST: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// Until dropped, the calling thread is `host`'s.
#[must_use]
pub struct Entered(());

/// Puts `host` in place of the executor and the clocks of this thread.
pub fn enter(host: Rc<dyn Host>) -> Entered {
    let before = HOST.replace(Some(host));
    assert!(before.is_none(), "a thread has one host at a time");
    Entered(())
}

impl Drop for Entered {
    fn drop(&mut self) {
        HOST.replace(None);
    }
}

/// The host of this thread; none on the machine's own executors.
pub(super) fn host() -> Option<Rc<dyn Host>> {
    HOST.with_borrow(Option::clone)
}
