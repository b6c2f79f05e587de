//! Where one request ends and the next begins, judged from the raw bytes of its head before they are read.
//!
//! Parsers are lenient in what two servers can read differently: one of two lengths that contradict each other, a line that
//! ends without a carriage return. Behind a proxy that reads it the other way, a request can hide in the body of another.
//! So each head is judged here first: one whose framing is not beyond doubt is refused, and nothing that follows it on the
//! connection is looked at.
//!
//! Pure: [`connection`](super::connection) feeds it what the socket gives.

use memchr::{memchr, memchr_iter};

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// The body says itself where it ends: no other request is read from the connection.
    Chunked,
}

/// What makes a head ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line ends in LF without CR, or has a CR or NUL within.
    Line,
    /// A header line begins with white space.
    Folded,
    /// The target has a fragment, or the request line is not three words.
    Target,
    /// `Content-Length` stands more than once, or is not a plain number.
    Length,
    /// `Transfer-Encoding` is not exactly one `chunked`, or stands in HTTP/1.0.
    Encoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    Both,
}

impl Fault {
    /// What is allowed instead.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Line => "every line of a head must end with CR LF and have no CR or NUL within",
            Fault::Folded => "a header line must not begin with white space",
            Fault::Target => {
                "the request line must be method, target and version, the target without a fragment"
            }
            Fault::Length => "Content-Length must stand at most once, as a plain decimal number",
            Fault::Encoding => {
                "the Transfer-Encoding must be exactly chunked, and only in HTTP/1.1"
            }
            Fault::Both => "Content-Length and Transfer-Encoding must not stand together",
        }
    }
}

/// How many bytes of blank lines stand before the request line, where they are allowed.
pub fn blank_lines(bytes: &[u8]) -> usize {
    let mut length = 0;
    while bytes[length..].starts_with(b"\r\n") {
        length += 2;
    }
    length
}

/// Where the head ends: behind the first empty line, with or without carriage returns. The bytes before `known` are
/// known to hold no end but may hold the beginning of one.
pub fn head_end(bytes: &[u8], known: usize) -> Option<usize> {
    let start = known.saturating_sub(2);
    memchr_iter(b'\n', &bytes[start..]).find_map(|found| {
        let next = start + found + 1;
        match &bytes[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// Judges a whole head, the empty line included.
///
/// # Errors
/// If its framing is not beyond doubt.
pub fn judge(head: &[u8]) -> Result<Length, Fault> {
    let lines = check_lines(head)?;
    let mut lines = lines.map(|(start, end)| &head[start..end]);
    let is_http_10 = check_request_line(lines.next().unwrap_or_default())?;
    let (mut length, mut is_chunked) = (None, false);
    for line in lines {
        match line.first() {
            Some(b' ' | b'\t') => return Err(Fault::Folded),
            // By the first letter, since most lines are another header's.
            Some(b'C' | b'c') => {
                let Some(value) = value_of(line, CONTENT_LENGTH) else {
                    continue;
                };
                let number = plain_number(value).ok_or(Fault::Length)?;
                if length.replace(number).is_some() {
                    return Err(Fault::Length);
                }
            }
            Some(b'T' | b't') => {
                let Some(value) = value_of(line, TRANSFER_ENCODING) else {
                    continue;
                };
                if is_chunked || is_http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Encoding);
                }
                is_chunked = true;
            }
            _ => {}
        }
    }
    match (length, is_chunked) {
        (Some(_), true) => Err(Fault::Both),
        (None, true) => Ok(Length::Chunked),
        (length, false) => Ok(Length::Known(length.unwrap_or(0))),
    }
}

/// Where each line of a head begins and ends, if CR and LF stand at the ends of lines only, and always together. Each kind
/// of byte is looked for in the whole head at once: that is much faster than line by line.
fn check_lines(head: &[u8]) -> Result<impl Iterator<Item = (usize, usize)>, Fault> {
    let is_bare = |at: usize| at == 0 || head[at - 1] != b'\r';
    let (mut line_feeds, mut bare) = (0, false);
    for at in memchr_iter(b'\n', head) {
        line_feeds += 1;
        bare |= is_bare(at);
    }
    if bare || memchr_iter(b'\r', head).count() != line_feeds || memchr(0, head).is_some() {
        return Err(Fault::Line);
    }
    Ok(memchr_iter(b'\n', head).scan(0, |start, at| {
        let line = (*start, at - 1);
        *start = at + 1;
        Some(line)
    }))
}

/// Whether the version is HTTP/1.0; another than 1.0 and 1.1 is refused by the parser.
fn check_request_line(line: &[u8]) -> Result<bool, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(target), Some(version), None) if memchr(b'#', target).is_none() => {
            Ok(version == b"HTTP/1.0")
        }
        _ => Err(Fault::Target),
    }
}

/// The value of the header line if it is that of `name`. White space before the colon is refused by the parser.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let first = value.iter().position(is_content);
    let last = value.iter().rposition(is_content);
    Some(match (first, last) {
        (Some(first), Some(last)) => &value[first..=last],
        _ => b"",
    })
}

fn plain_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Length::{Chunked, Known};

    fn check(head: &str, expected: Result<Length, Fault>) {
        assert_eq!(expected, judge(head.as_bytes()), "{head:?}");
        let bytes = head.as_bytes();
        assert_eq!(Some(bytes.len()), head_end(bytes, 0), "{head:?}");
        for known in 0..bytes.len() {
            assert_eq!(head_end(bytes, 0), head_end(bytes, known), "{head:?}");
            assert_eq!(None, head_end(&bytes[..known], 0), "{head:?}");
        }
    }

    fn check_header(lines: &str, expected: Result<Length, Fault>) {
        check(
            &format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n"),
            expected,
        );
    }

    #[test]
    fn only_one_way_to_tell_the_length_is_let_through() {
        check_header("", Ok(Known(0)));
        check_header("Content-Length: 0\r\n", Ok(Known(0)));
        check_header("content-LENGTH:\t20 \r\n", Ok(Known(20)));
        check_header("Transfer-Encoding: chunked\r\n", Ok(Chunked));
        check_header("transfer-encoding:CHUNKED\r\n", Ok(Chunked));
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        ] {
            check_header(lines, Err(Fault::Both));
        }
        for lines in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\ncontent-length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 1 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
        ] {
            check_header(lines, Err(Fault::Length));
        }
        for lines in [
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            check_header(lines, Err(Fault::Encoding));
        }
        check(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(Fault::Encoding),
        );
    }

    #[test]
    fn lines_that_can_be_read_in_two_ways_are_refused() {
        check_header("A: b\n", Err(Fault::Line));
        check_header("A: b\rc\r\n", Err(Fault::Line));
        check_header("A: b\0c\r\n", Err(Fault::Line));
        check_header("A: b\r\n c\r\n", Err(Fault::Folded));
        check("GET / HTTP/1.1\n\n", Err(Fault::Line));
        check("\nGET / HTTP/1.1\r\n\r\n", Err(Fault::Line));
        check("GET /a#b HTTP/1.1\r\n\r\n", Err(Fault::Target));
        check("GET /a b HTTP/1.1\r\n\r\n", Err(Fault::Target));
        check("GET /\r\n\r\n", Err(Fault::Target));
    }

    #[test]
    fn blank_lines_before_a_request_are_counted_whole() {
        assert_eq!(4, blank_lines(b"\r\n\r\nGET"));
        assert_eq!(2, blank_lines(b"\r\n\rGET"));
        assert_eq!(0, blank_lines(b"GET"));
    }
}
