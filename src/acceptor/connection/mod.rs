//! One connection: requests are read, answered and forgotten one after the other, under deadlines, until either side ends it
//! or the server stops.
//!
//! ```text
//!   wire ─▶ head ─▶ api (─▶ body) ─▶ response ─▶ wire ─▶ the next head
//! ```

mod body;
pub mod chunks;
pub mod encode;
pub mod head;
pub mod inbound;
mod watch;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::header::{EXPECT, HeaderMap};
use hyper::{Method, Response, Version};

use super::Acceptor;
use super::framing::Length;
use crate::api::{self, ResponseBody};
use crate::runtime::executor;
use crate::runtime::tcp::Stream;
pub use body::RequestBody;
use encode::{COPIED_BYTES_MAX, Follows};
use head::Head;
pub use watch::{Connections, Phase, Watch};
use wire::Wire;

/// How many requests of a connection that were there already are answered before others get their turn.
const REQUESTS_PER_TURN: usize = 16;

/// Serves `stream` until either side ends it.
pub async fn serve(acceptor: Rc<Acceptor>, stream: Stream) {
    let watch = Rc::new(Watch::new(&stream, acceptor.now_ms()));
    let _listed = acceptor.connections.list(watch.clone());
    let Some(stream) = secured(&acceptor, &watch, stream).await else {
        return;
    };
    let wire = Wire::new(stream, watch, acceptor.clone());
    let mut in_turn = 0;
    while let Some(head) = wire.next_head().await {
        match exchange(&acceptor, &wire, head).await {
            Then::GoOn => {}
            Then::End => break,
            Then::Gone => return,
        }
        in_turn += 1;
        if wire.inbound.borrow().is_empty() {
            in_turn = 0;
        } else if in_turn == REQUESTS_PER_TURN {
            in_turn = 0;
            executor::yield_now().await;
        }
    }
    let may_send = !wire.inbound.borrow().is_between_requests();
    wire.end(may_send).await;
}

/// What becomes of a connection when a request is done with.
enum Then {
    GoOn,
    End,
    /// The client is gone, or has given up.
    Gone,
}

/// Answers one request.
async fn exchange(acceptor: &Rc<Acceptor>, wire: &Wire, head: Head) -> Then {
    let watch = &wire.watch;
    watch.enter(Phase::Handling, acceptor.now_ms());
    wire.be_patient(api::follows_the_feed(&head.parts));
    let asked = Asked::of(&head);
    let body = RequestBody::new(wire, asked.holds_body_back);
    let judged = head.length.map(|_| ());
    let handled = pin!(api::handle(acceptor, watch, judged, head.parts, body));
    let Some(response) = unless_ended(wire, handled).await else {
        return Then::Gone;
    };
    let is_whole = wire.inbound.borrow_mut().finish();
    let ends = !asked.keeps_alive || !is_whole || acceptor.is_draining();
    watch.enter(Phase::Responding, acceptor.now_ms());
    let mut body_bytes = 0;
    let sent = send(wire, response, &asked, ends, &mut body_bytes).await;
    // Also of what broke off: most streams end with their client.
    acceptor.metrics.response_bytes.observe(body_bytes);
    match sent {
        None => Then::Gone,
        Some(Last(true)) => Then::End,
        Some(Last(false)) => {
            watch.enter(Phase::Idle, acceptor.now_ms());
            Then::GoOn
        }
    }
}

/// What of a request decides how it is answered.
struct Asked {
    is_head: bool,
    version: Version,
    keeps_alive: bool,
    holds_body_back: bool,
}

impl Asked {
    fn of(head: &Head) -> Asked {
        let Head { parts, length } = head;
        Asked {
            is_head: parts.method == Method::HEAD,
            version: parts.version,
            keeps_alive: head.keeps_alive() && matches!(length, Ok(Length::Known(_))),
            holds_body_back: parts.version == Version::HTTP_11 && expects(&parts.headers),
        }
    }
}

fn expects(headers: &HeaderMap) -> bool {
    let expected = headers.get(EXPECT);
    expected.is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What `doing` comes to; none if the client ends its side before.
async fn unless_ended<T>(wire: &Wire, mut doing: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match doing.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => wire.poll_ended(context).map(|()| None),
    })
    .await
}

/// Whether a response that was sent was the last of its connection.
struct Last(bool);

/// Adds what was sent of the body to `body_bytes`. None if the client is gone, or the response had to break off.
async fn send(
    wire: &Wire,
    response: Response<ResponseBody>,
    asked: &Asked,
    ends: bool,
    body_bytes: &mut u64,
) -> Option<Last> {
    let (parts, body) = response.into_parts();
    let mut head = encode::buffer();
    match body {
        ResponseBody::Whole(body) => {
            let length = body.len() as u64;
            let follows = Follows::Length(length);
            let ends = encode::head(&mut head, &parts, asked.version, follows, ends);
            let body = match asked.is_head || !encode::may_have_body(parts.status) {
                true => Bytes::new(),
                false => body,
            };
            if body.len() <= COPIED_BYTES_MAX {
                head.extend_from_slice(&body);
                wire.write(&mut [&head]).await.ok()?;
            } else {
                wire.write(&mut [&head, &body]).await.ok()?;
            }
            encode::give_back(head);
            *body_bytes += body.len() as u64;
            Some(Last(ends))
        }
        ResponseBody::Pieces(mut pieces) => {
            let follows = match asked.version {
                Version::HTTP_10 => Follows::UntilEnd,
                _ => Follows::Chunks,
            };
            let ends = encode::head(&mut head, &parts, asked.version, follows, ends);
            wire.write(&mut [&head]).await.ok()?;
            encode::give_back(head);
            if !asked.is_head {
                let in_chunks = follows == Follows::Chunks;
                send_pieces(wire, &mut pieces, in_chunks, body_bytes).await?;
            }
            Some(Last(ends))
        }
    }
}

/// Sends one piece after the other, as each is made. None if that breaks off.
async fn send_pieces(
    wire: &Wire,
    pieces: &mut api::Pieces,
    in_chunks: bool,
    body_bytes: &mut u64,
) -> Option<()> {
    let mut chunk = Vec::new();
    loop {
        let next = pin!(futures_lite::StreamExt::next(pieces));
        let piece = match unless_ended(wire, next).await? {
            Some(piece) => piece.ok()?,
            None => break,
        };
        if piece.is_empty() {
            // An empty chunk would be the last.
            continue;
        }
        *body_bytes += piece.len() as u64;
        if !in_chunks {
            wire.write(&mut [&piece]).await.ok()?;
            continue;
        }
        encode::chunk_size(&mut chunk, piece.len());
        if piece.len() <= COPIED_BYTES_MAX {
            chunk.extend_from_slice(&piece);
            chunk.extend_from_slice(b"\r\n");
            wire.write(&mut [&chunk]).await.ok()?;
        } else {
            wire.write(&mut [&chunk, &piece, b"\r\n"]).await.ok()?;
        }
        chunk.clear();
    }
    if in_chunks {
        wire.write(&mut [b"0\r\n\r\n"]).await.ok()?;
    }
    Some(())
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
    let wire = Wire::new(stream, watch, acceptor.clone());
    if wire.write(&mut [answer]).await.is_ok() {
        wire.end(true).await;
    }
}
