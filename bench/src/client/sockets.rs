//! The sockets and timers of one thread, waited for together: one look tells which of them are ready.
//!
//! A read that waits in the executor's io_uring costs an interrupt of the client's CPU for every single answer, so
//! that a client over it asks a fifth less than one over epoll (perf/experiments/2026-11-23-bench-beside-wrk). The
//! executor therefore never sleeps by itself: it sleeps in [`drive`].

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use central_inventory::runtime::executor::{self, HEARTBEAT};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use slab::Slab;

/// What one look tells at most; the rest is told by the next.
const EVENTS_MAX: usize = 256;

thread_local! {
    static SOCKETS: Sockets = Sockets::new().expect("a thread may have an epoll descriptor");
}

struct Sockets {
    epoll: OwnedFd,
    entries: RefCell<Slab<Rc<Entry>>>,
    timers: RefCell<Timers>,
}

/// What is known of a socket, edge-triggered: ready until an attempt says otherwise.
#[derive(Default)]
struct Entry {
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// The other side sends no more: nothing will be told any more.
    has_ended: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Timers {
    /// When who is due; those that are not wanted any more stay until then.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

/// A connected socket of this thread.
pub struct Socket {
    socket: OwnedFd,
    entry: Rc<Entry>,
    key: usize,
}

/// Runs the sockets and timers of this thread as long as `goes_on` says so; asks it at least every [`HEARTBEAT`].
/// Tasks that wait for each other, and not for a socket or a timer, may do so for that long.
///
/// # Errors
/// If the thread cannot wait.
pub async fn drive(mut goes_on: impl FnMut() -> bool) -> io::Result<()> {
    while goes_on() {
        // All tasks that can run do so before the thread waits.
        executor::yield_now().await;
        SOCKETS.with(Sockets::turn)?;
    }
    Ok(())
}

/// Waits until `due`. Needs [`drive`].
pub async fn sleep_until(due: Instant) {
    let mut number = None;
    poll_fn(|context| {
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        SOCKETS.with(|sockets| {
            let mut timers = sockets.timers.borrow_mut();
            let number = *number.get_or_insert_with(|| timers.add(due));
            timers.wakers.insert(number, context.waker().clone());
        });
        Poll::Pending
    })
    .await;
}

/// Waits for `pause`. Needs [`drive`].
pub async fn sleep(pause: Duration) {
    sleep_until(Instant::now() + pause).await;
}

impl Sockets {
    fn new() -> io::Result<Sockets> {
        Ok(Sockets {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            entries: RefCell::default(),
            timers: RefCell::default(),
        })
    }

    /// Waits until something is ready or due, and wakes who waits for it.
    fn turn(&self) -> io::Result<()> {
        let pause = self.timers.borrow().pause(Instant::now()).min(HEARTBEAT);
        let pause = pause.try_into().expect("a heartbeat is short");
        let mut events = [const { std::mem::MaybeUninit::uninit() }; EVENTS_MAX];
        let events = match epoll::wait(&self.epoll, &mut events, Some(&pause)) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let entries = self.entries.borrow();
        for event in events {
            let (key, flags) = (event.data.u64() as usize, event.flags);
            // No task runs between the look and here: none of them has gone.
            entries[key].is_ready(flags);
        }
        self.timers.borrow_mut().fire(Instant::now());
        Ok(())
    }

    fn add(&self, socket: &OwnedFd) -> io::Result<(usize, Rc<Entry>)> {
        let entry = Rc::new(Entry::default());
        let key = self.entries.borrow_mut().insert(entry.clone());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let added = epoll::add(&self.epoll, socket, EventData::new_u64(key as u64), flags);
        if let Err(error) = added {
            self.entries.borrow_mut().remove(key);
            return Err(error.into());
        }
        Ok((key, entry))
    }
}

impl Entry {
    fn is_ready(&self, flags: EventFlags) {
        if flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR) {
            self.has_ended.set(true);
        }
        let has_ended = self.has_ended.get();
        if flags.contains(EventFlags::IN) || has_ended {
            self.readable.set(true);
        }
        if flags.contains(EventFlags::OUT) || has_ended {
            self.writable.set(true);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Attempts as soon as `ready` says that it may succeed.
    fn poll<T>(
        &self,
        ready: &Cell<bool>,
        context: &Context<'_>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> Poll<io::Result<T>> {
        while ready.get() {
            match attempt() {
                Err(Errno::AGAIN) => ready.set(false),
                Err(Errno::INTR) => {}
                done => return Poll::Ready(done.map_err(io::Error::from)),
            }
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Timers {
    fn add(&mut self, due: Instant) -> u64 {
        self.next += 1;
        self.due.push(Reverse((due, self.next)));
        self.next
    }

    /// How long nothing is due.
    fn pause(&self, now: Instant) -> Duration {
        self.due.peek().map_or(Duration::MAX, |Reverse((due, _))| {
            due.saturating_duration_since(now)
        })
    }

    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((due, number))) = self.due.peek().copied() {
            if due > now {
                break;
            }
            self.due.pop();
            if let Some(waker) = self.wakers.remove(&number) {
                waker.wake();
            }
        }
    }
}

impl Socket {
    /// Connects to `address`, from the address `from` where there is one. Needs [`drive`], as all below.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<Socket> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        net::sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(from) = from {
            net::bind(&socket, &SocketAddr::from((from, 0)))?;
        }
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let (key, entry) = SOCKETS.with(|sockets| sockets.add(&socket))?;
        let socket = Socket { socket, entry, key };
        socket.connected().await?;
        Ok(socket)
    }

    async fn connected(&self) -> io::Result<()> {
        let entry = &self.entry;
        poll_fn(|context| entry.poll(&entry.writable, context, || Ok(()))).await?;
        net::sockopt::socket_error(&self.socket)??;
        Ok(())
    }

    /// For who ends connections from outside, while this one lives.
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        let entry = &self.entry;
        while !bytes.is_empty() {
            let attempt = || net::send(&self.socket, bytes, SendFlags::NOSIGNAL);
            let sent = poll_fn(|context| entry.poll(&entry.writable, context, attempt)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads what is there into `buffer`, and waits until something is. 0 is the end.
    ///
    /// # Errors
    /// If the connection has ended otherwise.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let entry = &self.entry;
        let room = buffer.len();
        let mut attempt = || net::recv(&self.socket, &mut *buffer, RecvFlags::empty());
        let (read, _) =
            poll_fn(|context| entry.poll(&entry.readable, context, &mut attempt)).await?;
        // Less than there was room for: no more is there, and what comes is told anew.
        if read < room && !entry.has_ended.get() {
            entry.readable.set(false);
        }
        Ok(read)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Closing it would do, but for copies of the descriptor.
        let _ = SOCKETS.try_with(|sockets| {
            let _ = epoll::delete(&sockets.epoll, &self.socket);
            sockets.entries.borrow_mut().remove(self.key);
        });
    }
}
