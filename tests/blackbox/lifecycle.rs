//! Start and stop: what is kept, what is refused, and what the command line says.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{CREATE, Client, DELETE, SET, product};
use crate::expect::assert_absent;
use crate::http::Request;
use crate::load::Load;
use crate::mirror::follow;
use crate::server::{Builder, Server, eventually};

// Stop

#[test]
fn sigterm_and_sigint_end_the_server_with_status_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start();
        server.signal(signal);
        server.wait();
    }
}

#[test]
fn a_stop_answers_waiting_polls_with_an_empty_page() {
    let (server, _) = Server::with_item(10);
    let poll = Request::new("GET", "/v1/inventory/events?offset=1&wait=60");
    let mut waiting: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for waiter in &mut waiting {
        waiter.begin(&poll).expect("a poll can be sent");
    }
    assert!(
        waiting[19].silent_for(Duration::from_millis(100)),
        "the polls wait"
    );
    server.signal(Signal::TERM);
    for waiter in &mut waiting {
        let page = waiter
            .finish()
            .expect("a waiting poll is answered")
            .expect(200)
            .json();
        assert_eq!(page["events"], json!([]));
        assert_eq!(page["nextOffset"], 1);
        assert_eq!(page["hasMore"], false);
        assert_eq!(page["count"], 0);
    }
    server.wait();
}

#[test]
fn an_idle_connection_does_not_hold_up_a_stop() {
    let server = Server::start();
    let mut client = server.client();
    client.get("/health").expect(200);
    let _never_used = server.connect();
    let mut half_sent = server.connect();
    half_sent.write("GET /health HTTP/1.1\r\nHo").expect("sent");
    server.stop();
}

#[test]
fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let load = Load {
        stores: 32,
        products: 10,
        updates: 10_000,
    };
    let server = Builder::new()
        .env("IDEMPOTENCY_CACHE_TTL", "1h")
        .env("MAX_EVENTS_IN_QUEUE", 100_000)
        .start();
    load.create_products(&mut server.client());
    let (address, never) = (server.address(), AtomicBool::new(false));
    let (sender, receiver) = channel();
    let (mut books, followed, stopped) = thread::scope(|scope| {
        let stores = scope.spawn(move || load.run(address, 0, sender));
        let follower = scope.spawn(|| follow(address, 0, &never));
        assert_eq!(
            receiver.iter().take(300).count(),
            300,
            "the load ended before the stop"
        );
        server.signal(Signal::TERM);
        let stopped = server.wait();
        let books = stores.join().expect("a store found an error");
        (
            books,
            follower.join().expect("the follower found an error"),
            stopped,
        )
    });
    let server = stopped.start();
    let mut client = server.client();
    assert_eq!(
        followed,
        client.raw_feed(0)[..followed.len()],
        "what was read is still there"
    );
    books.resolve(&mut client);
    books.assert_replayed(&mut client);
    books.assert_balanced(&load, &mut client);
}

// Restart

#[test]
fn everything_is_there_after_a_restart() {
    let server = Server::start();
    let mut client = server.client();
    client
        .post(
            CREATE,
            &json!({"products": [product("a", 1), product("b", 2)]}),
        )
        .expect(200);
    client
        .put(
            SET,
            &json!({"products": [{"productId": "PROD-001", "price": 3.25}]}),
        )
        .expect(200);
    client
        .delete(DELETE, &json!({"productIds": ["PROD-002", "a"]}))
        .expect(200);
    client.change_often("PROD-003", 30);
    let (listing, feed) = (client.listing(), client.raw_feed(0));
    let mut builder = server.stop();
    for _ in 0..3 {
        let server = builder.start();
        let mut client = server.client();
        assert_eq!(client.listing(), listing);
        assert_eq!(client.raw_feed(0), feed);
        assert_eq!(client.feed_end(), 35);
        builder = server.stop();
    }
}

#[test]
fn the_journal_is_lines_of_json_that_begin_as_the_events_were_served() {
    let (server, mut client) = Server::with_item(10);
    client.change_often("item", 10);
    let feed = client.raw_feed(0);
    let journal = server.stop();
    let text = fs::read_to_string(journal.events_path()).expect("the journal is text");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), feed.len());
    for (line, event) in lines.iter().zip(&feed) {
        let _: Value = serde_json::from_str(line).expect("a line is JSON");
        let served = event.strip_suffix('}').expect("an event is an object");
        assert!(
            line.starts_with(served),
            "{line} does not begin with {served}"
        );
    }
}

