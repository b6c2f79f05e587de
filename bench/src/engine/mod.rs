//! The load: threads with an executor each, and on them connections that ask and followers that wait.

mod followers;
mod recorder;
mod schedule;
mod watch;
mod worker;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io};

use central_inventory::plan::ExecutorPlan;
use central_inventory::runtime::executor::{self, Executor};
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::SmallRng;

pub use followers::{Followed, Followers};
pub use recorder::{Kind, Outcome, Recorder};
pub use schedule::{Arrivals, Schedule};
use watch::Watch;
use worker::{Shared, Worker};

use crate::books::Books;
use crate::client::{Requests, sockets};
use crate::workload::{Mix, Sampler};

/// What stays the same in all phases.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server is.
    pub address: SocketAddr,
    /// A regular key.
    pub key: String,
    /// What the ids of this run begin with.
    pub run: String,
    /// What is asked.
    pub mix: Mix,
    /// Of which products.
    pub sampler: Sampler,
    /// Changes in a batch.
    pub batch: usize,
    /// The CPUs of the threads.
    pub cpus: Vec<usize>,
    /// How many threads.
    pub threads: usize,
    /// How many connections, over all threads.
    pub connections: usize,
}

/// How fast, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as answers come.
    Closed,
    /// So many operations a second.
    Open(f64, Arrivals),
}

/// What the threads remember from phase to phase.
pub struct Memory {
    books: Vec<Books>,
    randoms: Vec<SmallRng>,
}

/// What a phase came to.
pub struct Seen {
    /// Times and outcomes, of all threads.
    pub recorder: Recorder,
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub elapsed: Duration,
    /// How late idle connections woke, in microseconds.
    pub late: Histogram<u64>,
    /// CPU time of all threads.
    pub cpu: Duration,
    /// The share of its time of the busiest thread, or CPU where threads share one.
    pub busiest: f64,
}

/// What a thread brings back.
struct Brought {
    thread: usize,
    books: Books,
    random: SmallRng,
    recorder: Recorder,
    late: Histogram<u64>,
    cpu: Duration,
}

impl Memory {
    /// Of threads that know nothing.
    pub fn new(threads: usize, products: usize, seed: u64) -> Memory {
        let random = |thread| SmallRng::seed_from_u64(seed.wrapping_add(thread as u64));
        Memory {
            books: (0..threads).map(|_| Books::new(products)).collect(),
            randoms: (0..threads).map(random).collect(),
        }
    }

    /// What the threads know.
    pub fn books(&self) -> &[Books] {
        &self.books
    }

    /// What the threads know, to be settled.
    pub fn books_mut(&mut self) -> &mut [Books] {
        &mut self.books
    }
}

/// Threads are at work; `operations` says how far they are.
pub struct Running {
    executors: Vec<Executor>,
    brought: mpsc::Receiver<Brought>,
    started: Instant,
}

impl Load {
    /// Starts a phase of `length`.
    pub fn start(
        &self,
        memory: &mut Memory,
        pace: Pace,
        length: Duration,
        operations: &Arc<AtomicU64>,
    ) -> io::Result<Running> {
        let (sender, brought) = mpsc::channel();
        // All connections are open before the first operation is due.
        let started = Instant::now() + Duration::from_millis(50);
        let books = std::mem::take(&mut memory.books);
        let randoms = std::mem::take(&mut memory.randoms);
        let mut executors = Vec::new();
        for (thread, (books, random)) in books.into_iter().zip(randoms).enumerate() {
            let (load, sender, operations) = (self.clone(), sender.clone(), operations.clone());
            let schedule = match pace {
                Pace::Closed => Schedule::closed(length),
                Pace::Open(rate, arrivals) => {
                    Schedule::open(rate / self.threads as f64, arrivals, length)
                }
            };
            let main = move || async move {
                let thread = Thread {
                    load,
                    thread,
                    started,
                    operations,
                };
                let brought = thread.run(schedule, books, random).await;
                // Only gone if the main thread is.
                let _ = sender.send(brought);
            };
            executors.push(Executor::start(&self.plan(thread), false, main)?);
        }
        Ok(Running {
            executors,
            brought,
            started,
        })
    }

