//! The feed as server-sent events: what a browser's `EventSource` and a store that streams rely on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::percent_encode;
use crate::expect::raw_events;
use crate::http::{Connection, Reply, Request};
use crate::metrics::eventually_told;
use crate::server::{Builder, Server, eventually};

/// A message of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub id: Option<u64>,
    pub event: String,
    pub data: String,
}

/// A stream that is read as its rules say.
pub struct EventStream {
    connection: Connection,
    text: Vec<u8>,
    messages: VecDeque<Message>,
    /// Comments so far.
    pub comments: usize,
}

impl EventStream {
    /// Asks for a stream; the answer that is none comes back as it is.
    pub fn open(server: &Server, target: &str, last_event_id: Option<u64>) -> Result<Self, Reply> {
        let mut request = Request::new("GET", target).header("Accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", &id.to_string());
        }
        let mut connection = server.connect();
        let encoded = request.encode(server.address());
        connection.write(encoded).expect("a request can be sent");
        let head = connection.read_reply("HEAD").expect("a head");
        if head.status != 200 {
            return Err(head);
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert!(head.header("x-request-id").is_some());
        Ok(Self {
            connection,
            text: Vec::new(),
            messages: VecDeque::new(),
            comments: 0,
        })
    }

    fn of(server: &Server, target: &str) -> Self {
        match Self::open(server, target, None) {
            Ok(stream) => stream,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// The next message; none when the stream has ended well.
    pub fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            let chunk = self.connection.read_chunk().expect("a stream ends well");
            self.text.extend_from_slice(&chunk?);
            self.split();
        }
    }

    fn split(&mut self) {
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("a stream is UTF-8");
            let mut message = Message::default();
            for line in block.lines().filter(|line| !line.is_empty()) {
                match line.split_once(':').expect("a field or a comment") {
                    ("", _) => self.comments += 1,
                    ("id", id) => message.id = Some(id.trim().parse().expect("an offset")),
                    ("event", event) => message.event = event.trim().to_owned(),
                    ("data", data) => {
                        message.data = data.strip_prefix(' ').unwrap_or(data).to_owned()
                    }
                    other => panic!("an unknown field: {other:?}"),
                }
            }
            if message != Message::default() {
                self.messages.push_back(message);
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<Message> {
        let next = |_| self.next().expect("the stream goes on");
        (0..count).map(next).collect()
    }

    fn silent_for(&mut self, duration: Duration) -> bool {
        self.messages.is_empty() && self.connection.silent_for(duration)
    }
}

#[test]
fn a_stream_has_the_events_of_the_pages_byte_for_byte_and_then_what_comes() {
    let (server, mut client) = Server::with_item(0);
    client.change_often("item", 450);
    let mut stream = EventStream::of(&server, "/v1/inventory/events?offset=0");
    let found = stream.take(451);
    assert!(stream.silent_for(Duration::from_millis(100)));
    client.update("item", 1, 451, "next").expect(200);
    client.delete_product("item");
    let found = [found, stream.take(2)].concat();
    let expected = client.raw_feed(0);
    assert_eq!(found.len(), expected.len());
    for ((offset, message), event) in (0..).zip(&found).zip(&expected) {
        assert_eq!(message.id, Some(offset));
        assert_eq!(message.data, *event);
        let event: Value = serde_json::from_str(event).expect("an event is JSON");
        assert_eq!(event["eventType"], message.event.as_str());
    }
}

#[test]
fn a_stream_goes_on_behind_what_the_client_saw_last() {
    let (server, mut client) = Server::with_item(0);
    client.change_often("item", 9);
    for (target, seen, first) in [
        ("/v1/inventory/events?offset=0", Some(6), Some(7)),
        ("/v1/inventory/events?offset=99", Some(6), Some(7)),
        ("/v1/inventory/events", Some(0), Some(1)),
        ("/v1/inventory/events?offset=3", None, Some(3)),
    ] {
        let mut stream = EventStream::open(&server, target, seen)
            .unwrap_or_else(|refused| panic!("{target}: {refused:?}"));
        assert_eq!(stream.take(1)[0].id, first, "{target} {seen:?}");
    }
}

#[test]
fn a_stream_is_filtered_like_a_page() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("a", 1), ("ä\"", 1)]);
    let target = format!(
        "/v1/inventory/events?offset=0&productId={}&eventType=inventory_updated",
        percent_encode("ä\"")
    );
    let mut stream = EventStream::of(&server, &target);
    client.change_often("a", 3);
    assert!(stream.silent_for(Duration::from_millis(100)));
    client.change_often("ä\"", 1);
    assert_eq!(stream.take(1)[0].id, Some(5));
}

#[test]
fn a_stream_that_cannot_begin_is_a_problem() {
    let (server, mut client) = Server::with_item(0);
    client.change_often("item", 3);
    for (target, seen, status) in [
        ("/v1/inventory/events", None, 400),
        ("/v1/inventory/events?offset=x", None, 400),
        ("/v1/inventory/events?offset=0&eventType=x", None, 400),
        ("/v1/inventory/events?offset=5", None, 410),
        ("/v1/inventory/events?offset=0", Some(4), 410),
    ] {
        match EventStream::open(&server, target, seen) {
            Err(refused) => assert_eq!(refused.status, status, "{target} {seen:?}"),
            Ok(_) => panic!("{target} {seen:?} is a stream"),
        }
    }
    for id in ["", "x", "-1", "1.5", "9007199254740991"] {
        let request = Request::new("GET", "/v1/inventory/events?offset=0")
            .header("Accept", "text/event-stream")
            .header("Last-Event-ID", id);
        let problem = client
            .try_send(&request)
            .expect("an answer")
            .problem(400, "validation_error");
        assert_eq!(problem["details"][0]["field"], "Last-Event-ID", "{id:?}");
    }
}

