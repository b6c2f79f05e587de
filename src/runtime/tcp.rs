//! Listeners and streams, and the adaptor through which hyper reads and writes them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::tls::Tls;

/// Connections that the kernel keeps waiting to be accepted, per listener.
pub const BACKLOG: i32 = 4096;

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
        Ok(Stream {
            transport: Transport::Plain(inner),
        })
    }

    /// For [`stop_listening`], while this listener lives.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }
}

/// A connection, in clear or through TLS.
pub struct Stream {
    transport: Transport,
}

enum Transport {
    Plain(glommio::net::TcpStream),
    Tls(Box<TlsStream<glommio::net::TcpStream>>),
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
        Ok(Stream { transport })
    }

    /// For [`shutdown`], while this stream lives.
    pub fn descriptor(&self) -> RawFd {
        self.socket().as_raw_fd()
    }

    /// The peer's address; none if the connection is gone.
    pub fn peer(&self) -> Option<IpAddr> {
        let address = self.socket().peer_addr().ok()?;
        Some(address.ip().to_canonical())
    }

    fn socket(&self) -> &glommio::net::TcpStream {
        match &self.transport {
            Transport::Plain(inner) => inner,
            Transport::Tls(inner) => inner.get_ref().0,
        }
    }

    /// Reads into `spare`. Returns what was read: nothing at the end.
    pub fn poll_read<'b>(
        &mut self,
        context: &mut Context<'_>,
        spare: &'b mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<&'b [u8]>> {
        let start = spare.as_mut_ptr().cast::<u8>();
        let read = match &mut self.transport {
            Transport::Plain(inner) => {
                // SAFETY: `recv` writes to the slice and never reads it, so its bytes need not be initialised.
                let target = unsafe { std::slice::from_raw_parts_mut(start, spare.len()) };
                ready!(Pin::new(inner).poll_read(context, target))?
            }
            Transport::Tls(inner) => {
                spare.fill(MaybeUninit::new(0));
                // SAFETY: the bytes were just initialised.
                let target = unsafe { std::slice::from_raw_parts_mut(start, spare.len()) };
                ready!(Pin::new(inner).poll_read(context, target))?
            }
        };
        // SAFETY: so many bytes were just written to the slice.
        Poll::Ready(Ok(unsafe { std::slice::from_raw_parts(start, read) }))
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
        // SAFETY: the stream writes to the slice and never takes from it what was initialised; it says how many bytes
        // it wrote.
        unsafe {
            let read = ready!(Stream::poll_read(&mut self, context, buffer.as_mut()))?.len();
            buffer.advance(read);
        }
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
