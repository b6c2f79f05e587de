//! The log: a line for each request, up to a bound, and nothing lost in silence.

use serde_json::{Map, Value};

use crate::client::{Client, UPDATES, batch, item_any, update, update_any};
use crate::http::Request;
use crate::server::{Builder, Server, eventually};

/// The lines of a server, each of which is one JSON object.
fn lines(server: &Server) -> Vec<Map<String, Value>> {
    let text = server.stderr();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let read = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(line)) => line,
        other => panic!("{line:?} is {other:?}"),
    };
    whole.lines().map(read).collect()
}

/// The line with that request id, once it is written.
fn line_of(server: &Server, request_id: &str) -> Map<String, Value> {
    eventually(request_id, || {
        let mut lines = lines(server).into_iter();
        lines.find(|line| line.get("request_id") == Some(&Value::from(request_id)))
    })
}

fn send(client: &mut Client, id: &str, body: &Value) -> u16 {
    let request = Request::new("POST", UPDATES)
        .json(body)
        .header("X-Request-ID", id);
    client.send(&request).status
}

#[track_caller]
fn check(line: &Map<String, Value>, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(Some(value), line.get(*field), "{field} in {line:?}");
    }
}

#[test]
fn an_update_has_a_line_with_the_fields_of_the_brief() {
    let (server, mut client) = Server::with_item(10);
    assert_eq!(
        200,
        send(&mut client, "first", &update("item", -2, 1, "order-1"))
    );
    let line = line_of(&server, "first");
    check(
        &line,
        &[
            ("level", "INFO".into()),
            ("msg", "Inventory update processed successfully".into()),
            ("product_id", "item".into()),
            ("delta", (-2).into()),
            ("new_quantity", 8.into()),
            ("new_version", 2.into()),
            ("idempotency_key", "order-1".into()),
            ("store_id", "store-s1".into()),
            ("status", 200.into()),
            ("client_ip", "127.0.0.1".into()),
            ("method", "POST".into()),
            ("path", UPDATES.into()),
        ],
    );
    assert!(
        line["processing_time_ms"]
            .as_f64()
            .is_some_and(|ms| ms > 0.0 && ms < 60_000.0)
    );
    assert_eq!(None, line.get("replayed"));
    assert_eq!(None, line.get("trace_id"));
    assert_eq!(
        200,
        send(&mut client, "again", &update("item", -2, 1, "order-1"))
    );
    check(
        &line_of(&server, "again"),
        &[("replayed", true.into()), ("new_version", 2.into())],
    );
}

#[test]
fn refusals_say_what_was_wrong() {
    let (server, mut client) = Server::with_item(10);
    assert_eq!(409, send(&mut client, "stale", &update("item", -1, 7, "a")));
    check(
        &line_of(&server, "stale"),
        &[
            ("msg", "Request refused".into()),
            ("code", "version_conflict".into()),
            ("product_id", "item".into()),
            ("new_version", 1.into()),
            ("status", 409.into()),
        ],
    );
    assert_eq!(400, send(&mut client, "bad", &Value::Null));
    check(
        &line_of(&server, "bad"),
        &[
            ("code", "validation_error".into()),
            ("msg", "Request refused".into()),
        ],
    );
    let unknown = Request::new("GET", "/nowhere?secret=1").header("X-Request-ID", "lost");
    client.send(&unknown).expect(404);
    check(
        &line_of(&server, "lost"),
        &[("code", "not_found".into()), ("path", "/nowhere".into())],
    );
    let items = [item_any("item", -1, "b"), item_any("none", -1, "c")];
    assert_eq!(200, send(&mut client, "batch", &batch(&items)));
    check(
        &line_of(&server, "batch"),
        &[
            ("items", 2.into()),
            ("succeeded", 1.into()),
            ("failed", 1.into()),
        ],
    );
}

