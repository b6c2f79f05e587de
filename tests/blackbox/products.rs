//! Products: read one, walk all, take a snapshot; create, set and delete them as an administrator.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use crate::client::{
    CREATE, Client, DELETE, MAX_INTEGER, SET, percent_encode, product, with, without,
};
use crate::expect::{assert_absent, assert_product, assert_time, raw_member};
use crate::http::{Reply, Request};
use crate::load::Load;
use crate::mirror::{Mirror, number, text};
use crate::server::{Builder, Random, Server, SetOnDrop, unique};

#[test]
fn the_sample_has_100_products_and_the_headphones_of_the_brief() {
    let server = Server::start();
    let mut client = server.client();
    let listing = client.listing();
    let expected: Vec<String> = (1..=100)
        .map(|number| format!("PROD-{number:03}"))
        .collect();
    assert_eq!(ids(&listing), expected);
    listing.iter().for_each(assert_product);

    let reply = client.get("/v1/inventory/PROD-001").expect(200);
    assert!(
        reply
            .header("content-type")
            .unwrap_or_default()
            .starts_with("application/json")
    );
    assert_eq!(reply.json()["name"], "Wireless Headphones");
    assert_eq!(reply.raw("price"), "99.99");
    assert_eq!(reply.json(), listing[0]);
}

#[test]
fn an_unknown_product_is_a_problem_that_names_it() {
    let server = Server::start();
    let problem = server
        .client()
        .get("/v1/inventory/PROD-404")
        .problem(404, "not_found");
    assert_eq!(problem["status"], 404);
    assert!(text(&problem, "detail").contains("PROD-404"), "{problem}");
}

#[test]
fn a_product_is_found_by_its_percent_encoded_id() {
    let server = Server::start();
    let mut client = server.client();
    for id in [
        "spa ce",
        "caf\u{e9}",
        "100%",
        "a+b",
        "q?x#y",
        "\u{1f4e6}",
        "...",
    ] {
        client.create(&[(id, 1)]);
        assert_eq!(client.product(&percent_encode(id))["productId"], id);
    }
    assert_eq!(
        client.product("%61+b")["productId"],
        "a+b",
        "an escaped letter is that letter, a plus is a plus"
    );
}

#[test]
fn an_unchanged_product_is_304_by_its_etag() {
    let (_server, mut client) = Server::with_item(10);
    let get = |client: &mut Client, condition: &str| {
        client.send(&Request::new("GET", "/v1/inventory/item").header("If-None-Match", condition))
    };
    assert_eq!(
        client.get("/v1/inventory/item").expect(200).header("etag"),
        Some("\"1\"")
    );
    for condition in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let reply = get(&mut client, condition).expect(304);
        assert_eq!(reply.header("etag"), Some("\"1\""), "{condition}");
        assert!(reply.bytes.is_empty());
    }
    get(&mut client, "\"2\"").expect(200);
    client.update("item", -1, 1, "key").expect(200);
    let changed = get(&mut client, "\"1\"").expect(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assert_eq!(changed.json()["version"], 2);
    client.get("/v1/inventory/item").expect(200);
}

#[test]
fn a_price_comes_back_with_the_digits_it_was_sent_with() {
    let server = Server::start();
    let mut client = server.client();
    let prices = [
        "10.50",
        "1e2",
        "0",
        "0.1000",
        "1.5E+3",
        "123456789012345.678",
        "0.10000000000000000555",
    ];
    for (number, price) in prices.iter().enumerate() {
        let body = format!(
            r#"{{"products":[{{"productId":"p{number}","name":"P","available":5,"price":{price}}}]}}"#
        );
        client
            .send(&Request::new("POST", CREATE).body(body))
            .expect(200);
    }
    client
        .put(
            SET,
            &json!({"products": [{"productId": "p0", "name": "Renamed"}]}),
        )
        .expect(200);
    client.update_any("p0", -1, "key").expect(200);
    let set = r#"{"products":[{"productId":"p1","price":2.50}]}"#;
    client.send(&Request::new("PUT", SET).body(set)).expect(200);
    let expect = |client: &mut Client| {
        for (number, price) in prices.iter().enumerate() {
            let expected = if number == 1 { "2.50" } else { price };
            let reply = client.get(&format!("/v1/inventory/p{number}"));
            assert_eq!(reply.expect(200).raw("price"), expected);
        }
        for (event, price) in client.raw_feed(0).iter().zip(prices) {
            assert_eq!(raw_member(&raw_member(event, "data"), "price"), price);
        }
        for whole in [client.last_page(), client.get("/v1/inventory/snapshot")] {
            assert!(whole.text().contains("123456789012345.678"));
            assert!(whole.text().contains("0.10000000000000000555"));
        }
    };
    expect(&mut client);
    let server = server.kill().start();
    expect(&mut server.client());
}

