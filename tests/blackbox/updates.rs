//! Updates: what takes effect, what is refused and why, one by one and in batches.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::client::{
    Client, MAX_INTEGER, UPDATES, batch, item, item_any, update, update_any, with, without,
};
use crate::expect::{assert_absent, assert_applied, assert_refused, summary};
use crate::http::Request;
use crate::server::{Server, unique};

#[test]
fn an_update_is_applied_and_answered_in_the_shape_of_the_brief() {
    let server = Server::start();
    let mut client = server.client();
    let (available, version) = client.state("PROD-001");
    let answer = client
        .update("PROD-001", -2, version, "store-s1-order-12345")
        .applied(available - 2, version + 1);
    assert_eq!(answer["productId"], "PROD-001");
    let product = client.product("PROD-001");
    assert_eq!(product["available"], available - 2);
    assert_eq!(product["version"], version + 1);
    assert_eq!(product["lastUpdated"], answer["lastUpdated"]);
}

#[test]
fn an_ordinary_http_client_is_served() {
    let (server, _) = Server::with_item(10);
    let url = format!("http://{}{UPDATES}", server.address());
    let body = update("item", -2, 1, "ordinary").to_string();
    let request = ureq::post(url)
        .header("X-API-Key", "demo")
        .header("Content-Type", "application/json");
    let mut answer = request.send(body).expect("an update is answered with 200");
    let text = answer
        .body_mut()
        .read_to_string()
        .expect("the answer is text");
    assert_applied(
        &serde_json::from_str(&text).expect("the answer is JSON"),
        8,
        2,
    );
}

#[test]
fn a_positive_delta_is_a_restock() {
    let (_server, mut client) = Server::with_item(10);
    client.update("item", 5, 1, "restock").applied(15, 2);
}

#[test]
fn stock_can_be_sold_to_the_last_piece_and_the_zero_is_written_out() {
    let (_server, mut client) = Server::with_item(3);
    client.update("item", -3, 1, "all").applied(0, 2);
    client
        .update("item", -1, 2, "one-more")
        .refused(409, "insufficient_inventory", (0, 2));
    assert_eq!(client.state("item"), (0, 2));
}

#[test]
fn a_stale_version_is_a_conflict_that_shows_the_current_state() {
    let (_server, mut client) = Server::with_item(10);
    for version in 1..6 {
        client
            .update("item", 1, version, &unique("key"))
            .expect(200);
    }
    let refusal = client
        .update("item", -2, 5, "stale")
        .refused(409, "version_conflict", (15, 6));
    assert_eq!(
        refusal["errorMessage"],
        "version conflict: expected 6, got 5"
    );
    assert_eq!(refusal["productId"], "item");
    assert_eq!(
        refusal["lastUpdated"],
        client.product("item")["lastUpdated"]
    );
    assert_eq!(client.state("item"), (15, 6));
}

#[test]
fn a_version_that_does_not_exist_yet_is_a_conflict_too() {
    let (_server, mut client) = Server::with_item(10);
    let refusal = client
        .update("item", -2, 9, "early")
        .refused(409, "version_conflict", (10, 1));
    assert_eq!(
        refusal["errorMessage"],
        "version conflict: expected 1, got 9"
    );
}

