//! Where one request ends and the next begins, judged from the raw bytes before hyper sees them.
//!
//! hyper is lenient in what two servers can read differently: it takes one of two lengths that contradict each other,
//! and a line that ends without a carriage return. Behind a proxy that reads it the other way, a request can hide in the
//! body of another. So each head is judged here first: one whose framing is not beyond doubt is refused, and nothing
//! that follows it on the connection is looked at. hyper still parses every head that is passed on.
//!
//! ```text
//!   bytes ─▶ head ─┬─ no body ───────────▶ the next head
//!            ▲     ├─ Content-Length: n ─▶ n bytes ─▶ the next head
//!            │     ├─ chunked ───────────▶ all that follows belongs to it: the connection ends with its answer
//!            └─────┴─ refused ───────────▶ nothing that follows is passed on; the answer is 400 and the end
//! ```
//!
//! Pure: [`connection`](super::connection) feeds it what the socket gives.

use memchr::{memchr, memchr_iter};

/// The most bytes that are looked through for the end of a head: hyper has refused a head before it is so long, and
/// never asks for so much at a time.
const HEAD_BYTES_MAX: usize = 2 * super::connection::HYPER_HEAD_BYTES_MAX;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// What was found of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its end, and the end of its body, are known.
    Sound,
    /// The body says itself where it ends: no other request is read from the connection.
    Chunked,
    /// It can be read in more than one way.
    Refused(Fault),
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

/// The framing of a connection's requests.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    /// The bytes so far of a head that arrives in pieces.
    partial: Vec<u8>,
    /// Heads that were complete.
    heads: u64,
    /// Heads whose verdict was asked for.
    judged: u64,
    /// What the last of the heads was, if no other is passed on after it.
    last: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are to come.
    Body(u64),
    /// Whatever comes is passed on.
    Through,
    /// Nothing is passed on any more.
    Stopped,
}

impl Framing {
    /// Takes the next bytes of the connection. Returns how many of them, from the first, are passed on; the rest must
    /// never be.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            match self.state {
                State::Head => taken += self.take_head(rest),
                State::Body(left) => {
                    let part = left.min(rest.len() as u64);
                    self.state = match left - part {
                        0 => State::Head,
                        left => State::Body(left),
                    };
                    taken += part as usize;
                }
                State::Through => return bytes.len(),
                State::Stopped => return taken,
            }
        }
        taken
    }

    /// Whether part of a head has arrived.
    pub fn is_within_head(&self) -> bool {
        self.state == State::Head && !self.partial.is_empty()
    }

    /// Whether nothing more is passed on.
    pub fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// Whether no request has been begun that is not whole.
    pub fn is_between_requests(&self) -> bool {
        self.state == State::Head && self.partial.is_empty()
    }

    /// The verdict on the next head, in the order of their arrival. hyper has parsed it, so it was complete.
    pub fn next_verdict(&mut self) -> Verdict {
        self.judged += 1;
        match self.last {
            Some(verdict) if self.judged == self.heads => verdict,
            _ => Verdict::Sound,
        }
    }

    /// Takes bytes up to the end of the head, or all if it does not end in them.
    fn take_head(&mut self, bytes: &[u8]) -> usize {
        if self.partial.len() + bytes.len() > HEAD_BYTES_MAX {
            // hyper refuses it before there is an end to find.
            self.partial = Vec::new();
            self.state = State::Through;
            return bytes.len();
        }
        if self.partial.is_empty() {
            let blank = blank_lines(bytes);
            if blank > 0 {
                return blank;
            }
            return match head_end(bytes, 0) {
                Some(end) => {
                    self.head_ended(&bytes[..end]);
                    end
                }
                None => {
                    self.partial.extend_from_slice(bytes);
                    bytes.len()
                }
            };
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let blank = blank_lines(&self.partial);
        if blank > 0 {
            self.partial = Vec::new();
            return blank - before;
        }
        match head_end(&self.partial, before) {
            Some(end) => {
                let head = std::mem::take(&mut self.partial);
                self.head_ended(&head[..end]);
                end - before
            }
            None => bytes.len(),
        }
    }

    fn head_ended(&mut self, head: &[u8]) {
        self.heads += 1;
        let (state, last) = match judge(head) {
            Ok(Body::Length(0)) => (State::Head, None),
            Ok(Body::Length(length)) => (State::Body(length), None),
            Ok(Body::Chunked) => (State::Through, Some(Verdict::Chunked)),
            Err(fault) => (State::Stopped, Some(Verdict::Refused(fault))),
        };
        self.state = state;
        self.last = last;
    }
}

enum Body {
    Length(u64),
    Chunked,
}

/// How many bytes of blank lines stand before the request line, where they are allowed.
fn blank_lines(bytes: &[u8]) -> usize {
    let mut length = 0;
    while bytes[length..].starts_with(b"\r\n") {
        length += 2;
    }
    length
}

