//! The thread of the followers: each has a connection, asks, and tells the ledger what it received.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use central_inventory::runtime::executor::{self, Executor};
use central_inventory::runtime::sockets::Near;

use super::ledger::Ledger;
use super::scanner::Scanner;
use super::subject::{Cursor, Feed};
use crate::client::{Connection, Streamed, sockets};

/// So many connect from one address of the loopback network: a server may allow an address fewer than there are ports.
const FOLLOWERS_OF_AN_ADDRESS: usize = 2_500;
/// So many connect at once, fewer than the queue of a listening socket holds.
const CONNECTING_MAX: usize = 128;
/// More of the same helps nobody.
const PROBLEMS_MAX: usize = 10;

/// Followers at work.
pub struct Followers {
    executor: Executor,
    brought: mpsc::Receiver<Received>,
    progress: Arc<Progress>,
}

/// How far they are, for everyone to see.
#[derive(Default)]
pub struct Progress {
    /// Updates that were received, each counted once for each follower.
    pub deliveries: AtomicU64,
    /// Answers, or pieces of a stream, that had any.
    pub responses: AtomicU64,
    /// Updates that all have received.
    pub received_by_all: AtomicUsize,
    /// Followers that have ended, each with a problem.
    pub failed: AtomicUsize,
    is_over: AtomicBool,
}

/// What they bring back.
pub struct Received {
    /// Who received what.
    pub ledger: Ledger,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl Followers {
    /// Starts `count` on `cpu`, and a ledger of at most `updates`. Its times count from `born`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(
        feed: &Feed,
        count: usize,
        updates: usize,
        born: Instant,
        cpu: usize,
    ) -> io::Result<Followers> {
        let progress = Arc::new(Progress::default());
        let (sender, brought) = mpsc::channel();
        let (feed, shared_progress) = (feed.clone(), progress.clone());
        let main = move || async move {
            let shared = Rc::new(Shared {
                feed,
                progress: shared_progress,
                born,
                ledger: RefCell::new(Ledger::new(count, updates)),
                scratch: RefCell::default(),
                problems: RefCell::default(),
            });
            shared.clone().follow_all(count).await;
            let received = Received {
                ledger: shared.ledger.replace(Ledger::new(0, 0)),
                problems: shared.problems.take(),
            };
            // Only gone if the main thread is.
            let _ = sender.send(received);
        };
        Ok(Followers {
            executor: Executor::start(&super::plan("fan-follow", cpu), false, main)?,
            brought,
            progress,
        })
    }

    /// How far they are.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Ends them wherever they are.
    ///
    /// # Errors
    /// If their thread has ended by itself.
    pub fn finish(self) -> io::Result<Received> {
        self.progress.is_over.store(true, Ordering::SeqCst);
        let received = self.brought.recv().map_err(io::Error::other);
        self.executor.join()?;
        received
    }
}

/// What the followers share.
struct Shared {
    feed: Feed,
    progress: Arc<Progress>,
    born: Instant,
    ledger: RefCell<Ledger>,
    /// For one look through an answer.
    scratch: RefCell<Vec<u8>>,
    problems: RefCell<Vec<String>>,
}

impl Shared {
    async fn follow_all(self: Rc<Shared>, count: usize) {
        let next = Rc::new(Cell::new(0));
        for _ in 0..CONNECTING_MAX.min(count) {
            let (shared, next) = (self.clone(), next.clone());
            executor::spawn(async move {
                while next.get() < count {
                    let number = next.replace(next.get() + 1);
                    shared.clone().open(number).await;
                }
            });
        }
        let goes_on = || !self.progress.is_over.load(Ordering::Relaxed);
        sockets::drive(goes_on)
            .await
            .expect("the thread's epoll descriptor is sound");
    }

    /// Connects follower `number`, which then goes its own way.
    async fn open(self: Rc<Shared>, number: usize) {
        let address = self.feed.address();
        let near = Near {
            address: source(address, number),
            receive_bytes: None,
        };
        let connection = Connection::open_at(address, near).await;
        let connection = connection.and_then(|open| open.reset_when_closed().map(|()| open));
        match connection {
            Err(error) => self.fail(format!("follower {number} does not connect: {error}")),
            Ok(connection) => executor::spawn(async move {
                let follower = Follower {
                    cursor: self.feed.cursor(),
                    shared: self.clone(),
                    position: 0,
                };
                let Err(problem) = follower.run(connection).await;
                self.fail(format!("follower {number}: {problem}"));
            }),
        }
    }

