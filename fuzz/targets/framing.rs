//! The framing guard before hyper: arbitrary bytes, in arbitrary pieces. In whatever pieces they come, the same is passed on
//! and the verdicts are the same; and of what is passed on, hyper's own parser finds the same heads, each with a length
//! that can be read in one way only.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use central_inventory::acceptor::framing::{Framing, Verdict};
use httparse::{Request, Status};
use libfuzzer_sys::fuzz_target;

/// As many as hyper is told.
const HEADERS_MAX: usize = 100;

fuzz_target!(|input: &[u8]| {
    // The lengths of the pieces come from behind, so that the bytes stand as they are.
    let (bytes, cuts) = input.split_at(input.len() - input.len() / 8);
    let whole = Read::of(&[bytes]);
    assert_eq!(whole, Read::of(&pieces(bytes, cuts)));
    assert_eq!(whole, Read::of(&bytes.chunks(1).collect::<Vec<_>>()));
    assert_parser_agrees(bytes, &whole);
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

/// What the framing makes of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    passed_on: usize,
    is_stopped: bool,
    is_within_head: bool,
    is_between_requests: bool,
    /// More than there can be heads.
    verdicts: Vec<Verdict>,
}

impl Read {
    fn of(pieces: &[&[u8]]) -> Read {
        let mut framing = Framing::default();
        let mut passed_on = 0;
        for piece in pieces {
            let taken = framing.take(piece);
            passed_on += taken;
            if taken < piece.len() {
                assert!(framing.is_stopped());
                break;
            }
        }
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        Read {
            passed_on,
            is_stopped: framing.is_stopped(),
            is_within_head: framing.is_within_head(),
            is_between_requests: framing.is_between_requests(),
            verdicts: (0..bytes / 2 + 1).map(|_| framing.next_verdict()).collect(),
        }
    }
}

/// Reads what is passed on as hyper does, head after head.
fn assert_parser_agrees(bytes: &[u8], read: &Read) {
    let passed_on = &bytes[..read.passed_on];
    let mut at = 0;
    for verdict in &read.verdicts {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = Request::new(&mut headers);
        match request.parse(&passed_on[at..]) {
            // hyper answers 400 and ends the connection.
            Err(_) => return,
            Ok(Status::Partial) => {
                let is_blank = passed_on[at..].iter().all(|byte| b"\r\n".contains(byte));
                assert!(is_blank || read.is_within_head || read.is_stopped);
                return;
            }
            Ok(Status::Complete(length)) => at += length,
        }
        let lengths = values(&request, "content-length");
        let encodings = values(&request, "transfer-encoding");
        match (verdict, lengths.as_slice(), encodings.as_slice()) {
            (Verdict::Refused(_), _, _) => {
                assert_eq!(at, read.passed_on, "what follows was passed on");
                assert!(read.is_stopped);
                return;
            }
            (Verdict::Chunked, [], [encoding]) => {
                assert!(encoding.eq_ignore_ascii_case(b"chunked"));
                assert_eq!(Some(1), request.version);
                assert_eq!(bytes.len(), read.passed_on);
                return;
            }
            (Verdict::Sound, [], []) => {}
            (Verdict::Sound, [length], []) => {
                assert!(length.iter().all(u8::is_ascii_digit));
                let length = std::str::from_utf8(length).expect("digits").parse::<u64>();
                let rest = (read.passed_on - at) as u64;
                at += length.expect("a sound length is a number").min(rest) as usize;
            }
            ambiguous => panic!("let through: {ambiguous:?}"),
        }
        if at == read.passed_on {
            return;
        }
    }
    panic!("more heads than bytes");
}

/// The values of a header, without the white space around them.
fn values<'h>(request: &Request<'_, 'h>, name: &str) -> Vec<&'h [u8]> {
    let headers = request.headers.iter();
    let found = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
    found.map(|header| header.value.trim_ascii()).collect()
}