#[test]
fn names_come_back_as_they_were_sent() {
    let server = Server::start();
    let mut client = server.client();
    let names = [
        "Kabel \"3m\" \\ / schwarz",
        "\u{65e5}\u{672c}\u{8a9e}",
        "\u{1f3a7} & <b>",
        &"n".repeat(256),
    ];
    for name in names {
        let id = unique("named");
        let created = client
            .post(
                CREATE,
                &json!({"products": [with(&product(&id, 1), "name", name)]}),
            )
            .expect(200);
        assert_eq!(created.json()["results"][0]["success"], true);
        assert_eq!(client.product(&id)["name"], name);
    }
    let feed = client.feed(0);
    let found: Vec<&str> = feed
        .iter()
        .filter_map(|event| event["data"]["name"].as_str())
        .collect();
    assert_eq!(found, names);
}

// Listing

#[test]
fn the_listing_is_in_byte_order_of_the_ids() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[
        ("b", 1),
        ("B", 1),
        ("a", 1),
        ("\u{e9}", 1),
        ("a-", 1),
        ("aa", 1),
        ("\u{1f4e6}", 1),
        ("0", 1),
        ("~", 1),
    ]);
    let listed = ids(&client.walk(7));
    let mut sorted = listed.clone();
    sorted.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    assert_eq!(listed, sorted);
    assert_eq!(listed.len(), 109);
    assert_eq!(client.walk(1), client.walk(100));
}

#[test]
fn a_page_has_50_items_unless_told_otherwise_and_the_last_page_no_cursor() {
    let server = Server::start();
    let mut client = server.client();
    let first = client.get("/v1/inventory").expect(200).json();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(50));
    let cursor = percent_encode(&text(&first, "nextCursor"));
    let second = client
        .get(&format!("/v1/inventory?cursor={cursor}"))
        .expect(200)
        .json();
    assert_eq!(second["items"].as_array().map(Vec::len), Some(50));
    assert_eq!(second["items"][0]["productId"], "PROD-051");
    assert_absent(&second, &["nextCursor"]);
    let all = client.get("/v1/inventory?limit=100").expect(200).json();
    assert_absent(&all, &["nextCursor"]);
}

#[test]
fn a_limit_or_cursor_that_cannot_be_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "limit=1.5",
        "limit=99999999999999999999",
    ] {
        client
            .get(&format!("/v1/inventory?{query}"))
            .problem(400, "validation_error");
    }
    for cursor in ["nonsense", "%00", "!!!!", "%FF", "eyJvZmZzZXQiOi0xfQ==x"] {
        client
            .get(&format!("/v1/inventory?cursor={cursor}"))
            .problem(400, "validation_error");
    }
    client.get("/v1/inventory?limit=1").expect(200);
    client.get("/v1/inventory?limit=100").expect(200);
}

#[test]
fn walks_over_1000_products_are_exact_while_others_change_them() {
    walks_are_exact(&Server::start(), 1000, &[100, 37, 99, 64]);
}

