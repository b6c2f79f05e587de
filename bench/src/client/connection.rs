//! One connection, kept alive: a request goes out, its answer comes back. No pipelining.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::RawFd;

use central_inventory::runtime::sockets::Near;

use super::answer::Answer;
use super::buffers;
use super::chunks::Chunks;
use super::sockets::Socket;

/// More headers than a server of ours sends.
const HEADERS_MAX: usize = 48;
/// What is read at a time, at least.
const READ_BYTES: usize = 4 << 10;
/// No answer is longer: a page of events is at most 1 MiB and an event.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// A connection to the server.
pub struct Connection {
    socket: Socket,
    /// None, that is an empty one, as long as nothing has come.
    buffer: Vec<u8>,
    filled: usize,
    /// Where in the buffer the latest answer's body is; of a stream, what was not taken yet.
    body: Range<usize>,
    /// How far a stream has been read.
    chunks: Chunks,
    /// Whether the stream is in chunks, or goes on as long as the connection.
    is_chunked: bool,
    /// Of an answer that is taken in pieces, how many bytes are still to come.
    left: usize,
}

/// What came of asking for a stream.
pub enum Streamed<'a> {
    /// It has begun: go on with [`Connection::next_piece`].
    Begun,
    /// It is an answer like others.
    Answered(Answer<'a>),
}

/// Where an answer's head ends, and what it says.
#[derive(Clone, Copy)]
struct Head {
    status: u16,
    is_replay: bool,
    head_bytes: usize,
    body: Body,
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunked,
    /// Until the connection ends. Only a stream may be.
    Endless,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub async fn open(address: SocketAddr) -> io::Result<Connection> {
        Connection::open_at(address, Near::default()).await
    }

