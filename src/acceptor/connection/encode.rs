//! The head of a response as bytes.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{Duration, SystemTime};

use hyper::header::CONNECTION;
use hyper::http::response::Parts;
use hyper::{StatusCode, Version};

use super::head;
use crate::encoding;
use crate::runtime::clock;

/// A body so small is copied behind its head: that costs less than to tell the kernel of two pieces.
pub const COPIED_BYTES_MAX: usize = 4 << 10;
/// Room for a usual head and the largest body that is copied behind it.
const BUFFER_BYTES: usize = (1 << 10) + COPIED_BYTES_MAX;

thread_local! {
    /// What the last response was written in. The next is while it is still near the processor.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer to write a head in: the thread's spare one, if no response that waits for its socket has it.
pub fn buffer() -> Vec<u8> {
    let mut spare = SPARE.take();
    spare.reserve_exact(BUFFER_BYTES);
    spare
}

/// Keeps what [`buffer`] gave for the next response, unless it has grown.
pub fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() <= BUFFER_BYTES {
        buffer.clear();
        SPARE.set(buffer);
    }
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// So many bytes; with `HEAD` they would.
    Length(u64),
    /// Chunks, up to an empty one.
    Chunks,
    /// Bytes up to the end of the connection, for a client of HTTP/1.0.
    UntilEnd,
}

/// Appends the head of `response` to a request of `version`. Returns whether the connection ends behind it: where `ends` says
/// so, or the response itself.
pub fn head(
    bytes: &mut Vec<u8>,
    response: &Parts,
    version: Version,
    follows: Follows,
    ends: bool,
) -> bool {
    let ends = ends || head::names(&response.headers, "close") || follows == Follows::UntilEnd;
    status_line(bytes, response.status);
    for (name, value) in &response.headers {
        if name != CONNECTION {
            line(bytes, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match follows {
        Follows::Length(length) if has_length(response.status, length) => {
            bytes.extend_from_slice(b"content-length: ");
            encoding::integer(bytes, length);
            bytes.extend_from_slice(b"\r\n");
        }
        Follows::Chunks => line(bytes, b"transfer-encoding", b"chunked"),
        Follows::Length(_) | Follows::UntilEnd => {}
    }
    if ends {
        line(bytes, b"connection", b"close");
    } else if version == Version::HTTP_10 {
        line(bytes, b"connection", b"keep-alive");
    }
    bytes.extend_from_slice(b"date: ");
    date(bytes);
    bytes.extend_from_slice(b"\r\n\r\n");
    ends
}

/// A whole response that ends its connection.
pub fn whole(response: &Parts, body: &[u8]) -> Vec<u8> {
    let follows = Follows::Length(body.len() as u64);
    let mut bytes = Vec::new();
    head(&mut bytes, response, Version::HTTP_11, follows, true);
    bytes.extend_from_slice(body);
    bytes
}

/// The line before a chunk of so many bytes.
pub fn chunk_size(bytes: &mut Vec<u8>, length: usize) {
    write!(bytes, "{length:x}\r\n").expect("writing to memory does not fail");
}

/// Whether a body may follow a response with `status`.
pub fn may_have_body(status: StatusCode) -> bool {
    !(status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED)
}

fn has_length(status: StatusCode, length: u64) -> bool {
    may_have_body(status) || length > 0
}

fn status_line(bytes: &mut Vec<u8>, status: StatusCode) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

fn line(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Appends the time as HTTP writes it. It is written anew once a second.
fn date(bytes: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let seconds = clock::wall_now().0 / 1000;
    DATE.with_borrow_mut(|(of, text)| {
        if *of != seconds {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            (*of, *text) = (seconds, httpdate::fmt_http_date(time));
        }
        bytes.extend_from_slice(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Response;
    use hyper::header::{HeaderName, HeaderValue};

    fn encoded(
        status: StatusCode,
        headers: &[(&'static str, &'static str)],
        version: Version,
        follows: Follows,
    ) -> (String, bool) {
        let mut response = Response::new(()).into_parts().0;
        response.status = status;
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            response
                .headers
                .append(name, HeaderValue::from_static(value));
        }
        let mut bytes = buffer();
        let ends = head(&mut bytes, &response, version, follows, false);
        let text = String::from_utf8(bytes).unwrap();
        let (before, date) = text.split_once("date: ").unwrap();
        assert_eq!("Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n".len(), date.len());
        (before.to_owned(), ends)
    }

    #[test]
    fn a_head_says_how_long_the_body_is_and_whether_the_connection_goes_on() {
        let http_11 = Version::HTTP_11;
        for (status, headers, version, follows, expected, ends) in [
            (
                200,
                &[("etag", "\"1\"")][..],
                http_11,
                Follows::Length(2),
                "200 OK\r\netag: \"1\"\r\ncontent-length: 2\r\n",
                false,
            ),
            (
                200,
                &[],
                http_11,
                Follows::Length(0),
                "200 OK\r\ncontent-length: 0\r\n",
                false,
            ),
            (
                200,
                &[],
                http_11,
                Follows::Chunks,
                "200 OK\r\ntransfer-encoding: chunked\r\n",
                false,
            ),
            (
                204,
                &[],
                http_11,
                Follows::Length(0),
                "204 No Content\r\n",
                false,
            ),
            (
                304,
                &[],
                http_11,
                Follows::Length(0),
                "304 Not Modified\r\n",
                false,
            ),
            (
                400,
                &[("connection", "close")],
                http_11,
                Follows::Length(0),
                "400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n",
                true,
            ),
            (
                200,
                &[],
                Version::HTTP_10,
                Follows::Length(1),
                "200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n",
                false,
            ),
            (
                200,
                &[],
                Version::HTTP_10,
                Follows::UntilEnd,
                "200 OK\r\nconnection: close\r\n",
                true,
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                (format!("HTTP/1.1 {expected}"), ends),
                encoded(status, headers, version, follows)
            );
        }
    }
}
