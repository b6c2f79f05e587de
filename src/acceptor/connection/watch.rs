//! What every connection is doing and since when, and the sweep that ends those past their deadline.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::config::Config;
use crate::observe::metrics::traffic::Deadline;
use crate::runtime::tcp::{self, Stream};

/// How long a client has to take a last answer and to end its side. What it still sends meanwhile is thrown away: to
/// close at once would reset the connection, and the answer could be lost on its way.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection is doing, which says what deadline it is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// The head of a request has begun, or the handshake of TLS.
    Head,
    /// The body of a request is awaited.
    Body,
    /// The request is being answered.
    Handling,
    /// The response is being written.
    Responding,
    /// The last response has been written.
    Lingering,
}

/// The state of a connection that its acceptor's sweep looks at.
pub struct Watch {
    descriptor: RawFd,
    peer: Option<IpAddr>,
    phase: Cell<Phase>,
    since_ms: Cell<u64>,
    write_blocked_since_ms: Cell<Option<u64>>,
    waker: RefCell<Option<Waker>>,
    /// It was shut down for a deadline, and is counted.
    is_shut: Cell<bool>,
}

impl Watch {
    /// Of a connection that begins.
    pub(super) fn new(stream: &Stream, now_ms: u64) -> Watch {
        Watch {
            descriptor: stream.descriptor(),
            peer: stream.peer(),
            phase: Cell::new(Phase::Idle),
            since_ms: Cell::new(now_ms),
            write_blocked_since_ms: Cell::new(None),
            waker: RefCell::new(None),
            is_shut: Cell::new(false),
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

    /// Part of a head is there.
    pub(super) fn has_begun(&self, now_ms: u64) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head, now_ms);
        }
    }

    /// The socket has taken something, or cannot.
    pub(super) fn has_written(&self, is_blocked: bool, now_ms: u64) {
        match (is_blocked, self.write_blocked_since_ms.get()) {
            (false, _) => self.write_blocked_since_ms.set(None),
            (true, None) => self.write_blocked_since_ms.set(Some(now_ms)),
            (true, Some(_)) => {}
        }
    }

    pub(super) fn park(&self, waker: &Waker) {
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

    /// The deadline that is past, if one is; the end of lingering is nobody's fault.
    fn overdue(&self, now_ms: u64, config: &Config) -> Option<Overdue> {
        let passed = |since_ms: u64, limit: Duration| {
            now_ms.saturating_sub(since_ms) >= limit.as_millis() as u64
        };
        if let Some(since_ms) = self.write_blocked_since_ms.get() {
            let is_passed = passed(since_ms, config.write_timeout);
            return is_passed.then_some(Overdue::Deadline(Deadline::Write));
        }
        let (limit, overdue) = match self.phase.get() {
            Phase::Idle => (config.idle_timeout, Overdue::Deadline(Deadline::Idle)),
            Phase::Head => (config.header_timeout, Overdue::Deadline(Deadline::Header)),
            Phase::Body => (config.body_timeout, Overdue::Deadline(Deadline::Body)),
            Phase::Lingering => (LINGER, Overdue::Lingering),
            Phase::Handling | Phase::Responding => return None,
        };
        passed(self.since_ms.get(), limit).then_some(overdue)
    }
}

/// Why a connection is shut down.
enum Overdue {
    Deadline(Deadline),
    Lingering,
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
pub(super) struct Listed<'a> {
    connections: &'a Connections,
    index: usize,
}

impl Connections {
    pub(super) fn list(&self, watch: Rc<Watch>) -> Listed<'_> {
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

    /// Shuts down those past their deadline, looking at one part in [`SWEEP_PARTS`] of them, and tells `ended` of each
    /// whose client was too slow.
    pub fn sweep(&self, now_ms: u64, config: &Config, ended: impl Fn(Deadline)) {
        let slots = self.slots.borrow();
        if slots.is_empty() {
            return;
        }
        let part = slots.len().div_ceil(SWEEP_PARTS);
        let start = self.swept_to.get() % slots.len();
        let end = (start + part).min(slots.len());
        for watch in slots[start..end].iter().flatten() {
            match watch.overdue(now_ms, config) {
                Some(Overdue::Deadline(deadline)) if !watch.is_shut.replace(true) => {
                    ended(deadline);
                }
                None => continue,
                _ => {}
            }
            tcp::shutdown(watch.descriptor);
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
