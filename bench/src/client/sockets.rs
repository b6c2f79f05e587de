//! The sockets and timers of one thread, waited for together: one look tells which of them are ready.
//!
//! The sockets are the server's own, but here the executor never sleeps by itself: it sleeps in [`drive`], which spares a
//! client most of what its executor would cost (perf/experiments/2026-11-23-bench-beside-wrk).

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use central_inventory::runtime::executor::{self, HEARTBEAT};
use central_inventory::runtime::sockets::{self, Near};
use rustix::net::sockopt::set_socket_linger;

thread_local! {
    static TIMERS: RefCell<Timers> = RefCell::default();
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
    inner: sockets::Socket,
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
        turn()?;
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
        TIMERS.with_borrow_mut(|timers| {
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

/// Waits until something is ready or due, and wakes who waits for it.
fn turn() -> io::Result<()> {
    let pause = TIMERS.with_borrow(|timers| timers.pause(Instant::now()));
    sockets::look(pause.min(HEARTBEAT))?;
    TIMERS.with_borrow_mut(|timers| timers.fire(Instant::now()));
    Ok(())
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
    pub async fn connect(address: SocketAddr, near: Near) -> io::Result<Socket> {
        let inner = sockets::Socket::connect(address, near)?;
        poll_fn(|context| inner.poll_connected(context)).await?;
        Ok(Socket { inner })
    }

    /// For who ends connections from outside, while this one lives.
    pub fn descriptor(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    /// Ends the connection by a reset when it is closed, so that it does not keep its port for a minute.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reset_when_closed(&self) -> io::Result<()> {
        set_socket_linger(&self.inner, Some(Duration::ZERO))?;
        Ok(())
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|context| self.inner.poll_send(context, bytes)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Waits until there is something to read, or the end.
    pub async fn readable(&self) {
        poll_fn(|context| self.inner.poll_readable(context)).await;
    }

    /// Reads what is there into `buffer`, and waits until something is. 0 is the end.
    ///
    /// # Errors
    /// If the connection has ended otherwise.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.inner.poll_read_into(context, buffer)).await
    }
}
