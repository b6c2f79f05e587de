//! The feed: what an event says, how pages and long polls go, and when a reader has to start again.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, SET, update, with};
use crate::expect::{assert_absent, raw_events};
use crate::http::Request;
use crate::mirror::{assert_event, assert_feed, number};
use crate::server::{Builder, Server, unique};

#[test]
fn a_feed_starts_empty_at_offset_0() {
    let server = Server::start();
    let reply = server
        .client()
        .get("/v1/inventory/events?offset=0")
        .expect(200);
    let page = reply.json();
    assert_eq!(page["events"], json!([]));
    assert_eq!(page["nextOffset"], 0);
    assert_eq!(page["hasMore"], false);
    assert_eq!(page["count"], 0);
}

#[test]
fn each_change_is_an_event_with_the_product_after_it() {
    let (_server, mut client) = Server::with_item(10);
    let created = client.product("item");
    client
        .send_update(&with(&update("item", -2, 1, "key"), "storeId", "store-s7"))
        .applied(8, 2);
    let updated = client.product("item");
    client
        .put(
            SET,
            &json!({"products": [{"productId": "item", "name": "Renamed"}]}),
        )
        .expect(200);
    let modified = client.product("item");
    client.delete_product("item");

    let page = client.page("offset=0");
    let events = page["events"].as_array().expect("a list of events");
    assert_feed(events, 0);
    let kinds = [
        "product_created",
        "inventory_updated",
        "product_modified",
        "product_deleted",
    ];
    for ((event, kind), version) in events.iter().zip(kinds).zip(1_u64..) {
        assert_eq!(event["eventType"], kind);
        assert_eq!(event["productId"], "item");
        assert_eq!(event["version"], version);
    }
    assert_eq!(events[0]["data"], created);
    assert_eq!(events[1]["data"], updated);
    assert_eq!(events[2]["data"], modified);
    assert_eq!(events[1]["storeId"], "store-s7");
    assert_eq!(events[1]["delta"], -2);
    assert_absent(&events[1]["data"], &["storeId", "delta"]);

    let last = &events[3]["data"];
    assert_eq!(last["version"], 4, "the version of the deletion");
    assert_eq!(last["name"], "Renamed", "otherwise as it last was");
    assert_eq!(last["available"], 8);
    assert_eq!(last["price"], modified["price"]);
    assert_eq!(page["count"], 4);
    assert_eq!(page["nextOffset"], 4);
    assert_eq!(page["hasMore"], false);
}

#[test]
fn what_is_refused_or_repeated_is_no_event() {
    let (_server, mut client) = Server::with_item(10);
    client.update("item", -2, 1, "key").expect(200);
    client.update("item", -2, 1, "key").expect(200);
    client.update("item", -1, 1, "stale").expect(409);
    client.update("item", -99, 2, "too-many").expect(409);
    client.update("nothing", -1, 1, "unknown").expect(404);
    client
        .put(
            SET,
            &json!({"products": [{"productId": "nothing", "available": 1}]}),
        )
        .expect(200);
    assert_eq!(client.feed(0).len(), 2);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let (_server, mut client) = Server::with_item(0);
    client.change_often("item", 9);
    let shape = |client: &mut Client, query: &str| {
        let page = client.page(query);
        assert_feed(
            page["events"].as_array().expect("a list"),
            page["events"][0]["offset"].as_u64().unwrap_or_default(),
        );
        (
            number(&page, "count"),
            number(&page, "nextOffset"),
            page["hasMore"] == true,
        )
    };
    assert_eq!(shape(&mut client, "offset=0&limit=4"), (4, 4, true));
    assert_eq!(shape(&mut client, "offset=4&limit=4"), (4, 8, true));
    assert_eq!(shape(&mut client, "offset=8&limit=4"), (2, 10, false));
    assert_eq!(shape(&mut client, "offset=6&limit=4"), (4, 10, false));
    assert_eq!(shape(&mut client, "offset=10&limit=4"), (0, 10, false));
    assert_eq!(
        client.page("offset=7&limit=1")["events"][0]["offset"],
        7,
        "the offset is inclusive"
    );
}

