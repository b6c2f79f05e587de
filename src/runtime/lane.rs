//! Lanes: bounded queues between roles, and the doorbells that wake their receivers.
//!
//! ```text
//!   sender: push ─▶ fence ─▶ asleep? ──yes──▶ wake
//!   receiver: drain ─▶ (spin) ─▶ register waker ─▶ say "asleep" ─▶ fence ─▶ look once more ─▶ park
//! ```
//!
//! The two fences make it impossible that the sender misses the sleeper and the sleeper the message. One receiver
//! has one doorbell, however many lanes lead to it. A full lane gives the message back: the sender answers the
//! client (invariant 8: never a silent drop, never a blocked executor).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::Poll;
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use crossbeam_queue::ArrayQueue;

/// Wakes the one task that drains a receiver's lanes.
#[derive(Debug, Default)]
pub struct Doorbell {
    asleep: AtomicBool,
    waker: AtomicWaker,
}

impl Doorbell {
    /// Wakes the receiver if it said that it sleeps. Call it after pushing.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Parks the calling task until `has_mail`, spinning for `spin` first. Only the receiver's task calls it.
    pub async fn wait(&self, spin: Duration, has_mail: impl Fn() -> bool) {
        if spin_until(spin, &has_mail) {
            return;
        }
        let mut registered = false;
        poll_fn(|context| {
            if registered && !self.asleep.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            registered = true;
            self.waker.register(context.waker());
            self.asleep.store(true, Ordering::Release);
            fence(Ordering::SeqCst);
            if has_mail() {
                self.asleep.store(false, Ordering::Release);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

fn spin_until(spin: Duration, done: impl Fn() -> bool) -> bool {
    if spin.is_zero() {
        return done();
    }
    let started = Instant::now();
    loop {
        // The clock costs as much as some thirty looks at a queue.
        for _ in 0..32 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if started.elapsed() >= spin {
            return false;
        }
    }
}

/// The lane was full; here is the message again.
#[derive(Debug)]
pub struct Full<T>(pub T);

/// The sending end of a lane.
#[derive(Debug)]
pub struct Sender<T> {
    queue: Arc<ArrayQueue<T>>,
    bell: Arc<Doorbell>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender {
            queue: self.queue.clone(),
            bell: self.bell.clone(),
        }
    }
}

impl<T> Sender<T> {
    /// Pushes and rings.
    pub fn send(&self, message: T) -> Result<(), Full<T>> {
        self.push(message)?;
        self.bell.ring();
        Ok(())
    }

    /// Pushes without ringing; for batches, with one [`Sender::ring`] at their end.
    pub fn push(&self, message: T) -> Result<(), Full<T>> {
        self.queue.push(message).map_err(Full)
    }

    /// Rings the receiver's bell.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// How many more messages fit at the moment.
    pub fn room(&self) -> usize {
        self.queue.capacity() - self.queue.len()
    }
}

/// How full a lane is, for whoever watches it from outside: it reads two counters and touches no message.
pub trait Depth: Send + Sync {
    /// Messages in it.
    fn messages(&self) -> usize;
    /// The most there can be.
    fn slots(&self) -> usize;
}

impl<T: Send> Depth for ArrayQueue<T> {
    fn messages(&self) -> usize {
        self.len()
    }

    fn slots(&self) -> usize {
        self.capacity()
    }
}

/// The receiving end of a lane.
#[derive(Debug)]
pub struct Receiver<T> {
    queue: Arc<ArrayQueue<T>>,
}

impl<T> Receiver<T> {
    /// For whoever watches how full it is.
    pub fn depth(&self) -> Arc<dyn Depth>
    where
        T: Send + 'static,
    {
        self.queue.clone()
    }

    /// Takes the oldest message.
    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// A lane of `slots` to the receiver that listens to `bell`.
pub fn lane<T>(slots: usize, bell: &Arc<Doorbell>) -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(ArrayQueue::new(slots));
    let sender = Sender {
        queue: queue.clone(),
        bell: bell.clone(),
    };
    (sender, Receiver { queue })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_full_lane_gives_the_message_back() {
        let (sender, receiver) = lane(1, &Arc::default());
        sender.send(1).unwrap();
        assert_eq!(2, sender.send(2).unwrap_err().0);
        assert_eq!(Some(1), receiver.pop());
        assert_eq!(1, sender.room());
    }

    #[test]
    fn every_message_arrives_whatever_the_receiver_was_doing() {
        const MESSAGES: usize = 100_000;
        let bell = Arc::new(Doorbell::default());
        let (sender, receiver) = lane(64, &bell);
        let received = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..MESSAGES {
                    let mut message = n;
                    while let Err(Full(back)) = sender.send(message) {
                        message = back;
                        std::thread::yield_now();
                    }
                }
            });
            scope.spawn(|| {
                futures_lite::future::block_on(async {
                    let mut expected = 0;
                    while expected < MESSAGES {
                        while let Some(n) = receiver.pop() {
                            assert_eq!(expected, n);
                            expected += 1;
                        }
                        if expected < MESSAGES {
                            bell.wait(Duration::ZERO, || !receiver.is_empty()).await;
                        }
                    }
                    received.store(expected, Ordering::Relaxed);
                });
            });
        });
        assert_eq!(MESSAGES, received.into_inner());
    }
}
