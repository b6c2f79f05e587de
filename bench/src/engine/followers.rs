//! Stores that follow the feed by long poll, on a thread of their own, through all phases of a run.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use central_inventory::runtime::executor::{self, Executor};

use super::recorder::{Kind, Outcome, Recorder};
use super::watch::Watch;
use super::{Load, thread_cpu};
use crate::client::{Answer, Connection, Requests, sockets};

/// How long a poll waits: short enough to notice the end of the run.
const WAIT_SECONDS: u32 = 2;
/// For one page.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The most that a page may have.
const PAGE_EVENTS: u32 = 1000;
/// A follower that failed comes back after this.
const PAUSE: Duration = Duration::from_millis(200);
/// No phase is recorded.
const NO_PHASE: usize = usize::MAX;
/// No end is known yet.
const NO_END: u64 = u64::MAX;

/// Followers at work.
pub struct Followers {
    executor: Executor,
    brought: mpsc::Receiver<Followed>,
    control: Arc<Control>,
}

/// What followers are told, and by whom.
struct Control {
    /// Which phase their deliveries belong to.
    phase: AtomicUsize,
    /// When it began, from the beginning of the run, in nanoseconds.
    phase_started: AtomicU64,
    /// The offset at which they may end.
    end: AtomicU64,
    /// They end wherever they are.
    is_over: AtomicBool,
    born: Instant,
}

/// What followers saw.
#[derive(Default)]
pub struct Followed {
    /// By phase.
    pub phases: Vec<Recorder>,
    /// How many reached the end without a gap.
    pub complete: u64,
    /// What was wrong.
    pub problems: Vec<String>,
    /// CPU time of the thread.
    pub cpu: Duration,
}

impl Followers {
    /// Starts `count` that follow from `offset` on.
    pub fn start(load: &Load, count: usize, offset: u64) -> io::Result<Followers> {
        let control = Arc::new(Control {
            phase: AtomicUsize::new(NO_PHASE),
            phase_started: AtomicU64::new(0),
            end: AtomicU64::new(NO_END),
            is_over: AtomicBool::new(false),
            born: Instant::now(),
        });
        let (sender, brought) = mpsc::channel();
        let mut plan = load.plan(load.cpus.len() - 1);
        plan.name = "bench-follow".to_owned();
        let (load, shared_control) = (load.clone(), control.clone());
        let executor = Executor::start(&plan, false, move || async move {
            let followed = follow_all(&load, count, offset, shared_control).await;
            // Only gone if the main thread is.
            let _ = sender.send(followed);
        })?;
        Ok(Followers {
            executor,
            brought,
            control,
        })
    }

    /// From now on deliveries belong to `phase`; to none, if that is none.
    pub fn enter(&self, phase: Option<usize>) {
        let since = self.control.born.elapsed().as_nanos() as u64;
        self.control.phase_started.store(since, Ordering::SeqCst);
        self.control
            .phase
            .store(phase.unwrap_or(NO_PHASE), Ordering::SeqCst);
    }

    /// Waits until all have reached `end`, for at most `limit`.
    pub fn finish(self, end: u64, limit: Duration) -> io::Result<Followed> {
        self.control.end.store(end, Ordering::SeqCst);
        let followed = self.brought.recv_timeout(limit);
        self.control.is_over.store(true, Ordering::SeqCst);
        let followed = followed.or_else(|_| self.brought.recv());
        self.executor.join()?;
        followed.map_err(io::Error::other)
    }
}

/// What the followers of the thread share.
struct Shared {
    control: Arc<Control>,
    watch: Watch,
    followed: RefCell<Followed>,
}