#[test]
fn stock_never_falls_below_zero() {
    let (_server, mut client) = Server::with_item(10);
    client
        .update("item", -11, 1, "too-many")
        .refused(409, "insufficient_inventory", (10, 1));
    client
        .update("item", -(MAX_INTEGER as i64), 1, "far-too-many")
        .refused(409, "insufficient_inventory", (10, 1));
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn stock_never_exceeds_what_every_client_can_read() {
    let (_server, mut client) = Server::with_item(MAX_INTEGER - 1);
    client.update("item", 2, 1, "too-many").refused(
        409,
        "quantity_out_of_range",
        (MAX_INTEGER - 1, 1),
    );
    client
        .update("item", 1, 1, "just-right")
        .applied(MAX_INTEGER, 2);
    client
        .update("item", 1, 2, "one-more")
        .refused(409, "quantity_out_of_range", (MAX_INTEGER, 2));
    client
        .update("item", -(MAX_INTEGER as i64), 2, "all")
        .applied(0, 3);
}

#[test]
fn an_update_of_an_unknown_product_is_404_and_shows_no_state() {
    let server = Server::start();
    let reply = server.client().update("nothing", -1, 1, "key").expect(404);
    let refusal = reply.json();
    assert_refused(&refusal, "product_not_found", None);
    assert_eq!(refusal["productId"], "nothing");
}

#[test]
fn a_stale_version_is_judged_before_the_quantity() {
    let (_server, mut client) = Server::with_item(10);
    client
        .update("item", -99, 7, "both-wrong")
        .refused(409, "version_conflict", (10, 1));
    client
        .update("item", MAX_INTEGER as i64, 7, "both-wrong")
        .refused(409, "version_conflict", (10, 1));
}

#[test]
fn any_version_applies_to_whatever_is_current() {
    let (_server, mut client) = Server::with_item(10);
    client.update("item", -1, 1, "first").applied(9, 2);
    client.update_any("item", -4, "hot").applied(5, 3);
    client
        .update_any("item", -6, "too-many")
        .refused(409, "insufficient_inventory", (5, 3));
    assert_refused(
        &client.update_any("nothing", -1, "key").expect(404).json(),
        "product_not_found",
        None,
    );
}

#[test]
fn exactly_one_of_version_and_any_version_is_required() {
    let (_server, mut client) = Server::with_item(10);
    let versioned = update("item", -1, 1, "key");
    for wrong in [
        with(&versioned, "anyVersion", true),
        without(&versioned, "version"),
        with(&without(&versioned, "version"), "anyVersion", false),
    ] {
        client.send_update(&wrong).problem(400, "validation_error");
    }
    assert_eq!(client.state("item"), (10, 1));
    client
        .send_update(&with(&versioned, "anyVersion", false))
        .applied(9, 2);
}

#[test]
fn each_required_member_is_required() {
    let (_server, mut client) = Server::with_item(10);
    for member in ["storeId", "productId", "delta", "idempotencyKey", "version"] {
        let reply = client.send_update(&without(&update("item", -1, 1, "key"), member));
        reply.problem(400, "validation_error");
        assert!(
            reply.text().contains(member),
            "the missing {member} is named: {:?}",
            reply.text()
        );
    }
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn broken_rules_are_reported_all_at_once_and_change_nothing() {
    let (_server, mut client) = Server::with_item(10);
    let body =
        json!({"storeId": "", "productId": "item", "delta": 0, "version": 1, "idempotencyKey": ""});
    assert_eq!(
        client.send_update(&body).faults(),
        ["delta", "idempotencyKey", "storeId"]
    );
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn ids_and_keys_are_as_long_as_the_contract_says_in_bytes() {
    let (server, mut client) = Server::with_item(1000);
    let long_id = "ü".repeat(64);
    client.create(&[(&long_id, 5)]);
    let fits = json!({"storeId": long_id, "productId": long_id, "delta": -1, "version": 1, "idempotencyKey": "k".repeat(255)});
    client.send_update(&fits).applied(4, 2);
    for (member, length) in [
        ("storeId", 129),
        ("productId", 129),
        ("idempotencyKey", 256),
    ] {
        let long = with(&update("item", -1, 1, "key"), member, "x".repeat(length));
        assert_eq!(client.send_update(&long).faults(), [member]);
    }
    let long = with(
        &update("item", -1, 1, "key"),
        "productId",
        format!("{long_id}x"),
    );
    assert_eq!(client.send_update(&long).faults(), ["productId"]);
    server.assert_working();
}

#[test]
fn ids_have_no_control_characters_and_product_ids_no_slash_and_no_reserved_word() {
    let (_server, mut client) = Server::with_item(10);
    let sound = update("item", -1, 1, "key");
    for control in ["\u{0}", "\u{1f}", "\u{7f}", "\n", "\t"] {
        for member in ["storeId", "productId"] {
            let wrong = with(&sound, member, format!("a{control}b"));
            assert_eq!(client.send_update(&wrong).faults(), [member], "{control:?}");
        }
    }
    for id in ["", "a/b", "/", "updates", "events", "snapshot"] {
        assert_eq!(
            client.send_update(&with(&sound, "productId", id)).faults(),
            ["productId"],
            "{id:?}"
        );
    }
}

#[test]
fn unknown_members_are_ignored() {
    let (_server, mut client) = Server::with_item(10);
    let body = with(
        &update("item", -1, 1, "key"),
        "comment",
        json!({"by": ["till", 4]}),
    );
    client.send_update(&body).applied(9, 2);
}

#[test]
fn an_escaped_id_is_the_same_id() {
    let (_server, mut client) = Server::with_item(10);
    let body = r#"{"storeId":"s","productId":"\u0069te\u006d","delta":-1,"version":1,"idempotencyKey":"k"}"#;
    let answer = client
        .send(&Request::new("POST", UPDATES).body(body))
        .applied(9, 2);
    assert_eq!(answer["productId"], "item");
}

#[test]
fn of_many_updates_for_one_version_exactly_one_is_applied() {
    let (server, mut client) = Server::with_item(100);
    let start = Barrier::new(16);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let stores: Vec<_> = (0..16)
            .map(|number| {
                let (mut client, start) = (server.client(), &start);
                scope.spawn(move || {
                    start.wait();
                    client
                        .update("item", -1, 1, &format!("store-{number}"))
                        .status
                })
            })
            .collect();
        stores
            .into_iter()
            .map(|store| store.join().expect("an answer"))
            .collect()
    });
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(409)), (1, 15));
    assert_eq!(client.state("item"), (99, 2));
}