/// Walks all pages while products are created, deleted and updated around the ones that stay.
pub fn walks_are_exact(server: &Server, count: usize, limits: &[usize]) {
    let names: Vec<String> = (0..count)
        .map(|number| format!("stay-{number:04}"))
        .collect();
    let products: Vec<(&str, u64)> = names.iter().map(|id| (id.as_str(), 1_000_000)).collect();
    server.client().create(&products);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let running = SetOnDrop(&done);
        let come_and_go = scope.spawn(|| {
            while_not(&done, 1, |random, turn| {
                let id = format!("stay-{:04}-visitor-{turn}", random.below(count));
                let mut client = server.client();
                client.create(&[(&id, 1)]);
                client.delete_product(&id);
            })
        });
        let updates = scope.spawn(|| {
            while_not(&done, 2, |random, turn| {
                let mut client = server.client();
                client
                    .update_any(&names[random.below(count)], -1, &format!("walk-{turn}"))
                    .expect(200);
            })
        });
        for limit in limits {
            let walked = ids(&server.client().walk(*limit));
            assert!(
                walked.is_sorted_by(|one, next| one < next),
                "in order, each once, with limit {limit}"
            );
            let stayed: Vec<&String> = walked
                .iter()
                .filter(|id| id.starts_with("stay-") && id.len() == 9)
                .collect();
            assert!(
                stayed.into_iter().eq(&names),
                "each product that stays is there, with limit {limit}"
            );
        }
        drop(running);
        assert!(come_and_go.join().expect("changes go on") > 0);
        assert!(updates.join().expect("updates go on") > 0);
    });
    let mut client = server.client();
    let walked = client.walk(100);
    assert_eq!(
        ids(&walked).iter().collect::<BTreeSet<_>>().len(),
        walked.len()
    );
    assert!(
        ids(&walked)
            .iter()
            .filter(|id| id.starts_with("stay-"))
            .eq(&names),
        "visitors are gone"
    );
}

/// Repeats something until told to stop; returns how often it was done.
fn while_not(done: &AtomicBool, seed: u64, mut turn: impl FnMut(&mut Random, usize)) -> usize {
    let mut random = Random::new(seed);
    let mut turns = 0;
    while !done.load(Ordering::SeqCst) {
        turn(&mut random, turns);
        turns += 1;
    }
    turns
}

// Snapshot

#[test]
fn a_snapshot_is_the_listing_and_says_where_to_go_on() {
    let server = Server::start();
    let mut client = server.client();
    let at_start = client.get("/v1/inventory/snapshot").expect(200).json();
    assert_eq!(at_start["nextOffset"], 0);
    assert_eq!(at_start["count"], 100);

    client.create(&[("item", 10)]);
    client.update("item", -1, 1, "key").expect(200);
    client.delete_product("PROD-050");
    let snapshot = client.get("/v1/inventory/snapshot").expect(200).json();
    assert_eq!(snapshot["nextOffset"], 3);
    assert_eq!(snapshot["count"], 100);
    let mut products = snapshot["products"]
        .as_array()
        .expect("a list of products")
        .clone();
    products.sort_by_key(|product| text(product, "productId"));
    assert_eq!(products, client.listing());
}

#[test]
fn a_snapshot_taken_under_load_and_the_feed_after_it_give_the_exact_listing() {
    let server = Builder::new().env("MAX_EVENTS_IN_QUEUE", 100_000).start();
    snapshots_lead_to_the_listing(
        &server,
        Load {
            stores: 16,
            products: 20,
            updates: 60,
        },
    );
}

/// Takes snapshots while a load runs and products come and go, then lets each catch up.
pub fn snapshots_lead_to_the_listing(server: &Server, load: Load) {
    let mut client = server.client();
    load.create_products(&mut client);
    let done = AtomicBool::new(false);
    let mirrors = thread::scope(|scope| {
        let running = SetOnDrop(&done);
        let come_and_go = scope.spawn(|| {
            while_not(&done, 3, |random, _| {
                let mut client = server.client();
                let id = format!("visitor-{}", random.below(5));
                client.create(&[(&id, 1)]);
                client
                    .put(
                        SET,
                        &json!({"products": [{"productId": id, "available": 2}]}),
                    )
                    .expect(200);
                client.delete_product(&id);
            })
        });
        let stores = scope.spawn(|| load.run(server.address(), 0, channel().0));
        let mut mirrors = Vec::new();
        while !stores.is_finished() && mirrors.len() < 200 {
            mirrors.push(Mirror::from_snapshot(&mut client));
        }
        drop(running);
        assert!(come_and_go.join().expect("changes go on") > 0);
        assert!(
            stores
                .join()
                .expect("a store found an error")
                .unknown
                .is_empty()
        );
        mirrors
    });
    assert!(!mirrors.is_empty());
    let end = Mirror::from_snapshot(&mut client).next_offset();
    let stride = mirrors.len().div_ceil(20);
    for mut mirror in mirrors.into_iter().step_by(stride) {
        mirror.catch_up(&mut client);
        assert_eq!(mirror.next_offset(), end);
        mirror.assert_is_the_listing(&mut client);
    }
}

// Create

