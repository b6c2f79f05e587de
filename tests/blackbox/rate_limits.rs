//! Rate limits: who is let through, what the headers say, and what the status shows.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::{CREATE, Client, UPDATES, update_any};
use crate::expect::{assert_absent, assert_time};
use crate::http::{Reply, Request};
use crate::server::{Builder, Server, eventually};

const STATUS: &str = "/v1/admin/rate-limit/status";
const LIST: &str = "/v1/inventory";
/// Connections of one client, each with a thread; the kernel spreads them over the acceptors.
const CONNECTIONS: usize = 10;

fn limited(kind: &str, requests_per_minute: u32) -> Builder {
    Builder::new()
        .acceptors(2)
        .env("RATE_LIMIT_ENABLED", "true")
        .env("RATE_LIMIT_TYPE", kind)
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", requests_per_minute)
}

fn source(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 7, last)
}

/// So many requests of each client, all at once over many connections; returns how many of each were let through.
#[track_caller]
fn passed(server: &Server, clients: u8, requests: usize) -> Vec<usize> {
    let one_connection = |client: u8| {
        let mut client = server.client().from(source(client));
        let each = requests / CONNECTIONS;
        let passes = |reply: &Reply| {
            if reply.status != 200 {
                reply.problem(429, "rate_limited");
            }
            reply.status == 200
        };
        (0..each).map(|_| client.get(LIST)).filter(passes).count()
    };
    let one_connection = &one_connection;
    thread::scope(|scope| {
        let started: Vec<Vec<_>> = (1..=clients)
            .map(|client| {
                let connections = 0..CONNECTIONS;
                connections
                    .map(|_| scope.spawn(move || one_connection(client)))
                    .collect()
            })
            .collect();
        let count = |threads: Vec<thread::ScopedJoinHandle<'_, usize>>| {
            let counts = threads.into_iter().map(|thread| thread.join().unwrap());
            counts.sum()
        };
        started.into_iter().map(count).collect()
    })
}

fn number(reply: &Reply, header: &str) -> u64 {
    let text = reply.header(header);
    let number = text.and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{header}: {text:?} in {reply:?}"))
}

/// What is left of the tightest budget after this answer.
#[track_caller]
fn remaining(reply: &Reply) -> u64 {
    number(reply, "x-ratelimit-remaining")
}

#[track_caller]
fn assert_unlimited(reply: &Reply) {
    for header in ["x-ratelimit-limit", "ratelimit", "ratelimit-policy"] {
        assert_eq!(reply.header(header), None, "{reply:?}");
    }
}

fn status(server: &Server) -> Value {
    server.client().get(STATUS).expect(200).json()
}

fn client_of(status: &Value, address: &str) -> Value {
    let clients = status["currentClients"].as_array().expect("a list");
    let found = clients.iter().find(|client| client["clientId"] == address);
    found
        .unwrap_or_else(|| panic!("no {address} in {status}"))
        .clone()
}

// Who is let through

#[test]
fn a_client_gets_exactly_its_budget_over_two_acceptors() {
    let server = limited("ip", 100).start();
    assert_eq!(passed(&server, 1, 1_000), [100]);
}

#[test]
fn by_address_each_client_gets_its_own_budget() {
    let server = limited("ip", 100).start();
    assert_eq!(passed(&server, 4, 250), [100; 4]);
}

#[test]
fn four_clients_share_a_global_budget_exactly() {
    let server = limited("global", 100).start();
    let passed = passed(&server, 4, 250);
    assert_eq!(passed.iter().sum::<usize>(), 100, "{passed:?}");
}

