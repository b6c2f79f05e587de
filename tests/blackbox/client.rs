//! A client with the requests of a store and of an administrator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use crate::described::assert_described;
use crate::expect::{assert_page, raw_events};
use crate::http::{Connection, Reply, Request};
use crate::server::unique;

pub const UPDATES: &str = "/v1/inventory/updates";
pub const CREATE: &str = "/v1/admin/products/create";
pub const SET: &str = "/v1/admin/products/set";
pub const DELETE: &str = "/v1/admin/products/delete";
/// The largest quantity, version and offset: 2^53 - 1.
pub const MAX_INTEGER: u64 = 9_007_199_254_740_991;

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
    source: Option<Ipv4Addr>,
    connection: Option<Connection>,
    method: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            source: None,
            connection: None,
            method: String::new(),
        }
    }

    /// Connects from this loopback address: to the server, another client.
    pub fn from(mut self, source: Ipv4Addr) -> Self {
        self.source = Some(source);
        self
    }

    /// Sends a request without waiting for its answer.
    pub fn begin(&mut self, request: &Request) -> io::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.source {
                Some(source) => Connection::open_from(source, self.address)?,
                None => Connection::open(self.address)?,
            },
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
            Ok(reply) => {
                assert_described(request, &reply);
                reply
            }
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
            let from = cursor
                .as_deref()
                .map(|cursor| format!("&cursor={}", percent_encode(cursor)));
            let target = format!("/v1/inventory?limit={limit}{}", from.unwrap_or_default());
            let page = self.get(&target).expect(200).json();
            let found = page["items"].as_array().expect("a list of items");
            assert!(
                found.len() <= limit,
                "{} items where {limit} were asked for",
                found.len()
            );
            items.extend(found.iter().cloned());
            let Some(next) = page.get("nextCursor") else {
                return items;
            };
            let next = Some(next.as_str().expect("a cursor is text").to_owned());
            assert_ne!(next, cursor, "a walk that never ends");
            cursor = next;
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