#[test]
fn a_batch_is_answered_in_the_order_sent_with_a_summary() {
    let server = Server::start();
    answers_a_batch_in_order(&server);
}

/// A batch over many products, with every way for an item to fail, is answered in the order sent.
pub fn answers_a_batch_in_order(server: &Server) {
    let mut client = server.client();
    client.create(&[
        ("batch-a", 10),
        ("batch-b", 2),
        ("batch-c", MAX_INTEGER),
        ("batch-d", 5),
    ]);
    client.update("batch-d", -1, 1, "used").applied(4, 2);
    let answer = client.send_update(&batch(&[
        item("batch-a", -1, 1, "1"),
        item("batch-b", -3, 1, "2"),
        item("batch-none", -1, 1, "3"),
        item("batch-c", 1, 1, "4"),
        item("batch-a", -1, 1, "5"),
        item("batch-d", -2, 2, "used"),
        item("batch-b", 0, 1, "7"),
        item_any("batch-a", -4, "8"),
        item("batch-d", -1, 1, "used"),
    ]));
    let answer = answer.expect(200).json();
    assert_eq!(summary(&answer), [9, 3, 6]);
    let results = answer["results"].as_array().expect("a list of results");
    assert_eq!(results.len(), 9);
    assert_applied(&results[0], 9, 2);
    assert_refused(&results[1], "insufficient_inventory", Some((2, 1)));
    assert_refused(&results[2], "product_not_found", None);
    assert_refused(&results[3], "quantity_out_of_range", Some((MAX_INTEGER, 1)));
    assert_refused(&results[4], "version_conflict", Some((9, 2)));
    assert_refused(&results[5], "idempotency_key_reused", Some((4, 2)));
    assert_eq!(results[6]["errorType"], "invalid_request");
    assert_eq!(results[6]["applied"], false);
    assert_applied(&results[7], 5, 3);
    assert_applied(&results[8], 4, 2);
    assert_eq!(results[8]["replayed"], true);
    for (result, id) in results
        .iter()
        .zip(["a", "b", "none", "c", "a", "d", "b", "a", "d"])
    {
        assert_eq!(result["productId"], format!("batch-{id}"), "{result}");
    }
    assert_eq!(client.state("batch-a"), (5, 3));
    assert_eq!(client.state("batch-b"), (2, 1));
    assert_eq!(client.state("batch-d"), (4, 2));
}

#[test]
fn the_batch_of_the_brief_is_taken() {
    let server = Server::start();
    let mut client = server.client();
    let (first, second) = (client.state("PROD-001"), client.state("PROD-002"));
    let items = [
        item("PROD-001", -1, first.1, "batch-item-1"),
        item("PROD-002", -3, second.1, "batch-item-2"),
    ];
    let answer = client.send_update(&batch(&items)).expect(200).json();
    assert_applied(&answer["results"][0], first.0 - 1, first.1 + 1);
    assert_applied(&answer["results"][1], second.0 - 3, second.1 + 1);
    assert_eq!(summary(&answer), [2, 2, 0]);
}