#[test]
fn whoever_does_not_ask_for_a_stream_gets_a_page() {
    let (_server, mut client) = Server::with_item(0);
    for accept in ["*/*", "application/json, text/event-stream", "text/html"] {
        let request = Request::new("GET", "/v1/inventory/events?offset=0").header("Accept", accept);
        let reply = client.send(&request).expect(200);
        assert_eq!(raw_events(&reply).len(), 1, "{accept}");
    }
}

#[test]
fn a_stream_without_news_says_every_15_seconds_that_it_lives() {
    let (server, _client) = Server::with_item(0);
    let mut stream = EventStream::of(&server, "/v1/inventory/events?offset=1");
    let begun = Instant::now();
    while stream.comments == 0 {
        let chunk = stream.connection.read_chunk().expect("a chunk");
        stream.text.extend(chunk.expect("the stream goes on"));
        stream.split();
    }
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(14)..Duration::from_secs(40)).contains(&waited),
        "{waited:?}"
    );
    assert!(stream.messages.is_empty(), "a comment is no message");
}

#[test]
fn a_stopping_server_ends_its_streams_well() {
    let (server, _client) = Server::with_item(0);
    let mut stream = EventStream::of(&server, "/v1/inventory/events?offset=0");
    stream.take(1);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(stream.next(), None);
    server.wait();
}

#[test]
fn a_stream_is_counted_as_long_as_it_is_there() {
    let (server, _client) = Server::with_item(0);
    let mut first = EventStream::of(&server, "/v1/inventory/events?offset=0");
    first.take(1);
    let second = EventStream::of(&server, "/v1/inventory/events?offset=1");
    eventually_told(&server, "inventory_feed_streams", 2.0);
    drop(first);
    eventually_told(&server, "inventory_feed_streams", 1.0);
    eventually_told(&server, "inventory_feed_waiters", 1.0);
    drop(second);
    eventually_told(&server, "inventory_feed_streams", 0.0);
    eventually_told(&server, "inventory_feed_waiters", 0.0);
}

#[test]
fn a_reader_that_falls_behind_catches_up_from_disk() {
    let server = Builder::new()
        .env("MAX_EVENTS_IN_QUEUE", 100)
        .env("JOURNAL_SEGMENT_MIB", 1)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let mut stream = EventStream::of(&server, "/v1/inventory/events?offset=0");
    stream.take(1);
    // Far more than the sockets hold: the server must wait for the reader, and forgets the events meanwhile.
    client.change_often("item", 40_000);
    for offset in 1..=40_000 {
        let message = stream.next().expect("the stream goes on");
        assert_eq!(message.id, Some(offset));
    }
    assert!(stream.silent_for(Duration::from_millis(100)));
}

#[test]
fn a_reader_whose_events_are_gone_is_told_so_and_the_stream_ends() {
    let server = Builder::new()
        .env("MAX_EVENTS_IN_QUEUE", 100)
        .env("JOURNAL_SEGMENT_MIB", 1)
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("EVENTS_RETENTION", "0s")
        .env("IDEMPOTENCY_CACHE_TTL", "1s")
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let mut stream = EventStream::of(&server, "/v1/inventory/events?offset=0");
    stream.take(1);
    let mut changed = 0;
    let oldest = eventually("the oldest events are gone", || {
        client.change_often("item", 10_000);
        changed += 10_000;
        let gone = client.try_get("/v1/inventory/events?offset=15000").ok()?;
        (changed >= 60_000 && gone.status == 410).then(|| gone.json()["oldestOffset"].clone())
    });
    let mut latest = Message::default();
    while let Some(message) = stream.next() {
        latest = message;
    }
    assert_eq!(latest.event, "error", "{latest:?}");
    let problem: Value = serde_json::from_str(&latest.data).expect("a problem is JSON");
    assert_eq!(problem["code"], "offset_expired");
    assert_eq!(problem["status"], 410);
    assert!(
        problem["oldestOffset"].as_u64() >= oldest.as_u64(),
        "{problem}"
    );
}

#[test]
fn a_stream_and_a_poll_beyond_the_bound_on_waiters_are_told_so_at_once() {
    const WAITERS: usize = 16;
    let server = Builder::new().env("MAX_WAITERS", WAITERS).start();
    let target = "/v1/inventory/events?offset=0";
    let mut streams: Vec<EventStream> = (0..WAITERS)
        .map(|_| EventStream::of(&server, target))
        .collect();
    eventually_told(&server, "inventory_feed_waiters", WAITERS as f64);
    let mut client = server.client();
    let another = Request::new("GET", target).header("Accept", "text/event-stream");
    let refused = client.send(&another);
    refused.problem(503, "overloaded");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    client
        .get(&format!("{target}&wait=1"))
        .problem(503, "overloaded");
    drop(streams.pop());
    eventually_told(&server, "inventory_feed_waiters", WAITERS as f64 - 1.0);
    EventStream::of(&server, target);
}
