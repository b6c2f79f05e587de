//! Many stores at once, and the books that they keep: what was applied, what was refused, what nobody knows.
//!
//! The books are checked against the listing and against the feed: nothing lost, nothing twice, nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::thread;

use serde_json::{Value, json};

use crate::client::{Client, UPDATES, with, without};
use crate::http::{Reply, Request};
use crate::mirror::{assert_feed, number, text};
use crate::server::Random;

/// Little, so that some updates meet an empty shelf.
const STOCK: u64 = 20;
/// One request in so many is sent twice at the same moment.
const TWICE_ONE_IN: usize = 10;
/// One update in so many takes whatever version is current.
const ANY_VERSION_ONE_IN: usize = 5;

/// So many stores, over so many products, each with so many updates.
#[derive(Clone, Copy)]
pub struct Load {
    pub stores: usize,
    pub products: usize,
    pub updates: usize,
}

/// An update that took effect.
#[derive(Clone)]
pub struct Applied {
    pub request: Value,
    pub answer: Vec<u8>,
}

/// What the stores know after a run.
#[derive(Default)]
pub struct Books {
    pub applied: Vec<Applied>,
    /// Sent, and never answered with an outcome.
    pub unknown: Vec<Value>,
    /// Refused because stock would have fallen below zero.
    pub refused: usize,
}

/// How one update ended.
enum Outcome {
    Applied(Applied),
    Refused,
    Unknown(Value),
}

impl Load {
    /// Creates the products, each at version 1.
    #[track_caller]
    pub fn create_products(&self, client: &mut Client) {
        let names: Vec<String> = self.names().collect();
        let products: Vec<(&str, u64)> = names.iter().map(|id| (id.as_str(), STOCK)).collect();
        client.create(&products);
    }

    /// The ids of the products, in byte order.
    pub fn names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.products).map(name)
    }

    /// Runs every store to its last update, or to the first that gets no outcome. Each applied update is reported
    /// to `progress`. `round` keeps the keys of several runs apart.
    pub fn run(&self, address: SocketAddr, round: usize, progress: Sender<()>) -> Books {
        let mut books = Books::default();
        thread::scope(|scope| {
            let stores: Vec<_> = (0..self.stores)
                .map(|number| {
                    let progress = progress.clone();
                    scope.spawn(move || Store::new(address, round, number).run(self, &progress))
                })
                .collect();
            for store in stores {
                books.add(store.join().expect("a store found an error"));
            }
        });
        books
    }
}

impl Books {
    pub fn add(&mut self, other: Self) {
        self.applied.extend(other.applied);
        self.unknown.extend(other.unknown);
        self.refused += other.refused;
    }

    /// Sends what nobody knows once more, with the same keys, until each has an outcome.
    #[track_caller]
    pub fn resolve(&mut self, client: &mut Client) {
        for request in std::mem::take(&mut self.unknown) {
            match perform(client, None, request) {
                Outcome::Applied(applied) => self.applied.push(applied),
                Outcome::Refused => self.refused += 1,
                Outcome::Unknown(request) => panic!("still no outcome for {request}"),
            }
        }
    }

    /// Asserts that each applied update, sent again, gets the first answer, byte for byte.
    #[track_caller]
    pub fn assert_replayed(&self, client: &mut Client) {
        for applied in &self.applied {
            let reply = client.send_update(&applied.request).expect(200);
            assert_eq!(reply.text(), String::from_utf8_lossy(&applied.answer));
            assert!(reply.replayed(), "a repeat says that it is one: {reply:?}");
        }
    }

    /// Asserts that the listing and the feed hold exactly what these books hold.
    #[track_caller]
    pub fn assert_balanced(&self, load: &Load, client: &mut Client) {
        assert!(
            self.unknown.is_empty(),
            "{} updates without an outcome",
            self.unknown.len()
        );
        let mut by_product: BTreeMap<String, Vec<&Applied>> = BTreeMap::new();
        for applied in &self.applied {
            by_product
                .entry(text(&applied.request, "productId"))
                .or_default()
                .push(applied);
        }
        for product in load.names() {
            let applied = by_product.remove(&product).unwrap_or_default();
            assert_product_balanced(client.state(&product), &applied);
        }
        self.assert_feed_balanced(client);
    }

    fn assert_feed_balanced(&self, client: &mut Client) {
        let feed = client.feed(0);
        assert_feed(&feed, 0);
        let updated = feed
            .iter()
            .filter(|event| event["eventType"] == "inventory_updated");
        let identity = |event: &Value| (text(event, "productId"), number(event, "version"));
        let events: BTreeMap<(String, u64), &Value> =
            updated.map(|event| (identity(event), event)).collect();
        assert_eq!(
            events.len(),
            self.applied.len(),
            "an event for each applied update and no other"
        );
        for applied in &self.applied {
            let result = applied.result();
            let event = events[&(text(&result, "productId"), number(&result, "newVersion"))];
            assert_eq!(event["storeId"], applied.request["storeId"], "{event}");
            assert_eq!(event["delta"], applied.request["delta"], "{event}");
            assert_eq!(event["data"]["available"], result["newQuantity"], "{event}");
            assert_eq!(
                event["data"]["lastUpdated"], result["lastUpdated"],
                "{event}"
            );
        }
    }
}

impl Applied {
    fn result(&self) -> Value {
        serde_json::from_slice(&self.answer).expect("an answer is JSON")
    }
}

