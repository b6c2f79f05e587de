//! What a client sends, as requests: bytes in, heads and pieces of bodies out. Pure.
//!
//! ```text
//!   bytes ─▶ head ─┬─ no body ───────────▶ the next head
//!            ▲     ├─ Content-Length: n ─▶ n bytes ─▶ the next head
//!            │     ├─ chunked ───────────▶ the chunks; what follows is not looked at
//!            └─────┴─ refused ───────────▶ what follows is not looked at
//! ```

use bytes::{Bytes, BytesMut};

use super::chunks::{ChunkFault, Chunks};
use super::head::{self, HEAD_BYTES_MAX, Head};
use crate::acceptor::framing::{self, Length};

/// What has come of a connection's requests and was not taken yet.
#[derive(Debug, Default)]
pub struct Inbound {
    unread: BytesMut,
    /// So many bytes of it hold no end of a head.
    searched: usize,
    body: Body,
}

/// What is left of the body of the request that was taken last.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Box<Chunks>),
    /// Where it ends cannot be trusted.
    Refused,
}

impl Default for Body {
    fn default() -> Body {
        Body::Length(0)
    }
}

/// What comes next of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some bytes of it.
    Data(Bytes),
    /// There is no more.
    End,
    /// More must come first.
    Awaited,
    /// It does not keep its coding.
    Broken(ChunkFault),
}

impl Inbound {
    /// Takes what came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Whether nothing has come of the next request.
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// The next head, if it is whole, or refused already. Only when the body before it is whole ([`Inbound::finish`]).
    pub fn next_head(&mut self) -> Option<Head> {
        if self.searched == 0 {
            let blank = framing::blank_lines(&self.unread);
            drop(self.unread.split_to(blank));
        }
        let Some(end) = framing::head_end(&self.unread, self.searched) else {
            if self.unread.len() <= HEAD_BYTES_MAX {
                // Half of a blank line is not the beginning of a head.
                self.searched = match &*self.unread {
                    b"\r" => 0,
                    head => head.len(),
                };
                return None;
            }
            self.body = Body::Refused;
            return Some(Head::too_large());
        };
        self.searched = 0;
        let head = head::read(self.unread.split_to(end).freeze());
        self.body = match &head.length {
            Ok(Length::Known(length)) => Body::Length(*length),
            Ok(Length::Chunked) => Body::Chunked(Box::default()),
            Err(_) => Body::Refused,
        };
        Some(head)
    }

    /// The next piece of the body.
    pub fn next_piece(&mut self) -> Piece {
        match &mut self.body {
            Body::Length(0) | Body::Refused => Piece::End,
            Body::Length(left) => {
                let length = (*left).min(self.unread.len() as u64);
                if length == 0 {
                    return Piece::Awaited;
                }
                *left -= length;
                Piece::Data(self.unread.split_to(length as usize).freeze())
            }
            Body::Chunked(chunks) => {
                let mut data = Vec::new();
                match chunks.take(&self.unread, &mut data) {
                    Ok(taken) => drop(self.unread.split_to(taken)),
                    Err(fault) => {
                        self.body = Body::Refused;
                        return Piece::Broken(fault);
                    }
                }
                match (data.is_empty(), chunks.has_ended()) {
                    (false, _) => Piece::Data(data.into()),
                    (true, true) => Piece::End,
                    (true, false) => Piece::Awaited,
                }
            }
        }
    }

    /// Passes over what is there of the body. False if the connection cannot go on behind it: part of it has not come, or where
    /// it ends is only its own word.
    pub fn finish(&mut self) -> bool {
        let is_whole = match self.body {
            Body::Length(left) if left <= self.unread.len() as u64 => {
                drop(self.unread.split_to(left as usize));
                self.body = Body::Length(0);
                true
            }
            _ => false,
        };
        if self.unread.is_empty() {
            // The memory goes back as soon as the request lets go of its part.
            self.unread = BytesMut::new();
        }
        is_whole
    }

