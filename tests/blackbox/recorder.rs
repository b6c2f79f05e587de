//! One client that records what it asks and what it is told, in the terms of the crate `history`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Instant, UNIX_EPOCH};

use history::{Call, Event, EventKind, Operation, Outcome, Poll, State};
use serde_json::{Value, json};

use crate::client::{CREATE, Client, DELETE, SET, UPDATES, batch, item, item_any, product, with};
use crate::http::{Reply, Request};
use crate::mirror::{number, text};

/// A client and its record. Every time is in nanoseconds since `clock`.
pub struct Recorder {
    clock: Instant,
    first: Client,
    second: Client,
    pub operations: Vec<Operation>,
    pub polls: Vec<Poll>,
}

/// The server does not answer any more, or leaves open what it did.
#[derive(Debug)]
pub struct Gone;

impl Recorder {
    pub fn new(clock: Instant, address: SocketAddr) -> Self {
        Self {
            clock,
            first: Client::new(address),
            second: Client::new(address),
            operations: Vec::new(),
            polls: Vec::new(),
        }
    }

    /// Makes one call.
    pub fn call(&mut self, call: Call) -> Result<Outcome, Gone> {
        let invoked = self.now();
        let reply = self.first.try_send(&request(&call));
        self.heard(call, invoked, reply)
    }

    /// Makes one call on two connections at once; returns the first answer.
    pub fn call_twice(&mut self, call: Call) -> Result<Outcome, Gone> {
        let request = request(&call);
        let invoked = self.now();
        let begun = [self.first.begin(&request), self.second.begin(&request)];
        let [first, second] = begun;
        let first = first.and_then(|()| self.first.finish());
        let outcome = self.heard(call.clone(), invoked, first);
        let second = second.and_then(|()| self.second.finish());
        self.heard(call, invoked, second).and(outcome)
    }

    /// Sends updates of one store in one request.
    pub fn batch(&mut self, calls: &[Call]) -> Result<Vec<Outcome>, Gone> {
        let invoked = self.now();
        let reply = self.first.try_send(&batch_request(calls));
        let reply = reply.map_err(|_| Gone);
        let returned = self.now();
        let outcomes: Vec<Option<Outcome>> = match &reply {
            Ok(reply) => batch_outcomes(calls, reply),
            Err(Gone) => vec![None; calls.len()],
        };
        for (call, outcome) in calls.iter().zip(&outcomes) {
            let ended = outcome.map(|outcome| (returned, outcome));
            let call = call.clone();
            self.operations.push(Operation {
                call,
                invoked,
                ended,
            });
        }
        outcomes
            .into_iter()
            .collect::<Option<Vec<Outcome>>>()
            .ok_or(Gone)
    }

    /// Reads a whole snapshot: a read of each product in it, and of each of `known`.
    pub fn snapshot(&mut self, known: &[String]) -> Result<(), Gone> {
        let invoked = self.now();
        let reply = self
            .first
            .try_get("/v1/inventory/snapshot")
            .map_err(|_| Gone)?;
        let returned = self.now();
        if reply.status == 503 {
            return Ok(());
        }
        let mut states = states(&reply.expect(200).json()["products"]);
        let mut told = |product: String, outcome| {
            let call = Call::Read { product };
            let ended = Some((returned, outcome));
            self.operations.push(Operation {
                call,
                invoked,
                ended,
            });
        };
        for product in known {
            let state = states.remove(product);
            told(product.clone(), state.map_or(Outcome::Absent, shown));
        }
        for (product, state) in states {
            told(product, shown(state));
        }
        Ok(())
    }

    /// Asks for a page of the feed; returns the offset after it.
    pub fn poll(&mut self, offset: u64, limit: usize, wait: u64) -> Result<u64, Gone> {
        let target = format!("/v1/inventory/events?offset={offset}&limit={limit}&wait={wait}");
        let invoked = self.now();
        let reply = self.first.try_get(&target).map_err(|_| Gone)?;
        let returned = self.now();
        if reply.status == 503 {
            return Ok(offset);
        }
        let page = reply.expect(200).json();
        let events = page["events"].as_array().expect("a list of events");
        self.polls.push(Poll {
            invoked,
            returned,
            offset,
            events: events.iter().map(event).collect(),
            more: page["hasMore"].as_bool().expect("true or false"),
        });
        Ok(number(&page, "nextOffset"))
    }

    fn heard(
        &mut self,
        call: Call,
        invoked: u64,
        reply: io::Result<Reply>,
    ) -> Result<Outcome, Gone> {
        let returned = self.now();
        let outcome = reply.ok().and_then(|reply| outcome(&call, &reply));
        let ended = outcome.map(|outcome| (returned, outcome));
        self.operations.push(Operation {
            call,
            invoked,
            ended,
        });
        outcome.ok_or(Gone)
    }

    fn now(&self) -> u64 {
        nanoseconds_since(self.clock)
    }
}

pub fn nanoseconds_since(clock: Instant) -> u64 {
    clock
        .elapsed()
        .as_nanos()
        .try_into()
        .expect("a test takes less than five centuries")
}

/// The products of a list, by id.
pub fn states(products: &Value) -> BTreeMap<String, State> {
    let list = products.as_array().expect("a list of products");
    list.iter()
        .map(|product| (text(product, "productId"), state(product)))
        .collect()
}

