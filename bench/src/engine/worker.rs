//! One connection of a store: takes the next operation, sends it, and writes down what came of it.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

use super::recorder::{Kind, Outcome, Recorder};
use super::schedule::{Next, Schedule};
use super::watch::{Watch, Watched};
use crate::books::{Books, Unanswered};
use crate::client::{Connection, Requests, UpdateError, sockets};
use crate::workload::{Mix, Operation, Sampler};

/// For one answer. Longer than any the server lets a client wait, but for polls.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// A connection that failed is made anew after this.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// An update is tried so often with newer versions.
const TRIES_MAX: usize = 5;
/// One in so many updates that took effect is sent once more.
const REPLAY_ONE_IN: u32 = 100;

/// What the connections of one thread share in one phase.
pub struct Shared {
    /// Where the server is.
    pub address: SocketAddr,
    /// When the phase begins.
    pub start: Instant,
    /// What is asked.
    pub mix: Mix,
    /// Of which products.
    pub sampler: Sampler,
    /// Changes in a batch.
    pub batch: usize,
    /// When.
    pub schedule: RefCell<Schedule>,
    /// Chance.
    pub random: RefCell<SmallRng>,
    /// What is known.
    pub books: RefCell<Books>,
    /// What is seen.
    pub recorder: RefCell<Recorder>,
    /// How late connections woke that had nothing to do.
    pub late: RefCell<hdrhistogram::Histogram<u64>>,
    /// Who does not answer in time.
    pub watch: Watch,
    /// Operations of all threads, for who looks on.
    pub operations: Arc<AtomicU64>,
}

/// One connection.
pub struct Worker {
    shared: Rc<Shared>,
    requests: Requests,
    store: usize,
    open: Option<(Connection, Rc<Watched>)>,
}

/// An answer in so far as the worker needs it after the connection is free again.
struct Answered {
    status: u16,
    applied: bool,
    version: u64,
    error: UpdateError,
}

impl Worker {
    /// Of store number `store`.
    pub fn new(shared: Rc<Shared>, requests: Requests, store: usize) -> Worker {
        Worker {
            shared,
            requests,
            store,
            open: None,
        }
    }

    /// Runs until the schedule is over.
    pub async fn run(mut self) {
        loop {
            let now = self.shared.start.elapsed();
            let next = {
                let (mut schedule, mut random) = (
                    self.shared.schedule.borrow_mut(),
                    self.shared.random.borrow_mut(),
                );
                schedule.next(now, &mut random)
            };
            let due = match next {
                Next::Over => break,
                Next::Now => now,
                Next::At(due) => {
                    self.wait_until(due).await;
                    due
                }
            };
            let operation = self.shared.mix.draw(&mut self.shared.random.borrow_mut());
            if let Err(error) = self.perform(operation, due).await {
                self.fail(&error).await;
            }
            self.shared.operations.fetch_add(1, Ordering::Relaxed);
        }
        self.close();
    }

    async fn wait_until(&self, due: Duration) {
        let now = self.shared.start.elapsed();
        if due > now {
            sockets::sleep_until(self.shared.start + due).await;
            let late = self.shared.start.elapsed().saturating_sub(due).as_micros() as u64;
            self.shared.late.borrow_mut().saturating_record(late.max(1));
        }
    }

    async fn perform(&mut self, operation: Operation, due: Duration) -> io::Result<()> {
        self.connect().await?;
        match operation {
            Operation::Read => self.read(due).await,
            Operation::Update => self.update(due, true).await,
            Operation::UpdateAny => self.update(due, false).await,
            Operation::Batch => self.batch(due).await,
        }
    }

    async fn read(&mut self, due: Duration) -> io::Result<()> {
        let product = self.draw_product();
        let known = self.shared.books.borrow().versions[product];
        let Worker { requests, open, .. } = self;
        let answer = ask(open, requests.read(product)).await?;
        let (status, version) = (answer.status, answer.version());
        self.ended(Kind::Read, due);
        match (status, version) {
            (200, Some(version)) => {
                if version < known {
                    self.complain(format!(
                        "product {product} was read at version {version}, asked after an answer had said {known}"
                    ));
                }
                self.shared.books.borrow_mut().hear(product, version);
                self.count(Outcome::Found);
            }
            _ => self.count(unusual(status)),
        }
        Ok(())
    }

    async fn update(&mut self, due: Duration, with_version: bool) -> io::Result<()> {
        let (product, delta) = (self.draw_product(), self.draw_delta());
        let key = self.shared.books.borrow_mut().next_key();
        for _ in 0..TRIES_MAX {
            let version = with_version.then(|| self.shared.books.borrow().versions[product]);
            let answered = self.change(product, delta, version, key).await?;
            match (answered.status, answered.applied) {
                (200, true) => {
                    self.ended(Kind::Update, due);
                    self.count(Outcome::Applied);
                    self.shared
                        .books
                        .borrow_mut()
                        .apply(product, delta, answered.version);
                    return self.replay_sometimes(product, delta, version, key).await;
                }
                (409, _) if answered.error == UpdateError::VersionConflict => {
                    self.count(Outcome::Conflict);
                    self.shared
                        .books
                        .borrow_mut()
                        .hear(product, answered.version);
                }
                (409, _) => {
                    self.ended(Kind::Update, due);
                    self.count(Outcome::Refused);
                    return Ok(());
                }
                (status, _) => {
                    self.ended(Kind::Update, due);
                    self.count(unusual(status));
                    return Ok(());
                }
            }
        }
        self.ended(Kind::Update, due);
        self.count(Outcome::GivenUp);
        Ok(())
    }

