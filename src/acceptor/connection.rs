//! One connection: hyper's loop over the stream, the deadlines it is under, and its end when the server stops.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::Acceptor;
use crate::api;
use crate::config::Config;
use crate::runtime::tcp::{self, Stream};

/// hyper's own bound on a request head, above ours, so that a client sees our 431 problem.
pub const HYPER_HEAD_BYTES_MAX: usize = 64 << 10;
/// The most headers of a request; more is hyper's plain 431.
const HEADERS_MAX: usize = 100;

/// Serves `stream` until either side ends it.
pub async fn serve(acceptor: Rc<Acceptor>, stream: Stream) {
    let watch = Rc::new(Watch::new(&stream, acceptor.now_ms()));
    let _listed = acceptor.connections.list(watch.clone());
    let watched = WatchedStream {
        stream,
        watch: watch.clone(),
        acceptor: acceptor.clone(),
    };
    let service = service_fn(|request| {
        let (acceptor, watch) = (acceptor.clone(), watch.clone());
        async move {
            watch.enter(Phase::Handling, acceptor.now_ms());
            let response = api::handle(acceptor.clone(), watch.clone(), request).await;
            watch.enter(Phase::Responding, acceptor.now_ms());
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None::<Duration>)
        .max_header_size(HYPER_HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(watched, service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = false;
    poll_fn(|context| {
        watch.park(context.waker());
        if !draining && acceptor.is_draining() {
            draining = true;
            connection.as_mut().graceful_shutdown();
        }
        // How a connection ended is the peer's business: whatever was wrong with a request was answered.
        connection.as_mut().poll(context).map(|_ended| ())
    })
    .await;
}

/// What a connection is doing, which says what deadline it is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// The head of a request has begun.
    Head,
    /// The body of a request is awaited.
    Body,
    /// The request is being answered.
    Handling,
    /// The response is being written.
    Responding,
}

/// The state of a connection that its acceptor's sweep looks at.
pub struct Watch {
    descriptor: RawFd,
    peer: Option<IpAddr>,
    phase: Cell<Phase>,
    since_ms: Cell<u64>,
    write_blocked_since_ms: Cell<Option<u64>>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    fn new(stream: &Stream, now_ms: u64) -> Watch {
        Watch {
            descriptor: stream.descriptor(),
            peer: stream.peer(),
            phase: Cell::new(Phase::Idle),
            since_ms: Cell::new(now_ms),
            write_blocked_since_ms: Cell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// The address of the other side.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// The connection is now in `phase`.
    pub fn enter(&self, phase: Phase, now_ms: u64) {
        self.phase.set(phase);
        self.since_ms.set(now_ms);
    }

    fn park(&self, waker: &Waker) {
        let mut parked = self.waker.borrow_mut();
        if !parked.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *parked = Some(waker.clone());
        }
    }

    /// Lets the connection look whether the server stops.
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn is_overdue(&self, now_ms: u64, config: &Config) -> bool {
        let passed = |since_ms: u64, limit: Duration| {
            now_ms.saturating_sub(since_ms) >= limit.as_millis() as u64
        };
        if let Some(since_ms) = self.write_blocked_since_ms.get() {
            return passed(since_ms, config.write_timeout);
        }
        let limit = match self.phase.get() {
            Phase::Idle => config.idle_timeout,
            Phase::Head => config.header_timeout,
            Phase::Body => config.body_timeout,
            Phase::Handling | Phase::Responding => return false,
        };
        passed(self.since_ms.get(), limit)
    }
}

/// The open connections of an acceptor.
#[derive(Default)]
pub struct Connections {
    slots: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
    swept_to: Cell<usize>,
}

/// Takes its connection off the list when dropped. Between that and the closing of the stream no other task runs, so
/// the sweep never meets a descriptor that means something else by now.
struct Listed<'a> {
    connections: &'a Connections,
    index: usize,
}

impl Connections {
    fn list(&self, watch: Rc<Watch>) -> Listed<'_> {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[index] = Some(watch);
        Listed {
            connections: self,
            index,
        }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    /// Lets every connection look whether the server stops.
    pub fn wake_all(&self) {
        for watch in self.slots.borrow().iter().flatten() {
            watch.wake();
        }
    }

    /// Shuts down those past their deadline, looking at one part in [`SWEEP_PARTS`] of them.
    pub fn sweep(&self, now_ms: u64, config: &Config) {
        let slots = self.slots.borrow();
        if slots.is_empty() {
            return;
        }
        let part = slots.len().div_ceil(SWEEP_PARTS);
        let start = self.swept_to.get() % slots.len();
        let end = (start + part).min(slots.len());
        for watch in slots[start..end].iter().flatten() {
            if watch.is_overdue(now_ms, config) {
                tcp::shutdown(watch.descriptor);
            }
        }
        self.swept_to.set(end);
    }
}

/// Each heartbeat sweeps a part, so that each connection is looked at twice a second and none waits for the sweep
/// of all.
const SWEEP_PARTS: usize = 50;

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.connections.slots.borrow_mut()[self.index] = None;
        self.connections.free.borrow_mut().push(self.index);
    }
}

/// The stream, telling the watch what it sees.
struct WatchedStream {
    stream: Stream,
    watch: Rc<Watch>,
    acceptor: Rc<Acceptor>,
}

impl hyper::rt::Read for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let watch = &self.watch;
        match (watch.phase.get(), read.is_ready()) {
            (Phase::Idle, true) => watch.enter(Phase::Head, self.acceptor.now_ms()),
            (Phase::Responding, false) if watch.write_blocked_since_ms.get().is_none() => {
                watch.enter(Phase::Idle, self.acceptor.now_ms());
            }
            _ => {}
        }
        read
    }
}

impl hyper::rt::Write for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        let watch = &self.watch;
        match (written.is_ready(), watch.write_blocked_since_ms.get()) {
            (true, _) => watch.write_blocked_since_ms.set(None),
            (false, None) => watch
                .write_blocked_since_ms
                .set(Some(self.acceptor.now_ms())),
            (false, Some(_)) => {}
        }
        // A streamed response is still one while it waits for more to send.
        if watch.phase.get() == Phase::Idle {
            watch.enter(Phase::Responding, self.acceptor.now_ms());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
