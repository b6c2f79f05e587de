//! Stores that follow the feed, by long poll or as a stream, on a thread of their own, through all phases of a run.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use central_inventory::runtime::executor::{self, Executor};

use super::recorder::{Kind, Outcome, Recorder};
use super::watch::{Watch, Watched};
use super::{Load, cpu_of};
use crate::client::{Answer, Connection, Requests, Streamed, last_timestamp, sockets};
use crate::options::FollowBy;

/// A stream without news says so after so long.
const HEARTBEAT_OF_STREAMS: Duration = Duration::from_secs(15);
/// So many connect from one address of the loopback network: an address has some 28,000 ports.
const FOLLOWERS_OF_AN_ADDRESS: usize = 20_000;
/// When the end of the feed is known, those who wait for more are woken after this.
const END_GRACE: Duration = Duration::from_secs(1);
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
        let follower = Follower {
            shared: shared.clone(),
            requests: load.requests(load.connections + number),
            way,
            from: source(load.address, number),
            offset,
        };
        let (running, address) = (running.clone(), load.address);
        executor::spawn(async move {
            follower.run(address).await;
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

/// The address that follower `number` connects from, where the default does not do.
fn source(server: SocketAddr, number: usize) -> Option<IpAddr> {
    let address = u8::try_from(number / FOLLOWERS_OF_AN_ADDRESS).ok()?;
    let is_local = server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
    (is_local && address > 0).then(|| Ipv4Addr::new(127, 0, 1, address).into())
}

struct Follower {
    shared: Rc<Shared>,
    requests: Requests,
    way: FollowBy,
    from: Option<IpAddr>,
    offset: u64,
}

impl Follower {
    async fn run(mut self, address: SocketAddr) {
        while !self.is_done() {
            // What ends a connection is told by what is missing at the end, if anything is.
            let _ = self.follow_connected(address).await;
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

    async fn follow_connected(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut connection = Connection::open_from(address, self.from).await?;
        let watched = self.shared.watch.over(connection.descriptor());
        let followed = match self.way {
            FollowBy::Poll => self.poll(&mut connection, &watched).await,
            FollowBy::Stream => self.stream(&mut connection, &watched).await,
        };
        // Before the descriptor is closed.
        self.shared.watch.forget(&watched);
        followed
    }

    async fn poll(&mut self, connection: &mut Connection, watched: &Watched) -> io::Result<()> {
        while !self.is_done() {
            watched.within(ANSWER_LIMIT + Duration::from_secs(WAIT_SECONDS.into()));
            let request = self.requests.events(self.offset, PAGE_EVENTS, WAIT_SECONDS);
            let answer = connection.ask(request).await;
            watched.done();
            let answer = answer?;
            if answer.status != 200 {
                self.shared.refused(answer.status, self.offset);
                return Ok(());
            }
            let next = self.shared.take_page(&answer, self.offset);
            self.offset = next.ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(())
    }

    async fn stream(&mut self, connection: &mut Connection, watched: &Watched) -> io::Result<()> {
        watched.within(ANSWER_LIMIT);
        let request = self.requests.stream(self.offset);
        if let Streamed::Answered(answer) = connection.ask_stream(request).await? {
            self.shared.refused(answer.status, self.offset);
            return Ok(());
        }
        let mut piece = Vec::new();
        let mut goes_on = true;
        while goes_on && !self.is_done() {
            watched.within(ANSWER_LIMIT + HEARTBEAT_OF_STREAMS);
            goes_on = connection.next_piece(&mut piece).await?;
            self.offset = self.shared.take_messages(&mut piece, self.offset);
        }
        watched.done();
        Ok(())
    }
}

impl Shared {
    /// A page that was asked for from `offset` on. Returns where to go on.
    fn take_page(&self, page: &Answer<'_>, offset: u64) -> Option<u64> {
        let (count, next) = page.page()?;
        if next != offset + count {
            self.complain(format!(
                "a follower asked from offset {offset} on and got {count} events, but nextOffset {next}"
            ));
        }
        self.delivered(count, page.last_timestamp());
        Some(next)
    }

    /// Takes the whole messages of a stream that has come as far as `offset` out of `piece`. Returns where it goes on.
    fn take_messages(&self, piece: &mut Vec<u8>, offset: u64) -> u64 {
        const END: &[u8] = b"\n\n";
        let Some(last) = memchr::memmem::rfind(piece, END) else {
            return offset;
        };
        let whole = &piece[..last + END.len()];
        let mut next = offset;
        for line in whole.split(|byte| *byte == b'\n') {
            let Some(id) = line.strip_prefix(b"id: ") else {
                continue;
            };
            if std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) != Some(next) {
                let id = String::from_utf8_lossy(id);
                self.complain(format!("a stream came from offset {next} to {id}"));
            }
            next += 1;
        }
        self.delivered(next - offset, last_timestamp(whole));
        piece.drain(..last + END.len());
        next
    }

    fn delivered(&self, count: u64, latest: Option<&str>) {
        let phase = self.control.phase.load(Ordering::SeqCst);
        if count == 0 || phase == NO_PHASE {
            return;
        }
        let started = Duration::from_nanos(self.control.phase_started.load(Ordering::SeqCst));
        let at = self.control.born.elapsed().saturating_sub(started);
        let mut followed = self.followed.borrow_mut();
        while followed.phases.len() <= phase {
            followed.phases.push(Recorder::default());
        }
        let recorder = &mut followed.phases[phase];
        recorder.count(Outcome::Delivered, at, count);
        if let Some(age) = latest.and_then(age) {
            recorder.time(Kind::Delivery, at, age);
        }
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