    fn plan(&self, thread: usize) -> ExecutorPlan {
        ExecutorPlan {
            name: format!("bench-{thread}"),
            cpus: vec![self.cpus[thread % self.cpus.len()]],
            pinned: true,
            roles: Vec::new(),
        }
    }

    fn requests(&self, store: usize) -> Requests {
        let store = format!("{}-store-{store}", self.run);
        Requests::new(
            &self.address.to_string(),
            &self.key,
            store,
            self.run.clone(),
        )
    }
}

impl Running {
    /// Whether all threads have ended.
    pub fn is_over(&self) -> bool {
        self.executors.iter().all(Executor::is_finished)
    }

    /// When the phase began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits for the end, and gives the threads their memory back.
    pub fn finish(self, memory: &mut Memory) -> io::Result<Seen> {
        for executor in self.executors {
            executor.join()?;
        }
        let elapsed = self.started.elapsed();
        let mut all: Vec<Brought> = self.brought.into_iter().collect();
        all.sort_by_key(|brought| brought.thread);
        let mut seen = Seen {
            recorder: Recorder::default(),
            started: self.started,
            elapsed,
            late: late_histogram(),
            cpu: Duration::ZERO,
            busiest: 0.0,
        };
        for brought in all {
            seen.recorder.add(&brought.recorder);
            seen.late
                .add(&brought.late)
                .expect("the bounds are the same");
            seen.cpu += brought.cpu;
            seen.busiest = seen
                .busiest
                .max(brought.cpu.as_secs_f64() / elapsed.as_secs_f64());
            memory.books.push(brought.books);
            memory.randoms.push(brought.random);
        }
        Ok(seen)
    }
}

fn late_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound")
}

/// One thread in one phase.
struct Thread {
    load: Load,
    thread: usize,
    started: Instant,
    operations: Arc<AtomicU64>,
}

impl Thread {
    async fn run(self, schedule: Schedule, books: Books, random: SmallRng) -> Brought {
        let cpu_before = thread_cpu();
        let shared = Rc::new(Shared {
            address: self.load.address,
            start: self.started,
            mix: self.load.mix,
            sampler: self.load.sampler,
            batch: self.load.batch,
            schedule: RefCell::new(schedule),
            random: RefCell::new(random),
            books: RefCell::new(books),
            recorder: RefCell::default(),
            late: RefCell::new(late_histogram()),
            watch: Watch::default(),
            operations: self.operations,
        });
        let running = Rc::new(Cell::new(0));
        // A store stays on its thread, whose keys it shares.
        for store in (self.thread..self.load.connections).step_by(self.load.threads) {
            let worker = Worker::new(shared.clone(), self.load.requests(store), store);
            running.set(running.get() + 1);
            let (running, start) = (running.clone(), self.started);
            executor::spawn(async move {
                sockets::sleep_until(start).await;
                worker.run().await;
                running.set(running.get() - 1);
            });
        }
        let goes_on = || {
            shared.watch.sweep();
            running.get() > 0
        };
        sockets::drive(goes_on)
            .await
            .expect("the thread's epoll descriptor is sound");
        let Ok(shared) = Rc::try_unwrap(shared) else {
            unreachable!("every worker has ended");
        };
        Brought {
            thread: self.thread,
            books: shared.books.into_inner(),
            random: shared.random.into_inner(),
            recorder: shared.recorder.into_inner(),
            late: shared.late.into_inner(),
            cpu: thread_cpu().saturating_sub(cpu_before),
        }
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    cpu_of("thread-self")
}

/// CPU time of a thread, by its directory in `/proc`.
fn cpu_of(thread: &str) -> Duration {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    let first = text.split_ascii_whitespace().next();
    Duration::from_nanos(first.and_then(|text| text.parse().ok()).unwrap_or(0))
}
