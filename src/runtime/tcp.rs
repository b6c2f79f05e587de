//! Listeners and streams, and the adaptor through which hyper reads and writes them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps waiting to be accepted, per listener.
const BACKLOG: i32 = 4096;

/// One socket per acceptor, all on the same port: the kernel spreads connections over them. Fails if another
/// process listens there, although it too may have allowed the port to be shared.
pub fn bind_listeners(address: SocketAddr, count: usize) -> io::Result<Vec<OwnedFd>> {
    drop(bind(address, false)?);
    (0..count).map(|_| bind(address, true)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// Stops `listener`: an `accept` that waits on it ends with an error. (An accept that is dropped would leak.)
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
    inner: glommio::net::TcpListener,
    descriptor: RawFd,
}

impl Listener {
    /// Takes a socket of [`bind_listeners`] to the current executor.
    pub fn new(socket: OwnedFd) -> Listener {
        let descriptor = socket.as_raw_fd();
        // SAFETY: the descriptor is a listening socket and its ownership moves into the listener.
        let inner = unsafe { glommio::net::TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Listener { inner, descriptor }
    }

    /// The next connection and its peer. Never drop this future before it is done.
    pub async fn accept(&self) -> io::Result<Stream> {
        let inner = self.inner.accept().await.map_err(io::Error::from)?;
        // Best effort: a connection that is gone already is met at its first read.
        let _ = inner.set_nodelay(true);
        Ok(Stream { inner })
    }

    /// For [`stop_listening`], while this listener lives.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }
}

/// A connection.
pub struct Stream {
    inner: glommio::net::TcpStream,
}

impl Stream {
    /// For [`shutdown`], while this stream lives.
    pub fn descriptor(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    /// The peer's address; none if the connection is gone.
    pub fn peer(&self) -> Option<IpAddr> {
        self.inner.peer_addr().ok().map(|address| address.ip())
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: `recv` writes to the slice and never reads it, so its bytes need not be initialised; it is
        // only advanced by the number of bytes that `recv` says it wrote.
        let read = unsafe {
            let spare = buffer.as_mut();
            let spare =
                std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast::<u8>(), spare.len());
            ready!(Pin::new(&mut self.inner).poll_read(context, spare))?
        };
        // SAFETY: see above.
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
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}