#[test]
fn every_line_is_whole_and_begins_with_time_level_and_message() {
    let server = Builder::new().env("LOG_REQUESTS_PER_SECOND", 1000).start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    for n in 0..50 {
        send(
            &mut client,
            &format!("line-{n}"),
            &update_any("item", 1, &format!("\"{n}\n")),
        );
    }
    line_of(&server, "line-49");
    for line in server.stderr().lines() {
        assert!(line.starts_with(r#"{"time":"20"#), "{line}");
        let begin = line
            .split(',')
            .take(3)
            .map(|field| field.split(':').next().unwrap_or_default());
        assert_eq!(
            vec!["{\"time\"", "\"level\"", "\"msg\""],
            begin.collect::<Vec<_>>(),
            "{line}"
        );
    }
    assert!(lines(&server).len() > 50);
}

#[test]
fn an_answer_and_its_line_have_the_same_request_id() {
    let (server, mut client) = Server::with_item(10);
    let reply = client.get("/v1/inventory/item").expect(200);
    let id = reply.header("x-request-id").expect("every answer has one");
    check(
        &line_of(&server, id),
        &[
            ("msg", "Request served".into()),
            ("path", "/v1/inventory/item".into()),
        ],
    );
}

#[test]
fn keys_stay_out_of_the_log() {
    let server = Builder::new()
        .env("LOG_LEVEL", "debug")
        .env("API_KEYS", "regular-secret")
        .env("ADMIN_API_KEYS", "admin-secret")
        .start();
    let mut client = server.client();
    for (id, key) in [
        ("a", "regular-secret"),
        ("b", "admin-secret"),
        ("c", "guessed-secret"),
    ] {
        let request = Request::new("GET", "/v1/inventory/PROD-001").without_key();
        client.send(&request.header("X-API-Key", key).header("X-Request-ID", id));
        line_of(&server, id);
    }
    assert!(!server.stderr().contains("secret"), "{}", server.stderr());
}

#[test]
fn a_trace_id_is_told_where_the_header_is_valid() {
    let (server, mut client) = Server::with_item(10);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (id, header, expected) in [
        (
            "valid",
            format!("00-{trace}-00f067aa0ba902b7-01"),
            Some(Value::from(trace)),
        ),
        ("invalid", format!("00-{trace}-00f067aa0ba902b7"), None),
    ] {
        let request = Request::new("GET", "/v1/inventory/item").header("X-Request-ID", id);
        client
            .send(&request.header("traceparent", &header))
            .expect(200);
        assert_eq!(
            expected.as_ref(),
            line_of(&server, id).get("trace_id"),
            "{id}"
        );
    }
}

/// How many requests of that class the lines tell, one by one and in sums.
fn told(server: &Server, class: &str, message: &str) -> (u64, u64) {
    let lines = lines(server);
    let of_message = lines.iter().filter(|line| line["msg"] == message).count() as u64;
    let summed = lines
        .iter()
        .filter_map(|line| line.get(class)?.as_u64())
        .sum();
    (of_message, summed)
}

#[test]
fn more_requests_than_may_have_a_line_are_counted_and_told_in_one() {
    const REQUESTS: u64 = 200;
    const MESSAGE: &str = "Inventory update processed successfully";
    let server = Builder::new()
        .acceptors(1)
        .env("LOG_REQUESTS_PER_SECOND", 5)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    for n in 0..REQUESTS {
        send(
            &mut client,
            &format!("n{n}"),
            &update_any("item", 1, &n.to_string()),
        );
    }
    assert_eq!(
        409,
        send(&mut client, "refused", &update("item", 1, 1, "stale"))
    );
    // A refusal has a budget of its own, whatever the others have spent.
    line_of(&server, "refused");
    // The creation may have had a line, or not.
    eventually("all are told", || {
        let (written, summed) = told(&server, "success", MESSAGE);
        (REQUESTS..=REQUESTS + 1)
            .contains(&(written + summed))
            .then_some(())
    });
    let (written, summed) = told(&server, "success", MESSAGE);
    assert!(
        written >= 4 && summed > 0,
        "{written} lines, {summed} counted"
    );
    let counted = crate::metrics::sample(
        &server,
        r#"inventory_log_requests_suppressed_total{class="success"}"#,
    );
    assert_eq!(summed as f64, counted);
}

#[test]
fn between_two_sums_stand_exactly_as_many_lines_as_are_allowed() {
    let server = Builder::new()
        .acceptors(1)
        .env("LOG_REQUESTS_PER_SECOND", 5)
        .start();
    let mut client = server.client();
    let is_sum = |line: &Map<String, Value>| line.contains_key("seconds");
    let windows = eventually("there are four sums", || {
        for _ in 0..20 {
            client.get("/v1/inventory/PROD-001").expect(200);
        }
        let lines = lines(&server);
        let windows: Vec<Vec<_>> = lines.split(is_sum).map(<[_]>::to_vec).collect();
        (windows.len() > 4).then_some(windows)
    });
    for window in &windows[1..windows.len() - 1] {
        let served = window.iter().filter(|line| line["msg"] == "Request served");
        assert_eq!(5, served.count(), "{window:?}");
    }
}

#[test]
fn a_long_path_does_not_fill_the_log() {
    let server = Server::start();
    let path = format!("/{}", "x".repeat(40_000));
    let long = Request::new("GET", &path).header("X-Request-ID", "long");
    server.client().send(&long).expect(431);
    let line = line_of(&server, "long");
    assert_eq!(path[..512], line["path"]);
    check(&line, &[("code", "headers_too_large".into())]);
}

#[test]
fn the_metrics_port_has_lines_when_everything_is_logged() {
    let server = Builder::new().env("LOG_LEVEL", "debug").start();
    let labels = r#"inventory_log_requests_suppressed_total{class="success"}"#;
    crate::metrics::sample(&server, labels);
    eventually("the scrape is logged", || {
        let mut lines = lines(&server).into_iter();
        lines.find(|line| line.get("path") == Some(&Value::from("/metrics")))
    });
}

#[test]
fn what_is_not_worth_a_line_has_none() {
    let quiet = Builder::new()
        .env("LOG_LEVEL", "warn")
        .env("LOG_REQUESTS_PER_SECOND", 1)
        .start();
    let mut client = quiet.client();
    client.create(&[("item", 10)]);
    assert_eq!(409, send(&mut client, "stale", &update("item", 1, 9, "a")));
    let loud = Builder::new()
        .env("LOG_LEVEL", "debug")
        .env("LOG_REQUESTS_PER_SECOND", 0)
        .start();
    let mut client = loud.client();
    for n in 0..20 {
        let request = Request::new("GET", "/health").header("X-Request-ID", &format!("probe-{n}"));
        client.send(&request).expect(200);
    }
    for n in 0..20 {
        check(
            &line_of(&loud, &format!("probe-{n}")),
            &[("level", "DEBUG".into())],
        );
    }
    assert!(!loud.stderr().contains("LOG_REQUESTS_PER_SECOND"));
    let said = quiet.stderr();
    assert!(!said.contains("request_id"), "{said}");
}

#[test]
fn text_is_for_people() {
    let server = Builder::new().env("LOG_FORMAT", "text").start();
    eventually("it says that it is ready", || {
        server
            .stderr()
            .lines()
            .any(|line| line.contains(" INFO  Ready ms="))
            .then_some(())
    });
    assert!(!server.stderr().contains('\u{1b}'), "a file has no colours");
}