#[test]
fn the_creation_of_the_brief_is_answered_as_in_the_brief() {
    let server = Server::start();
    let mut client = server.client();
    let body = r#"{"products":[{"productId":"PROD-NEW-001","name":"New Product","available":100,"price":29.99}]}"#;
    let answer = client
        .send(&Request::new("POST", CREATE).body(body))
        .expect(200)
        .json();
    assert_eq!(summary(&answer, "Creations"), [1, 1, 0]);
    let result = &answer["results"][0];
    assert_eq!(result["productId"], "PROD-NEW-001");
    assert_succeeded(result, 1);

    let reply = client.get("/v1/inventory/PROD-NEW-001").expect(200);
    assert_eq!(reply.raw("price"), "29.99");
    let product = reply.json();
    assert_product(&product);
    assert_eq!(product["name"], "New Product");
    assert_eq!(product["available"], 100);
    assert_eq!(product["version"], 1);
    assert_eq!(product["lastUpdated"], result["lastUpdated"]);
}

#[test]
fn creations_are_answered_in_the_order_sent_and_an_id_exists_once() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("known", 7)]);
    let list = [
        product("z", 1),
        product("known", 2),
        product("a", 3),
        product("z", 4),
    ];
    let answer = client
        .post(CREATE, &json!({"products": list}))
        .expect(200)
        .json();
    assert_eq!(summary(&answer, "Creations"), [4, 2, 2]);
    let results = answer["results"].as_array().expect("a list of results");
    assert_eq!(ids(results), ["z", "known", "a", "z"]);
    assert_succeeded(&results[0], 1);
    assert_failed(&results[1], "already_exists");
    assert_succeeded(&results[2], 1);
    assert_failed(&results[3], "already_exists");
    assert_eq!(client.state("known"), (7, 1));
    assert_eq!(client.state("z"), (1, 1), "the first of two wins");
    assert_eq!(client.feed_end(), 3);
}

#[test]
fn quantities_go_from_0_to_the_largest_that_every_client_can_read() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("none", 0), ("most", MAX_INTEGER)]);
    assert_eq!(client.state("none"), (0, 1));
    assert_eq!(client.state("most"), (MAX_INTEGER, 1));
    let too_many = json!({"products": [product("too-many", MAX_INTEGER + 1)]});
    client
        .post(CREATE, &too_many)
        .problem(400, "validation_error");
    let too_many = json!({"products": [{"productId": "none", "available": MAX_INTEGER + 1}]});
    client.put(SET, &too_many).problem(400, "validation_error");
}

#[test]
fn a_creation_needs_all_four_members() {
    let server = Server::start();
    let mut client = server.client();
    for member in ["productId", "name", "available", "price"] {
        let list = [
            product("sound", 1),
            without(&product("incomplete", 1), member),
        ];
        let reply = client.post(CREATE, &json!({"products": list}));
        reply.problem(400, "validation_error");
        assert!(
            reply.text().contains(member),
            "the missing {member} is named: {:?}",
            reply.text()
        );
    }
    client.get("/v1/inventory/sound").expect(404);
}

#[test]
fn a_broken_rule_refuses_the_whole_creation_and_every_fault_is_listed() {
    let server = Server::start();
    let mut client = server.client();
    let list = [
        product("sound", 1),
        with(&with(&product("two-faults", 1), "price", -1), "name", ""),
        product("a/b", 1),
        with(&product("three", 1), "name", "n".repeat(257)),
        product("events", 1),
        product(&"x".repeat(129), 1),
        product("bell\u{7}", 1),
    ];
    let faults = client.post(CREATE, &json!({"products": list})).faults();
    let expected = [
        "products[1].name",
        "products[1].price",
        "products[2].productId",
        "products[3].name",
        "products[4].productId",
        "products[5].productId",
        "products[6].productId",
    ];
    assert_eq!(faults, expected);
    client.get("/v1/inventory/sound").problem(404, "not_found");
    assert_eq!(client.feed_end(), 0);
}

