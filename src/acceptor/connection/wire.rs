//! The wire to one client: what is read goes through [`Inbound`], what is written waits for the socket, and the watch is told
//! what happens. Between requests it holds no buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::head::Head;
use super::inbound::{Inbound, Piece};
use super::watch::{Phase, Watch};
use crate::acceptor::Acceptor;
use crate::runtime::tcp::Stream;

/// The most bytes that one read takes: the largest body in 16 of them.
const READ_BYTES: usize = 64 << 10;
/// The most bytes that are thrown away behind a last answer: a client that sends a body too large should meet the
/// answer when it has sent it, and one that sends without end should meet the end.
const LINGER_BYTES_MAX: usize = 16 << 20;
/// How many reads are thrown away before other connections get their turn.
const DISCARDS_PER_TURN: usize = 4;

/// The most pieces that one write takes: the size of a chunk, the chunk and its end.
const PIECES_MAX: usize = 3;

thread_local! {
    /// Where all connections of a thread read to; what was read is copied out at once.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// The connection of one client.
pub struct Wire {
    stream: RefCell<Stream>,
    pub(super) inbound: RefCell<Inbound>,
    pub(super) watch: Rc<Watch>,
    acceptor: Rc<Acceptor>,
}

impl Wire {
    /// Over `stream`.
    pub fn new(stream: Stream, watch: Rc<Watch>, acceptor: Rc<Acceptor>) -> Wire {
        Wire {
            stream: RefCell::new(stream),
            inbound: RefCell::default(),
            watch,
            acceptor,
        }
    }

    /// The next head. None if the client has ended, or the server stops and nothing of a head has come.
    pub async fn next_head(&self) -> Option<Head> {
        poll_fn(|context| {
            self.watch.park(context.waker());
            loop {
                let head = self.inbound.borrow_mut().next_head();
                let is_empty = self.inbound.borrow().is_empty();
                if head.is_some() || (is_empty && self.acceptor.is_draining()) {
                    return Poll::Ready(head);
                }
                if !is_empty {
                    self.watch.has_begun(self.acceptor.now_ms());
                }
                match ready!(self.poll_fill(context)) {
                    // Blank lines are the beginning of a head too.
                    Ok(read) if read > 0 => self.watch.has_begun(self.acceptor.now_ms()),
                    // How it ended is the client's business.
                    Ok(_) | Err(_) => return Poll::Ready(None),
                }
            }
        })
        .await
    }

    /// The next piece of the body, waiting for what has not come.
    ///
    /// # Errors
    /// If the client ends before the body does.
    pub async fn next_piece(&self) -> io::Result<Piece> {
        poll_fn(|context| {
            loop {
                match self.inbound.borrow_mut().next_piece() {
                    Piece::Awaited => {}
                    piece => return Poll::Ready(Ok(piece)),
                }
                if ready!(self.poll_fill(context))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        })
        .await
    }

    fn poll_fill(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|buffer| {
            let read = ready!(self.stream.borrow_mut().poll_read(context, buffer))?;
            self.inbound.borrow_mut().push(&buffer[..read]);
            Poll::Ready(Ok(read))
        })
    }

    /// Whether others go first when many are ready at a time: a fleet that was told of an event all comes back at once, and
    /// an update should not wait behind it.
    pub fn be_patient(&self, is_patient: bool) {
        self.stream.borrow().be_patient(is_patient);
    }

    /// Ready when the client has ended its side, or is gone: nobody waits for what is being done. Whoever polls it is woken
    /// then.
    pub fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        let stream = self.stream.borrow();
        if stream.has_ended() {
            return Poll::Ready(());
        }
        stream.park(context);
        Poll::Pending
    }

    /// Writes all of `pieces`, one after the other.
    ///
    /// # Errors
    /// If the client is gone.
    pub async fn write(&self, pieces: &mut [&[u8]]) -> io::Result<()> {
        poll_fn(|context| {
            while let Some(next) = pieces.iter().position(|piece| !piece.is_empty()) {
                let written = self.poll_write(context, &pieces[next..]);
                self.watch
                    .has_written(written.is_pending(), self.acceptor.now_ms());
                advance(&mut pieces[next..], ready!(written)?);
            }
            let flushed = self.stream.borrow_mut().poll_flush(context);
            self.watch
                .has_written(flushed.is_pending(), self.acceptor.now_ms());
            flushed
        })
        .await
    }

    fn poll_write(&self, context: &mut Context<'_>, pieces: &[&[u8]]) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let written = match pieces {
            [one] => ready!(stream.poll_write(context, one))?,
            _ => {
                let mut slices = [IoSlice::new(b""); PIECES_MAX];
                for (slice, piece) in slices.iter_mut().zip(pieces) {
                    *slice = IoSlice::new(piece);
                }
                ready!(
                    stream.poll_write_vectored(context, &slices[..pieces.len().min(PIECES_MAX)])
                )?
            }
        };
        match written {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    /// Ends our side. If the client `may_send` still, what it sends is thrown away until it ends too: to close at once would
    /// reset the connection, and the last answer could be lost on its way.
    pub async fn end(&self, may_send: bool) {
        let ended = poll_fn(|context| self.stream.borrow_mut().poll_close(context)).await;
        if ended.is_err() || !may_send {
            return;
        }
        self.watch.enter(Phase::Lingering, self.acceptor.now_ms());
        let mut discarded = 0;
        poll_fn(|context| self.poll_discard(context, &mut discarded)).await;
    }

    /// Throws away what comes; ready when nothing more does.
    fn poll_discard(&self, context: &mut Context<'_>, discarded: &mut usize) -> Poll<()> {
        for _ in 0..DISCARDS_PER_TURN {
            let read =
                READ.with_borrow_mut(|buffer| self.stream.borrow_mut().poll_read(context, buffer));
            match ready!(read) {
                Ok(read) if read > 0 && *discarded <= LINGER_BYTES_MAX => *discarded += read,
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Takes so many bytes off the front of `pieces`.
fn advance(pieces: &mut [&[u8]], mut bytes: usize) {
    for piece in pieces {
        let part = bytes.min(piece.len());
        *piece = &piece[part..];
        bytes -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_off_the_front() {
        for written in 0..=6 {
            let mut pieces: [&[u8]; 3] = [b"ab", b"", b"cdef"];
            advance(&mut pieces, written);
            assert_eq!(b"abcdef"[written..], pieces.concat());
        }
    }
}
