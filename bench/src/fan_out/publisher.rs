//! The thread that publishes, in an open loop: an update is due by the clock, whatever became of those before it.
//!
//! It is a thread of its own, with precedence over the followers', so that a time of an answer is when the answer came
//! and not when thousands of followers let it be read.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use central_inventory::runtime::executor::{self, Executor};

use super::options::Options;
use super::subject::{Feed, Pen};
use crate::client::{Connection, sockets};

/// The most that there is.
const PRECEDENCE: i32 = -20;

/// The publisher at work.
pub struct Publisher {
    executor: Executor,
    brought: mpsc::Receiver<Published>,
    is_over: Arc<AtomicBool>,
}

/// What it did.
#[derive(Debug, Default)]
pub struct Published {
    /// Every update that was sent, in no order.
    pub updates: Vec<Update>,
    /// What was wrong.
    pub problems: Vec<String>,
    /// Whether its thread goes before others.
    pub has_precedence: bool,
}

/// One update that was sent. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which one.
    pub number: u64,
    /// When it should have been sent.
    pub due_ns: u64,
    /// How long after that its connection woke, if it slept until then and was not busy.
    pub woke_late_ns: Option<u64>,
    /// When its answer came, if it did.
    pub answered_ns: Option<u64>,
    /// Whether the answer says that it was taken.
    pub is_taken: bool,
}

impl Publisher {
    /// Publishes from `start` on, on `cpu`. Times count from `born`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(
        feed: &Feed,
        options: &Options,
        born: Instant,
        start: Instant,
        cpu: usize,
    ) -> io::Result<Publisher> {
        let (sender, brought) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let (feed, shared_is_over) = (feed.clone(), is_over.clone());
        let schedule = Schedule {
            count: options.updates(),
            gap: Duration::from_secs_f64(1.0 / options.rate),
            end: start + options.warm_up + options.duration,
            born,
            start,
        };
        let connections = usize::from(options.connections);
        let main = move || async move {
            let has_precedence = rustix::process::setpriority_process(None, PRECEDENCE).is_ok();
            let mut published = publish(feed, schedule, connections, shared_is_over).await;
            published.has_precedence = has_precedence;
            // Only gone if the main thread is.
            let _ = sender.send(published);
        };
        Ok(Publisher {
            executor: Executor::start(&super::plan("fan-publish", cpu), false, main)?,
            brought,
            is_over,
        })
    }

    /// Waits for the answers that are still to come, for at most `limit`.
    ///
    /// # Errors
    /// If its thread has ended by itself.
    pub fn finish(self, limit: Duration) -> io::Result<Published> {
        let published = self.brought.recv_timeout(limit);
        self.is_over.store(true, Ordering::SeqCst);
        let published = published.or_else(|_| self.brought.recv());
        self.executor.join()?;
        published.map_err(io::Error::other)
    }
}

/// When updates are due.
#[derive(Clone, Copy)]
struct Schedule {
    count: u64,
    gap: Duration,
    start: Instant,
    /// What could not be sent by then is not sent.
    end: Instant,
    born: Instant,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        self.start + self.gap.mul_f64(number as f64)
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        super::nanoseconds(at.saturating_duration_since(self.born))
    }
}

struct Shared {
    feed: Feed,
    schedule: Schedule,
    next: Cell<u64>,
    running: Cell<usize>,
    published: RefCell<Published>,
}

async fn publish(
    feed: Feed,
    schedule: Schedule,
    connections: usize,
    is_over: Arc<AtomicBool>,
) -> Published {
    let shared = Rc::new(Shared {
        feed,
        schedule,
        next: Cell::new(0),
        running: Cell::new(connections),
        published: RefCell::default(),
    });
    for number in 0..connections {
        let shared = shared.clone();
        executor::spawn(async move {
            if let Err(error) = shared.publish_over_one(number).await {
                let problem = format!("a connection that publishes ended: {error}");
                shared.published.borrow_mut().problems.push(problem);
            }
            shared.running.set(shared.running.get() - 1);
        });
    }
    sockets::drive(|| shared.running.get() > 0 && !is_over.load(Ordering::SeqCst))
        .await
        .expect("the thread's epoll descriptor is sound");
    shared.published.take()
}

impl Shared {
    async fn publish_over_one(&self, connection: usize) -> io::Result<()> {
        let mut pen = self.feed.pen(connection);
        let mut open = Connection::open(self.feed.address()).await?;
        open.reset_when_closed()?;
        while let Some((number, due)) = self.next() {
            let is_free = Instant::now() < due;
            sockets::sleep_until(due).await;
            let woke = Instant::now();
            if woke > self.schedule.end {
                break;
            }
            let entry = self.sent(number, due, is_free.then_some(woke));
            let status = open.ask(pen.write(number)).await?.status;
            self.answered(entry, &pen, status);
        }
        Ok(())
    }

    fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.get();
        if number == self.schedule.count {
            return None;
        }
        self.next.set(number + 1);
        Some((number, self.schedule.due(number)))
    }

    /// Writes down that an update is under way. Returns where.
    fn sent(&self, number: u64, due: Instant, woke: Option<Instant>) -> usize {
        let late = woke.map(|woke| super::nanoseconds(woke - due));
        let updates = &mut self.published.borrow_mut().updates;
        updates.push(Update {
            number,
            due_ns: self.schedule.nanoseconds(due),
            woke_late_ns: late,
            answered_ns: None,
            is_taken: false,
        });
        updates.len() - 1
    }

    fn answered(&self, entry: usize, pen: &Pen, status: u16) {
        let answered_ns = self.schedule.nanoseconds(Instant::now());
        let updates = &mut self.published.borrow_mut().updates;
        // None where it is over, and what was published was taken away.
        if let Some(update) = updates.get_mut(entry) {
            update.answered_ns = Some(answered_ns);
            update.is_taken = pen.is_taken(status);
        }
    }
}