/// Walks the applied updates of one product in the order of their versions.
#[track_caller]
fn assert_product_balanced(state: (u64, u64), applied: &[&Applied]) {
    let deltas: i64 = applied.iter().map(|applied| delta(&applied.request)).sum();
    let expected = (STOCK.checked_add_signed(deltas), 1 + applied.len() as u64);
    assert_eq!(
        (Some(state.0), state.1),
        expected,
        "initial + deltas = available, initial + count = version"
    );
    let mut ordered: Vec<(u64, &Applied)> = applied
        .iter()
        .map(|applied| (number(&applied.result(), "newVersion"), *applied))
        .collect();
    ordered.sort_by_key(|(version, _)| *version);
    let mut quantity = STOCK;
    for ((version, applied), expected) in ordered.into_iter().zip(2..) {
        quantity = quantity
            .checked_add_signed(delta(&applied.request))
            .expect("stock is never below zero");
        assert_eq!(version, expected, "each version is given out once");
        assert_eq!(
            number(&applied.result(), "newQuantity"),
            quantity,
            "at version {version}"
        );
    }
}

/// One store: two connections, so that it can send a request twice at once.
struct Store {
    first: Client,
    second: Client,
    random: Random,
    prefix: String,
    versions: BTreeMap<String, u64>,
}

impl Store {
    fn new(address: SocketAddr, round: usize, number: usize) -> Self {
        Self {
            first: Client::new(address),
            second: Client::new(address),
            random: Random::new((round * 1000 + number) as u64),
            prefix: format!("store-{round}-{number}"),
            versions: BTreeMap::new(),
        }
    }

    fn run(mut self, load: &Load, progress: &Sender<()>) -> Books {
        let mut books = Books::default();
        for count in 0..load.updates {
            let request = self.next_request(load, count);
            let twice = self.random.one_in(TWICE_ONE_IN);
            let second = twice.then_some(&mut self.second);
            match perform(&mut self.first, second, request) {
                Outcome::Applied(applied) => {
                    self.learn(&applied.result());
                    books.applied.push(applied);
                    // Nobody listens any more once enough has been applied.
                    let _ = progress.send(());
                }
                Outcome::Refused => books.refused += 1,
                Outcome::Unknown(request) => {
                    books.unknown.push(request);
                    break;
                }
            }
        }
        books
    }

    fn next_request(&mut self, load: &Load, count: usize) -> Value {
        let product = name(self.random.below(load.products));
        let size = 1 + self.random.below(4) as i64;
        let delta = if self.random.one_in(2) { size } else { -size };
        let request = json!({
            "storeId": self.prefix,
            "productId": product,
            "delta": delta,
            "idempotencyKey": format!("{}-{count}", self.prefix),
        });
        if self.random.one_in(ANY_VERSION_ONE_IN) {
            with(&request, "anyVersion", true)
        } else {
            let version = self.versions.get(&product).copied().unwrap_or(1);
            with(&request, "version", version)
        }
    }

    fn learn(&mut self, result: &Value) {
        self.versions
            .insert(text(result, "productId"), number(result, "newVersion"));
    }
}

/// Sends an update until it has an outcome: a conflict is met by the version that the refusal shows. With a second
/// client each attempt is sent twice at once.
fn perform(first: &mut Client, mut second: Option<&mut Client>, mut request: Value) -> Outcome {
    loop {
        let (replies, complete) = attempt(first, second.as_deref_mut(), &request);
        let applied: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
        if let Some(reply) = applied.first() {
            let originals = applied.iter().filter(|reply| !reply.replayed()).count();
            assert!(
                originals <= 1,
                "one effect has one first answer: {applied:?}"
            );
            assert!(
                applied.iter().all(|other| other.bytes == reply.bytes),
                "different answers: {applied:?}"
            );
            return Outcome::Applied(Applied {
                request,
                answer: reply.bytes.clone(),
            });
        }
        if !complete || replies.iter().any(|reply| reply.status == 503) {
            return Outcome::Unknown(request);
        }
        match refusal(
            &request,
            replies.last().expect("a complete attempt has an answer"),
        ) {
            Some(version) => request = with(&without(&request, "anyVersion"), "version", version),
            None => return Outcome::Refused,
        }
    }
}

/// The answers of one attempt, and whether none is missing.
fn attempt(first: &mut Client, second: Option<&mut Client>, body: &Value) -> (Vec<Reply>, bool) {
    let request = Request::new("POST", UPDATES).json(body);
    let mut clients: Vec<&mut Client> = [Some(first), second].into_iter().flatten().collect();
    let begun: Vec<bool> = clients
        .iter_mut()
        .map(|client| client.begin(&request).is_ok())
        .collect();
    let mut replies = Vec::new();
    for (client, begun) in clients.iter_mut().zip(&begun) {
        if *begun && let Ok(reply) = client.finish() {
            replies.push(reply);
        }
    }
    let complete = replies.len() == begun.len();
    (replies, complete)
}

/// Checks a refusal and returns the version to try next, if there is one.
fn refusal(request: &Value, reply: &Reply) -> Option<u64> {
    assert_eq!(
        reply.status,
        409,
        "{request} was answered {:?}",
        reply.text()
    );
    let result = reply.json();
    if result["errorType"] == "insufficient_inventory" {
        let left = number(&result, "newQuantity").checked_add_signed(delta(request));
        assert_eq!(
            left, None,
            "{request} was refused although there was enough: {result}"
        );
        return None;
    }
    assert_eq!(
        result["errorType"], "version_conflict",
        "{request} was answered {result}"
    );
    let current = number(&result, "newVersion");
    assert_ne!(
        request["version"], current,
        "the version was right: {result}"
    );
    Some(current)
}

fn delta(request: &Value) -> i64 {
    request["delta"].as_i64().expect("a delta is an integer")
}

fn name(number: usize) -> String {
    format!("load-{number:02}")
}
