//! A web page of another origin calls the API from a browser.

use std::collections::BTreeSet;

use serde_json::json;

use crate::client::{CREATE, DELETE, SET, UPDATES};
use crate::http::{Reply, Request};
use crate::server::{Builder, Server};

const SHOP: &str = "https://shop.example";
const EXPOSED: [&str; 9] = [
    "X-Request-ID",
    "ETag",
    "Retry-After",
    "Idempotent-Replayed",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit",
    "RateLimit-Policy",
];
const MAY_BE_SENT: [&str; 6] = [
    "X-API-Key",
    "Content-Type",
    "X-Request-ID",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
];

fn shop_server() -> Server {
    Builder::new()
        .env(
            "CORS_ALLOWED_ORIGINS",
            format!("http://localhost:3000, {SHOP}"),
        )
        .start()
}

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", target)
        .without_key()
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "x-api-key,content-type")
}

/// Requests of every kind of outcome, and the status that each meets.
fn outcomes() -> Vec<(Request, u16)> {
    let get = |target: &str| Request::new("GET", target);
    vec![
        (get("/v1/inventory/PROD-001"), 200),
        (
            get("/v1/inventory/PROD-001").header("If-None-Match", "*"),
            304,
        ),
        (get("/v1/inventory/snapshot"), 200),
        (get("/v1/inventory?limit=0"), 400),
        (get("/v1/inventory").key("unknown"), 401),
        (
            Request::new("POST", CREATE).key("demo").json(&json!({})),
            403,
        ),
        (get("/nothing").without_key(), 404),
        (get("/v1/inventory/nothing"), 404),
        (get(UPDATES), 405),
        (get("/v1/inventory/events?offset=9"), 410),
        (
            Request::new("POST", UPDATES)
                .content_type(Some("text/plain"))
                .body("{}"),
            415,
        ),
        (get("/health").without_key(), 200),
        (get("/problems/draining").without_key(), 200),
        (Request::new("OPTIONS", UPDATES).without_key(), 204),
    ]
}

fn cors_headers(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.iter().map(|(name, _)| name.as_str());
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

/// What all lines of `Vary` name.
fn vary(reply: &Reply) -> BTreeSet<&str> {
    let lines = reply.headers.iter().filter(|(name, _)| name == "vary");
    lines
        .flat_map(|(_, value)| value.split(',').map(str::trim))
        .collect()
}

#[test]
fn every_answer_to_an_allowed_origin_can_be_read_by_its_page() {
    let server = shop_server();
    let mut client = server.client();
    for origin in [SHOP, "http://localhost:3000"] {
        for (request, status) in outcomes() {
            let reply = client
                .send(&request.header("Origin", origin))
                .expect(status);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
            assert_eq!(reply.list("access-control-expose-headers"), EXPOSED);
            assert!(vary(&reply).contains("Origin"), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
}

#[test]
fn another_origin_or_none_gets_no_permission_and_a_cache_is_warned() {
    let server = shop_server();
    let mut client = server.client();
    for (request, status) in outcomes() {
        let mut replies = vec![client.send(&request).expect(status)];
        for origin in [
            "https://evil.example",
            "null",
            "https://shop.example.evil.example",
        ] {
            replies.push(
                client
                    .send(&request.clone().header("Origin", origin))
                    .expect(status),
            );
        }
        let twice = request.header("Origin", SHOP).header("Origin", SHOP);
        replies.push(client.send(&twice).expect(status));
        for reply in replies {
            assert_eq!(cors_headers(&reply), Vec::<&str>::new());
            assert!(vary(&reply).contains("Origin"), "{reply:?}");
        }
    }
    let refused = client.send(&preflight(UPDATES, "https://evil.example", "POST"));
    assert_eq!(cors_headers(&refused.expect(204)), Vec::<&str>::new());
}

#[test]
fn a_preflight_is_answered_without_a_key_with_the_methods_of_its_path() {
    let server = shop_server();
    let mut client = server.client();
    for (target, methods) in [
        (UPDATES, "POST, OPTIONS"),
        (CREATE, "POST, OPTIONS"),
        (SET, "PUT, OPTIONS"),
        (DELETE, "DELETE, OPTIONS"),
        ("/v1/inventory/PROD-001", "GET, HEAD, OPTIONS"),
        ("/v1/inventory/events?offset=0", "GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
    ] {
        // The browser compares: it is told what there is, whatever it asks for.
        for asked in ["POST", "DELETE", "BREW"] {
            let reply = client.send(&preflight(target, SHOP, asked)).expect(204);
            let header = |name: &str| reply.header(name);
            assert_eq!(header("access-control-allow-origin"), Some(SHOP));
            assert_eq!(header("access-control-allow-methods"), Some(methods));
            assert_eq!(reply.list("access-control-allow-headers"), MAY_BE_SENT);
            let max_age = header("access-control-max-age").map(|age| age.parse::<u32>());
            assert!(matches!(max_age, Some(Ok(1..))), "{max_age:?}");
            assert!(vary(&reply).contains("Origin"), "{reply:?}");
        }
    }
    let reply = client.send(&preflight("/nothing", SHOP, "GET"));
    reply.problem(404, "not_found");
    assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP));
}

#[test]
fn a_star_allows_every_page_without_naming_it() {
    let server = Builder::new().env("CORS_ALLOWED_ORIGINS", "*").start();
    let mut client = server.client();
    for (request, status) in outcomes() {
        for request in [
            request.clone().header("Origin", "https://any.example"),
            request,
        ] {
            let reply = client.send(&request).expect(status);
            assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
            assert!(!vary(&reply).contains("Origin"), "{reply:?}");
        }
    }
    let reply = client.send(&preflight(SET, "null", "PUT")).expect(204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.list("access-control-allow-headers"), MAY_BE_SENT);
}

#[test]
fn unless_it_is_turned_on_there_is_no_trace_of_it() {
    let server = Server::start();
    let mut client = server.client();
    for (request, status) in outcomes() {
        let reply = client.send(&request.header("Origin", SHOP)).expect(status);
        assert_eq!(cors_headers(&reply), Vec::<&str>::new());
        assert!(!vary(&reply).contains("Origin"), "{reply:?}");
    }
    let reply = client.send(&preflight(UPDATES, SHOP, "POST")).expect(204);
    assert_eq!(cors_headers(&reply), Vec::<&str>::new());
}
