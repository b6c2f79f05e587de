//! The sockets of one thread, watched together: one look at an epoll descriptor tells which of them are ready.
//!
//! ```text
//!   look ─▶ marks who is ready, wakes who waits ─▶ tasks read and write without waiting ─▶ look
//! ```
//!
//! A read that waits in the executor's io_uring interrupts this CPU for every single socket that something comes from, and
//! arms its wait anew each time: a third of the CPU time of a request (perf/experiments/2026-11-23-sockets). Here the io_uring
//! waits for the epoll descriptor alone.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::io::PollableFd;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType,
};
use slab::Slab;

use super::executor;

/// What one look tells at most; the rest is told by the next.
const EVENTS_MAX: usize = 256;
/// How many patient sockets are woken between two looks: what others bring meanwhile waits for no more than that.
const PATIENT_PER_LOOK: usize = 8;

thread_local! {
    static SOCKETS: Sockets = Sockets::new().expect("a thread may have an epoll descriptor");
}

struct Sockets {
    epoll: OwnedFd,
    entries: RefCell<Slab<Rc<Entry>>>,
    /// Patient sockets that something came about at, each once.
    patient: RefCell<VecDeque<Rc<Entry>>>,
    /// Whether [`watch`] was spawned.
    is_watched: Cell<bool>,
}

/// What is known of a socket, edge-triggered: ready until an attempt says otherwise.
#[derive(Default)]
struct Entry {
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// The other side sends no more: nothing will be told any more.
    has_ended: Cell<bool>,
    /// Others go first.
    is_patient: Cell<bool>,
    /// It is among those that are woken in their turn.
    is_queued: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A socket of this thread. One task waits for it at a time.
pub struct Socket {
    socket: OwnedFd,
    entry: Rc<Entry>,
    key: usize,
}

/// Looks once which sockets are ready, and wakes who waits for them. Waits for as long as `pause` if none is, blocking the
/// thread.
///
/// # Errors
/// If the thread cannot wait.
pub fn look(pause: Duration) -> io::Result<()> {
    SOCKETS.with(|sockets| sockets.look(pause))
}

/// Has the sockets of this executor watched beside its other work.
pub fn watch() {
    if !SOCKETS.with(|sockets| sockets.is_watched.replace(true)) {
        executor::spawn(look_whenever_ready());
    }
}

/// The executor sees its other I/O between two looks, since the wait goes through its io_uring even if sockets are ready.
async fn look_whenever_ready() {
    let descriptor = SOCKETS.with(|sockets| Borrowed(sockets.epoll.as_raw_fd()));
    let ready = PollableFd::new(descriptor).expect("runs on an executor");
    loop {
        if SOCKETS.with(|sockets| sockets.wake_patient(PATIENT_PER_LOOK)) {
            executor::let_io_run().await;
        } else {
            ready
                .readable()
                .await
                .expect("the epoll descriptor lives as long as the thread");
        }
        look(Duration::ZERO).expect("the epoll descriptor lives as long as the thread");
    }
}

/// The epoll descriptor of this thread, which outlives its executor.
struct Borrowed(RawFd);

impl AsRawFd for Borrowed {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Sockets {
    fn new() -> io::Result<Sockets> {
        Ok(Sockets {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            entries: RefCell::default(),
            patient: RefCell::default(),
            is_watched: Cell::new(false),
        })
    }

    fn look(&self, pause: Duration) -> io::Result<()> {
        let pause = pause.try_into().map_err(io::Error::other)?;
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_MAX];
        let events = match epoll::wait(&self.epoll, &mut events, Some(&pause)) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let entries = self.entries.borrow();
        for event in events {
            let (key, flags) = (event.data.u64() as usize, event.flags);
            // No task runs between the look and here: none of them has gone.
            let entry = &entries[key];
            entry.mark(flags);
            if !entry.is_patient.get() {
                entry.wake();
            } else if !entry.is_queued.replace(true) {
                self.patient.borrow_mut().push_back(entry.clone());
            }
        }
        Ok(())
    }

