//! HTTP/1.1 with every byte in sight: connections, requests and responses.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

/// Longer than the longest poll.
const READ_LIMIT: Duration = Duration::from_secs(90);

/// One connection, byte by byte.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// From a loopback address of its own: to the server, another client.
    pub fn open_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&address.into())?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.set_write_timeout(Some(READ_LIMIT))?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// The same connection, for another thread to write to.
    pub fn another_hand(&self) -> Self {
        let stream = self.reader.get_ref().try_clone();
        Self {
            reader: BufReader::new(stream.expect("a socket can be shared")),
        }
    }

    /// The connection itself; what was read ahead is lost.
    pub fn into_stream(self) -> TcpStream {
        self.reader.into_inner()
    }

    /// Ends our side; the server's answer can still be read.
    pub fn half_close(&mut self) {
        // Fails only where the server has closed already.
        let _ = self.reader.get_mut().shutdown(Shutdown::Write);
    }

    /// As [`read_reply`].
    pub fn read_reply(&mut self, method: &str) -> io::Result<Reply> {
        read_reply(&mut self.reader, method)
    }

    /// The next chunk of a body whose head was read as that of a `HEAD`. None at its end.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_chunk(&mut self.reader)
    }

    /// Everything until the connection ends, in whichever way it ends.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&chunk[..count]),
                Err(error) if timed_out(&error) => panic!("the connection never ended"),
                Err(_) => return all,
            }
        }
    }

    /// Whether nothing arrives for so long.
    pub fn silent_for(&mut self, duration: Duration) -> bool {
        if !self.reader.buffer().is_empty() {
            return false;
        }
        let stream = self.reader.get_mut();
        stream
            .set_read_timeout(Some(duration))
            .expect("a duration above zero");
        let peeked = stream.peek(&mut [0]);
        stream
            .set_read_timeout(Some(READ_LIMIT))
            .expect("a duration above zero");
        matches!(peeked, Err(error) if timed_out(&error))
    }
}

/// The next response, also an interim one (1xx). `method` is that of the request: `HEAD` has no body.
pub fn read_reply(reader: &mut impl BufRead, method: &str) -> io::Result<Reply> {
    let start = read_line(reader)?;
    let status = start
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| invalid(format!("not a status line: {start:?}")))?;
    let headers = read_headers(reader)?;
    let mut reply = Reply {
        status,
        headers,
        bytes: Vec::new(),
    };
    let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
    if !bodiless {
        reply.bytes = read_body(reader, &reply)?;
    }
    Ok(reply)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8(line).map_err(|_| invalid("a header that is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let header = line.split_once(':');
        let (name, value) = header.ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, head: &Reply) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(coding) = head.header("transfer-encoding") {
        assert_eq!(coding, "chunked");
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = head.header("content-length") {
        let length = length
            .parse()
            .map_err(|_| invalid("a length that is no number"))?;
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    while let Some(chunk) = read_chunk(reader)? {
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let line = read_line(reader)?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(digits, 16);
    let size = size.map_err(|_| invalid(format!("not a chunk size: {line:?}")))?;
    if size == 0 {
        read_headers(reader)?;
        return Ok(None);
    }
    let mut chunk = vec![0; size];
    reader.read_exact(&mut chunk)?;
    read_line(reader)?;
    Ok(Some(chunk))
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message.into())
}

/// A request in the making. It carries the key that its path needs, unless told otherwise.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    key: Option<String>,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        let key = if target.starts_with("/v1/admin/") {
            "admin-demo"
        } else {
            "demo"
        };
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            key: Some(key.to_owned()),
            content_type: Some("application/json".to_owned()),
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub fn content_type(mut self, content_type: Option<&str>) -> Self {
        self.content_type = content_type.map(str::to_owned);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn encode(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\n",
            self.method, self.target
        );
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if let Some(key) = &self.key {
            add("X-API-Key", key);
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        if let Some(body) = &self.body {
            if let Some(content_type) = &self.content_type {
                add("Content-Type", content_type);
            }
            add("Content-Length", &body.len().to_string());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// A response, complete.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header that is a comma-separated list.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.header(name)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
