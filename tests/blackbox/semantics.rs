//! What HTTP promises of methods, conditions, targets and representations, at the level of the API.

use std::collections::BTreeMap;

use crate::client::UPDATES;
use crate::http::{Reply, Request};
use crate::server::Server;

/// Every path that has `GET`, found or not.
const READ: [&str; 10] = [
    "/v1/inventory",
    "/v1/inventory/PROD-001",
    "/v1/inventory/nothing",
    "/v1/inventory/events?offset=0",
    "/v1/inventory/events?offset=7",
    "/v1/inventory/snapshot",
    "/health/live",
    "/health/ready",
    "/problems/not_found",
    "/problems/nothing",
];
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The headers that say something of what was answered, and not of this one answer; nor of the coding of a body, which is decided
/// when there is one.
fn lasting(reply: &Reply) -> BTreeMap<&str, &str> {
    let headers = reply.headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !["date", "x-request-id", "transfer-encoding"].contains(name))
        .collect()
}

#[test]
fn head_has_every_header_of_get_and_no_body() {
    let server = Server::start();
    let mut client = server.client();
    for path in READ {
        for (name, value) in [
            ("Accept", "*/*"),
            ("Accept", BROWSER),
            ("If-None-Match", "*"),
        ] {
            let id = ("X-Request-ID", "the-same");
            let mut send = |method: &str| {
                let request = Request::new(method, path).header(name, value);
                client.send(&request.header(id.0, id.1))
            };
            let (get, head) = (send("GET"), send("HEAD"));
            assert_eq!(head.status, get.status, "{path}");
            let (mut of_get, mut of_head) = (lasting(&get), lasting(&head));
            if path.starts_with("/health") {
                // It tells the seconds since the start.
                assert_eq!(
                    of_get.remove("content-length").is_some(),
                    of_head.remove("content-length").is_some()
                );
            }
            assert_eq!(of_head, of_get, "{path} {value}");
            assert!(head.bytes.is_empty(), "{path}");
        }
    }
    // Had a body followed any of them, this would not be read as an answer.
    client.get("/health").expect(200);
}

#[test]
fn options_tells_the_methods_of_every_path_and_of_the_server() {
    let server = Server::start();
    let mut client = server.client();
    for path in READ.into_iter().chain(["/health"]) {
        let reply = client.send(&Request::new("OPTIONS", path).without_key());
        assert_eq!(
            reply.clone().expect(204).header("allow"),
            Some("GET, HEAD, OPTIONS")
        );
        assert_eq!(reply.header("content-type"), None);
    }
    let all = client
        .send(&Request::new("OPTIONS", "*").without_key())
        .expect(204);
    assert_eq!(
        all.list("allow"),
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
    );
}

#[test]
fn a_condition_may_have_many_tags_on_many_lines_and_holds_for_head_too() {
    let (server, _) = Server::with_item(10);
    let mut client = server.client();
    let unchanged: [&[&str]; 8] = [
        &["\"1\""],
        &["W/\"1\""],
        &["*"],
        &["\"0\",\"1\""],
        &["\"0\" ,\t W/\"1\" , \"2\""],
        &["\"0\"", "\"1\""],
        &["W/\"7\", \"a,b\"", "\"8\"", "W/\"1\""],
        &["\"1\"", "garbage"],
    ];
    let changed: [&[&str]; 7] = [
        &["\"0\""],
        &["1"],
        &["\"1"],
        &["w/\"1\""],
        &["\"11\", \"01\""],
        &[""],
        &["\"1 \""],
    ];
    for method in ["GET", "HEAD"] {
        let mut send = |lines: &[&str]| {
            let request = Request::new(method, "/v1/inventory/item");
            let add = |request: Request, line: &&str| request.header("If-None-Match", line);
            client.send(&lines.iter().fold(request, add))
        };
        for lines in unchanged {
            let reply = send(lines);
            assert_eq!(reply.status, 304, "{method} {lines:?}");
            assert_eq!(reply.header("etag"), Some("\"1\""));
            assert_eq!(reply.header("content-type"), None);
            assert_ne!(
                reply.header("content-length"),
                Some("0"),
                "a 304 tells the length of the 200 or none"
            );
            assert!(reply.bytes.is_empty());
        }
        for lines in changed {
            assert_eq!(send(lines).status, 200, "{method} {lines:?}");
        }
    }
}