#[test]
fn administration_takes_1_to_1000_items() {
    let server = Server::start();
    let mut client = server.client();
    client
        .post(CREATE, &json!({"products": []}))
        .problem(400, "validation_error");
    client
        .put(SET, &json!({"products": []}))
        .problem(400, "validation_error");
    client
        .delete(DELETE, &json!({"productIds": []}))
        .problem(400, "validation_error");

    let names: Vec<String> = (0..1001).map(|number| format!("p-{number}")).collect();
    let products: Vec<Value> = names.iter().map(|id| product(id, 1)).collect();
    client
        .post(CREATE, &json!({"products": products}))
        .problem(400, "validation_error");
    client
        .put(SET, &json!({"products": products}))
        .problem(400, "validation_error");
    client
        .delete(DELETE, &json!({"productIds": names}))
        .problem(400, "validation_error");
    assert_eq!(client.feed_end(), 0);

    let created = client
        .post(CREATE, &json!({"products": products[..1000]}))
        .expect(200)
        .json();
    assert_eq!(created["summary"]["successfulCreations"], 1000);
    assert_eq!(
        ids(created["results"].as_array().expect("a list of results")),
        names[..1000]
    );
    let set = client
        .put(SET, &json!({"products": products[..1000]}))
        .expect(200)
        .json();
    assert_eq!(set["summary"]["successfulUpdates"], 1000);
    let deleted = client
        .delete(DELETE, &json!({"productIds": names[..1000]}))
        .expect(200)
        .json();
    assert_eq!(deleted["summary"]["successfulDeletions"], 1000);
    assert_eq!(client.feed_end(), 3000);
}

// Set

#[test]
fn set_changes_what_it_is_given_and_leaves_the_rest() {
    let (_server, mut client) = Server::with_item(10);
    let created = client.product("item");
    let set = |client: &mut Client, changes: Value| {
        let change = with(&changes, "productId", "item");
        client
            .put(SET, &json!({"products": [change]}))
            .expect(200)
            .json()
    };
    let answer = set(&mut client, json!({"name": "Renamed"}));
    assert_eq!(summary(&answer, "Updates"), [1, 1, 0]);
    assert_eq!(answer["results"][0]["productId"], "item");
    assert_succeeded(&answer["results"][0], 2);
    assert_item(&mut client, "Renamed", 10, &created["price"], 2);
    assert_succeeded(&set(&mut client, json!({"available": 0}))["results"][0], 3);
    assert_item(&mut client, "Renamed", 0, &created["price"], 3);
    assert_succeeded(&set(&mut client, json!({"price": 0}))["results"][0], 4);
    assert_item(&mut client, "Renamed", 0, &json!(0), 4);
    let all = json!({"name": "Updated Product Name", "available": 50, "price": 79.99});
    assert_succeeded(&set(&mut client, all)["results"][0], 5);
    assert_item(&mut client, "Updated Product Name", 50, &json!(79.99), 5);
}

#[track_caller]
fn assert_item(client: &mut Client, name: &str, available: u64, price: &Value, version: u64) {
    let product = client.product("item");
    assert_eq!(product["name"], name);
    assert_eq!(product["available"], available);
    assert_eq!(product["price"], *price);
    assert_eq!(product["version"], version);
}

#[test]
fn a_version_given_to_set_must_match() {
    let (_server, mut client) = Server::with_item(10);
    client.update("item", -1, 1, "key").expect(200);
    let list = json!([
        {"productId": "item", "available": 99, "version": 1},
        {"productId": "nothing", "available": 99},
        {"productId": "item", "available": 50, "version": 2},
        {"productId": "item", "available": 60, "version": 2},
        {"productId": "item", "available": 70, "version": 3},
    ]);
    let answer = client
        .put(SET, &json!({"products": list}))
        .expect(200)
        .json();
    assert_eq!(summary(&answer, "Updates"), [5, 2, 3]);
    let results = answer["results"].as_array().expect("a list of results");
    assert_failed(&results[0], "version_conflict");
    assert_eq!(results[0]["newVersion"], 2);
    assert_failed(&results[1], "not_found");
    assert_succeeded(&results[2], 3);
    assert_failed(&results[3], "version_conflict");
    assert_eq!(results[3]["newVersion"], 3);
    assert_succeeded(&results[4], 4);
    assert_eq!(client.state("item"), (70, 4));
}