    /// Wakes some of the patient sockets. Returns whether there were any.
    fn wake_patient(&self, most: usize) -> bool {
        let mut patient = self.patient.borrow_mut();
        let turn = most.min(patient.len());
        for entry in patient.drain(..turn) {
            entry.is_queued.set(false);
            entry.wake();
        }
        turn > 0
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
    fn mark(&self, flags: EventFlags) {
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
    }

    fn wake(&self) {
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
        self.park(context);
        Poll::Pending
    }

    fn park(&self, context: &Context<'_>) {
        let parked = self.waker.take();
        let parked = parked.filter(|parked| parked.will_wake(context.waker()));
        self.waker
            .set(Some(parked.unwrap_or_else(|| context.waker().clone())));
    }
}

/// The near end of a connection that is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    /// An address of this machine: each has some 28,000 ports. Otherwise the kernel chooses.
    pub address: Option<IpAddr>,
    /// What the kernel holds for it, unread, about, in bytes. Otherwise as much as the connection seems to need.
    pub receive_bytes: Option<usize>,
}

impl Socket {
    /// Watches `socket`, which does not block. What can be done with it at once is tried at once.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Socket> {
        let socket = Socket::watched(socket)?;
        socket.entry.readable.set(true);
        socket.entry.writable.set(true);
        Ok(socket)
    }

    fn watched(socket: OwnedFd) -> io::Result<Socket> {
        let (key, entry) = SOCKETS.with(|sockets| sockets.add(&socket))?;
        Ok(Socket { socket, entry, key })
    }

    /// Begins to connect to `address`, with the near end `near`; [`Socket::poll_connected`] tells when it is.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub fn connect(address: SocketAddr, near: Near) -> io::Result<Socket> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        net::sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(bytes) = near.receive_bytes {
            net::sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        if let Some(address) = near.address {
            net::bind(&socket, &SocketAddr::from((address, 0)))?;
        }
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Socket::watched(socket)
    }

    /// Ready when the connection stands, or cannot be had.
    pub fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.entry.poll(&self.entry.writable, context, || Ok(())))?;
        Poll::Ready(net::sockopt::socket_error(&self.socket)?.map_err(io::Error::from))
    }

    /// Accepts a connection, on a socket that listens.
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(OwnedFd, Option<SocketAddr>)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let attempt = || net::acceptfrom_with(&self.socket, flags);
        let (socket, peer) = ready!(self.entry.poll(&self.entry.readable, context, attempt))?;
        Poll::Ready(Ok((
            socket,
            peer.and_then(|peer| SocketAddr::try_from(peer).ok()),
        )))
    }

    /// Reads what is there into `buffer`; nothing at the end. Returns what was read.
    pub fn poll_read<'b>(
        &self,
        context: &Context<'_>,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<&'b mut [u8]>> {
        let room = buffer.len();
        let entry = &self.entry;
        let mut read = 0;
        ready!(entry.poll(&entry.readable, context, || {
            let ((filled, _), _) = net::recv(&self.socket, &mut *buffer, RecvFlags::empty())?;
            read = filled.len();
            Ok(())
        }))?;
        // Less than there was room for: no more is there, and what comes is told anew.
        if read < room && !entry.has_ended.get() {
            entry.readable.set(false);
        }
        let start = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: so many bytes were just written to the buffer.
        Poll::Ready(Ok(unsafe { std::slice::from_raw_parts_mut(start, read) }))
    }

    /// As [`Socket::poll_read`], into bytes that are initialised; returns how many were read.
    pub fn poll_read_into(
        &self,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // SAFETY: nothing but bytes is written to the slice.
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        self.poll_read(context, buffer).map_ok(|read| read.len())
    }

    /// Sends some of `bytes`; returns how many.
    pub fn poll_send(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = || net::send(&self.socket, bytes, SendFlags::NOSIGNAL);
        self.entry.poll(&self.entry.writable, context, attempt)
    }

    /// Sends some of `pieces`, one after the other, in one system call; returns how many bytes.
    pub fn poll_send_pieces(
        &self,
        context: &Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let none = &mut SendAncillaryBuffer::default();
        let attempt = || net::sendmsg(&self.socket, pieces, none, SendFlags::NOSIGNAL);
        self.entry.poll(&self.entry.writable, context, attempt)
    }

    /// Whether the other side has said that it sends no more, or is gone; what it sent before may be unread.
    pub fn has_ended(&self) -> bool {
        self.entry.has_ended.get()
    }

    /// Ready when there may be something to read, or the end.
    pub fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        if self.entry.readable.get() {
            return Poll::Ready(());
        }
        self.entry.park(context);
        Poll::Pending
    }

    /// Whether others go first when many are ready at a time.
    pub fn be_patient(&self, is_patient: bool) {
        self.entry.is_patient.set(is_patient);
    }

    /// Has the task woken that polls with `context`, when anything comes about at the socket.
    pub fn park(&self, context: &Context<'_>) {
        self.entry.park(context);
    }

    /// Ends our side. The other may go on.
    ///
    /// # Errors
    /// If the connection is gone already.
    pub fn end(&self) -> io::Result<()> {
        Ok(net::shutdown(&self.socket, net::Shutdown::Write)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
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

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_into(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_pieces(context, pieces)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }
}
