//! Exchanges: what a request's task waits on while its answers travel. One inbox task per acceptor completes them,
//! so that no waker of a request ever crosses a thread.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::messages::ExchangeKey;

/// The exchanges of an acceptor that are answered with `T`.
pub struct Exchanges<T> {
    table: Rc<RefCell<Table<T>>>,
}

struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    expected: u32,
    answers: Vec<T>,
    waker: Option<Waker>,
}

impl<T> Default for Exchanges<T> {
    fn default() -> Exchanges<T> {
        let table = Table {
            slots: Vec::new(),
            free: Vec::new(),
        };
        Exchanges {
            table: Rc::new(RefCell::new(table)),
        }
    }
}

impl<T> Exchanges<T> {
    /// Begins an exchange that expects nothing yet. The table grows to as many as there are connections.
    pub fn begin(&self) -> Exchange<T> {
        let mut table = self.table.borrow_mut();
        let index = table.free.pop().unwrap_or_else(|| {
            table.slots.push(Slot {
                generation: 0,
                expected: 0,
                answers: Vec::with_capacity(1),
                waker: None,
            });
            u32::try_from(table.slots.len() - 1).expect("connections are far fewer")
        });
        let key = ExchangeKey {
            index,
            generation: table.slots[index as usize].generation,
        };
        drop(table);
        Exchange {
            table: self.table.clone(),
            key,
        }
    }

    /// Hands an answer to whoever waits for it. One that nobody waits for any more is dropped.
    pub fn complete(&self, key: ExchangeKey, answer: T) {
        let mut table = self.table.borrow_mut();
        let slot = &mut table.slots[key.index as usize];
        if slot.generation != key.generation {
            return;
        }
        slot.answers.push(answer);
        if slot.is_complete()
            && let Some(waker) = slot.waker.take()
        {
            waker.wake();
        }
    }
}

impl<T> Slot<T> {
    fn is_complete(&self) -> bool {
        self.answers.len() == self.expected as usize
    }
}

/// One exchange. Dropping it ends it, whatever is still on its way.
pub struct Exchange<T> {
    table: Rc<RefCell<Table<T>>>,
    key: ExchangeKey,
}

impl<T> Exchange<T> {
    /// Where its answers belong.
    pub fn key(&self) -> ExchangeKey {
        self.key
    }

    /// One more answer is expected.
    pub fn expect_one_more(&self) {
        self.table.borrow_mut().slots[self.key.index as usize].expected += 1;
    }

    /// Waits for the only answer that is expected.
    pub async fn one(&self) -> T {
        self.complete(|answers| answers.pop().expect("one was expected"))
            .await
    }

    /// Waits for all answers that are expected; they come in any order.
    pub async fn all(&self) -> Vec<T> {
        self.complete(std::mem::take).await
    }

    async fn complete<R>(&self, take: impl Fn(&mut Vec<T>) -> R) -> R {
        poll_fn(|context| {
            let mut table = self.table.borrow_mut();
            let slot = &mut table.slots[self.key.index as usize];
            if slot.is_complete() {
                slot.expected = 0;
                return Poll::Ready(take(&mut slot.answers));
            }
            slot.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl<T> Drop for Exchange<T> {
    fn drop(&mut self) {
        let mut table = self.table.borrow_mut();
        let slot = &mut table.slots[self.key.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.expected = 0;
        slot.answers.clear();
        slot.waker = None;
        table.free.push(self.key.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ExecutorPlan, Machine};
    use crate::runtime::executor::{self, Executor};
    use futures_lite::future::{block_on, poll_once};
    use std::cell::Cell;

    #[test]
    fn an_exchange_waits_for_all_that_it_expects() {
        let exchanges = Exchanges::default();
        let exchange = exchanges.begin();
        exchange.expect_one_more();
        exchange.expect_one_more();
        exchanges.complete(exchange.key(), 1);
        assert!(block_on(poll_once(exchange.all())).is_none());
        exchanges.complete(exchange.key(), 2);
        assert_eq!(vec![1, 2], block_on(exchange.all()));
    }

    #[test]
    fn a_late_answer_does_not_reach_the_next_user_of_the_slot() {
        let exchanges = Exchanges::default();
        let first = exchanges.begin();
        first.expect_one_more();
        let late = first.key();
        drop(first);
        let second = exchanges.begin();
        second.expect_one_more();
        assert_eq!(late.index, second.key().index);
        exchanges.complete(late, 1);
        assert!(block_on(poll_once(second.one())).is_none());
        exchanges.complete(second.key(), 2);
        assert_eq!(2, block_on(second.one()));
    }

    /// A task's wakers are counted, and glommio's counter ends at 32,767. A fleet is larger: so each connection has a task
    /// of its own, and none keeps more than a few.
    #[test]
    fn tens_of_thousands_wait_on_one_executor_and_are_all_woken() {
        const WAITING: usize = 40_000;
        let plan = ExecutorPlan {
            name: "fleet".to_owned(),
            cpus: Machine::read().cpus,
            pinned: false,
            roles: Vec::new(),
        };
        let fleet = Executor::start(&plan, false, || async {
            let exchanges = Rc::new(Exchanges::default());
            let (keys, woken) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
            for number in 0..WAITING {
                let (exchanges, keys, woken) = (exchanges.clone(), keys.clone(), woken.clone());
                executor::spawn(async move {
                    let exchange = exchanges.begin();
                    exchange.expect_one_more();
                    keys.borrow_mut().push((exchange.key(), number));
                    assert_eq!(number, exchange.one().await);
                    woken.set(woken.get() + 1);
                });
            }
            while keys.borrow().len() < WAITING {
                executor::yield_now().await;
            }
            for (key, number) in keys.take() {
                exchanges.complete(key, number);
            }
            while woken.get() < WAITING {
                executor::yield_now().await;
            }
        });
        fleet.expect("an executor can be had").join().unwrap();
    }
}