async fn follow_all(load: &Load, count: usize, offset: u64, control: Arc<Control>) -> Followed {
    let cpu_before = thread_cpu();
    let shared = Rc::new(Shared {
        control,
        watch: Watch::default(),
        followed: RefCell::default(),
    });
    let running = Rc::new(Cell::new(count));
    for number in 0..count {
        let follower = Follower {
            shared: shared.clone(),
            requests: load.requests(load.connections + number),
            offset,
        };
        let (running, address) = (running.clone(), load.address);
        executor::spawn(async move {
            follower.run(address).await;
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
    let mut followed = shared.followed.take();
    followed.cpu = thread_cpu().saturating_sub(cpu_before);
    followed
}

struct Follower {
    shared: Rc<Shared>,
    requests: Requests,
    offset: u64,
}

impl Follower {
    async fn run(mut self, address: std::net::SocketAddr) {
        while !self.is_done() {
            // What ends a connection is told by what is missing at the end, if anything is.
            let _ = self.follow(address).await;
            if !self.is_done() {
                sockets::sleep(PAUSE).await;
            }
        }
        if self.offset >= self.shared.control.end.load(Ordering::SeqCst) {
            self.shared.followed.borrow_mut().complete += 1;
        }
    }

    fn is_done(&self) -> bool {
        let control = &self.shared.control;
        control.is_over.load(Ordering::SeqCst) || self.offset >= control.end.load(Ordering::SeqCst)
    }

    async fn follow(&mut self, address: std::net::SocketAddr) -> io::Result<()> {
        let mut connection = Connection::open(address).await?;
        let watched = self.shared.watch.over(connection.descriptor());
        let followed = loop {
            if self.is_done() {
                break Ok(());
            }
            watched.within(ANSWER_LIMIT + Duration::from_secs(WAIT_SECONDS.into()));
            let request = self.requests.events(self.offset, PAGE_EVENTS, WAIT_SECONDS);
            let answer = connection.ask(request).await;
            watched.done();
            match answer {
                Ok(answer) if answer.status == 200 => {
                    match self.shared.take(&answer, self.offset) {
                        Some(next) => self.offset = next,
                        None => break Err(io::ErrorKind::InvalidData.into()),
                    }
                }
                Ok(answer) => {
                    self.shared.refused(answer.status, self.offset);
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        // Before the descriptor is closed.
        self.shared.watch.forget(&watched);
        followed
    }
}

impl Shared {
    /// A page that was asked for from `offset` on. Returns where to go on.
    fn take(&self, page: &Answer<'_>, offset: u64) -> Option<u64> {
        let (count, next) = page.page()?;
        if next != offset + count {
            self.complain(format!(
                "a follower asked from offset {offset} on and got {count} events, but nextOffset {next}"
            ));
        }
        let phase = self.control.phase.load(Ordering::SeqCst);
        if count > 0 && phase != NO_PHASE {
            let started = Duration::from_nanos(self.control.phase_started.load(Ordering::SeqCst));
            let at = self.control.born.elapsed().saturating_sub(started);
            let mut followed = self.followed.borrow_mut();
            while followed.phases.len() <= phase {
                followed.phases.push(Recorder::default());
            }
            let recorder = &mut followed.phases[phase];
            recorder.count(Outcome::Delivered, at, count);
            if let Some(age) = page.last_timestamp().and_then(age) {
                recorder.time(Kind::Delivery, at, age);
            }
        }
        Some(next)
    }

    fn refused(&self, status: u16, offset: u64) {
        match status {
            // It may come back.
            429 | 503 => {}
            410 => self.complain(format!(
                "a follower at offset {offset} is told that it is not kept any more"
            )),
            status => self.complain(format!(
                "a follower at offset {offset} is answered {status}"
            )),
        }
    }

    fn complain(&self, problem: String) {
        const PROBLEMS_MAX: usize = 100;
        let mut followed = self.followed.borrow_mut();
        if followed.problems.len() < PROBLEMS_MAX {
            followed.problems.push(problem);
        }
    }
}

/// How long ago that was. Both clocks are this machine's, if the server runs here.
fn age(timestamp: &str) -> Option<Duration> {
    let at = humantime::parse_rfc3339(timestamp).ok()?;
    Some(SystemTime::now().duration_since(at).unwrap_or_default())
}
