//! One connection: hyper's loop over the stream, the deadlines it is under, and its end when the server stops.

mod response;
mod stream;
mod watch;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::ready;
use std::time::Duration;

use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::Acceptor;
use crate::api;
use crate::runtime::tcp::Stream;
use response::WatchedBody;
use stream::WatchedStream;
pub use watch::{Connections, Phase, Watch};

/// hyper's own bound on a request head, above ours, so that a client sees our 431 problem.
pub const HYPER_HEAD_BYTES_MAX: usize = 64 << 10;
/// The most bytes that hyper reads ahead of what is asked for, or gathers before it writes: room for such a head.
const HYPER_BUFFER_BYTES_MAX: usize = 2 * HYPER_HEAD_BYTES_MAX;
/// The most headers of a request; more is hyper's plain 431.
const HEADERS_MAX: usize = 100;

/// Serves `stream` until either side ends it.
pub async fn serve(acceptor: Rc<Acceptor>, stream: Stream) {
    let watch = Rc::new(Watch::new(&stream, acceptor.now_ms()));
    let _listed = acceptor.connections.list(watch.clone());
    let Some(stream) = secured(&acceptor, &watch, stream).await else {
        return;
    };
    let watched = WatchedStream::new(stream, watch.clone(), acceptor.clone());
    let service = service_fn(|request| {
        let (acceptor, watch) = (acceptor.clone(), watch.clone());
        // At once, while the head is the last that was parsed.
        let verdict = watch.next_verdict();
        async move {
            watch.enter(Phase::Handling, acceptor.now_ms());
            let response = api::handle(acceptor.clone(), watch.clone(), verdict, request).await;
            watch.enter(Phase::Responding, acceptor.now_ms());
            Ok::<_, Infallible>(response.map(|body| WatchedBody::new(body, watch, acceptor)))
        }
    });
    let connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None::<Duration>)
        .max_header_size(HYPER_HEAD_BYTES_MAX)
        .max_buf_size(HYPER_BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(watched, service);
    let mut connection = pin!(connection);
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

/// The stream through TLS where that is configured. The handshake is under the deadline of a head; one that fails has
/// been told so.
async fn secured(acceptor: &Acceptor, watch: &Watch, stream: Stream) -> Option<Stream> {
    let Some(tls) = acceptor.tls() else {
        return Some(stream);
    };
    watch.enter(Phase::Head, acceptor.now_ms());
    let secured = stream.secure(&tls).await.ok();
    watch.enter(Phase::Idle, acceptor.now_ms());
    secured
}

/// Sends `answer` over `stream`, whatever is asked there, and ends it.
pub async fn refuse(acceptor: Rc<Acceptor>, stream: Stream, answer: &[u8]) {
    let watch = Rc::new(Watch::new(&stream, acceptor.now_ms()));
    let _listed = acceptor.connections.list(watch.clone());
    watch.enter(Phase::Lingering, acceptor.now_ms());
    let mut watched = pin!(WatchedStream::refusing(stream, watch, acceptor.clone()));
    let mut left = answer;
    poll_fn(|context| {
        while !left.is_empty() {
            match ready!(watched.as_mut().poll_write(context, left)) {
                Ok(written) if written > 0 => left = &left[written..],
                // It is gone already.
                Ok(_) | Err(_) => break,
            }
        }
        watched.as_mut().poll_shutdown(context).map(|_ended| ())
    })
    .await;
}