/// An event of the feed as the checker knows it.
pub fn event(event: &Value) -> Event {
    Event {
        offset: number(event, "offset"),
        at_ms: milliseconds(&text(event, "timestamp")),
        kind: kind(event),
        product: text(event, "productId"),
        version: number(event, "version"),
        quantity: number(&event["data"], "available"),
        store: event["storeId"].as_str().map(str::to_owned),
        delta: event["delta"].as_i64(),
    }
}

fn state(product: &Value) -> State {
    State::present(number(product, "version"), number(product, "available"))
}

fn kind(event: &Value) -> EventKind {
    match event["eventType"].as_str() {
        Some("inventory_updated") => EventKind::InventoryUpdated,
        Some("product_created") => EventKind::ProductCreated,
        Some("product_deleted") => EventKind::ProductDeleted,
        Some("product_modified") => EventKind::ProductModified,
        _ => panic!("an unknown type of event: {event}"),
    }
}

fn milliseconds(timestamp: &str) -> u64 {
    let time = humantime::parse_rfc3339(timestamp).expect("a timestamp is RFC 3339");
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    since
        .as_millis()
        .try_into()
        .expect("before the year 500 million")
}

fn request(call: &Call) -> Request {
    let of_admin = |method, target, body| Request::new(method, target).json(&body);
    match call {
        Call::Update { store, .. } => {
            Request::new("POST", UPDATES).json(&with(&update_item(call), "storeId", store.as_str()))
        }
        Call::Create {
            product: id,
            available,
        } => of_admin(
            "POST",
            CREATE,
            json!({"products": [product(id, *available)]}),
        ),
        Call::Set { product, available } => {
            let setting = json!({"productId": product, "available": available});
            of_admin("PUT", SET, json!({"products": [setting]}))
        }
        Call::Delete { product } => of_admin("DELETE", DELETE, json!({"productIds": [product]})),
        Call::Read { product } => Request::new("GET", &format!("/v1/inventory/{product}")),
    }
}

fn batch_request(calls: &[Call]) -> Request {
    let items: Vec<Value> = calls.iter().map(update_item).collect();
    let Some(Call::Update { store, .. }) = calls.first() else {
        panic!("a batch is of updates");
    };
    Request::new("POST", UPDATES).json(&with(&batch(&items), "storeId", store.as_str()))
}

fn update_item(call: &Call) -> Value {
    let Call::Update {
        product,
        key,
        delta,
        version,
        ..
    } = call
    else {
        panic!("{call} is no update");
    };
    match version {
        Some(version) => item(product, *delta, *version, key),
        None => item_any(product, *delta, key),
    }
}

/// What an answer says; `None` where it leaves open whether something happened.
fn outcome(call: &Call, reply: &Reply) -> Option<Outcome> {
    let body = reply.json();
    if reply.status == 503 {
        return refused(call, &body["code"]);
    }
    match call {
        Call::Update { .. } => update_outcome(&body, reply.replayed()),
        Call::Read { .. } if reply.status == 404 => Some(Outcome::Absent),
        Call::Read { .. } => Some(shown(state(&reply.clone().expect(200).json()))),
        Call::Create { .. } | Call::Set { .. } | Call::Delete { .. } => {
            admin_outcome(call, &reply.clone().expect(200).json()["results"][0])
        }
    }
}

fn batch_outcomes(calls: &[Call], reply: &Reply) -> Vec<Option<Outcome>> {
    let body = reply.json();
    if reply.status == 503 {
        return calls
            .iter()
            .map(|call| refused(call, &body["code"]))
            .collect();
    }
    let results = reply.clone().expect(200).json()["results"].clone();
    let results = results.as_array().expect("a list of results");
    assert_eq!(results.len(), calls.len(), "a result for each item: {body}");
    let outcome = |result: &Value| update_outcome(result, result["replayed"] == true);
    results.iter().map(outcome).collect()
}

fn update_outcome(result: &Value, replayed: bool) -> Option<Outcome> {
    if result["applied"] == true {
        return Some(Outcome::Changed {
            version: number(result, "newVersion"),
            quantity: Some(number(result, "newQuantity")),
            replayed,
        });
    }
    match result["errorType"].as_str() {
        Some("version_conflict" | "insufficient_inventory" | "quantity_out_of_range") => {
            Some(Outcome::Shown {
                version: number(result, "newVersion"),
                quantity: Some(number(result, "newQuantity")),
            })
        }
        Some("product_not_found") => Some(Outcome::Absent),
        Some("overloaded" | "draining") => Some(Outcome::Refused),
        Some("storage_failed") => None,
        _ => panic!("an unknown outcome of an update: {result}"),
    }
}

fn admin_outcome(call: &Call, result: &Value) -> Option<Outcome> {
    if result["success"] == true {
        return Some(Outcome::Changed {
            version: number(result, "newVersion"),
            quantity: None,
            replayed: false,
        });
    }
    match result["errorType"].as_str() {
        Some("already_exists") => Some(Outcome::Exists),
        Some("not_found") => Some(Outcome::Absent),
        _ => refused(call, &result["errorType"]),
    }
}

/// A read has no effect that could be left open.
fn refused(call: &Call, code: &Value) -> Option<Outcome> {
    match code.as_str() {
        Some("overloaded" | "draining") => Some(Outcome::Refused),
        Some("storage_failed") => matches!(call, Call::Read { .. }).then_some(Outcome::Refused),
        _ => panic!("an unknown refusal of the {call}: {code}"),
    }
}

fn shown(state: State) -> Outcome {
    Outcome::Shown {
        version: state.version,
        quantity: state.quantity,
    }
}