#[test]
fn with_both_whichever_is_spent_first_refuses() {
    let server = limited("both", 100)
        .env("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", 150)
        .start();
    assert_eq!(passed(&server, 1, 500), [100], "its own is spent first");
    let mut other = server.client().from(source(2));
    let reply = other.get(LIST).expect(200);
    assert_eq!(
        number(&reply, "x-ratelimit-limit"),
        150,
        "less is left of the one for all"
    );
    assert_eq!(remaining(&reply), 49);
    let passed = passed(&server, 4, 250);
    assert_eq!(passed.iter().sum::<usize>(), 49, "{passed:?}");
    assert_eq!(passed[0], 0, "{passed:?}");
    let refused = other.get(LIST);
    let problem = refused.problem(429, "rate_limited");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("all clients together"),
        "{problem}"
    );
    assert_eq!(
        refused.list("ratelimit-policy"),
        ["\"client\";q=100;w=60", "\"global\";q=150;w=60"]
    );
    let standings = refused.list("ratelimit");
    assert!(standings[0].starts_with("\"client\";r="), "{standings:?}");
    assert!(
        standings[1].starts_with("\"global\";r=0;t="),
        "{standings:?}"
    );
}

#[test]
fn administration_has_a_budget_of_its_own() {
    let server = limited("ip", 5)
        .env("RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE", 3)
        .start();
    let mut client = server.client();
    for left in (0..5).rev() {
        assert_eq!(remaining(&client.get(LIST).expect(200)), left);
    }
    client.get(LIST).problem(429, "rate_limited");
    for left in (0..3).rev() {
        let reply = client.get(STATUS).expect(200);
        assert_eq!(
            (remaining(&reply), number(&reply, "x-ratelimit-limit")),
            (left, 3)
        );
        assert_eq!(
            reply.header("ratelimit-policy"),
            Some("\"admin-client\";q=3;w=60")
        );
    }
    client.get(STATUS).problem(429, "rate_limited");
    client.post(CREATE, &json!({})).problem(429, "rate_limited");
    client.get("/v1/admin/nothing").problem(429, "rate_limited");
}

#[test]
fn a_refused_request_does_not_count_and_a_client_comes_back_when_it_was_told() {
    let server = limited("both", 3).start();
    let mut client = server.client();
    for _ in 0..3 {
        client.get(LIST).expect(200);
    }
    let refused = client.get(LIST);
    refused.problem(429, "rate_limited");
    let retry_after = number(&refused, "retry-after");
    let retry_at = Instant::now() + Duration::from_secs(retry_after);
    assert!((1..=61).contains(&retry_after), "{retry_after} s");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let reset = number(&refused, "x-ratelimit-reset");
    assert!((now..=now + 62).contains(&reset), "{reset} at {now}");
    assert!(
        reset.abs_diff(now + retry_after) <= 1,
        "{reset} at {now}, in {retry_after} s"
    );
    // Asking in vain all the time does not put it off.
    while Instant::now() + Duration::from_secs(2) < retry_at {
        client.get(LIST).problem(429, "rate_limited");
        thread::sleep(Duration::from_millis(500));
    }
    thread::sleep(retry_at.saturating_duration_since(Instant::now()));
    client.get(LIST).expect(200);
}

// What counts

#[test]
fn every_answer_below_v1_is_counted_and_says_so_and_nothing_else_is() {
    let server = limited("ip", 1_000).start();
    let mut client = server.client();
    let mut left = 1_000;
    let mut check = |request: Request, status: u16| {
        let reply = client.send(&request).expect(status);
        if request.target.starts_with("/v1/") {
            left -= 1;
            assert_eq!(
                remaining(&reply),
                left,
                "{} {}",
                request.method,
                request.target
            );
            assert_eq!(
                reply.header("ratelimit-policy"),
                Some("\"client\";q=1000;w=60")
            );
        } else {
            assert_unlimited(&reply);
        }
        assert_eq!(reply.header("retry-after"), None);
    };
    let get = |target: &str| Request::new("GET", target);
    check(get(LIST), 200);
    check(get("/v1/inventory/PROD-001"), 200);
    check(get("/v1/inventory/snapshot"), 200);
    check(Request::new("HEAD", LIST), 200);
    check(Request::new("OPTIONS", LIST), 204);
    check(get("/v1/nothing"), 404);
    check(get("/v1/inventory/nothing"), 404);
    check(Request::new("PATCH", LIST), 405);
    check(get(LIST).key("guessed"), 401);
    check(get("/v1/inventory?limit=0"), 400);
    check(Request::new("POST", UPDATES).body("{"), 400);
    check(
        Request::new("POST", UPDATES).json(&update_any("PROD-001", -1, "key")),
        200,
    );
    check(get("/v1"), 404);
    check(get("/v2/nothing"), 404);
    check(get("/health"), 200);
    check(get("/health/live"), 200);
    check(get("/problems/rate_limited"), 200);
    check(Request::new("OPTIONS", "*"), 204);
}