#[test]
fn items_of_one_product_take_effect_in_the_order_sent() {
    let (_server, mut client) = Server::with_item(0);
    let items: Vec<Value> = (1..=100)
        .map(|version| item("item", version, version as u64, &unique("key")))
        .collect();
    let answer = client.send_update(&batch(&items)).expect(200).json();
    assert_eq!(summary(&answer), [100, 100, 0]);
    let mut quantity = 0;
    for (result, delta) in answer["results"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(1..)
    {
        quantity += delta;
        assert_applied(result, quantity, delta + 1);
    }
    let feed = client.feed(1);
    let deltas: Vec<i64> = feed
        .iter()
        .map(|event| event["delta"].as_i64().expect("an integer"))
        .collect();
    assert_eq!(deltas, (1..=100).collect::<Vec<i64>>());
}

#[test]
fn an_item_that_breaks_a_rule_is_refused_without_touching_the_others() {
    let (_server, mut client) = Server::with_item(100);
    let sound = item("item", -1, 1, "key");
    let broken = [
        with(&sound, "delta", 0),
        with(&sound, "productId", ""),
        with(&sound, "productId", "a/b"),
        with(&sound, "productId", "events"),
        with(&sound, "productId", "x".repeat(129)),
        with(&sound, "idempotencyKey", ""),
        with(&sound, "idempotencyKey", "x".repeat(256)),
        with(&sound, "anyVersion", true),
        without(&sound, "version"),
        without(&sound, "delta"),
        without(&sound, "idempotencyKey"),
    ];
    let mut items = vec![item_any("item", -1, "before")];
    items.extend(broken.iter().cloned());
    items.push(item_any("item", -1, "after"));
    let answer = client.send_update(&batch(&items)).expect(200).json();
    let results = answer["results"].as_array().expect("a list of results");
    assert_applied(&results[0], 99, 2);
    for result in &results[1..=broken.len()] {
        assert_eq!(result["applied"], false, "{result}");
        assert_eq!(result["errorType"], "invalid_request", "{result}");
        assert!(result["errorMessage"].is_string(), "{result}");
    }
    assert_applied(&results[broken.len() + 1], 98, 3);
    assert_eq!(summary(&answer), [broken.len() + 2, 2, broken.len()]);
}

#[test]
fn a_batch_of_failures_is_still_200() {
    let server = Server::start();
    let answer = server
        .client()
        .send_update(&batch(&[item("nothing", -1, 1, "key")]))
        .expect(200)
        .json();
    assert_refused(&answer["results"][0], "product_not_found", None);
    assert_eq!(summary(&answer), [1, 0, 1]);
}

#[test]
fn an_item_of_the_wrong_type_refuses_the_whole_body() {
    let (_server, mut client) = Server::with_item(10);
    let sound = item("item", -1, 1, "sound");
    for wrong in [
        json!("PROD-001"),
        json!(7),
        json!(null),
        json!([]),
        with(&sound, "delta", "1"),
        with(&sound, "delta", 1.5),
        with(&sound, "productId", 7),
        with(&sound, "idempotencyKey", json!([])),
        with(&sound, "version", "1"),
    ] {
        client
            .send_update(&batch(&[sound.clone(), wrong]))
            .problem(400, "validation_error");
        assert_eq!(
            client.state("item"),
            (10, 1),
            "nothing of a refused body takes effect"
        );
    }
}

#[test]
fn a_batch_has_1_to_1000_items_and_no_product_of_its_own() {
    let (_server, mut client) = Server::with_item(5000);
    refused_as_a_whole(&mut client, &batch(&[]));
    refused_as_a_whole(
        &mut client,
        &with(&batch(&[item("item", -1, 1, "key")]), "productId", "item"),
    );
    refused_as_a_whole(
        &mut client,
        &without(&batch(&[item("item", -1, 1, "key")]), "storeId"),
    );
    refused_as_a_whole(
        &mut client,
        &with(&batch(&[item("item", -1, 1, "key")]), "storeId", ""),
    );
    refused_as_a_whole(
        &mut client,
        &batch(&vec![item_any("item", -1, "key"); 1001]),
    );
    assert_eq!(client.state("item"), (5000, 1));
}

#[track_caller]
fn refused_as_a_whole(client: &mut Client, body: &Value) {
    client.send_update(body).problem(400, "validation_error");
}

#[test]
fn a_batch_of_1000_items_over_100_products_is_applied() {
    let server = Server::start();
    let mut client = server.client();
    let ids: Vec<String> = (1..=100)
        .map(|number| format!("PROD-{number:03}"))
        .collect();
    let items: Vec<Value> = (0..1000)
        .map(|number| item_any(&ids[number % 100], 1, &unique("key")))
        .collect();
    let answer = client.send_update(&batch(&items)).expect(200).json();
    assert_eq!(summary(&answer), [1000, 1000, 0]);
    let results = answer["results"].as_array().expect("a list of results");
    assert!(
        results
            .iter()
            .zip(ids.iter().cycle())
            .all(|(result, id)| result["productId"] == **id)
    );
    assert_eq!(client.raw_feed(0).len(), 1000);
}

#[test]
fn a_single_answer_has_none_of_a_batch_and_an_applied_item_no_error() {
    let (_server, mut client) = Server::with_item(10);
    let single = client
        .send_update(&update_any("item", -1, "single"))
        .applied(9, 2);
    assert_absent(&single, &["results", "summary", "replayed"]);
    let answer = client
        .send_update(&batch(&[item_any("item", -1, "item")]))
        .expect(200)
        .json();
    assert_applied(&answer["results"][0], 8, 3);
}