// First start

#[test]
fn the_sample_is_loaded_at_the_first_start_only() {
    let server = Server::start();
    let mut client = server.client();
    client.delete_product("PROD-001");
    let server = server.stop().start();
    let mut client = server.client();
    client
        .get("/v1/inventory/PROD-001")
        .problem(404, "not_found");
    assert_eq!(client.listing().len(), 99);
}

#[test]
fn only_development_starts_from_the_sample() {
    let server = Builder::new().env("ENVIRONMENT", "staging").start();
    let mut client = server.client();
    let page = client.get("/v1/inventory").expect(200).json();
    assert_eq!(page["items"], json!([]));
    assert_absent(&page, &["nextCursor"]);
    assert_eq!(
        client.get("/v1/inventory/snapshot").expect(200).json()["products"],
        json!([])
    );
    client.create(&[("item", 1)]);
    assert_eq!(client.listing().len(), 1);
}

#[test]
fn a_catalogue_at_the_data_path_is_what_the_server_starts_from() {
    let builder = Builder::new().env("ENVIRONMENT", "staging");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/inventory_test_data.json");
    fs::copy(sample, builder.data_path()).expect("the sample can be copied");
    let catalogue: Value =
        serde_json::from_slice(&fs::read(sample).expect("the sample")).expect("JSON");
    let server = builder.start();
    let mut client = server.client();
    let listing = client.listing();
    assert_eq!(listing.len(), 100);
    for listed in &listing {
        let given = &catalogue["products"][listed["productId"].as_str().expect("an id")];
        for member in ["productId", "name", "available", "version", "price"] {
            assert_eq!(listed[member], given[member], "{listed}");
        }
    }
    client.delete_product("PROD-001");
    let server = server.kill().start();
    assert_eq!(server.client().listing().len(), 99);
}

// Without persistence

#[test]
fn without_persistence_the_server_works_in_memory_and_says_so() {
    let server = Builder::new().env("ENABLE_JSON_PERSISTENCE", false).start();
    eventually("the server says that it keeps nothing", || {
        let said = server.stderr().to_lowercase();
        (said.contains("memory") || said.contains("enable_json_persistence")).then_some(())
    });
    let mut client = server.client();
    client.create(&[("item", 10)]);
    let first = client.update("item", -2, 1, "key").expect(200);
    let repeat = client.update("item", -2, 1, "key");
    assert_eq!((repeat.text(), repeat.replayed()), (first.text(), true));
    assert_eq!(client.feed(0).len(), 2);
    assert!(!server.builder().data_path().exists() && !server.builder().events_path().exists());

    let server = server.stop().start();
    let mut client = server.client();
    client.get("/v1/inventory/item").expect(404);
    assert_eq!(client.listing().len(), 100);
    assert_eq!(client.feed_end(), 0);
}

// What stops a start

#[test]
fn a_second_server_on_the_same_directory_stops_and_names_it() {
    let server = Server::start();
    let said = server.builder().run(&[]).refused();
    let directory = server.builder().directory().to_string_lossy().into_owned();
    assert!(
        said.contains(&directory),
        "{said:?} does not name {directory}"
    );
    server.assert_working();
    server.kill().start();
}

#[test]
fn a_port_in_use_stops_the_start() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("a bound port").port();
    let said = Builder::new().env("PORT", port).run(&[]).refused();
    assert!(
        said.contains(&port.to_string()),
        "{said:?} does not name port {port}"
    );
    let server = Server::start();
    let port = server.address().port();
    let said = Builder::new().env("PORT", port).run(&[]).refused();
    assert!(
        said.contains(&port.to_string()),
        "{said:?} does not name port {port}"
    );
    server.assert_working();
}