#[test]
fn a_page_has_100_events_unless_told_otherwise() {
    let (_server, mut client) = Server::with_item(0);
    client.change_often("item", 1099);
    let shape = |page: serde_json::Value| (number(&page, "count"), page["hasMore"] == true);
    assert_eq!(shape(client.page("offset=0")), (100, true));
    assert_eq!(shape(client.page("offset=0&limit=1000")), (1000, true));
    assert_eq!(shape(client.page("offset=1000&limit=1000")), (100, false));
    assert_eq!(shape(client.page("offset=0&limit=1")), (1, true));
    assert_feed(&client.feed(0), 0);
}

#[test]
fn an_event_reads_the_same_in_every_page_and_after_a_restart() {
    let (server, mut client) = Server::with_item(0);
    client.change_often("item", 20);
    let whole = client.raw_feed(0);
    for offset in [0, 3, 20] {
        let reply = client
            .get(&format!("/v1/inventory/events?offset={offset}&limit=5"))
            .expect(200);
        let found = raw_events(&reply);
        assert_eq!(found, whole[offset..(offset + 5).min(21)]);
    }
    let server = server.stop().start();
    assert_eq!(server.client().raw_feed(0), whole);
}

#[test]
fn a_query_that_cannot_be_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    client
        .get("/v1/inventory/events")
        .problem(400, "validation_error");
    client
        .get("/v1/inventory/events?limit=5")
        .problem(400, "validation_error");
    for query in [
        "offset=",
        "offset=-1",
        "offset=x",
        "offset=0.5",
        "offset=9007199254740992",
        "offset=99999999999999999999999",
    ] {
        client
            .get(&format!("/v1/inventory/events?{query}"))
            .problem(400, "validation_error");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "wait=-1",
        "wait=61",
        "wait=x",
        "wait=0.5",
    ] {
        client
            .get(&format!("/v1/inventory/events?offset=0&{query}"))
            .problem(400, "validation_error");
    }
    client.page("offset=0&limit=1000&wait=0");
}

#[test]
fn a_poll_that_finds_events_does_not_wait() {
    let (_server, mut client) = Server::with_item(10);
    let start = Instant::now();
    assert_eq!(client.page("offset=0&wait=60")["count"], 1);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it waited {:?}",
        start.elapsed()
    );
}

#[test]
fn a_poll_that_ends_by_time_is_an_empty_page() {
    let (_server, mut client) = Server::with_item(10);
    let start = Instant::now();
    let page = client.page("offset=1&wait=1");
    let waited = start.elapsed();
    assert_eq!(page["events"], json!([]));
    assert_eq!(page["nextOffset"], 1);
    assert_eq!(page["hasMore"], false);
    assert_eq!(page["count"], 0);
    assert!(
        waited > Duration::from_millis(900) && waited < Duration::from_secs(20),
        "it waited {waited:?}"
    );
}