#[test]
fn a_problem_is_explained_to_a_program_and_to_a_person() {
    let server = Server::start();
    let mut client = server.client();
    let codes = "invalid_json validation_error unauthorized forbidden not_found method_not_allowed body_too_large \
        unsupported_media_type headers_too_large offset_expired offset_beyond_end rate_limited overloaded recovering \
        draining storage_failed";
    for code in codes.split_whitespace() {
        let mut get = |accept: Option<&str>| {
            let request = Request::new("GET", &format!("/problems/{code}")).without_key();
            let request = match accept {
                Some(accept) => request.header("Accept", accept),
                None => request,
            };
            let reply = client.send(&request).expect(200);
            assert_eq!(reply.header("vary"), Some("Accept"));
            reply
        };
        let explanation = get(None).json();
        assert_eq!(explanation["code"], code);
        for accept in ["*/*", "application/json", "application/problem+json"] {
            let reply = get(Some(accept));
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.json(), explanation);
        }
        let status = explanation["status"]
            .as_u64()
            .expect("a status")
            .to_string();
        let words = explanation["explanation"].as_str().expect("a text");
        for (accept, media_type, contains) in [
            (BROWSER, "text/html; charset=utf-8", "<!DOCTYPE html>"),
            ("text/html", "text/html; charset=utf-8", "</html>"),
            ("text/plain", "text/plain; charset=utf-8", words),
        ] {
            let reply = get(Some(accept));
            assert_eq!(reply.header("content-type"), Some(media_type));
            for part in [contains, code, &status] {
                assert!(reply.text().contains(part), "no {part} in {}", reply.text());
            }
        }
    }
    let unknown = Request::new("GET", "/problems/%3Cscript%3E").without_key();
    client
        .send(&unknown.header("Accept", BROWSER))
        .problem(404, "not_found");
}

#[test]
fn each_form_of_a_target_is_taken_where_it_belongs() {
    let server = Server::start();
    for (start, status) in [
        ("GET http://other.example/health", 200),
        ("HEAD http://other.example:1/health?x", 200),
        ("GET HTTP://other.example/health", 200),
        ("GET http://other.example", 404),
        ("OPTIONS http://other.example/health", 204),
        ("OPTIONS *", 204),
        ("OPTIONS a:80", 400),
        ("GET a:80", 400),
        ("HEAD *", 400),
        ("POST *", 400),
        ("CONNECT a:80", 400),
        ("CONNECT /health", 405),
        ("TRACE /health", 405),
        ("OPTIONS http://user:secret@a/health", 400),
        ("GET //health", 404),
        ("GET /health/", 404),
        ("GET /health/../health", 404),
    ] {
        let method = start.split(' ').next().expect("a method");
        let mut connection = server.connect();
        connection
            .write(format!("{start} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .expect("sent");
        let reply = connection.read_reply(method);
        let found = reply
            .as_ref()
            .map(|reply| reply.status)
            .map_err(|error| error.to_string());
        assert_eq!(found, Ok(status), "{start}");
        assert!(!format!("{reply:?}").contains("secret"));
    }
}

#[test]
fn a_body_that_is_not_wanted_is_not_invited() {
    let server = Server::start();
    for (headers, status) in [
        (
            "X-API-Key: demo\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n",
            415,
        ),
        ("Content-Length: 9\r\n", 401),
        ("Transfer-Encoding: chunked\r\n", 401),
        (
            "X-API-Key: demo\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n",
            415,
        ),
    ] {
        let mut connection = server.connect();
        let head =
            format!("POST {UPDATES} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{headers}\r\n");
        connection.write(head).expect("sent");
        let reply = connection.read_reply("POST").expect("an answer");
        reply.expect(status).any_problem();
    }
}
