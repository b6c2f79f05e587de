//! Listeners and streams, and the adaptor through which hyper reads and writes them for the metrics port.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
use socket2::{Domain, Protocol, Type};

use super::sockets::{self, Socket};
use super::tls::Tls;

/// Connections that the kernel keeps waiting to be accepted, per listener.
pub const BACKLOG: i32 = 4096;
/// What the kernel holds for a connection of what it has not sent yet, about, in bytes. A page is shared by all stores
/// that ask for it, the kernel's copy is not: with 10,000 stores that read slowly its megabytes for each would use up
/// what it has for TCP, and every connection of the machine would suffer. What is sent and not acknowledged is beside
/// this: a long way needs no more of it.
const UNSENT_BYTES_MAX: u32 = 16 << 10;

/// One socket per acceptor, all on the same port: the kernel spreads connections over them. Fails if another
/// process listens there, although it too may have allowed the port to be shared.
pub fn bind_listeners(address: SocketAddr, count: usize) -> io::Result<Vec<OwnedFd>> {
    drop(bind(address, false)?);
    (0..count).map(|_| bind(address, true)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    if shared {
        // The connections inherit it.
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// Stops `listener`: an `accept` that waits on it ends with an error.
pub fn stop_listening(listener: RawFd) {
    shutdown(listener);
}

/// Ends both directions of the socket, so that whoever reads or writes it finds it closed. The caller knows that
/// the descriptor is still open.
pub fn shutdown(socket: RawFd) {
    // SAFETY: the descriptor is open (see above) and is only borrowed for the call.
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(socket) };
    // An error says that the socket was closed by the peer already.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// A listening socket on its executor.
pub struct Listener {
    inner: Socket,
}

impl Listener {
    /// Takes a socket of [`bind_listeners`] to the current executor.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Listener> {
        sockets::watch();
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Listener {
            inner: Socket::new(socket)?,
        })
    }

    /// The next connection and its peer.
    ///
    /// # Errors
    /// If the listener was stopped, or there is no descriptor left for it.
    pub async fn accept(&self) -> io::Result<Stream> {
        let (socket, peer) = poll_fn(|context| self.inner.poll_accept(context)).await?;
        // Best effort: a connection that is gone already is met at its first read.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        Ok(Stream {
            transport: Transport::Plain(Socket::new(socket)?),
            peer: peer.map(|peer| peer.ip().to_canonical()),
        })
    }

    /// For [`stop_listening`], while this listener lives.
    pub fn descriptor(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// A connection, in clear or through TLS.
pub struct Stream {
    transport: Transport,
    peer: Option<IpAddr>,
}

enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// The same connection through TLS, when the client has shaken hands.
    ///
    /// # Errors
    /// If the client does not speak TLS as `tls` does, or ends.
    pub async fn secure(self, tls: &Tls) -> io::Result<Stream> {
        let transport = match self.transport {
            Transport::Plain(inner) => Transport::Tls(Box::new(tls.accept(inner).await?)),
            secure @ Transport::Tls(_) => secure,
        };
        Ok(Stream {
            transport,
            peer: self.peer,
        })
    }

    /// For [`shutdown`], while this stream lives.
    pub fn descriptor(&self) -> RawFd {
        self.socket().as_raw_fd()
    }

    /// The peer's address.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn socket(&self) -> &Socket {
        match &self.transport {
            Transport::Plain(inner) => inner,
            Transport::Tls(inner) => inner.get_ref().0,
        }
    }

    /// Reads into `buffer`; returns how many bytes: none at the end.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(inner) => inner.poll_read_into(context, buffer),
            Transport::Tls(inner) => Pin::new(inner).poll_read(context, buffer),
        }
    }

    /// Whether the client has ended its side, or is gone; what it sent before may be unread.
    pub fn has_ended(&self) -> bool {
        self.socket().has_ended()
    }

    /// Whether others go first when many are ready at a time.
    pub fn be_patient(&self, is_patient: bool) {
        self.socket().be_patient(is_patient);
    }

    /// Has the task woken that polls with `context`, when anything comes about at the socket.
    pub fn park(&self, context: &Context<'_>) {
        self.socket().park(context);
    }

    /// Writes some of `bytes`; returns how many.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(inner) => Pin::new(inner).poll_write(context, bytes),
            Transport::Tls(inner) => Pin::new(inner).poll_write(context, bytes),
        }
    }

    /// Writes some of `pieces`, one after the other, in one system call; returns how many bytes.
    pub fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(inner) => Pin::new(inner).poll_write_vectored(context, pieces),
            Transport::Tls(inner) => Pin::new(inner).poll_write_vectored(context, pieces),
        }
    }

    /// Ready when all that was written is in the socket.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(inner) => Pin::new(inner).poll_flush(context),
            Transport::Tls(inner) => Pin::new(inner).poll_flush(context),
        }
    }

    /// Ends our side. The other may go on.
    pub fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(inner) => Pin::new(inner).poll_close(context),
            Transport::Tls(inner) => Pin::new(inner).poll_close(context),
        }
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: nothing of the slice is taken from what was initialised.
        let spare = unsafe { buffer.as_mut() };
        let read = match &mut self.transport {
            Transport::Plain(inner) => ready!(inner.poll_read(context, spare))?.len(),
            Transport::Tls(inner) => {
                spare.fill(MaybeUninit::new(0));
                let start = spare.as_mut_ptr().cast::<u8>();
                // SAFETY: the bytes were just initialised.
                let spare = unsafe { std::slice::from_raw_parts_mut(start, spare.len()) };
                ready!(Pin::new(inner).poll_read(context, spare))?
            }
        };
        // SAFETY: so many bytes were just read into the slice.
        unsafe { buffer.advance(read) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write(&mut self, context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(&mut self, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_close(&mut self, context)
    }
}
