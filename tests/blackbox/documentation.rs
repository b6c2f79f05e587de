//! The description of the API and the page that shows it, as the server gives them to anybody.

use std::io::Read;

use serde_json::json;

use crate::client::{CREATE, Client, DELETE, SET, batch, item, product, update};
use crate::described::assert_described;
use crate::http::{Reply, Request};
use crate::server::{Builder, unique};

fn open(method: &str, target: &str) -> Request {
    Request::new(method, target).without_key()
}

/// The targets of `attribute` in a page.
fn targets<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let starts = page.split(attribute).skip(1);
    starts
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect()
}

fn inflate(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(reply.bytes.as_slice())
        .read_to_end(&mut bytes)
        .expect("the body is gzip");
    bytes
}

#[test]
fn the_description_is_served_without_a_key_and_printed_the_same() {
    let builder = Builder::new();
    let server = builder.start();
    let mut client = server.client();
    let reply = client.send(&open("GET", "/openapi.json")).expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.json()["openapi"], "3.1.0");
    let printed = Builder::new().run(&["openapi"]);
    assert_eq!(printed.code, Some(0));
    assert_eq!(reply.text(), printed.stdout);
    let zipped = client.send(&open("GET", "/openapi.json").header("Accept-Encoding", "gzip, br"));
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(inflate(&zipped), reply.bytes);
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let server = Builder::new().start();
    let mut client = server.client();
    for target in ["/openapi.json", "/docs", "/docs/page.js"] {
        let reply = client.send(&open("GET", target)).expect(200);
        let etag = reply.header("etag").expect("an ETag").to_owned();
        let again = client.send(&open("GET", target).header("If-None-Match", &etag));
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{target}");
        assert_eq!(again.header("etag"), Some(etag.as_str()), "{target}");
        let other = client.send(&open("GET", target).header("If-None-Match", "\"other\""));
        assert_eq!(other.status, 200, "{target}");
        let head = client.send(&open("HEAD", target)).expect(200);
        assert_eq!(head.header("etag"), Some(etag.as_str()), "{target}");
        let options = client.send(&open("OPTIONS", target)).expect(204);
        assert_eq!(
            options.list("allow"),
            ["GET", "HEAD", "OPTIONS"],
            "{target}"
        );
        client
            .send(&open("POST", target))
            .problem(405, "method_not_allowed");
    }
    client
        .send(&open("GET", "/docs/nothing.js"))
        .problem(404, "not_found");
}

#[test]
fn the_page_and_all_it_needs_come_from_the_server() {
    let server = Builder::new().start();
    let mut client = server.client();
    let page = client.send(&open("GET", "/docs")).expect(200);
    let html = page.text();
    let linked = [targets(&html, "src=\""), targets(&html, "href=\"")].concat();
    assert!(linked.len() >= 6, "{linked:?}");
    for target in linked.into_iter().filter(|target| *target != "data:,") {
        assert!(!target.contains("//"), "{target} is not of this server");
        let target = format!("/{target}");
        let plain = client.send(&open("GET", &target)).expect(200);
        let zipped = client.send(&open("GET", &target).header("Accept-Encoding", "gzip"));
        assert_eq!(inflate(&zipped), plain.bytes, "{target}");
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"), "{target}");
        let is_versioned = target.contains("swagger-ui-");
        let caching = plain.header("cache-control").expect("a rule of caching");
        assert_eq!(
            caching.contains("immutable"),
            is_versioned,
            "{target}: {caching}"
        );
    }
}

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let server = Builder::new().start();
    let page = server.client().send(&open("GET", "/docs")).expect(200);
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
}

/// Sends a request, and has the answer judged by the description even where `Client::send` would not.
#[track_caller]
fn judged(client: &mut Client, request: Request, status: u16) -> Reply {
    let reply = client.send(&request).expect(status);
    assert_described(&request, &reply);
    reply
}

#[test]
fn answers_are_as_described() {
    let server = Builder::new().start();
    let mut client = server.client();
    let client = &mut client;
    let post = |target: &str, body| Request::new("POST", target).json(&body);
    judged(
        client,
        post(
            CREATE,
            json!({"products": [product("A", 10), product("A", 1)]}),
        ),
        200,
    );
    judged(
        client,
        post(CREATE, json!({"products": [{"productId": "a/b"}]})),
        400,
    );
    judged(
        client,
        post(CREATE, json!({"products": []})).key("demo"),
        403,
    );
    let change = json!({"products": [{"productId": "A", "name": "B"}, {"productId": "none", "price": 1},
                                     {"productId": "A", "price": 1, "version": 77}]});
    judged(client, Request::new("PUT", SET).json(&change), 200);
    let updates = "/v1/inventory/updates";
    let first = update("A", -1, 2, "described-1");
    judged(client, post(updates, first.clone()), 200);
    judged(client, post(updates, first), 200);
    judged(
        client,
        post(updates, update("A", -2, 3, "described-1")),
        422,
    );
    judged(
        client,
        post(updates, update("A", -2, 2, "described-2")),
        409,
    );
    judged(
        client,
        post(updates, update("A", -200, 3, "described-2")),
        409,
    );
    judged(
        client,
        post(updates, update("none", 1, 0, "described-2")),
        404,
    );
    let items = [
        item("A", 1, 3, "described-3"),
        item("A", 0, 3, ""),
        item("none", 1, 3, &unique("key")),
    ];
    judged(client, post(updates, batch(&items)), 200);
    judged(client, Request::new("POST", updates).body("{"), 400);
    judged(
        client,
        Request::new("POST", updates)
            .body("{}")
            .content_type(Some("text/plain")),
        415,
    );
    judged(
        &mut server.client(),
        Request::new("POST", updates).body(vec![b' '; (1 << 20) + 1]),
        413,
    );
    for (target, status) in [
        ("/v1/inventory/A", 200),
        ("/v1/inventory/none", 404),
        ("/v1/inventory?limit=1", 200),
        ("/v1/inventory?limit=0&cursor=x", 400),
        ("/v1/inventory/snapshot", 200),
        ("/v1/inventory/events?offset=0", 200),
        ("/v1/inventory/events?offset=99999", 410),
        ("/v1/inventory/events", 400),
        ("/problems/offset_expired", 200),
        ("/problems/none", 404),
        ("/health", 200),
        ("/health/live", 200),
        ("/health/ready", 200),
    ] {
        judged(client, Request::new("GET", target), status);
        judged(client, Request::new("HEAD", target), status);
    }
    judged(
        client,
        Request::new("GET", "/v1/inventory/A").without_key(),
        401,
    );
    judged(
        client,
        Request::new("GET", "/v1/inventory/A").header("If-None-Match", "*"),
        304,
    );
    judged(
        client,
        Request::new("GET", "/health").header("X-Long", &"x".repeat(17 << 10)),
        431,
    );
    judged(
        client,
        Request::new("DELETE", DELETE).json(&json!({"productIds": ["A", "A"]})),
        200,
    );
}

#[test]
#[should_panic(expected = "not described")]
fn what_is_not_described_is_noticed() {
    let reply = Reply {
        status: 418,
        headers: Vec::new(),
        bytes: Vec::new(),
    };
    assert_described(&Request::new("GET", "/health"), &reply);
}