#[test]
fn a_poll_without_wait_is_answered_at_once() {
    let (_server, mut client) = Server::with_item(10);
    let start = Instant::now();
    assert_eq!(client.page("offset=1")["events"], json!([]));
    assert_eq!(client.page("offset=1&wait=0")["events"], json!([]));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_waiting_poll_is_woken_within_50_ms_of_the_answer_to_the_update() {
    wakes_a_waiting_poll(&Server::start());
}

/// A poll waits; an update arrives; the poll has it. Every try is correct, and at least one in five is quick, also
/// on a busy machine.
pub fn wakes_a_waiting_poll(server: &Server) {
    let mut store = server.client();
    let mut other = server.client();
    store.create(&[("polled", 100)]);
    let mut delays = Vec::new();
    for version in 1..=5 {
        let offset = store.feed_end();
        let poll = Request::new(
            "GET",
            &format!("/v1/inventory/events?offset={offset}&wait=60"),
        );
        other.begin(&poll).expect("a poll can be sent");
        assert!(
            other.silent_for(Duration::from_millis(60)),
            "the poll waits while nothing happens"
        );
        store
            .update("polled", -1, version, &unique("wake"))
            .applied(100 - version, version + 1);
        let answered = Instant::now();
        let page = other
            .finish()
            .expect("the poll is answered")
            .expect(200)
            .json();
        delays.push(answered.elapsed());
        assert_eq!(page["count"], 1, "{page}");
        assert_event(&page["events"][0]);
        assert_eq!(page["events"][0]["offset"], offset);
        assert_eq!(page["events"][0]["version"], version + 1);
        assert_eq!(page["nextOffset"], offset + 1);
        assert_eq!(page["hasMore"], false);
    }
    assert!(
        delays
            .iter()
            .any(|delay| *delay < Duration::from_millis(50)),
        "{delays:?}"
    );
}

#[test]
fn all_who_wait_at_one_offset_get_the_same_bytes() {
    let (server, mut client) = Server::with_item(10);
    let poll = Request::new("GET", "/v1/inventory/events?offset=1&wait=60");
    let mut waiting: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for waiter in &mut waiting {
        waiter.begin(&poll).expect("a poll can be sent");
    }
    assert!(
        waiting[99].silent_for(Duration::from_millis(100)),
        "the last poll waits"
    );
    client.update("item", -1, 1, "key").expect(200);
    let mut bodies: Vec<String> = Vec::new();
    for waiter in &mut waiting {
        bodies.push(
            waiter
                .finish()
                .expect("the poll is answered")
                .expect(200)
                .text(),
        );
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let page = client.get("/v1/inventory/events?offset=1").expect(200);
    assert_eq!(page.text(), bodies[0], "and so does who comes later");
}

#[test]
fn a_waiter_that_leaves_disturbs_nobody() {
    let (server, mut client) = Server::with_item(100);
    for version in 1..20 {
        let mut leaving = server.client();
        leaving
            .begin(&Request::new(
                "GET",
                &format!("/v1/inventory/events?offset={version}&wait=60"),
            ))
            .expect("sent");
        drop(leaving);
        client
            .update("item", -1, version, &unique("key"))
            .expect(200);
    }
    assert_feed(&client.feed(0), 0);
    server.assert_working();
}

#[test]
fn an_offset_beyond_the_end_is_gone_and_the_end_is_told() {
    let (_server, mut client) = Server::with_item(10);
    for query in ["offset=2", "offset=2&wait=60", "offset=9007199254740991"] {
        let problem = client
            .get(&format!("/v1/inventory/events?{query}"))
            .problem(410, "offset_beyond_end");
        assert_eq!(problem["nextOffset"], 1);
    }
    assert_eq!(
        client.page("offset=1")["count"],
        0,
        "the end itself can be waited at"
    );
}

#[test]
fn without_a_journal_only_what_is_in_memory_can_be_read() {
    let server = Builder::new()
        .env("ENABLE_JSON_PERSISTENCE", "false")
        .env("MAX_EVENTS_IN_QUEUE", 100)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    client.change_often("item", 499);
    let problem = client
        .get("/v1/inventory/events?offset=0&wait=60")
        .problem(410, "offset_expired");
    assert_eq!(number(&problem, "nextOffset"), 500);
    let oldest = number(&problem, "oldestOffset");
    assert_eq!(oldest, 400, "exactly 100 events are readable");
    let feed = client.feed(oldest);
    assert_feed(&feed, oldest);
    assert_eq!(feed.len(), 100);
    let before = client.get("/v1/inventory/events?offset=399");
    let problem = before.problem(410, "offset_expired");
    assert_eq!(problem["oldestOffset"], oldest);
}

#[test]
fn a_reader_that_is_as_slow_as_it_likes_misses_nothing_in_silence() {
    let server = Builder::new()
        .env("ENABLE_JSON_PERSISTENCE", "false")
        .env("MAX_EVENTS_IN_QUEUE", 100)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    thread::scope(|scope| {
        let mut writer = server.client();
        let changes = scope.spawn(move || (0..30).for_each(|_| writer.change_often("item", 50)));
        let mut offset = 0;
        while !changes.is_finished() {
            let reply = client.get(&format!("/v1/inventory/events?offset={offset}&limit=7"));
            if reply.status == 410 {
                offset = number(&reply.problem(410, "offset_expired"), "oldestOffset");
                continue;
            }
            let page = reply.expect(200).json();
            assert_feed(page["events"].as_array().expect("a list"), offset);
            offset = number(&page, "nextOffset");
        }
        changes.join().expect("the changes are made");
    });
    assert_eq!(client.feed_end(), 1501);
}