/// Variables and values that are not allowed, several of some.
const INVALID: [(&str, &str); 49] = [
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("METRICS_PORT", "0"),
    ("BIND_ADDRESS", "nowhere"),
    ("LOG_LEVEL", "loud"),
    ("ENVIRONMENT", "moon"),
    ("INVENTORY_WORKER_COUNT", "0"),
    ("INVENTORY_WORKER_COUNT", "257"),
    ("INVENTORY_ACCEPTOR_COUNT", "0"),
    ("INVENTORY_ACCEPTOR_COUNT", "257"),
    ("INVENTORY_QUEUE_BUFFER_SIZE", "99"),
    ("INVENTORY_QUEUE_BUFFER_SIZE", "65537"),
    ("IDEMPOTENCY_CACHE_TTL", "999ms"),
    ("IDEMPOTENCY_CACHE_TTL", "25h"),
    ("IDEMPOTENCY_CACHE_TTL", "soon"),
    ("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", "0s"),
    ("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", "2h"),
    ("IDEMPOTENCY_CACHE_MAX_ENTRIES", "1023"),
    ("MAX_EVENTS_IN_QUEUE", "99"),
    ("MAX_EVENTS_IN_QUEUE", "10000001"),
    ("EVENTS_RETENTION", "8761h"),
    ("JOURNAL_SEGMENT_MIB", "0"),
    ("JOURNAL_SEGMENT_MIB", "4097"),
    ("SNAPSHOT_JOURNAL_MIB", "0"),
    ("SNAPSHOT_JOURNAL_MIB", "65537"),
    ("JOURNAL_SYNC", "sometimes"),
    ("JOURNAL_SYNC", "interval:soon"),
    ("JOURNAL_WRITE_THROUGH", "maybe"),
    ("ENABLE_JSON_PERSISTENCE", "perhaps"),
    ("RATE_LIMIT_ENABLED", "mostly"),
    ("RATE_LIMIT_TYPE", "fair"),
    ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
    ("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", "1000000001"),
    ("RATE_LIMIT_WINDOW_MINUTES", "61"),
    ("RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE", "many"),
    ("HEADER_TIMEOUT", "0s"),
    ("BODY_TIMEOUT", "11m"),
    ("WRITE_TIMEOUT", "late"),
    ("IDLE_TIMEOUT", "12h"),
    ("MAX_CONNECTIONS", "15"),
    ("MAX_CONNECTIONS", "1000001"),
    ("MAX_CONNECTIONS_PER_IP", "7"),
    ("MAX_WAITERS", "3"),
    ("CPU_PLAN", "nonsense"),
    ("LANE_SPIN_US", "-1"),
    ("TRUSTED_PROXIES", "everyone"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("IDEMPOTENCY_CACHE_MAX_ENTRIES", "4294967297"),
];

#[test]
fn a_configuration_with_many_errors_is_refused_with_all_of_them() {
    let wrong: BTreeMap<&str, &str> = INVALID.into_iter().collect();
    let builder = wrong.iter().fold(Builder::new(), |builder, (name, value)| {
        builder.env(name, value)
    });
    let said = builder.run(&[]).refused();
    for (name, value) in wrong {
        assert!(said.contains(name), "{name} is not named in {said}");
        assert!(
            said.contains(value),
            "{name}={value} is not shown in {said}"
        );
    }
}

#[test]
fn each_value_that_is_not_allowed_is_refused_by_name() {
    for (name, value) in INVALID {
        let checked = Builder::new().env(name, value).run(&["doctor"]);
        assert!(
            checked.code.is_some_and(|code| code != 0),
            "{name}={value} was taken: {checked:?}"
        );
        let said = checked.stdout + &checked.stderr;
        assert!(
            said.contains(name) && said.contains(value),
            "{name}={value}: {said}"
        );
    }
}

#[test]
fn the_two_ports_must_differ() {
    let said = Builder::new()
        .env("PORT", 12345)
        .env("METRICS_PORT", 12345)
        .run(&["doctor"]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!((said.stdout + &said.stderr).contains("METRICS_PORT"));
}

#[test]
fn values_at_the_bounds_and_in_other_spellings_are_taken() {
    for (name, value) in [
        ("PORT", ""),
        ("LOG_LEVEL", "WARN"),
        ("LOG_LEVEL", "Debug"),
        ("ENVIRONMENT", "Staging"),
        ("INVENTORY_WORKER_COUNT", "1"),
        ("INVENTORY_WORKER_COUNT", "256"),
        ("INVENTORY_QUEUE_BUFFER_SIZE", "100"),
        ("INVENTORY_QUEUE_BUFFER_SIZE", "65536"),
        ("IDEMPOTENCY_CACHE_TTL", "24h"),
        ("IDEMPOTENCY_CACHE_TTL", ""),
        ("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", "1h"),
        ("MAX_EVENTS_IN_QUEUE", "100"),
        ("EVENTS_RETENTION", "0s"),
        ("EVENTS_RETENTION", "8760h"),
        ("JOURNAL_SYNC", "never"),
        ("JOURNAL_SYNC", "interval:5ms"),
        ("JOURNAL_WRITE_THROUGH", "Auto"),
        ("JOURNAL_WRITE_THROUGH", "false"),
        ("RATE_LIMIT_TYPE", "both"),
        ("RATE_LIMIT_TYPE", "GLOBAL"),
        ("BIND_ADDRESS", "::1"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::1/128"),
        ("API_KEYS", ""),
    ] {
        let checked = Builder::new().env(name, value).run(&["doctor"]);
        assert_eq!(
            checked.code,
            Some(0),
            "{name}={value:?} was refused: {checked:?}"
        );
    }
}

// Production

#[test]
fn production_refuses_to_start_without_keys_or_with_those_of_the_brief() {
    let production = || Builder::new().env("ENVIRONMENT", "production");
    assert!(production().run(&[]).refused().contains("API_KEYS"));
    let known = [
        "demo",
        "dev-key",
        "central-api-key",
        "admin-demo",
        "admin-dev-key",
        "admin-central-key",
    ];
    for key in known {
        let regular = production()
            .env("API_KEYS", format!("7d0f-store,{key}"))
            .env("ADMIN_API_KEYS", "91b2-root");
        let said = regular.run(&[]).refused();
        assert!(
            said.replace("ADMIN_API_KEYS", "").contains("API_KEYS"),
            "{key}: {said}"
        );
        let admin = production()
            .env("API_KEYS", "7d0f-store")
            .env("ADMIN_API_KEYS", key);
        assert!(admin.run(&[]).refused().contains("ADMIN_API_KEYS"), "{key}");
    }
}

#[test]
fn production_starts_with_keys_of_its_own_and_without_the_sample() {
    let builder = Builder::new().env("ENVIRONMENT", "production");
    let server = builder
        .env("API_KEYS", "7d0f-store")
        .env("ADMIN_API_KEYS", "91b2-root")
        .start();
    let mut client = server.client();
    let page = client
        .send(&Request::new("GET", "/v1/inventory").key("7d0f-store"))
        .expect(200)
        .json();
    assert_eq!(page["items"], json!([]));
    client.get("/v1/inventory").problem(401, "unauthorized");
    let create = Request::new("POST", CREATE).json(&json!({"products": [product("item", 1)]}));
    client.send(&create.clone()).problem(401, "unauthorized");
    client.send(&create.key("91b2-root")).expect(200);
}

// Command line

#[test]
fn the_command_line_says_its_version() {
    let said = Builder::new().run(&["--version"]).succeeded();
    assert!(
        said.contains("central-inventory") && said.contains(env!("CARGO_PKG_VERSION")),
        "{said}"
    );
}

#[test]
fn the_help_lists_the_commands_and_every_variable() {
    let said = Builder::new().run(&["--help"]).succeeded();
    for command in ["plan", "doctor"] {
        assert!(said.contains(command), "no {command} in {said}");
    }
    let others = [
        "API_KEYS",
        "ADMIN_API_KEYS",
        "DATA_PATH",
        "EVENTS_FILE_PATH",
        "CORS_ALLOWED_ORIGINS",
    ];
    for name in INVALID.iter().map(|(name, _)| *name).chain(others) {
        assert!(said.contains(name), "no {name} in {said}");
    }
}

#[test]
fn the_plan_maps_every_role() {
    let said = Builder::new()
        .shards(3)
        .run(&["plan"])
        .succeeded()
        .to_lowercase();
    for role in ["acceptor", "shard", "sequencer"] {
        assert!(said.contains(role), "no {role} in {said}");
    }
}

#[test]
fn a_doctor_finds_a_sound_configuration_sound_and_changes_nothing() {
    let builder = Builder::new();
    builder.run(&["doctor"]).succeeded();
    assert!(!builder.events_path().exists() && !builder.data_path().exists());
}

#[test]
fn an_unknown_command_is_refused() {
    let start = Instant::now();
    let said = Builder::new().run(&["serve-coffee"]).refused();
    assert!(said.contains("serve-coffee"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(20));
}
