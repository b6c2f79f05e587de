//! `GET /v1/inventory/events` as server-sent events (`text/event-stream`): the same feed, asked again and again on the client's behalf.
//!
//! A stream asks for the next messages when the client has taken the last: what it has not read yet is never more than one piece,
//! and one that falls behind reads from memory or from disk what it missed, as a poll would.

use std::rc::Rc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::events::{self, Asked, OFFSET_MAX};
use super::problem::{Detail, Problem};
use super::respond::{self, Answer, BrokenOff};
use super::{accept, text};
use crate::acceptor::{Acceptor, Overloaded};
use crate::messages::{FeedAnswer, Form};

/// The media type.
pub const EVENT_STREAM: &str = "text/event-stream";
/// Where a client that comes back says what it has seen.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment is sent after so many seconds without an event, so that whoever is between does not take it for dead.
pub const HEARTBEAT_SECONDS: u32 = 15;
/// Events that are asked for at a time.
const EVENTS_AT_A_TIME: u32 = 200;

const HEARTBEAT: &[u8] = b": nothing new\n\n";

/// Whether the client wants a stream rather than a page.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    accept::preferred(headers, &["application/json", EVENT_STREAM]) == EVENT_STREAM
}

/// Answers with a stream, or with the problem that it would begin with.
pub async fn stream(
    acceptor: &Rc<Acceptor>,
    query: Option<&str>,
    headers: &HeaderMap,
    request_id: &HeaderValue,
) -> Answer {
    let mut asked = Asked {
        form: Form::Stream,
        limit: EVENTS_AT_A_TIME,
        wait_ms: 0,
        ..events::asked(query, resumed(headers)?)?
    };
    let first = match acceptor.poll_feed(&asked).await {
        Ok(FeedAnswer::Page { bytes, next, .. }) => {
            asked.offset = next;
            bytes
        }
        Ok(other) => return Err(events::no_events(asked.offset, other)),
        Err(Overloaded) => return Err(Problem::overloaded()),
    };
    if acceptor.feed_is_full() {
        // It would be told so with its first message.
        return Err(events::no_events(asked.offset, FeedAnswer::TooManyWaiters));
    }
    asked.wait_ms = HEARTBEAT_SECONDS * 1000;
    let stream = Stream {
        counted: Counted::new(acceptor.clone()),
        asked,
        first: Some(first),
        has_ended: false,
        request_id: text(request_id).to_owned(),
    };
    let mut response = Response::new(respond::pieces(stream, Stream::next));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The offset after the one that the client saw last, if it says so.
fn resumed(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(seen) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let seen = seen
        .to_str()
        .ok()
        .filter(|seen| seen.bytes().all(|byte| byte.is_ascii_digit()));
    let seen = seen
        .and_then(|seen| seen.parse::<u64>().ok())
        .filter(|seen| *seen < OFFSET_MAX);
    match seen {
        Some(seen) => Ok(Some(seen + 1)),
        None => Err(Problem::validation(vec![Detail {
            field: "Last-Event-ID".to_owned(),
            issue: format!("must be an offset: an integer below {OFFSET_MAX}"),
        }])),
    }
}

struct Stream {
    counted: Counted,
    asked: Asked,
    /// What was found when it began.
    first: Option<Bytes>,
    has_ended: bool,
    request_id: String,
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Bytes, BrokenOff>, Stream)> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some((Ok(first), self));
        }
        let acceptor = &self.counted.acceptor;
        if self.has_ended || acceptor.is_draining() {
            return None;
        }
        let piece = match acceptor.poll_feed(&self.asked).await {
            // The server stops: the client comes back with what it saw last.
            Ok(FeedAnswer::Page { events: 0, .. }) if acceptor.is_draining() => return None,
            Ok(FeedAnswer::Page {
                events,
                bytes,
                next,
            }) => {
                self.asked.offset = next;
                match events {
                    0 => Bytes::from_static(HEARTBEAT),
                    _ => bytes,
                }
            }
            Ok(other) => self.end_with(&events::no_events(self.asked.offset, other)),
            Err(Overloaded) => self.end_with(&Problem::overloaded()),
        };
        Some((Ok(piece), self))
    }

    /// The message that tells why the stream ends.
    fn end_with(&mut self, problem: &Problem) -> Bytes {
        self.has_ended = true;
        let mut message = b"event: error\ndata: ".to_vec();
        message.extend_from_slice(&problem.to_json(&self.request_id));
        message.extend_from_slice(b"\n\n");
        message.into()
    }
}

/// A stream that is counted as long as it lives.
struct Counted {
    acceptor: Rc<Acceptor>,
}

impl Counted {
    fn new(acceptor: Rc<Acceptor>) -> Counted {
        acceptor.metrics.streams.increment();
        Counted { acceptor }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.acceptor.metrics.streams.decrement();
    }
}