    /// Connects with the near end `near`.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open_at(address: SocketAddr, near: Near) -> io::Result<Connection> {
        Ok(Connection {
            socket: Socket::connect(address, near).await?,
            buffer: Vec::new(),
            filled: 0,
            body: 0..0,
            chunks: Chunks::default(),
            is_chunked: false,
            left: 0,
        })
    }

    /// Lets nothing of the connection stay behind when it is closed: its port can be had again at once.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reset_when_closed(&self) -> io::Result<()> {
        self.socket.reset_when_closed()
    }

    /// For who ends connections from outside, while this one lives.
    pub fn descriptor(&self) -> RawFd {
        self.socket.descriptor()
    }

    /// The head of the latest answer, unless it came in chunks.
    pub fn last_head(&self) -> &[u8] {
        &self.buffer[..self.body.start]
    }

    /// The body of the latest answer.
    pub fn last_body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    /// Sends `request` and waits for its answer.
    ///
    /// # Errors
    /// If the connection ends or what comes is no answer; then it cannot be used any more.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        let head = self.ask_head(request).await?;
        self.finish(head).await
    }

    /// Sends `request`, which asks for a stream.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn ask_stream(&mut self, request: &[u8]) -> io::Result<Streamed<'_>> {
        let head = self.ask_head(request).await?;
        if head.status != 200 || matches!(head.body, Body::Bytes(_)) {
            return self.finish(head).await.map(Streamed::Answered);
        }
        self.chunks = Chunks::default();
        self.is_chunked = head.body == Body::Chunked;
        self.body = head.head_bytes..self.filled;
        Ok(Streamed::Begun)
    }

    /// Sends `request`, and returns the status of its answer, whose body is taken by [`Connection::piece`].
    ///
    /// # Errors
    /// As [`Connection::ask`], and if the answer does not say how long it is.
    pub async fn ask_pieces(&mut self, request: &[u8]) -> io::Result<u16> {
        let head = self.ask_head(request).await?;
        let Body::Bytes(body_bytes) = head.body else {
            return Err(malformed("an answer without its length"));
        };
        self.body = head.head_bytes..self.filled;
        self.left = body_bytes;
        Ok(head.status)
    }

    /// What comes next of an answer; none at its end.
    ///
    /// # Errors
    /// If the connection ends before the answer does.
    pub async fn piece(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.body.is_empty() {
            self.come().await;
            self.read_more().await?;
            self.body = 0..self.filled;
        }
        if self.body.len() > self.left {
            return Err(malformed("more came than one answer"));
        }
        self.left -= self.body.len();
        let piece = std::mem::replace(&mut self.body, 0..0);
        Ok(Some(&self.buffer[piece]))
    }

    /// Appends what comes next of a stream to `out`. Returns whether it goes on.
    ///
    /// # Errors
    /// If the connection ends before the stream does.
    pub async fn next_piece(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let before = out.len();
        while out.len() == before && !self.chunks.is_over() {
            if self.body.is_empty() {
                self.come().await;
                self.read_more().await?;
                self.body = 0..self.filled;
            }
            let came = &self.buffer[std::mem::take(&mut self.body)];
            match self.is_chunked {
                true => drop(self.chunks.take(came, out)?),
                false => out.extend_from_slice(came),
            }
        }
        Ok(!self.chunks.is_over())
    }

    async fn ask_head(&mut self, request: &[u8]) -> io::Result<Head> {
        self.socket.send(request).await?;
        self.body = 0..0;
        self.come().await;
        loop {
            self.read_more().await?;
            if let Some(head) = parse_head(&self.buffer[..self.filled])? {
                return Ok(head);
            }
        }
    }

    async fn finish(&mut self, head: Head) -> io::Result<Answer<'_>> {
        match head.body {
            Body::Bytes(body_bytes) => self.read_rest(head.head_bytes, body_bytes).await?,
            Body::Chunked => self.read_chunks(head.head_bytes).await?,
            Body::Endless => return Err(malformed("an answer without its length")),
        }
        Ok(Answer {
            status: head.status,
            is_replay: head.is_replay,
            body: self.last_body(),
        })
    }

    async fn read_rest(&mut self, head_bytes: usize, body_bytes: usize) -> io::Result<()> {
        let end = head_bytes + body_bytes;
        if end > ANSWER_BYTES_MAX {
            return Err(malformed("an answer of more than 8 MiB"));
        }
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while self.filled < end {
            self.read_more().await?;
        }
        if self.filled > end {
            return Err(malformed("more came than one answer"));
        }
        self.body = head_bytes..end;
        Ok(())
    }

    /// A snapshot: as long as it is.
    async fn read_chunks(&mut self, head_bytes: usize) -> io::Result<()> {
        let mut whole = Vec::new();
        self.chunks = Chunks::default();
        self.is_chunked = true;
        self.body = head_bytes..self.filled;
        while self.next_piece(&mut whole).await? {}
        self.filled = whole.len();
        self.body = 0..whole.len();
        self.buffer = whole;
        Ok(())
    }

    /// Waits until something has come, without a buffer, and then has one.
    async fn come(&mut self) {
        self.filled = 0;
        buffers::give(std::mem::take(&mut self.buffer));
        self.socket.readable().await;
        self.buffer = buffers::take();
    }

    async fn read_more(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled + READ_BYTES, 0);
        }
        match self.socket.read(&mut self.buffer[self.filled..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let mut body = Body::Endless;
    let mut is_replay = false;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).ok();
            let length = text.and_then(|text| text.parse().ok());
            body = Body::Bytes(length.ok_or_else(|| malformed("a length that is no number"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        } else if header.name.eq_ignore_ascii_case("idempotent-replayed") {
            is_replay = header.value == b"true";
        }
    }
    Ok(Some(Head {
        status: response.code.unwrap_or(0),
        is_replay,
        head_bytes,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text =
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nIdempotent-Replayed: true\r\n\r\nhello";
        for cut in 0..text.len() - 5 {
            assert!(parse_head(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let head = parse_head(text).unwrap().unwrap();
        assert_eq!(
            (200, true, Body::Bytes(5)),
            (head.status, head.is_replay, head.body)
        );
        assert_eq!(text.len() - 5, head.head_bytes);
        let endless = parse_head(b"HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
        assert_eq!(Body::Endless, endless.body);
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
        assert!(parse_head(b"nonsense\r\n\r\n").is_err());
    }
}