    /// Whether all that came was taken, and nothing more of the last request is to come.
    pub fn is_between_requests(&self) -> bool {
        self.unread.is_empty() && matches!(self.body, Body::Length(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was made of a connection: the targets of its heads, each with its body or why it is refused.
    fn read(parts: &[&[u8]]) -> (Vec<(String, String)>, bool) {
        let (mut inbound, mut requests) = (Inbound::default(), Vec::new());
        let mut current: Option<(String, Vec<u8>)> = None;
        for part in parts {
            inbound.push(part);
            loop {
                let Some((target, body)) = &mut current else {
                    let Some(head) = inbound.next_head() else {
                        break;
                    };
                    let target = head.parts.uri.to_string();
                    if let Err(refusal) = head.length {
                        requests.push((target, format!("{refusal:?}")));
                        return (requests, false);
                    }
                    current = Some((target, Vec::new()));
                    continue;
                };
                match inbound.next_piece() {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::Awaited => break,
                    Piece::Broken(fault) => {
                        requests.push((target.clone(), format!("{fault:?}")));
                        return (requests, false);
                    }
                    Piece::End => {
                        let body = String::from_utf8(std::mem::take(body)).unwrap();
                        requests.push((target.clone(), body));
                        current = None;
                        if !inbound.finish() {
                            return (requests, false);
                        }
                    }
                }
            }
        }
        (requests, inbound.is_between_requests())
    }

    /// In every possible pair of parts, and byte by byte; all must agree.
    #[track_caller]
    fn check(bytes: &str, expected: &[(&str, &str)], goes_on: bool) {
        let bytes = bytes.as_bytes();
        let whole = read(&[bytes]);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(whole, read(&[left, right]), "cut at {cut}");
        }
        assert_eq!(whole, read(&bytes.chunks(1).collect::<Vec<_>>()));
        let found = whole.0.iter().map(|(a, b)| (a.as_str(), b.as_str()));
        assert_eq!(expected, found.collect::<Vec<_>>());
        assert_eq!(goes_on, whole.1);
    }

    #[test]
    fn requests_follow_each_other_at_the_end_of_their_bodies() {
        check(
            "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &[("/1", ""), ("/2", "")],
            true,
        );
        check(
            "POST /1 HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\nx\n\r\nGET /2 HTTP/1.1\r\n\r\n",
            &[("/1", "GET / HTTP/1.1\r\nx\n\r\n"), ("/2", "")],
            true,
        );
        check(
            "\r\n\r\nGET /1 HTTP/1.1\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
            &[("/1", ""), ("/2", "")],
            true,
        );
        check("GET / HTTP/1.1\r\nHost: a\r\n", &[], false);
        check(
            "POST /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
            &[],
            false,
        );
    }

    #[test]
    fn nothing_is_read_behind_a_chunked_body_or_a_refused_head() {
        let good = "GET /1 HTTP/1.1\r\n\r\n";
        let chunked = "POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        let bad = "GET /3 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{good}{chunked}{good}"),
            &[("/1", ""), ("/2", "a")],
            false,
        );
        check(
            &format!("{good}{good}{bad}{good}"),
            &[("/1", ""), ("/1", ""), ("/3", "Ambiguous(Both)")],
            false,
        );
        check(
            "POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            &[("/2", "Size")],
            false,
        );
        check(
            "GET / HTTP/3\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &[(
                "/",
                "Unreadable(\"the version of HTTP must be 1.1 or 1.0\")",
            )],
            false,
        );
    }

    #[test]
    fn a_head_without_an_end_is_not_kept_for_ever() {
        let mut inbound = Inbound::default();
        let head = (0..1000).find_map(|_| {
            inbound.push(&[b'a'; 1000]);
            inbound.next_head()
        });
        assert_eq!(Err(head::Refusal::TooLarge), head.unwrap().length);
        assert!(inbound.unread.len() <= HEAD_BYTES_MAX + 1000);
    }
}