#[test]
fn guessing_keys_spends_the_budget_of_whoever_guesses() {
    let server = limited("ip", 20).start();
    let mut thief = server.client().from(source(1));
    for guess in 0..20 {
        let guess = Request::new("GET", LIST).key(&format!("guess-{guess}"));
        thief.send(&guess).problem(401, "unauthorized");
    }
    thief.get(LIST).problem(429, "rate_limited");
    thief
        .send(&Request::new("GET", LIST).key("guess"))
        .problem(429, "rate_limited");
    thief.get("/health").expect(200);
    server.client().from(source(2)).get(LIST).expect(200);
}

#[test]
fn a_long_poll_counts_once() {
    let server = limited("ip", 1_000).start();
    let mut client = server.client();
    let before = remaining(&client.get(LIST));
    let mut poll = server.client();
    poll.begin(&Request::new(
        "GET",
        "/v1/inventory/events?offset=0&wait=60",
    ))
    .unwrap();
    assert!(poll.silent_for(Duration::from_millis(1_500)));
    client.update_any("PROD-001", -1, "key").expect(200);
    let reply = poll.finish().unwrap().expect(200);
    assert_eq!(
        remaining(&reply),
        before - 1,
        "as it was when the poll came"
    );
    assert_eq!(remaining(&client.get(LIST)), before - 3);
}

#[test]
fn without_limits_nothing_is_counted_and_nothing_is_said() {
    let server = Builder::new()
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", 1)
        .start();
    let mut client = server.client();
    for _ in 0..5 {
        assert_unlimited(&client.get(LIST).expect(200));
    }
    let reply = client.get(STATUS).expect(200);
    assert_unlimited(&reply);
    let status = reply.json();
    assert_eq!(status["enabled"], false);
    assert_eq!(status["currentClients"], json!([]));
    assert_eq!(status["requestsPerMinute"], 1);
}

#[test]
fn a_longer_window_has_a_larger_budget() {
    let server = limited("ip", 7)
        .env("RATE_LIMIT_WINDOW_MINUTES", 10)
        .start();
    let reply = server.client().get(LIST).expect(200);
    assert_eq!(number(&reply, "x-ratelimit-limit"), 70);
    assert_eq!(
        reply.header("ratelimit-policy"),
        Some("\"client\";q=70;w=600")
    );
}

// Whose request it is

fn forwarded(client: &mut Client, forwarded_for: &[&str]) -> u64 {
    let request = Request::new("GET", LIST);
    let lines = forwarded_for.iter();
    let request = lines.fold(request, |request, line| {
        request.header("X-Forwarded-For", line)
    });
    remaining(&client.send(&request).expect(200))
}

