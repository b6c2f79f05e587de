//! The process dies without warning: what was answered is there afterwards, and nothing is there twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use crate::client::{CREATE, Client, DELETE, SET, product};
use crate::load::{Books, Load};
use crate::mirror::{Mirror, follow, number, text};
use crate::server::{Builder, Server, unique};

const LOAD: Load = Load {
    stores: 64,
    products: 20,
    updates: 10_000,
};

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_twice_after_three_kills_under_load() {
    survives_kills([Builder::new(), Builder::new(), Builder::new()], LOAD, 400);
}

#[test]
fn a_kill_right_after_a_recovery_changes_nothing() {
    let (server, mut client) = Server::with_item(10);
    let key = unique("key");
    let answer = client.update("item", -3, 1, &key).expect(200);
    let feed = client.raw_feed(0);
    let builder = server.kill().start().kill().start().kill();
    let server = builder.start();
    let mut client = server.client();
    assert_eq!(client.raw_feed(0), feed);
    let repeat = client.update("item", -3, 1, &key);
    assert_eq!(repeat.text(), answer.text());
    assert!(repeat.replayed());
    assert_eq!(client.state("item"), (7, 2));
}

#[test]
fn acknowledged_changes_of_products_survive_a_kill() {
    let server = Server::start();
    let mut client = server.client();
    client
        .post(
            CREATE,
            &json!({"products": [product("a", 1), product("b", 2), product("c", 3)]}),
        )
        .expect(200);
    client
        .put(
            SET,
            &json!({"products": [{"productId": "b", "name": "Renamed", "price": 3.25}]}),
        )
        .expect(200);
    client
        .delete(DELETE, &json!({"productIds": ["c", "PROD-002"]}))
        .expect(200);
    let (listing, feed) = (client.listing(), client.raw_feed(0));

    let server = server.kill().start();
    let mut client = server.client();
    assert_eq!(client.listing(), listing);
    assert_eq!(client.raw_feed(0), feed);
    client.get("/v1/inventory/c").problem(404, "not_found");
    client
        .get("/v1/inventory/PROD-002")
        .problem(404, "not_found");
}

#[test]
fn an_acknowledged_batch_survives_a_kill_as_a_whole() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    client.change_often("item", 200);
    let server = server.kill().start();
    assert_eq!(server.client().state("item"), (200, 201));
}

/// Three rounds on one directory, each with a server of its own making: load, SIGKILL in its midst, restart, check.
pub fn survives_kills(rounds: [Builder; 3], load: Load, acknowledged: usize) {
    let mut books = Books::default();
    let mut directory = None::<Builder>;
    for (round, builder) in rounds.iter().enumerate() {
        let builder = builder
            .clone()
            .env("MAX_EVENTS_IN_QUEUE", 100_000)
            .env("IDEMPOTENCY_CACHE_TTL", "1h");
        let builder = match &directory {
            Some(earlier) => builder.in_directory_of(earlier),
            None => builder,
        };
        let server = builder.start();
        if round == 0 {
            load.create_products(&mut server.client());
        }
        let (witnesses, killed) = kill_under_load(server, &load, round, acknowledged, &mut books);

        let server = killed.start();
        let mut client = server.client();
        witnesses.assert_not_deceived(&mut client);
        books.resolve(&mut client);
        books.assert_replayed(&mut client);
        books.assert_balanced(&load, &mut client);
        let mut mirror = Mirror::from_snapshot(&mut client);
        mirror.catch_up(&mut client);
        mirror.assert_is_the_listing(&mut client);
        directory = Some(server.kill());
    }
}

/// What readers saw before the kill.
struct Witnesses {
    events: Vec<String>,
    versions: BTreeMap<String, u64>,
}

impl Witnesses {
    /// Asserts that no answer showed a state that the crash took back.
    #[track_caller]
    fn assert_not_deceived(&self, client: &mut Client) {
        let feed = client.raw_feed(0);
        assert!(
            feed.len() >= self.events.len(),
            "events that were read are gone"
        );
        assert_eq!(
            feed[..self.events.len()],
            self.events[..],
            "events that were read have changed"
        );
        for (id, version) in &self.versions {
            let now = client.state(id).1;
            assert!(
                now >= *version,
                "{id} was read at version {version} and is now at {now}"
            );
        }
    }
}

/// Runs the load and kills the server once so many updates have been acknowledged.
fn kill_under_load(
    server: Server,
    load: &Load,
    round: usize,
    acknowledged: usize,
    books: &mut Books,
) -> (Witnesses, Builder) {
    let address = server.address();
    let never = AtomicBool::new(false);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let follower = scope.spawn(|| follow(address, 0, &never));
        let reader = scope.spawn(move || read_until_the_end(address, load));
        let stores = scope.spawn(move || load.run(address, round, sender));
        let counted = receiver.iter().take(acknowledged).count();
        let killed = server.kill();
        assert_eq!(counted, acknowledged, "the load ended before the kill");
        books.add(stores.join().expect("a store found an error"));
        let witnesses = Witnesses {
            events: follower.join().expect("the follower found an error"),
            versions: reader.join().expect("the reader found an error"),
        };
        (witnesses, killed)
    })
}

/// Reads products and snapshots again and again until the server is gone; returns the last version seen of each.
fn read_until_the_end(address: SocketAddr, load: &Load) -> BTreeMap<String, u64> {
    let mut client = Client::new(address);
    let mut versions = BTreeMap::new();
    let targets: Vec<String> = load
        .names()
        .map(|id| format!("/v1/inventory/{id}"))
        .collect();
    loop {
        for target in &targets {
            let Ok(reply) = client.try_get(target) else {
                return versions;
            };
            saw(&mut versions, &reply.expect(200).json());
        }
        let Ok(reply) = client.try_get("/v1/inventory/snapshot") else {
            return versions;
        };
        for product in reply.expect(200).json()["products"]
            .as_array()
            .expect("a list of products")
        {
            saw(&mut versions, product);
        }
    }
}

fn saw(versions: &mut BTreeMap<String, u64>, product: &Value) {
    let before = versions.insert(text(product, "productId"), number(product, "version"));
    assert!(
        before <= product["version"].as_u64(),
        "a version went back from {before:?}: {product}"
    );
}
