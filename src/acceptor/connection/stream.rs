//! The stream as hyper sees it: what is read is judged by the framing first, and the watch is told what happens.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::watch::{Phase, Watch};
use crate::acceptor::Acceptor;
use crate::runtime::tcp::Stream;

/// The most bytes that are thrown away behind a last answer: a client that sends a body too large should meet the
/// answer when it has sent it, and one that sends without end should meet the end.
const LINGER_BYTES_MAX: usize = 16 << 20;
/// The size of the buffer for what is thrown away.
const DISCARD_BYTES: usize = 4 << 10;
/// How many of those are thrown away before other connections get their turn.
const DISCARDS_PER_TURN: usize = 16;

/// The stream of a connection.
pub struct WatchedStream {
    stream: Stream,
    watch: Rc<Watch>,
    acceptor: Rc<Acceptor>,
    /// Nothing is read from it.
    is_refused: bool,
    /// The client has ended its side.
    has_ended: bool,
    /// Our side is ended.
    is_shut: bool,
    /// Bytes thrown away since.
    discarded: usize,
}

impl WatchedStream {
    /// Of a connection that is served.
    pub fn new(stream: Stream, watch: Rc<Watch>, acceptor: Rc<Acceptor>) -> WatchedStream {
        WatchedStream {
            stream,
            watch,
            acceptor,
            is_refused: false,
            has_ended: false,
            is_shut: false,
            discarded: 0,
        }
    }

    /// Of a connection that nothing is read from.
    pub fn refusing(stream: Stream, watch: Rc<Watch>, acceptor: Rc<Acceptor>) -> WatchedStream {
        WatchedStream {
            is_refused: true,
            ..WatchedStream::new(stream, watch, acceptor)
        }
    }

    /// Throws away what comes; ready when nothing more does.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [MaybeUninit::uninit(); DISCARD_BYTES];
        for _ in 0..DISCARDS_PER_TURN {
            match ready!(self.stream.poll_read(context, &mut buffer)) {
                Ok(bytes) if !bytes.is_empty() => self.discarded += bytes.len(),
                Ok(_) | Err(_) => {
                    self.has_ended = true;
                    return Poll::Ready(());
                }
            }
            if self.discarded > LINGER_BYTES_MAX {
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the client may be sending still.
    fn may_have_unread(&self) -> bool {
        let is_between_requests = self.watch.framing.borrow().is_between_requests();
        !self.has_ended && (self.is_refused || !is_between_requests)
    }
}

impl hyper::rt::Read for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.framing.borrow().is_stopped() {
            // Nothing more is passed on, but the end is, so that the connection ends with the socket.
            return this.poll_discard(context).map(Ok);
        }
        // SAFETY: the stream writes to the slice and never takes from it what was initialised.
        let spare = unsafe { buffer.as_mut() };
        let read = ready!(this.stream.poll_read(context, spare));
        this.watch.has_read(this.acceptor.now_ms());
        let bytes = read?;
        this.has_ended = bytes.is_empty();
        let passed_on = this.watch.framing.borrow_mut().take(bytes);
        // SAFETY: so many bytes and more were just read into the slice.
        unsafe { buffer.advance(passed_on) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.poll_write(context, bytes);
        self.watch
            .has_written(written.is_pending(), self.acceptor.now_ms());
        written
    }

    /// So that hyper keeps the pieces of a response apart. Else it would copy all of them behind its head, and keep that
    /// memory for each connection as long as it lives.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.poll_write_vectored(context, pieces);
        self.watch
            .has_written(written.is_pending(), self.acceptor.now_ms());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.poll_flush(context);
        self.watch
            .has_written(flushed.is_pending(), self.acceptor.now_ms());
        flushed
    }

    /// Ends our side, and waits for the client's end where it may be sending still.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_shut {
            ready!(this.stream.poll_close(context))?;
            this.is_shut = true;
            if !this.may_have_unread() {
                return Poll::Ready(Ok(()));
            }
            this.watch.enter(Phase::Lingering, this.acceptor.now_ms());
        }
        this.poll_discard(context).map(Ok)
    }
}
