//! A store that keeps a copy of the catalogue: a snapshot first, then the feed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::client::Client;
use crate::expect::{assert_product, assert_time, raw_events};

/// A store's copy of the catalogue.
pub struct Mirror {
    products: BTreeMap<String, Value>,
    next_offset: u64,
}

impl Mirror {
    #[track_caller]
    pub fn from_snapshot(client: &mut Client) -> Self {
        let snapshot = client.get("/v1/inventory/snapshot").expect(200).json();
        let list = snapshot["products"].as_array().expect("a list of products");
        assert_eq!(snapshot["count"], list.len());
        let named = |product: &Value| (text(product, "productId"), product.clone());
        let products: BTreeMap<String, Value> = list.iter().map(named).collect();
        assert_eq!(
            products.len(),
            list.len(),
            "a product stands in a snapshot once"
        );
        Self {
            products,
            next_offset: number(&snapshot, "nextOffset"),
        }
    }

    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Applies the feed up to its end, as the contract tells a store to: each event whose version is higher than
    /// what the store holds.
    #[track_caller]
    pub fn catch_up(&mut self, client: &mut Client) {
        for event in client.feed(self.next_offset) {
            self.apply(&event);
        }
    }

    /// Asserts that this copy is what the server lists, to the last member.
    #[track_caller]
    pub fn assert_is_the_listing(&self, client: &mut Client) {
        let listing = client.listing();
        let copy: Vec<Value> = self.products.values().cloned().collect();
        assert_eq!(
            copy.len(),
            listing.len(),
            "the copy and the listing differ in length"
        );
        for (mine, theirs) in copy.iter().zip(&listing) {
            assert_eq!(mine, theirs, "the copy and the listing differ");
        }
    }

    fn apply(&mut self, event: &Value) {
        assert_eq!(
            number(event, "offset"),
            self.next_offset,
            "offsets are dense"
        );
        self.next_offset += 1;
        let id = text(event, "productId");
        let held = self
            .products
            .get(&id)
            .map_or(0, |product| number(product, "version"));
        if number(event, "version") <= held {
            return;
        }
        if event["eventType"] == "product_deleted" {
            self.products.remove(&id);
        } else {
            self.products.insert(id, event["data"].clone());
        }
    }
}

/// Asserts what holds of every stretch of the feed: dense offsets, whole events, and for each product versions that
/// grow by exactly 1.
#[track_caller]
pub fn assert_feed(events: &[Value], from: u64) {
    let mut versions = BTreeMap::<String, u64>::new();
    for (event, offset) in events.iter().zip(from..) {
        assert_eq!(number(event, "offset"), offset, "offsets are dense");
        assert_event(event);
        let version = number(event, "version");
        let before = versions.insert(text(event, "productId"), version);
        assert!(
            before.is_none_or(|before| version == before + 1),
            "after version {before:?}: {event}"
        );
    }
}

/// Asserts the shape of one event.
#[track_caller]
pub fn assert_event(event: &Value) {
    assert_time(&event["timestamp"]);
    assert_product(&event["data"]);
    assert_eq!(event["data"]["productId"], event["productId"], "{event}");
    assert_eq!(event["data"]["version"], event["version"], "{event}");
    match event["eventType"].as_str() {
        Some("inventory_updated") => {
            assert!(event["storeId"].is_string(), "{event}");
            assert!(
                event["delta"].as_i64().is_some_and(|delta| delta != 0),
                "{event}"
            );
        }
        Some("product_created" | "product_modified" | "product_deleted") => {}
        _ => panic!("an unknown type of event: {event}"),
    }
}

#[track_caller]
pub fn number(object: &Value, member: &str) -> u64 {
    object[member]
        .as_u64()
        .unwrap_or_else(|| panic!("{member} is no integer in {object}"))
}

#[track_caller]
pub fn text(object: &Value, member: &str) -> String {
    object[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is no text in {object}"))
        .to_owned()
}

/// Follows the feed by long polls, as a store does, and returns each event as it was written. Ends with the
/// connection, with a server that drains, or when `done` was set and everything before has been read.
pub fn follow(address: SocketAddr, from: u64, done: &AtomicBool) -> Vec<String> {
    let mut client = Client::new(address);
    let mut offset = from;
    let mut seen = Vec::new();
    loop {
        let last = done.load(Ordering::SeqCst);
        let target = format!("/v1/inventory/events?offset={offset}&limit=1000&wait=1");
        let Ok(reply) = client.try_get(&target) else {
            return seen;
        };
        if reply.status == 503 {
            return seen;
        }
        let page = reply.clone().expect(200).json();
        seen.extend(raw_events(&reply));
        offset = number(&page, "nextOffset");
        assert_eq!(
            offset,
            from + seen.len() as u64,
            "a page goes on where its events end"
        );
        if last && page["hasMore"] == false {
            return seen;
        }
    }
}
