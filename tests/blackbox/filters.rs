//! The feed by product and by type: who is woken, what is left out, and that `nextOffset` moves on all the same.

use std::time::Duration;

use serde_json::Value;

use crate::client::{Client, percent_encode};
use crate::http::Request;
use crate::mirror::number;
use crate::server::{Builder, Server};

/// Offsets on the page that `query` leads to, and where it says to go on.
fn offsets(client: &mut Client, query: &str) -> (Vec<u64>, u64) {
    let page = client.page(query);
    let events = page["events"].as_array().expect("a list");
    let offsets = events.iter().map(|event| number(event, "offset"));
    (offsets.collect(), number(&page, "nextOffset"))
}

/// `a` and `b` are created, changed in turns twice, and `a` is deleted: offsets 0 to 6.
fn two_products() -> (Server, Client) {
    let server = Server::start();
    let mut client = server.client();
    // One after the other: products of one request may be of different shards, and come in any order.
    client.create(&[("a", 10)]);
    client.create(&[("b", 10)]);
    for version in 1..=2 {
        for product in ["a", "b"] {
            let key = format!("{product}-{version}");
            client.update(product, -1, version, &key).expect(200);
        }
    }
    client.delete_product("a");
    (server, client)
}

#[test]
fn a_page_has_what_was_asked_for_and_leads_past_the_rest() {
    let (_server, mut client) = two_products();
    for (query, expected, next) in [
        ("offset=0&productId=a", vec![0, 2, 4, 6], 7),
        ("offset=0&productId=b", vec![1, 3, 5], 7),
        ("offset=1&productId=b&limit=1", vec![1], 2),
        ("offset=2&productId=b&limit=1", vec![3], 4),
        (
            "offset=0&productId=b&productId=a",
            vec![0, 1, 2, 3, 4, 5, 6],
            7,
        ),
        ("offset=0&productId=nothing", vec![], 7),
        ("offset=7&productId=a", vec![], 7),
        ("offset=0&eventType=product_created", vec![0, 1], 7),
        (
            "offset=0&eventType=product_created&eventType=product_deleted",
            vec![0, 1, 6],
            7,
        ),
        (
            "offset=0&eventType=inventory_updated&productId=b",
            vec![3, 5],
            7,
        ),
        ("offset=0&eventType=product_modified", vec![], 7),
    ] {
        assert_eq!(offsets(&mut client, query), (expected, next), "{query}");
    }
    let page = client.page("offset=0&productId=b&limit=2");
    assert_eq!(page["hasMore"], true, "the feed has more, whatever it is");
}

#[test]
fn ids_of_any_kind_can_be_filtered_by() {
    let server = Server::start();
    let mut client = server.client();
    let ids = [
        "a\"b",
        "back\\slash",
        "ä ö",
        "x&y=z",
        ",\"productId\":\"a\"",
    ];
    for id in ids {
        client.create(&[(id, 1)]);
    }
    for (offset, id) in (0..).zip(ids) {
        let query = format!("offset=0&productId={}", percent_encode(id));
        assert_eq!(offsets(&mut client, &query), (vec![offset], 5), "{id}");
    }
}

#[test]
fn a_wait_is_ended_by_what_was_asked_for_and_by_nothing_else() {
    let (server, mut store) = two_products();
    let mut waiting = server.client();
    waiting
        .begin(&Request::new(
            "GET",
            "/v1/inventory/events?offset=7&wait=60&productId=b&eventType=inventory_updated",
        ))
        .expect("sent");
    store.create(&[("c", 1), ("a", 1)]);
    store.update("c", -1, 1, "other product").expect(200);
    assert!(waiting.silent_for(Duration::from_millis(200)));
    store.update("b", -1, 3, "this one").expect(200);
    let page = waiting.finish().expect("an answer").expect(200).json();
    assert_eq!(page["count"], 1, "{page}");
    assert_eq!(page["events"][0]["offset"], 10);
    assert_eq!(page["nextOffset"], 11);
}

#[test]
fn a_wait_that_ends_by_time_leads_past_what_came_meanwhile() {
    let (server, mut store) = two_products();
    let mut waiting = server.client();
    let poll = Request::new(
        "GET",
        "/v1/inventory/events?offset=7&wait=2&productId=nothing",
    );
    waiting.begin(&poll).expect("sent");
    assert!(waiting.silent_for(Duration::from_millis(100)));
    store.change_often("b", 5);
    let page = waiting.finish().expect("an answer").expect(200).json();
    assert_eq!(page["events"], Value::Array(Vec::new()));
    assert_eq!(page["nextOffset"], 12, "{page}");
}

#[test]
fn what_is_no_longer_in_memory_is_filtered_too() {
    let server = Builder::new().env("MAX_EVENTS_IN_QUEUE", 100).start();
    let mut client = server.client();
    client.create(&[("rare", 10)]);
    client.create(&[("often", 0)]);
    client.change_often("often", 6000);
    client.update("rare", -1, 1, "old").expect(200);
    client.change_often("often", 1000);
    client.update("rare", -1, 2, "new").expect(200);
    let mut seen = Vec::new();
    let mut offset = 0;
    while offset < 7004 {
        let (found, next) = offsets(&mut client, &format!("offset={offset}&productId=rare"));
        assert!(next > offset);
        seen.extend(found);
        offset = next;
    }
    assert_eq!(seen, [0, 6002, 7003]);
    let waiting = client.page("offset=1&productId=rare&wait=60");
    assert_eq!(
        waiting["events"][0]["offset"], 6002,
        "and waiting does not stop at what was left out"
    );
}

#[test]
fn a_filter_that_cannot_be_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    for filter in [
        "productId=",
        "productId=a%2Fb",
        "productId=events",
        "productId=a&productId=%00",
        "eventType=",
        "eventType=unknown",
        "eventType=inventory_updated&eventType=Inventory_Updated",
    ] {
        let target = format!("/v1/inventory/events?offset=0&{filter}");
        let problem = client.get(&target).problem(400, "validation_error");
        let field = filter.split('=').next();
        assert_eq!(problem["details"][0]["field"].as_str(), field, "{problem}");
    }
    let many = |count| {
        let named: Vec<String> = (0..count).map(|n| format!("productId=p{n}")).collect();
        format!("/v1/inventory/events?offset=0&{}", named.join("&"))
    };
    client.get(&many(64)).expect(200);
    client.get(&many(65)).problem(400, "validation_error");
}