    fn fail(&self, problem: String) {
        self.progress.failed.fetch_add(1, Ordering::SeqCst);
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(problem);
        }
    }

    /// Takes the updates in `piece`, which come to a follower at `position`. Returns how many there are.
    fn take(&self, position: usize, scanner: &mut Scanner, piece: &[u8]) -> Result<u64, String> {
        let now_ns = super::nanoseconds(self.born.elapsed());
        let mut ledger = self.ledger.borrow_mut();
        let mut count = 0;
        let mut scratch = self.scratch.borrow_mut();
        scanner.take(piece, &mut scratch, |number| {
            let received = ledger.receive(position + count, number, now_ns);
            count += 1;
            received
        })?;
        let by_all = ledger.received_by_all();
        self.progress
            .received_by_all
            .store(by_all, Ordering::Relaxed);
        add(&self.progress.deliveries, count as u64);
        Ok(count as u64)
    }

    /// A response is whole that had so many updates.
    fn responded(&self, count: u64) {
        if count > 0 {
            add(&self.progress.responses, 1);
        }
    }
}

/// There is one who writes.
fn add(to: &AtomicU64, more: u64) {
    to.store(to.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// One store that follows.
struct Follower {
    shared: Rc<Shared>,
    cursor: Cursor,
    position: usize,
}

/// A follower goes on until it is ended, or until something is wrong.
enum Never {}

impl Follower {
    async fn run(mut self, mut connection: Connection) -> Result<Never, String> {
        match self.shared.feed.is_stream() {
            true => self.stream(&mut connection).await,
            false => self.poll(&mut connection).await,
        }
    }

    async fn poll(&mut self, connection: &mut Connection) -> Result<Never, String> {
        loop {
            let asked = connection.ask_pieces(self.cursor.request()).await;
            let status = asked.map_err(|error| error.to_string())?;
            if status != 200 {
                return Err(format!("status {status}"));
            }
            self.cursor.begin(connection.last_head())?;
            let mut scanner = Scanner::default();
            let mut count = 0;
            loop {
                let piece = connection
                    .piece()
                    .await
                    .map_err(|error| error.to_string())?;
                let Some(piece) = piece else { break };
                let position = self.position + count as usize;
                count += self.shared.take(position, &mut scanner, piece)?;
            }
            self.cursor.end(scanner.tail(), count)?;
            self.shared.responded(count);
            self.position += count as usize;
        }
    }

    async fn stream(&mut self, connection: &mut Connection) -> Result<Never, String> {
        let asked = connection.ask_stream(self.cursor.request()).await;
        if let Streamed::Answered(answer) = asked.map_err(|error| error.to_string())? {
            return Err(format!("status {}", answer.status));
        }
        let mut scanner = Scanner::default();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let goes_on = connection.next_piece(&mut piece).await;
            if !goes_on.map_err(|error| error.to_string())? {
                return Err("the stream ended".to_owned());
            }
            let count = self.shared.take(self.position, &mut scanner, &piece)?;
            self.shared.responded(count);
            self.position += count as usize;
        }
    }
}

/// The address that follower `number` connects from, where the server is on this machine.
fn source(server: SocketAddr, number: usize) -> Option<IpAddr> {
    let address = u8::try_from(number / FOLLOWERS_OF_AN_ADDRESS + 1).ok()?;
    let is_local = server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
    is_local.then(|| Ipv4Addr::new(127, 0, 1, address).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_come_from_several_addresses() {
        let local: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let from = |number| source(local, number).unwrap().to_string();
        assert_eq!(
            ["127.0.1.1", "127.0.1.1", "127.0.1.2", "127.0.1.16"],
            [from(0), from(2_499), from(2_500), from(39_999)].map(|text| text.leak() as &str)
        );
        assert_eq!(None, source("10.0.0.1:80".parse().unwrap(), 0));
    }
}
