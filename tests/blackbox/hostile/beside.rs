//! The well-behaved client that every hostile one has at its side.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, percent_encode};
use crate::http::{Reply, Request};
use crate::server::{Server, SetOnDrop, unique};

/// An answer that takes longer has been held up. Generous: the tests share a few CPUs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// It does its share and leaves the CPUs to the others.
const PACE: Duration = Duration::from_millis(2);
/// Fewer rounds would prove nothing.
const ROUNDS_MIN: u64 = 5;

/// Runs `hostile` while another client goes on with its work, from before the first to after the last hostile byte:
/// each of its answers must be right, and none late.
#[track_caller]
pub fn beside_a_well_behaved_client(server: &Server, hostile: impl FnOnce(&Server)) {
    let mut store = Store::open(server);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) || store.rounds < ROUNDS_MIN {
                store.work();
                thread::sleep(PACE);
            }
        });
        let over = SetOnDrop(&is_over);
        hostile(server);
        drop(over);
        if let Err(failure) = working.join() {
            std::panic::resume_unwind(failure);
        }
    });
}

/// A store that sells, reads and follows the feed, on one connection.
struct Store {
    client: Client,
    product: String,
    rounds: u64,
    /// Where its next poll begins.
    offset: u64,
}

impl Store {
    const STOCK: u64 = 1_000_000;

    fn open(server: &Server) -> Self {
        let mut client = server.client();
        let product = unique("well-behaved");
        client.create(&[(&product, Self::STOCK)]);
        let offset = client.feed_end();
        Self {
            client,
            product,
            rounds: 0,
            offset,
        }
    }

    fn work(&mut self) {
        let (version, left) = (self.rounds + 1, Self::STOCK - self.rounds - 1);
        let sale = crate::client::update(&self.product, -1, version, &unique("sale"));
        let sale = Request::new("POST", crate::client::UPDATES).json(&sale);
        self.in_time(&sale).applied(left, version + 1);
        self.rounds += 1;

        let path = format!("/v1/inventory/{}", percent_encode(&self.product));
        let product = self.in_time(&Request::new("GET", &path)).expect(200).json();
        assert_eq!(product["available"], left, "{product}");
        assert_eq!(product["version"], version + 1, "{product}");
        self.follow(version + 1);
    }

    /// Polls once, and finds its own last sale in the end.
    fn follow(&mut self, version: u64) {
        loop {
            let path = format!("/v1/inventory/events?offset={}&limit=1000", self.offset);
            let page = self.in_time(&Request::new("GET", &path)).expect(200).json();
            self.offset = page["nextOffset"].as_u64().expect("an integer");
            let events = page["events"].as_array().expect("a list of events");
            let is_mine = |event: &&serde_json::Value| {
                event["productId"] == *self.product && event["version"] == version
            };
            if events.iter().any(|event| is_mine(&event)) {
                return;
            }
            assert_eq!(page["hasMore"], true, "the sale is not in the feed");
        }
    }

    fn in_time(&mut self, request: &Request) -> Reply {
        let begun = Instant::now();
        let reply = self.client.send(request);
        let took = begun.elapsed();
        assert!(took < ANSWER_LIMIT, "{} took {took:?}", request.target);
        reply
    }
}