#[test]
fn a_set_that_breaks_a_rule_changes_nothing() {
    let (_server, mut client) = Server::with_item(10);
    let sound = json!({"productId": "item", "available": 50});
    for wrong in [
        json!({"productId": "item"}),
        json!({"productId": "item", "version": 1}),
        json!({"available": 5}),
        json!({"productId": "item", "price": -0.01}),
        json!({"productId": "item", "name": ""}),
        json!({"productId": "item", "available": -1}),
        json!({"productId": "a/b", "available": 1}),
    ] {
        client
            .put(SET, &json!({"products": [sound, wrong]}))
            .problem(400, "validation_error");
        assert_eq!(client.state("item"), (10, 1), "after {wrong}");
    }
    let wrong =
        json!([{"productId": "item", "name": ""}, sound, {"productId": "item", "price": -1}]);
    let faults = client.put(SET, &json!({"products": wrong})).faults();
    assert_eq!(faults, ["products[0].name", "products[2].price"]);
}

// Delete

#[test]
fn deletion_is_answered_in_the_order_sent() {
    let (_server, mut client) = Server::with_item(10);
    client.create(&[("other", 1)]);
    let list = json!({"productIds": ["other", "nothing", "item", "item"]});
    let answer = client.delete(DELETE, &list).expect(200).json();
    assert_eq!(summary(&answer, "Deletions"), [4, 2, 2]);
    let results = answer["results"].as_array().expect("a list of results");
    assert_eq!(ids(results), ["other", "nothing", "item", "item"]);
    assert_succeeded(&results[0], 2);
    assert_failed(&results[1], "not_found");
    assert_succeeded(&results[2], 2);
    assert_failed(&results[3], "not_found");
    client.get("/v1/inventory/item").problem(404, "not_found");
    client.get("/v1/inventory/other").problem(404, "not_found");
    let listed = ids(&client.listing());
    assert!(!listed.contains(&"item".to_owned()) && !listed.contains(&"other".to_owned()));
    client.update("item", -1, 2, "key").expect(404);
}

#[test]
fn an_id_that_breaks_a_rule_refuses_the_whole_deletion() {
    let (_server, mut client) = Server::with_item(10);
    let faults = client
        .delete(DELETE, &json!({"productIds": ["item", "", "a/b"]}))
        .faults();
    assert_eq!(faults, ["productIds[1]", "productIds[2]"]);
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn a_product_created_again_continues_above_its_last_version() {
    let (server, mut client) = Server::with_item(10);
    client.update("item", -1, 1, "key").applied(9, 2);
    client.delete_product("item");
    let answer = client
        .post(CREATE, &json!({"products": [product("item", 5)]}))
        .expect(200)
        .json();
    assert_succeeded(&answer["results"][0], 4);
    client
        .update("item", -1, 1, "stale")
        .refused(409, "version_conflict", (5, 4));
    client
        .update("item", -1, 2, "stale")
        .refused(409, "version_conflict", (5, 4));
    client.update("item", -1, 4, "fresh").applied(4, 5);
    client.delete_product("item");

    let server = server.kill().start();
    let server = server.stop().start();
    let mut client = server.client();
    client.get("/v1/inventory/item").expect(404);
    client.create(&[("item", 8)]);
    assert_eq!(client.state("item"), (8, 7));
}

/// How many items an answer counts in all, as successful and as failed. `kind` is `Creations`, `Updates` or
/// `Deletions`.
#[track_caller]
fn summary(answer: &Value, kind: &str) -> [u64; 3] {
    let names = [
        "totalRequests".to_owned(),
        format!("successful{kind}"),
        format!("failed{kind}"),
    ];
    names.map(|name| number(&answer["summary"], &name))
}

#[track_caller]
fn assert_succeeded(result: &Value, version: u64) {
    assert_eq!(result["success"], true, "{result}");
    assert_eq!(number(result, "newVersion"), version, "{result}");
    assert_time(&result["lastUpdated"]);
    assert_absent(result, &["errorType", "errorMessage"]);
}

#[track_caller]
fn assert_failed(result: &Value, error_type: &str) {
    assert_eq!(result["success"], false, "{result}");
    assert_eq!(result["errorType"], error_type, "{result}");
    assert!(result["errorMessage"].is_string(), "{result}");
}

fn ids(products: &[Value]) -> Vec<String> {
    products
        .iter()
        .map(|product| text(product, "productId"))
        .collect()
}

impl Client {
    /// The second page of 100, which is the last where there are fewer than 200 products.
    #[track_caller]
    fn last_page(&mut self) -> Reply {
        let first = self.get("/v1/inventory?limit=100").expect(200).json();
        let cursor = percent_encode(&text(&first, "nextCursor"));
        self.get(&format!("/v1/inventory?limit=100&cursor={cursor}"))
            .expect(200)
    }
}
