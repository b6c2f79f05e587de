//! Stores that follow the feed, by long poll or as a stream, on a thread of their own, through all phases of a run.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use central_inventory::runtime::executor::{self, Executor};
use central_inventory::runtime::sockets::Near;

use super::recorder::{Kind, Outcome, Recorder};
use super::watch::Watch;
use super::{Load, cpu_of};
use crate::client::sockets;
use crate::options::FollowBy;
use crate::store::{FollowError, Follower, Holding, News, Place, Replica, Turn, Way};

/// So many connect from one address of the loopback network: an address has some 28,000 ports.
const FOLLOWERS_OF_AN_ADDRESS: usize = 20_000;
/// What the kernel holds for one of them of what it has not read, about, in bytes. A store has a machine of its own; here
/// the kernel has some gigabytes for all, and when 10,000 that are behind have used them up, every connection stands still.
const RECEIVE_BYTES: usize = 32 << 10;
/// When the end of the feed is known, those who wait for more are woken after this.
const END_GRACE: Duration = Duration::from_secs(1);
/// How long a poll waits: short enough to notice the end of the run.
const WAIT_SECONDS: u32 = 2;
/// For a snapshot, a page, or the next of a stream, which has heartbeats in between.
const TURN_LIMIT: Duration = Duration::from_secs(35);
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
    /// The thread, by its directory in `/proc`.
    thread: String,
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
    /// What the first of them holds, which began with a snapshot and keeps every product.
    pub replica: Option<Replica>,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl Followers {
    /// Starts `count` that follow from `offset` on.
    pub fn start(load: &Load, count: usize, way: FollowBy, offset: u64) -> io::Result<Followers> {
        let control = Arc::new(Control {
            phase: AtomicUsize::new(NO_PHASE),
            phase_started: AtomicU64::new(0),
            end: AtomicU64::new(NO_END),
            is_over: AtomicBool::new(false),
            born: Instant::now(),
        });
        let (sender, brought) = mpsc::channel();
        let (say_thread, said_thread) = mpsc::channel();
        let mut plan = load.plan(load.cpus.len() - 1);
        plan.name = "bench-follow".to_owned();
        let (load, shared_control) = (load.clone(), control.clone());
        let executor = Executor::start(&plan, false, move || async move {
            // Both are only gone if the main thread is.
            let _ = say_thread.send(rustix::thread::gettid());
            let followed = follow_all(&load, count, way, offset, shared_control).await;
            let _ = sender.send(followed);
        })?;
        let thread = said_thread.recv().map_err(io::Error::other)?;
        Ok(Followers {
            executor,
            brought,
            thread: format!("self/task/{}", thread.as_raw_nonzero()),
            control,
        })
    }

    /// CPU time of their thread so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.thread)
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

async fn follow_all(
    load: &Load,
    count: usize,
    way: FollowBy,
    offset: u64,
    control: Arc<Control>,
) -> Followed {
    let shared = Rc::new(Shared {
        control,
        watch: Watch::default(),
        followed: RefCell::default(),
    });
    let running = Rc::new(Cell::new(count));
    for number in 0..count {
        let requests = load.requests(load.connections + number);
        let near = Near {
            address: source(load.address, number),
            receive_bytes: Some(RECEIVE_BYTES),
        };
        let (shared, running, address) = (shared.clone(), running.clone(), load.address);
        executor::spawn(async move {
            let way = way_of(way);
            if number == 0 {
                let store = Follower::<Replica>::new(address, requests, way, None);
                let replica = Following {
                    shared: shared.clone(),
                    store,
                }
                .run()
                .await;
                shared.followed.borrow_mut().replica = replica;
            } else {
                let place = Some(Place(offset));
                let store = Follower::new(address, requests, way, place).at(near);
                Following { shared, store }.run().await;
            }
            running.set(running.get() - 1);
        });
    }
    let mut end_known = None;
    let goes_on = || {
        shared.watch.sweep();
        if shared.control.end.load(Ordering::SeqCst) != NO_END {
            let known = end_known.get_or_insert_with(Instant::now);
            if known.elapsed() > END_GRACE {
                // Those who are not there yet come back.
                shared.watch.end_all();
                *known += Duration::from_secs(3600);
            }
        }
        running.get() > 0
    };
    sockets::drive(goes_on)
        .await
        .expect("the thread's epoll descriptor is sound");
    shared.followed.take()
}

fn way_of(way: FollowBy) -> Way {
    match way {
        FollowBy::Poll => Way::Poll {
            wait_seconds: WAIT_SECONDS,
        },
        FollowBy::Stream => Way::Stream,
    }
}

/// The address that follower `number` connects from, where the default does not do.
fn source(server: SocketAddr, number: usize) -> Option<IpAddr> {
    let address = u8::try_from(number / FOLLOWERS_OF_AN_ADDRESS).ok()?;
    let is_local = server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
    (is_local && address > 0).then(|| Ipv4Addr::new(127, 0, 1, address).into())
}

/// Where a store of a run is, for all its phases.
struct Following<H> {
    shared: Rc<Shared>,
    store: Follower<H>,
}

impl<H: Holding> Following<H> {
    /// Follows to the end. Returns what it holds then.
    async fn run(mut self) -> Option<H> {
        while !self.is_done() {
            self.follow_connected().await;
            if !self.is_done() {
                sockets::sleep(PAUSE).await;
            }
        }
        if self.offset() >= self.shared.control.end.load(Ordering::SeqCst) {
            self.shared.followed.borrow_mut().complete += 1;
        }
        self.store.into_held()
    }

    /// The first that it has not got.
    fn offset(&self) -> u64 {
        self.store.held().map_or(0, Holding::next_offset)
    }

    fn is_done(&self) -> bool {
        let control = &self.shared.control;
        control.is_over.load(Ordering::SeqCst)
            || self.offset() >= control.end.load(Ordering::SeqCst)
    }

    /// What ends a connection is told by what is missing at the end, if anything is.
    async fn follow_connected(&mut self) {
        let Ok(descriptor) = self.store.connect().await else {
            return;
        };
        let watched = self.shared.watch.over(descriptor);
        while self.store.is_connected() && !self.is_done() {
            watched.within(TURN_LIMIT);
            let turn = self.store.turn().await;
            watched.done();
            self.shared.hear(turn, self.offset());
        }
        // A closed descriptor has not been given to anyone else: nothing was waited for since.
        self.shared.watch.forget(&watched);
        self.store.disconnect();
    }
}

impl Shared {
    /// What a turn of a store, which is now at `offset`, came to.
    fn hear(&self, turn: Result<Turn, FollowError>, offset: u64) {
        match turn {
            Ok(Turn::Followed(news)) => self.delivered(news),
            // It may come back.
            Ok(Turn::Synced | Turn::Refused(429 | 503)) | Err(FollowError::Connection(_)) => {}
            Ok(Turn::Expired) => self.complain(
                "a follower is told that what it asks for is not kept any more".to_owned(),
            ),
            Ok(Turn::Refused(status)) => self.complain(format!(
                "a follower at offset {offset} is answered {status}"
            )),
            Err(FollowError::Feed(error)) => self.complain(format!("a follower: {error}")),
        }
    }

    fn delivered(&self, news: News) {
        let phase = self.control.phase.load(Ordering::SeqCst);
        if news.events == 0 || phase == NO_PHASE {
            return;
        }
        let started = Duration::from_nanos(self.control.phase_started.load(Ordering::SeqCst));
        let at = self.control.born.elapsed().saturating_sub(started);
        let mut followed = self.followed.borrow_mut();
        while followed.phases.len() <= phase {
            followed.phases.push(Recorder::default());
        }
        let recorder = &mut followed.phases[phase];
        recorder.count(Outcome::Delivered, at, news.events);
        if let Some(latest) = news.latest {
            // Both clocks are this machine's, if the server runs here.
            let age = SystemTime::now().duration_since(latest);
            recorder.time(Kind::Delivery, at, age.unwrap_or_default());
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
