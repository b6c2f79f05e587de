//! So many tasks of an executor at once; the others wait, first come first served. A task that is dropped while it waits
//! loses nobody's turn.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Turns to be had.
pub struct Turns {
    free: Cell<usize>,
    next_place: Cell<u64>,
    /// Who waits, in the order in which they came.
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

/// A turn, given back when it is dropped.
pub struct Turn<'a>(&'a Turns);

/// A place among those who wait, left when it is dropped.
struct Place<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    /// For so many at once.
    pub fn new(at_once: usize) -> Turns {
        Turns {
            free: Cell::new(at_once),
            next_place: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    /// Waits for a turn.
    pub async fn take(&self) -> Turn<'_> {
        let number = self.next_place.get();
        self.next_place.set(number + 1);
        let place = Place {
            turns: self,
            number,
        };
        poll_fn(|context| {
            if let Some(left) = self.free.get().checked_sub(1) {
                self.free.set(left);
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            self.waiting.borrow_mut().insert(place.number, waker);
            Poll::Pending
        })
        .await;
        Turn(self)
    }

    fn wake_next(&self) {
        if self.free.get() == 0 {
            return;
        }
        if let Some(waker) = self.waiting.borrow().values().next() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        self.0.wake_next();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.waiting.borrow_mut().remove(&self.number);
        // It may have been woken for a turn that it does not take any more, or there may be one more to be had.
        self.turns.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
        let waker = Waker::from(woken.clone());
        future.poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn those_who_wait_are_served_in_their_order() {
        let turns = Turns::new(1);
        let woken = [(); 3].map(|()| Arc::new(Woken::default()));
        let (mut first, mut second, mut third) =
            (pin!(turns.take()), pin!(turns.take()), pin!(turns.take()));
        let Poll::Ready(turn) = poll(first.as_mut(), &woken[0]) else {
            panic!("nobody else has it");
        };
        // Asked twice, it still has one place.
        for _ in 0..2 {
            assert!(poll(second.as_mut(), &woken[1]).is_pending());
        }
        assert!(poll(third.as_mut(), &woken[2]).is_pending());
        drop(turn);
        assert_eq!([0, 1, 0], [0, 1, 2].map(|at| woken[at].count()));
        let Poll::Ready(turn) = poll(second.as_mut(), &woken[1]) else {
            panic!("it was its turn");
        };
        assert!(poll(third.as_mut(), &woken[2]).is_pending());
        drop(turn);
        assert_eq!(1, woken[2].count());
        assert!(poll(third.as_mut(), &woken[2]).is_ready());
    }

    #[test]
    fn who_is_woken_and_goes_away_passes_the_turn_on() {
        let turns = Turns::new(1);
        let (gone, stays) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut holder = pin!(turns.take());
        let Poll::Ready(turn) = poll(holder.as_mut(), &gone) else {
            panic!("nobody else has it");
        };
        let mut goes = Box::pin(turns.take());
        let mut waits = pin!(turns.take());
        assert!(poll(goes.as_mut(), &gone).is_pending());
        assert!(poll(waits.as_mut(), &stays).is_pending());
        drop(turn);
        assert_eq!((1, 0), (gone.count(), stays.count()));
        drop(goes);
        assert_eq!(1, stays.count());
        assert!(poll(waits.as_mut(), &stays).is_ready());
    }
}
