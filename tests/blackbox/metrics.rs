//! The metrics port and the health of the parts: what is told is what happened.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{
    CREATE, Client, DELETE, SET, UPDATES, batch, item_any, product, update, update_any, with,
};
use crate::http::{Connection, Reply, Request};
use crate::server::{Builder, Server, eventually};

/// Every sample of a page, by name and labels as they are written.
pub struct Page(pub BTreeMap<String, f64>);

impl Page {
    fn read(text: &str) -> Page {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Page(samples.collect())
    }

    pub fn of(server: &Server) -> Page {
        Page::read(&scrape(server, &[]).text())
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no sample {name}"))
    }

    /// The sum over all label sets that hold `label`.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let begin = format!("{name}{{");
        let alike = self.0.iter();
        let alike = alike.filter(|(key, _)| key.starts_with(&begin) && key.contains(label));
        alike.map(|(_, value)| value).sum()
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            assert_eq!(*value, self.get(name), "{name}");
        }
    }
}

/// One sample of the page as it is now.
#[track_caller]
pub fn sample(server: &Server, name: &str) -> f64 {
    Page::of(server).get(name)
}

fn ask(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
    let mut connection =
        Connection::open(server.metrics_address()).expect("the metrics port accepts");
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write(head + "\r\n").expect("the port reads");
    connection.read_reply(method).expect("an answer")
}

fn scrape(server: &Server, headers: &[(&str, &str)]) -> Reply {
    let reply = ask(server, "GET", "/metrics", headers);
    assert_eq!(200, reply.status, "{reply:?}");
    reply
}

/// Levels are told at every heartbeat.
#[track_caller]
pub fn eventually_told(server: &Server, name: &str, value: f64) {
    eventually(name, || {
        (Page::of(server).0.get(name) == Some(&value)).then_some(())
    });
}

fn send(client: &mut Client, body: &Value, status: u16) {
    client
        .send(&Request::new("POST", UPDATES).json(body))
        .expect(status);
}