    async fn change(
        &mut self,
        product: usize,
        delta: i64,
        version: Option<u64>,
        key: u64,
    ) -> io::Result<Answered> {
        let store = self.store;
        let Worker {
            requests,
            open,
            shared,
            ..
        } = self;
        let asked = ask(open, requests.update(product, delta, version, key)).await;
        let answered = asked.and_then(|answer| {
            let status = answer.status;
            match (status, answer.update()) {
                (_, Some(update)) => Ok(Answered {
                    status,
                    applied: update.applied,
                    version: update.new_version,
                    error: update.error_type,
                }),
                (400.., None) => Ok(Answered {
                    status,
                    applied: false,
                    version: 0,
                    error: UpdateError::Other,
                }),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        });
        if answered.is_err() {
            shared.books.borrow_mut().unanswered.push(Unanswered {
                store,
                product,
                delta,
                key,
            });
        }
        answered
    }

    /// Sends an update once more that took effect, and compares the answers.
    async fn replay_sometimes(
        &mut self,
        product: usize,
        delta: i64,
        version: Option<u64>,
        key: u64,
    ) -> io::Result<()> {
        if self
            .shared
            .random
            .borrow_mut()
            .random_range(0..REPLAY_ONE_IN)
            > 0
        {
            return Ok(());
        }
        let sent = self.shared.start.elapsed();
        let first = match &self.open {
            Some((connection, _)) => connection.last_body().to_vec(),
            None => return Ok(()),
        };
        let Worker { requests, open, .. } = self;
        let answer = ask(open, requests.update(product, delta, version, key)).await?;
        let (status, is_replay, is_same) = (answer.status, answer.is_replay, answer.body == first);
        self.ended(Kind::Replay, sent);
        match (status, is_replay && is_same) {
            (200, true) => {
                self.count(Outcome::Replayed);
                self.shared.books.borrow_mut().replays += 1;
            }
            (200, false) => self.complain(format!(
                "a repeat of an update of product {product} was not answered with the first answer"
            )),
            (status, _) => self.count(unusual(status)),
        }
        Ok(())
    }

    async fn batch(&mut self, due: Duration) -> io::Result<()> {
        let count = self.shared.batch;
        let change = |worker: &Worker| {
            let key = worker.shared.books.borrow_mut().next_key();
            (worker.draw_product(), worker.draw_delta(), key)
        };
        let changes: Vec<(usize, i64, u64)> = (0..count).map(|_| change(self)).collect();
        let store = self.store;
        let Worker {
            requests,
            open,
            shared,
            ..
        } = self;
        let asked = ask(open, requests.batch(&changes)).await;
        let results = asked.and_then(|answer| match (answer.status, answer.batch()) {
            (200, Some(results)) if results.len() == changes.len() => Ok((200, results)),
            (status @ 400.., _) => Ok((status, Vec::new())),
            _ => Err(io::ErrorKind::InvalidData.into()),
        });
        let (status, results) = match results {
            Ok(results) => results,
            Err(error) => {
                let unanswered = changes.iter().map(|(product, delta, key)| Unanswered {
                    store,
                    product: *product,
                    delta: *delta,
                    key: *key,
                });
                shared.books.borrow_mut().unanswered.extend(unanswered);
                return Err(error);
            }
        };
        self.ended(Kind::Batch, due);
        if status != 200 {
            self.count(unusual(status));
        }
        for ((product, delta, _), result) in changes.iter().zip(&results) {
            match (result.applied, result.error_type) {
                (true, _) => {
                    self.count(Outcome::Applied);
                    self.shared
                        .books
                        .borrow_mut()
                        .apply(*product, *delta, result.new_version);
                }
                (false, UpdateError::Overloaded) => self.count(Outcome::Overloaded),
                _ => self.count(Outcome::Refused),
            }
        }
        Ok(())
    }

    fn draw_product(&self) -> usize {
        self.shared
            .sampler
            .draw(&mut self.shared.random.borrow_mut())
    }

    /// Mostly one piece is sold, now and then some come in.
    fn draw_delta(&self) -> i64 {
        match self.shared.random.borrow_mut().random_range(0..10) {
            0 => 9,
            _ => -1,
        }
    }

    async fn connect(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            let connection = Connection::open(self.shared.address).await?;
            let watched = self.shared.watch.over(connection.descriptor());
            self.open = Some((connection, watched));
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((_, watched)) = &self.open {
            self.shared.watch.forget(watched);
        }
        self.open = None;
    }

    async fn fail(&mut self, _error: &io::Error) {
        self.close();
        self.count(Outcome::Error);
        sockets::sleep(RECONNECT_PAUSE).await;
    }

    fn ended(&self, kind: Kind, due: Duration) {
        let now = self.shared.start.elapsed();
        self.shared
            .recorder
            .borrow_mut()
            .time(kind, now, now.saturating_sub(due));
    }

    fn count(&self, outcome: Outcome) {
        let now = self.shared.start.elapsed();
        self.shared.recorder.borrow_mut().count(outcome, now, 1);
    }

    fn complain(&self, problem: String) {
        self.shared.books.borrow_mut().complain(problem);
    }
}

async fn ask<'a>(
    open: &'a mut Option<(Connection, Rc<Watched>)>,
    request: &[u8],
) -> io::Result<crate::client::Answer<'a>> {
    let (connection, watched) = open.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    watched.within(ANSWER_LIMIT);
    let answer = connection.ask(request).await;
    watched.done();
    answer
}

fn unusual(status: u16) -> Outcome {
    match status {
        429 => Outcome::Throttled,
        503 => Outcome::Overloaded,
        409 | 404 | 422 => Outcome::Refused,
        _ => Outcome::Error,
    }
}