#[test]
fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let server = limited("ip", 100)
        .env("TRUSTED_PROXIES", "127.0.7.1, 10.0.0.0/8")
        .start();
    let mut proxy = server.client().from(source(1));
    assert_eq!(forwarded(&mut proxy, &["203.0.113.1"]), 99);
    assert_eq!(forwarded(&mut proxy, &["203.0.113.2"]), 99);
    assert_eq!(
        forwarded(&mut proxy, &["1.1.1.1, 203.0.113.1:444, 10.0.0.9"]),
        98
    );
    assert_eq!(
        forwarded(&mut proxy, &["203.0.113.1", "::ffff:10.0.0.9"]),
        97
    );
    assert_eq!(
        forwarded(&mut proxy, &["203.0.113.1, unknown"]),
        99,
        "the proxy itself"
    );
    let mut stranger = server.client().from(source(2));
    assert_eq!(forwarded(&mut stranger, &["203.0.113.1"]), 99);
    assert_eq!(forwarded(&mut stranger, &["203.0.113.7"]), 98);
    let status = status(&server);
    assert_eq!(client_of(&status, "203.0.113.1")["requestCount"], 3);
    assert_eq!(client_of(&status, "127.0.7.2")["requestCount"], 2);
}

// Status

#[test]
fn the_status_shows_the_clients_of_the_window_the_busiest_first() {
    let server = limited("ip", 6).start();
    for (client, requests) in [(1, 2), (2, 9), (3, 4), (4, 4)] {
        let mut client = server.client().from(source(client));
        (0..requests).for_each(|_| drop(client.get(LIST)));
    }
    let mut admin = server.client().from(source(5));
    let status = admin.get(STATUS).expect(200).json();
    for (member, expected) in [
        ("enabled", json!(true)),
        ("type", json!("ip")),
        ("requestsPerMinute", json!(6)),
        ("adminRequestsPerMinute", json!(50)),
        ("windowMinutes", json!(1)),
    ] {
        assert_eq!(status[member], expected, "{status}");
    }
    assert_absent(&status, &["global"]);
    let clients = status["currentClients"].as_array().unwrap();
    let seen: Vec<(&str, u64, u64, bool)> = clients
        .iter()
        .map(|client| {
            assert_time(&client["windowStart"]);
            (
                client["clientId"].as_str().unwrap(),
                client["requestCount"].as_u64().unwrap(),
                client["adminRequestCount"].as_u64().unwrap(),
                client["isBlocked"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("127.0.7.2", 6, 0, true),
        ("127.0.7.3", 4, 0, false),
        ("127.0.7.4", 4, 0, false),
        ("127.0.7.1", 2, 0, false),
        ("127.0.7.5", 0, 1, false),
    ];
    assert_eq!(seen, expected);
    let two = admin.get(&format!("{STATUS}?limit=2")).expect(200).json();
    assert_eq!(two["currentClients"].as_array().unwrap().len(), 2);
    for limit in ["0", "1001", "many", ""] {
        assert_eq!(
            admin.get(&format!("{STATUS}?limit={limit}")).faults(),
            ["limit"]
        );
    }
    admin
        .send(&Request::new("GET", STATUS).key("demo"))
        .problem(403, "forbidden");
}

#[test]
fn the_status_shows_what_all_have_spent_together() {
    let server = limited("both", 5)
        .env("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", 8)
        .start();
    assert_eq!(passed(&server, 1, 20), [5]);
    let before = status(&server);
    let expected = json!({"requestsPerMinute": 8, "requestCount": 5, "adminRequestCount": 1, "isBlocked": false});
    assert_eq!(before["global"], expected);
    assert_eq!(passed(&server, 2, 20), [0, 3]);
    let after = status(&server);
    assert_eq!(after["global"]["isBlocked"], true, "{after}");
    assert_eq!(client_of(&after, "127.0.7.2")["isBlocked"], true, "{after}");
}

#[test]
fn the_log_says_that_requests_are_refused_and_not_for_each() {
    let server = limited("ip", 10).start();
    let start = Instant::now();
    assert_eq!(passed(&server, 1, 500), [10]);
    let line = "Requests were refused by the rate limits";
    let log = eventually("the log tells", || {
        let log = server.stderr();
        log.contains(line).then_some(log)
    });
    let lines_max = 1 + start.elapsed().as_secs() as usize / 10;
    assert!(log.matches(line).count() <= lines_max, "{log}");
}
