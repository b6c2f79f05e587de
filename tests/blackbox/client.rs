//! A small blocking HTTP/1.1 client that shows every byte, and the requests of a store and of an administrator.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::server::unique;

/// Longer than the longest poll.
const READ_LIMIT: Duration = Duration::from_secs(90);
pub const UPDATES: &str = "/v1/inventory/updates";
pub const CREATE: &str = "/v1/admin/products/create";
pub const SET: &str = "/v1/admin/products/set";
pub const DELETE: &str = "/v1/admin/products/delete";
/// The largest quantity, version and offset: 2^53 - 1.
pub const MAX_INTEGER: u64 = 9_007_199_254_740_991;

/// One connection, byte by byte.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
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

    /// Ends our side; the server's answer can still be read.
    pub fn half_close(&mut self) {
        // Fails only where the server has closed already.
        let _ = self.reader.get_mut().shutdown(Shutdown::Write);
    }

    /// The next response, also an interim one (1xx). `method` is that of the request: `HEAD` has no body.
    pub fn read_reply(&mut self, method: &str) -> io::Result<Reply> {
        let start = self.read_line()?;
        let status = start
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("not a status line: {start:?}")))?;
        let headers = self.read_headers()?;
        let mut reply = Reply {
            status,
            headers,
            bytes: Vec::new(),
        };
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if !bodiless {
            reply.bytes = self.read_body(&reply)?;
        }
        Ok(reply)
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

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8(line).map_err(|_| invalid("a header that is not UTF-8"))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn read_headers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let header = line.split_once(':');
            let (name, value) = header.ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, head: &Reply) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(coding) = head.header("transfer-encoding") {
            assert_eq!(coding, "chunked");
            self.read_chunks(&mut body)?;
        } else if let Some(length) = head.header("content-length") {
            let length = length
                .parse()
                .map_err(|_| invalid("a length that is no number"))?;
            body.resize(length, 0);
            self.reader.read_exact(&mut body)?;
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16);
            let size = size.map_err(|_| invalid(format!("not a chunk size: {line:?}")))?;
            if size == 0 {
                self.read_headers()?;
                return Ok(());
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.reader.read_exact(&mut body[start..])?;
            self.read_line()?;
        }
    }
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
    target: String,
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

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.bytes) {
            Ok(value) => value,
            Err(error) => panic!("{error} in a {} of {:?}", self.status, self.text()),
        }
    }

    /// A member of the body, exactly as it was written.
    #[track_caller]
    pub fn raw(&self, member: &str) -> String {
        raw_member(&self.text(), member)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        self
    }

    pub fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// Asserts a problem of this status and code, in the shape of every problem.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        let problem = self.any_problem();
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// Asserts a problem that is the client's fault, whichever.
    #[track_caller]
    pub fn any_problem(&self) -> Value {
        assert!(
            (400..600).contains(&self.status),
            "{} with {:?}",
            self.status,
            self.text()
        );
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/problem+json"),
            "{content_type:?} {:?}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code", "requestId"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "no {member}: {problem}"
            );
        }
        let code = problem["code"].as_str().unwrap_or_default();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(
            problem["requestId"].as_str(),
            self.header("x-request-id"),
            "{problem}"
        );
        problem
    }

    /// The paths that a problem lists in its `details`, sorted.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let problem = self.problem(400, "validation_error");
        let details = problem["details"]
            .as_array()
            .unwrap_or_else(|| panic!("no details in {problem}"));
        let mut fields = Vec::new();
        for detail in details {
            assert!(
                detail["issue"]
                    .as_str()
                    .is_some_and(|issue| !issue.is_empty()),
                "{detail}"
            );
            fields.push(
                detail["field"]
                    .as_str()
                    .expect("a detail names its member")
                    .to_owned(),
            );
        }
        fields.sort();
        fields
    }

    /// Asserts that the update took effect and left the product so.
    #[track_caller]
    pub fn applied(&self, quantity: u64, version: u64) -> Value {
        assert_eq!(self.status, 200, "the answer was {:?}", self.text());
        assert!(
            self.header("content-type")
                .unwrap_or_default()
                .starts_with("application/json")
        );
        let result = self.json();
        assert_applied(&result, quantity, version);
        result
    }

    /// Asserts that the update was refused and that the answer shows the product as it is: quantity and version.
    #[track_caller]
    pub fn refused(&self, status: u16, error_type: &str, state: (u64, u64)) -> Value {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        assert!(
            self.header("content-type")
                .unwrap_or_default()
                .starts_with("application/json")
        );
        let result = self.json();
        assert_refused(&result, error_type, Some(state));
        result
    }
}