#[test]
fn what_happened_is_what_is_counted() {
    let server = Builder::new()
        .acceptors(2)
        .env("INVENTORY_WORKER_COUNT", 2)
        .start();
    let mut client = server.client();
    client
        .post(
            CREATE,
            &json!({"products": [product("a", 10), product("b", 10)]}),
        )
        .expect(200);
    client
        .put(
            SET,
            &json!({"products": [{"productId": "b", "available": 20}]}),
        )
        .expect(200);
    for key in ["1", "2", "3"] {
        send(&mut client, &update_any("a", -1, key), 200);
    }
    send(&mut client, &update_any("a", -1, "3"), 200);
    send(&mut client, &update_any("a", -2, "3"), 422);
    send(&mut client, &update("a", -1, 1, "4"), 409);
    send(&mut client, &update_any("a", -100, "5"), 409);
    send(&mut client, &update_any("none", -1, "6"), 404);
    send(
        &mut client,
        &with(&update_any("b", 1, "7"), "storeId", "store-s2"),
        200,
    );
    send(
        &mut client,
        &batch(&[
            item_any("a", -1, "8"),
            item_any("a", -1, "3"),
            item_any("b", -1, "9"),
        ]),
        200,
    );
    send(&mut client, &json!({}), 400);
    client.get("/v1/inventory/a").expect(200);
    client.get("/nowhere").expect(404);
    client
        .get("/v1/inventory/events?offset=0&limit=2")
        .expect(200);
    client.get("/v1/inventory/events?offset=999").expect(410);
    client
        .delete(DELETE, &json!({"productIds": ["b", "none"]}))
        .expect(200);
    drop(client);

    // 3 creations and settings, 3 + 1 + 2 updates, 1 deletion.
    eventually_told(&server, "inventory_sequencer_next_offset", 10.0);
    eventually_told(&server, "inventory_connections", 0.0);
    let page = Page::of(&server);
    page.check(&[
        (r#"inventory_updates_processed_total{store="store-s1"}"#, 5.0),
        (r#"inventory_updates_processed_total{store="store-s2"}"#, 1.0),
        (r#"inventory_updates_processed_total{store="other"}"#, 0.0),
        ("inventory_version_conflicts_total", 1.0),
        ("inventory_cache_hits_total", 3.0),
        ("inventory_events_published_total", 10.0),
        ("inventory_journal_durable_offset", 10.0),
        ("inventory_journal_durable_lag_events", 0.0),
        ("inventory_feed_end_offset", 10.0),
        ("inventory_events_queue_size", 10.0),
        ("inventory_feed_events_delivered_total", 2.0),
        (r#"inventory_feed_polls_total{outcome="events"}"#, 1.0),
        (r#"inventory_feed_polls_total{outcome="offset_beyond_end"}"#, 1.0),
        (r#"inventory_api_requests_total{endpoint="/v1/inventory/updates",method="POST",status="200"}"#, 6.0),
        (r#"inventory_api_requests_total{endpoint="/v1/inventory/updates",method="POST",status="409"}"#, 2.0),
        (r#"inventory_api_requests_total{endpoint="other",method="GET",status="404"}"#, 1.0),
        (r#"inventory_api_errors_total{endpoint="/v1/inventory/updates",status="409"}"#, 2.0),
        (r#"inventory_api_errors_total{endpoint="/v1/inventory/events",status="410"}"#, 1.0),
        (r#"inventory_api_problems_total{code="validation_error"}"#, 1.0),
        (r#"inventory_api_problems_total{code="offset_beyond_end"}"#, 1.0),
        (r#"inventory_api_requests_by_client_ip_type{client_ip_type="external"}"#, 0.0),
        (r#"inventory_worker_active_count"#, 2.0),
        ("inventory_journal_segments", 1.0),
        ("inventory_journal_failed", 0.0),
        ("inventory_ready", 1.0),
    ]);
    let decided = |decision: &str, count: f64| {
        let label = format!(r#"decision="{decision}""#);
        assert_eq!(
            count,
            page.sum("inventory_shard_decisions_total", &label),
            "{decision}"
        );
    };
    decided("applied", 6.0);
    decided("replayed", 2.0);
    decided("version_conflict", 1.0);
    decided("insufficient_inventory", 1.0);
    decided("idempotency_key_reused", 1.0);
    decided("product_not_found", 1.0);
    decided("created", 2.0);
    decided("modified", 1.0);
    decided("deleted", 1.0);
    decided("admin_refused", 1.0);
    let requests = page.sum("inventory_api_requests_total", "");
    for counted in [
        r#"inventory_api_requests_by_client_ip_type{client_ip_type="localhost"}"#,
        r#"inventory_api_response_time_by_client_type_count{client_ip_type="localhost"}"#,
        "inventory_api_response_size_bytes_count",
    ] {
        assert_eq!(requests, page.get(counted), "{counted}");
    }
    assert_eq!(
        requests,
        page.sum("inventory_api_request_duration_seconds_count", "")
    );
    assert!(page.get("inventory_journal_bytes_total") >= 4096.0);
    assert!(page.get("inventory_commit_group_events_sum") == 10.0);
    assert!(page.get("inventory_journal_sync_duration_seconds_count") >= 1.0);
    assert_eq!(0.0, page.sum("inventory_lane_depth", ""));
    assert_eq!(0.0, page.sum("inventory_api_requests_in_flight", ""));
    assert!(page.sum("inventory_executor_cpu_seconds_total", "") > 0.0);
}

#[test]
fn stores_beyond_the_bound_are_counted_together() {
    let server = Builder::new().env("METRICS_MAX_STORES", 2).start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    for n in 0..5 {
        let body = with(
            &update_any("item", 1, &n.to_string()),
            "storeId",
            format!("store-{n}"),
        );
        send(&mut client, &body, 200);
    }
    let page = Page::of(&server);
    page.check(&[
        (r#"inventory_updates_processed_total{store="store-0"}"#, 1.0),
        (r#"inventory_updates_processed_total{store="store-1"}"#, 1.0),
        (r#"inventory_updates_processed_total{store="other"}"#, 3.0),
    ]);
    assert_eq!(5.0, page.sum("inventory_updates_processed_total", ""));
}

#[test]
fn a_waiting_poll_is_seen_and_the_lag_of_its_answer_too() {
    let (server, mut client) = Server::with_item(10);
    let mut store = server.client();
    let poll = Request::new("GET", "/v1/inventory/events?offset=1&wait=60");
    store.begin(&poll).expect("the server reads");
    eventually_told(&server, "inventory_feed_waiters", 1.0);
    assert_eq!(
        1.0,
        Page::of(&server).sum("inventory_api_requests_in_flight", "")
    );
    send(&mut client, &update_any("item", -1, "key"), 200);
    store.finish().expect("an answer").expect(200);
    eventually_told(&server, "inventory_feed_waiters", 0.0);
    Page::of(&server).check(&[("inventory_feed_delivery_lag_seconds_count", 1.0)]);
}

#[test]
fn a_poll_whose_client_went_away_is_no_longer_in_flight() {
    let (server, _) = Server::with_item(10);
    let mut store = server.client();
    store
        .begin(&Request::new(
            "GET",
            "/v1/inventory/events?offset=1&wait=60",
        ))
        .expect("the server reads");
    eventually_told(&server, "inventory_feed_waiters", 1.0);
    drop(store);
    eventually_told(
        &server,
        r#"inventory_feed_polls_total{outcome="forgotten"}"#,
        1.0,
    );
    eventually("none is in flight", || {
        (Page::of(&server).sum("inventory_api_requests_in_flight", "") == 0.0).then_some(())
    });
}

#[test]
fn refusals_of_the_rate_limits_are_counted_by_the_network_of_the_client() {
    let server = Builder::new()
        .env("RATE_LIMIT_ENABLED", "true")
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", 1)
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let mut client = server.client();
    for (client_address, refused) in [("10.0.0.1", 2), ("203.0.113.7", 1), ("127.0.0.1", 0)] {
        for n in 0..=refused {
            let request = Request::new("GET", "/v1/inventory/PROD-001")
                .header("X-Forwarded-For", client_address);
            client.send(&request).expect(if n == 0 { 200 } else { 429 });
        }
    }
    let page = Page::of(&server);
    for (kind, count) in [("internal", 2.0), ("external", 1.0), ("localhost", 0.0)] {
        let label = format!(r#"client_ip_type="{kind}""#);
        assert_eq!(
            count,
            page.sum("inventory_rate_limit_violations_total", &label),
            "{kind}"
        );
        // What waited for the server to be ready came from localhost too.
        let asked = page.sum("inventory_api_requests_by_client_ip_type", &label);
        assert!(
            asked == count + 1.0 || kind == "localhost",
            "{kind}: {asked}"
        );
    }
    page.check(&[(r#"inventory_api_problems_total{code="rate_limited"}"#, 3.0)]);
}

#[test]
fn no_address_product_or_key_becomes_a_label() {
    let server = Builder::new().env("TRUSTED_PROXIES", "127.0.0.1").start();
    let mut client = server.client();
    client.create(&[("secret-item", 10)]);
    let update = Request::new("POST", UPDATES)
        .json(&update_any("secret-item", -1, "secret-key"))
        .header("X-Forwarded-For", "203.0.113.9");
    client.send(&update).expect(200);
    client
        .get("/v1/inventory/secret-item?secret=query")
        .expect(200);
    client.get("/secret/path").expect(404);
    client
        .send(&Request::new("BREW", "/v1/inventory/secret-item"))
        .expect(405);
    let text = scrape(&server, &[]).text();
    for secret in ["secret", "203.0.113", "demo", "BREW"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let server = Server::start();
    let check = |accept: &[(&str, &str)], content_type: &str, ends_with_mark: bool| {
        let reply = scrape(&server, accept);
        let found = reply.header("content-type").unwrap_or_default();
        assert!(found.starts_with(content_type), "{accept:?}: {found}");
        assert_eq!(
            ends_with_mark,
            reply.text().ends_with("# EOF\n"),
            "{accept:?}"
        );
    };
    check(&[], "text/plain; version=0.0.4", false);
    check(&[("Accept", "*/*")], "text/plain; version=0.0.4", false);
    check(
        &[("Accept", "text/html")],
        "text/plain; version=0.0.4",
        false,
    );
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    check(
        &[("Accept", prometheus)],
        "application/openmetrics-text; version=1.0.0",
        true,
    );
}

#[test]
fn the_metrics_port_has_nothing_else() {
    let server = Server::start();
    assert_eq!(404, ask(&server, "GET", "/", &[]).status);
    assert_eq!(404, ask(&server, "GET", "/health", &[]).status);
    let refused = ask(&server, "POST", "/metrics", &[]);
    assert_eq!(
        (405, Some("GET, HEAD")),
        (refused.status, refused.header("allow"))
    );
    let head = ask(&server, "HEAD", "/metrics", &[]);
    assert_eq!((200, 0), (head.status, head.bytes.len()));
}

#[test]
fn more_scrapers_than_there_is_room_for_are_turned_away_and_nothing_else_suffers() {
    let (server, mut client) = Server::with_item(1);
    let open = || Connection::open(server.metrics_address()).expect("the kernel accepts");
    let held: Vec<Connection> = (0..80).map(|_| open()).collect();
    client.get("/v1/inventory/item").expect(200);
    drop(held);
    eventually("there is room again", || {
        let mut connection = Connection::open(server.metrics_address()).ok()?;
        connection
            .write("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            .ok()?;
        (connection.read_reply("GET").ok()?.status == 200).then_some(())
    });
}

#[test]
fn a_metrics_port_that_is_taken_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port();
    let said = Builder::new().env("METRICS_PORT", port).run(&[]).refused();
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{said}"
    );
}

// Health

#[test]
fn health_tells_of_every_part() {
    let server = Builder::new().env("INVENTORY_WORKER_COUNT", 3).start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    send(&mut client, &update_any("item", -1, "key"), 200);
    let health = eventually("the levels are told", || {
        let health = client.get("/health").expect(200).json();
        (health["components"]["journal"]["lastDurableOffset"] == 1).then_some(health)
    });
    assert_eq!("healthy", health["status"]);
    let parts = &health["components"];
    for part in ["shards", "sequencer", "journal", "memory"] {
        assert_eq!("healthy", parts[part]["status"], "{part}: {health}");
    }
    for (member, count) in [("count", 3), ("active", 3), ("products", 101)] {
        assert_eq!(count, parts["shards"][member], "{member}");
    }
    assert_eq!(2, parts["sequencer"]["nextOffset"]);
    assert_eq!(
        (json!(true), json!(0)),
        (
            parts["journal"]["durable"].clone(),
            parts["journal"]["lagEvents"].clone()
        )
    );
    assert_eq!(1, parts["memory"]["idempotencyEntries"]);
    assert_eq!(2, parts["memory"]["events"]);
    assert_eq!(
        health["components"]["shards"],
        client.get("/health/ready").expect(200).json()["components"]["shards"]
    );
    assert_eq!(
        Value::Null,
        client.get("/health/live").expect(200).json()["components"]
    );
}

#[test]
fn health_says_when_nothing_is_durable() {
    let server = Builder::new()
        .env("ENABLE_JSON_PERSISTENCE", "false")
        .start();
    let health = server.client().get("/health").expect(200).json();
    assert_eq!(false, health["components"]["journal"]["durable"]);
    assert_eq!(
        Value::Null,
        health["components"]["journal"]["lastDurableOffset"]
    );
}

#[test]
fn a_full_idempotency_memory_degrades_health() {
    let server = Builder::new()
        .env("INVENTORY_WORKER_COUNT", 1)
        .env("IDEMPOTENCY_CACHE_MAX_ENTRIES", 1024)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let items: Vec<Value> = (0..1000)
        .map(|n| item_any("item", 1, &format!("a{n}")))
        .collect();
    send(&mut client, &batch(&items), 200);
    let items: Vec<Value> = (0..24)
        .map(|n| item_any("item", 1, &format!("b{n}")))
        .collect();
    send(&mut client, &batch(&items), 200);
    send(&mut client, &update_any("item", 1, "one more"), 503);
    let memory = eventually("it is noticed", || {
        let health = client.get("/health").expect(200).json();
        let memory = health["components"]["memory"].clone();
        (memory["status"] == "degraded").then_some(memory)
    });
    assert_eq!(memory["idempotencyCapacity"], memory["idempotencyEntries"]);
}
