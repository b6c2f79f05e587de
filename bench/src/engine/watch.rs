//! Ends connections whose answer does not come: a server that hangs must not hang who measures it.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use central_inventory::runtime::tcp;

/// The connections of one executor.
#[derive(Default)]
pub struct Watch {
    watched: RefCell<Vec<Rc<Watched>>>,
    swept: Cell<Option<Instant>>,
}

/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// A connection that is watched.
pub struct Watched {
    descriptor: RawFd,
    deadline: Cell<Option<Instant>>,
}

impl Watch {
    /// Watches the connection with `descriptor`, until what is returned is given back to [`Watch::forget`].
    pub fn over(&self, descriptor: RawFd) -> Rc<Watched> {
        let watched = Rc::new(Watched {
            descriptor,
            deadline: Cell::new(None),
        });
        self.watched.borrow_mut().push(watched.clone());
        watched
    }

    /// Must come before the connection is closed.
    pub fn forget(&self, watched: &Rc<Watched>) {
        self.watched
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, watched));
    }

    /// Ends all.
    pub fn end_all(&self) {
        for watched in self.watched.borrow().iter() {
            tcp::shutdown(watched.descriptor);
        }
    }

    /// Ends those whose time is over, now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        if self
            .swept
            .get()
            .is_some_and(|swept| now < swept + SWEEP_EVERY)
        {
            return;
        }
        self.swept.set(Some(now));
        for watched in self.watched.borrow().iter() {
            if watched
                .deadline
                .get()
                .is_some_and(|deadline| deadline < now)
            {
                watched.deadline.set(None);
                tcp::shutdown(watched.descriptor);
            }
        }
    }
}

impl Watched {
    /// An answer is waited for, for so long at most.
    pub fn within(&self, limit: Duration) {
        self.deadline.set(Some(Instant::now() + limit));
    }

    /// It came.
    pub fn done(&self) {
        self.deadline.set(None);
    }
}