#[track_caller]
pub fn raw_member(json: &str, member: &str) -> String {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(json).expect("a JSON object");
    members
        .get(member)
        .unwrap_or_else(|| panic!("no {member} in {json}"))
        .get()
        .to_owned()
}

/// Asserts one result, of a single update or of an item, that was applied.
#[track_caller]
pub fn assert_applied(result: &Value, quantity: u64, version: u64) {
    assert_eq!(result["applied"], true, "{result}");
    assert_eq!(result["newQuantity"], quantity, "{result}");
    assert_eq!(result["newVersion"], version, "{result}");
    assert!(result["productId"].is_string(), "{result}");
    assert_time(&result["lastUpdated"]);
    assert_absent(result, &["errorType", "errorMessage"]);
}

/// How many items the answer to a batch counts in all, as succeeded and as failed.
#[track_caller]
pub fn summary(answer: &Value) -> [usize; 3] {
    ["total", "succeeded", "failed"].map(|member| {
        let count = answer["summary"][member].as_u64();
        count.unwrap_or_else(|| panic!("no {member} in {answer}")) as usize
    })
}

/// Asserts one result that was refused; `state` is the quantity and version it shows, or none where it shows none.
#[track_caller]
pub fn assert_refused(result: &Value, error_type: &str, state: Option<(u64, u64)>) {
    assert_eq!(result["applied"], false, "{result}");
    assert_eq!(result["errorType"], error_type, "{result}");
    assert!(
        result["errorMessage"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{result}"
    );
    match state {
        Some((quantity, version)) => {
            assert_eq!(result["newQuantity"], quantity, "{result}");
            assert_eq!(result["newVersion"], version, "{result}");
            assert_time(&result["lastUpdated"]);
        }
        None => assert_absent(result, &["newQuantity", "newVersion", "lastUpdated"]),
    }
}

#[track_caller]
pub fn assert_absent(object: &Value, members: &[&str]) {
    for member in members {
        assert!(
            object.get(member).is_none(),
            "{member} does not belong in {object}"
        );
    }
}

/// Asserts a time like `2026-11-22T14:40:02.123Z`.
#[track_caller]
pub fn assert_time(value: &Value) {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("not a time: {value}"));
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

/// Asserts the six members of a product.
#[track_caller]
pub fn assert_product(product: &Value) {
    assert!(product["productId"].is_string(), "{product}");
    assert!(product["name"].is_string(), "{product}");
    assert!(product["available"].is_u64(), "{product}");
    assert!(product["version"].is_u64(), "{product}");
    assert!(product["price"].is_number(), "{product}");
    assert_time(&product["lastUpdated"]);
}

/// One update as a store sends it.
pub fn update(product: &str, delta: i64, version: u64, key: &str) -> Value {
    with(&item(product, delta, version, key), "storeId", "store-s1")
}

/// One update that takes whatever version is current.
pub fn update_any(product: &str, delta: i64, key: &str) -> Value {
    with(&item_any(product, delta, key), "storeId", "store-s1")
}

/// One item of a batch.
pub fn item(product: &str, delta: i64, version: u64, key: &str) -> Value {
    json!({"productId": product, "delta": delta, "version": version, "idempotencyKey": key})
}

pub fn item_any(product: &str, delta: i64, key: &str) -> Value {
    json!({"productId": product, "delta": delta, "anyVersion": true, "idempotencyKey": key})
}

pub fn batch(items: &[Value]) -> Value {
    json!({"storeId": "store-s1", "updates": items})
}

pub fn product(id: &str, available: u64) -> Value {
    json!({"productId": id, "name": format!("The {id}"), "available": available, "price": 9.5})
}

/// The same object with one member set.
pub fn with(object: &Value, member: &str, value: impl Into<Value>) -> Value {
    let mut changed = object.clone();
    changed[member] = value.into();
    changed
}

/// The same object with one member taken away.
pub fn without(object: &Value, member: &str) -> Value {
    let mut changed = object.clone();
    changed.as_object_mut().expect("an object").remove(member);
    changed
}

/// A client with one keep-alive connection. It never repeats a request by itself.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    method: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            method: String::new(),
        }
    }

    /// Sends a request without waiting for its answer.
    pub fn begin(&mut self, request: &Request) -> io::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address)?,
        };
        connection.write(request.encode(self.address))?;
        self.method.clone_from(&request.method);
        self.connection = Some(connection);
        Ok(())
    }

    /// The answer to what was begun.
    pub fn finish(&mut self) -> io::Result<Reply> {
        let mut connection = self.connection.take().expect("a request was begun");
        let reply = connection.read_reply(&self.method)?;
        let id = reply.header("x-request-id").unwrap_or_default();
        assert!(
            (1..=128).contains(&id.len()),
            "an answer without a request id: {reply:?}"
        );
        if reply.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    /// Whether the answer to what was begun stays away for so long.
    pub fn silent_for(&mut self, duration: Duration) -> bool {
        self.connection
            .as_mut()
            .expect("a request was begun")
            .silent_for(duration)
    }

    pub fn try_send(&mut self, request: &Request) -> io::Result<Reply> {
        self.begin(request)?;
        self.finish()
    }

    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Reply {
        match self.try_send(request) {
            Ok(reply) => reply,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    pub fn try_get(&mut self, target: &str) -> io::Result<Reply> {
        self.try_send(&Request::new("GET", target))
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Reply {
        self.send(&Request::new("GET", target))
    }

    #[track_caller]
    pub fn post(&mut self, target: &str, body: &Value) -> Reply {
        self.send(&Request::new("POST", target).json(body))
    }

    #[track_caller]
    pub fn put(&mut self, target: &str, body: &Value) -> Reply {
        self.send(&Request::new("PUT", target).json(body))
    }

    #[track_caller]
    pub fn delete(&mut self, target: &str, body: &Value) -> Reply {
        self.send(&Request::new("DELETE", target).json(body))
    }

    #[track_caller]
    pub fn send_update(&mut self, body: &Value) -> Reply {
        self.post(UPDATES, body)
    }

    #[track_caller]
    pub fn update(&mut self, product: &str, delta: i64, version: u64, key: &str) -> Reply {
        self.send_update(&update(product, delta, version, key))
    }

    #[track_caller]
    pub fn update_any(&mut self, product: &str, delta: i64, key: &str) -> Reply {
        self.send_update(&update_any(product, delta, key))
    }

    /// Makes so many changes to a product, one event each.
    #[track_caller]
    pub fn change_often(&mut self, product: &str, count: usize) {
        for chunk in vec![(); count].chunks(200) {
            let items: Vec<Value> = chunk
                .iter()
                .map(|()| item_any(product, 1, &unique("change")))
                .collect();
            let answer = self.send_update(&batch(&items)).expect(200).json();
            assert_eq!(answer["summary"]["succeeded"], items.len(), "{answer}");
        }
    }

    /// Creates products that do not exist yet, a few hundred to a request.
    #[track_caller]
    pub fn create(&mut self, products: &[(&str, u64)]) {
        for chunk in products.chunks(250) {
            let list: Vec<Value> = chunk
                .iter()
                .map(|(id, available)| product(id, *available))
                .collect();
            let answer = self
                .post(CREATE, &json!({"products": list}))
                .expect(200)
                .json();
            assert_eq!(
                answer["summary"]["successfulCreations"],
                chunk.len(),
                "{answer}"
            );
        }
    }

    #[track_caller]
    pub fn delete_product(&mut self, id: &str) {
        let answer = self
            .delete(DELETE, &json!({"productIds": [id]}))
            .expect(200)
            .json();
        assert_eq!(answer["summary"]["successfulDeletions"], 1, "{answer}");
    }

    #[track_caller]
    pub fn product(&mut self, id: &str) -> Value {
        self.get(&format!("/v1/inventory/{id}")).expect(200).json()
    }

    /// The quantity and version of a product.
    #[track_caller]
    pub fn state(&mut self, id: &str) -> (u64, u64) {
        let product = self.product(id);
        let number = |member: &str| product[member].as_u64().expect("an integer");
        (number("available"), number("version"))
    }

    /// Every product, walked page by page.
    #[track_caller]
    pub fn listing(&mut self) -> Vec<Value> {
        self.walk(100)
    }

    /// Every product, in pages of `limit`.
    #[track_caller]
    pub fn walk(&mut self, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let from = cursor.map(|cursor| format!("&cursor={}", percent_encode(&cursor)));
            let target = format!("/v1/inventory?limit={limit}{}", from.unwrap_or_default());
            let page = self.get(&target).expect(200).json();
            let found = page["items"].as_array().expect("a list of items");
            assert!(
                found.len() <= limit,
                "{} items where {limit} were asked for",
                found.len()
            );
            items.extend(found.iter().cloned());
            match page.get("nextCursor") {
                Some(next) => cursor = Some(next.as_str().expect("a cursor is text").to_owned()),
                None => return items,
            }
        }
    }

    /// One page of the feed, its members checked against each other.
    #[track_caller]
    pub fn page(&mut self, query: &str) -> Value {
        let page = self
            .get(&format!("/v1/inventory/events?{query}"))
            .expect(200)
            .json();
        assert_page(&page);
        page
    }

    /// The feed from an offset to its end.
    #[track_caller]
    pub fn feed(&mut self, from: u64) -> Vec<Value> {
        let raw = self.raw_feed(from);
        raw.iter()
            .map(|event| serde_json::from_str(event).expect("an event is JSON"))
            .collect()
    }

    /// The feed from an offset to its end, each event as it was written.
    #[track_caller]
    pub fn raw_feed(&mut self, from: u64) -> Vec<String> {
        let mut offset = from;
        let mut events = Vec::new();
        loop {
            let reply = self.get(&format!("/v1/inventory/events?offset={offset}&limit=1000"));
            let page = reply.clone().expect(200).json();
            assert_page(&page);
            events.extend(raw_events(&reply));
            let next = page["nextOffset"].as_u64().expect("an integer");
            assert_eq!(
                next,
                from + events.len() as u64,
                "an unfiltered page ends where its events end"
            );
            if page["hasMore"] == false {
                return events;
            }
            assert!(next > offset, "a page that promises more goes on");
            offset = next;
        }
    }

    /// The offset that the next event will have.
    #[track_caller]
    pub fn feed_end(&mut self) -> u64 {
        let snapshot = self.get("/v1/inventory/snapshot").expect(200).json();
        snapshot["nextOffset"].as_u64().expect("an integer")
    }
}

#[track_caller]
fn assert_page(page: &Value) {
    let events = page["events"]
        .as_array()
        .unwrap_or_else(|| panic!("no list of events: {page}"));
    assert_eq!(page["count"], events.len(), "{page}");
    assert!(page["nextOffset"].is_u64(), "{page}");
    assert!(page["hasMore"].is_boolean(), "{page}");
}

/// The events of a page, each as it was written.
#[track_caller]
pub fn raw_events(page: &Reply) -> Vec<String> {
    let events: Vec<Box<RawValue>> = serde_json::from_str(&page.raw("events")).expect("a list");
    events.iter().map(|event| event.get().to_owned()).collect()
}

/// Escapes whatever may not stand in a query or a path segment.
pub fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}