/// Where the head ends: behind the first empty line, which ends as hyper lets lines end. The bytes before `known` are
/// known to hold no end but may hold the beginning of one.
fn head_end(bytes: &[u8], known: usize) -> Option<usize> {
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
fn judge(head: &[u8]) -> Result<Body, Fault> {
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
        (None, true) => Ok(Body::Chunked),
        (length, false) => Ok(Body::Length(length.unwrap_or(0))),
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

/// Whether the version is HTTP/1.0; another than 1.0 and 1.1 is refused by hyper.
fn check_request_line(line: &[u8]) -> Result<bool, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(target), Some(version), None) if memchr(b'#', target).is_none() => {
            Ok(version == b"HTTP/1.0")
        }
        _ => Err(Fault::Target),
    }
}

/// The value of the header line if it is that of `name`. White space before the colon is refused by hyper.
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
    use Verdict::{Chunked, Refused, Sound};

    /// Feeds `bytes` in every possible pair of parts and byte by byte; all must agree. Returns how much was passed on,
    /// and the verdicts on the heads.
    fn read(bytes: &[u8]) -> (usize, Vec<Verdict>) {
        let whole = read_in(&[bytes]);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(whole, read_in(&[left, right]), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(whole, read_in(&single));
        whole
    }

    fn read_in(parts: &[&[u8]]) -> (usize, Vec<Verdict>) {
        let (mut framing, mut passed) = (Framing::default(), 0);
        for part in parts {
            passed += framing.take(part);
        }
        let verdicts = (0..framing.heads).map(|_| framing.next_verdict());
        (passed, verdicts.collect())
    }

    fn check(bytes: &str, expected: &[Verdict]) {
        let (passed, verdicts) = read(bytes.as_bytes());
        assert_eq!(expected, verdicts, "{bytes:?}");
        let is_refused = matches!(expected.last(), Some(Refused(_)));
        assert!(is_refused || passed == bytes.len(), "{bytes:?}");
    }

    fn check_header(lines: &str, expected: Verdict) {
        let head = format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        check(&head, &[expected]);
        let (passed, _) = read(format!("{head}GET / HTTP/1.1\r\n\r\n").as_bytes());
        match expected {
            Refused(_) => assert_eq!(head.len(), passed, "{lines:?}"),
            _ => assert!(passed > head.len(), "{lines:?}"),
        }
    }

    #[test]
    fn requests_follow_each_other_at_the_end_of_their_bodies() {
        check(
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[Sound, Sound],
        );
        check(
            "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\nx\n\r\nGET /b HTTP/1.1\r\n\r\n",
            &[Sound, Sound],
        );
        check(
            "POST / HTTP/1.1\r\ncontent-LENGTH:\t0 \r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &[Sound, Sound],
        );
        check(
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &[Sound, Sound],
        );
        check("GET / HTTP/1.1\r\nHost: a\r\n", &[]);
    }

    #[test]
    fn only_one_way_to_tell_the_length_is_let_through() {
        check_header("Content-Length: 0\r\n", Sound);
        check_header("Transfer-Encoding: chunked\r\n", Chunked);
        check_header("transfer-encoding:CHUNKED\r\n", Chunked);
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        ] {
            check_header(lines, Refused(Fault::Both));
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
            check_header(lines, Refused(Fault::Length));
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
            check_header(lines, Refused(Fault::Encoding));
        }
        check(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[Refused(Fault::Encoding)],
        );
    }

    #[test]
    fn lines_that_can_be_read_in_two_ways_are_refused() {
        check_header("A: b\n", Refused(Fault::Line));
        check_header("A: b\rc\r\n", Refused(Fault::Line));
        check_header("A: b\0c\r\n", Refused(Fault::Line));
        check_header("A: b\r\n c\r\n", Refused(Fault::Folded));
        check(
            "GET / HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n",
            &[Refused(Fault::Line)],
        );
        check("\nGET / HTTP/1.1\r\n\r\n", &[Refused(Fault::Line)]);
        check("GET /a#b HTTP/1.1\r\n\r\n", &[Refused(Fault::Target)]);
        check("GET /a b HTTP/1.1\r\n\r\n", &[Refused(Fault::Target)]);
        check("GET /\r\n\r\n", &[Refused(Fault::Target)]);
    }

    #[test]
    fn what_follows_a_refused_head_is_not_passed_on_and_not_judged() {
        let good = "GET /1 HTTP/1.1\r\n\r\n";
        let bad = "GET /2 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (passed, verdicts) = read(format!("{good}{good}{bad}{good}").as_bytes());
        assert_eq!(2 * good.len() + bad.len(), passed);
        assert_eq!(vec![Sound, Sound, Refused(Fault::Both)], verdicts);
    }

    #[test]
    fn a_head_without_an_end_is_not_kept_for_ever() {
        let mut framing = Framing::default();
        for _ in 0..1000 {
            framing.take(&[b'a'; 1000]);
        }
        assert!(framing.partial.capacity() <= 2 * HEAD_BYTES_MAX);
    }
}
