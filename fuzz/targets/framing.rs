//! What a client sends, as requests: arbitrary bytes, in arbitrary pieces. In whatever pieces they come, the same requests
//! are found; and each has a length that can be read in one way only, and a body of that length.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use central_inventory::acceptor::connection::inbound::{Inbound, Piece};
use central_inventory::acceptor::framing::Length;
use hyper::Version;
use hyper::http::request::Parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The lengths of the pieces come from behind, so that the bytes stand as they are.
    let (bytes, cuts) = input.split_at(input.len() - input.len() / 8);
    let whole = Read::of(&[bytes]);
    assert_eq!(whole, Read::of(&pieces(bytes, cuts)));
    assert_eq!(whole, Read::of(&bytes.chunks(1).collect::<Vec<_>>()));
    let found: usize = whole
        .requests
        .iter()
        .map(|request| request.body.len())
        .sum();
    assert!(found <= bytes.len(), "more was found than came");
});

fn pieces<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut cuts = Unstructured::new(cuts);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while let Ok(length) = u8::arbitrary(&mut cuts)
        && !cuts.is_empty()
    {
        let (piece, behind) = rest.split_at(rest.len().min(length as usize));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// What was made of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    requests: Vec<Request>,
    has_stopped: bool,
    is_between_requests: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    head: String,
    body: Vec<u8>,
    is_whole: bool,
}

impl Read {
    fn of(pieces: &[&[u8]]) -> Read {
        let mut inbound = Inbound::default();
        let mut read = Read::default();
        let mut expected = None;
        for piece in pieces {
            inbound.push(piece);
            while !read.has_stopped && read.advance(&mut inbound, &mut expected) {}
        }
        read.is_between_requests = inbound.is_between_requests() && !read.has_stopped;
        read
    }

    /// Takes the next head or piece; false if there is none yet.
    fn advance(&mut self, inbound: &mut Inbound, expected: &mut Option<Length>) -> bool {
        let Some(length) = *expected else {
            let Some(head) = inbound.next_head() else {
                return false;
            };
            self.requests.push(Request {
                head: format!("{:?} {:?}", head.parts, head.length),
                ..Request::default()
            });
            match head.length {
                Ok(length) => {
                    assert_unambiguous(&head.parts, length);
                    *expected = Some(length);
                }
                Err(_) => self.has_stopped = true,
            }
            return true;
        };
        let request = self.requests.last_mut().expect("its head was taken");
        match inbound.next_piece() {
            Piece::Data(data) => request.body.extend_from_slice(&data),
            Piece::Awaited => return false,
            Piece::Broken(_) => {
                // It is refused as a whole, however much of it could be read before.
                request.body.clear();
                self.has_stopped = true;
            }
            Piece::End => {
                request.is_whole = true;
                if let Length::Known(length) = length {
                    assert_eq!(length, request.body.len() as u64);
                }
                *expected = None;
                self.has_stopped = !inbound.finish();
                assert_eq!(self.has_stopped, length == Length::Chunked);
            }
        }
        true
    }
}

fn assert_unambiguous(parts: &Parts, length: Length) {
    let lengths: Vec<_> = parts.headers.get_all("content-length").iter().collect();
    let encodings: Vec<_> = parts.headers.get_all("transfer-encoding").iter().collect();
    match (length, lengths.as_slice(), encodings.as_slice()) {
        (Length::Known(0), [], []) => {}
        (Length::Known(length), [one], []) => {
            let digits = one.to_str().expect("digits").trim_ascii();
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(Ok(length), digits.parse());
        }
        (Length::Chunked, [], [encoding]) => {
            let encoding = encoding.as_bytes().trim_ascii();
            assert!(encoding.eq_ignore_ascii_case(b"chunked"));
            assert_eq!(Version::HTTP_11, parts.version);
        }
        ambiguous => panic!("let through: {ambiguous:?}"),
    }
}
