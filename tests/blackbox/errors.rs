//! What goes wrong before a request reaches the stock: keys, paths, methods, media types, sizes; and the manners of
//! HTTP around it.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use serde_json::json;

use crate::client::{CREATE, Client, DELETE, SET, UPDATES, product, update};
use crate::http::{Connection, Reply, Request};
use crate::server::{Builder, Server};

const BODY_LIMIT: usize = 1 << 20;

/// Each path and the methods it knows, `HEAD` and `OPTIONS` aside.
const PATHS: [(&str, &str); 10] = [
    (UPDATES, "POST"),
    ("/v1/inventory", "GET"),
    ("/v1/inventory/PROD-001", "GET"),
    ("/v1/inventory/events?offset=0", "GET"),
    ("/v1/inventory/snapshot", "GET"),
    (CREATE, "POST"),
    (SET, "PUT"),
    (DELETE, "DELETE"),
    ("/v1/admin/rate-limit/status", "GET"),
    ("/health", "GET"),
];

// Keys

#[test]
fn without_a_known_key_nothing_is_answered() {
    let server = Server::start();
    let mut client = server.client();
    for (path, method) in PATHS
        .into_iter()
        .filter(|(path, _)| path.starts_with("/v1/"))
    {
        let request = Request::new(method, path);
        let request = if method == "GET" {
            request
        } else {
            request.json(&json!({}))
        };
        client
            .send(&request.clone().without_key())
            .problem(401, "unauthorized");
        for key in [
            "",
            "guessed-key-41c7",
            "Demo",
            "demo2",
            "dem",
            "demo,dev-key",
        ] {
            let reply = client.send(&request.clone().key(key));
            reply.problem(401, "unauthorized");
            assert!(
                key.is_empty() || key.len() < 8 || !reply.text().contains(key),
                "a key never reaches an error"
            );
        }
    }
}

#[test]
fn a_regular_key_does_not_open_administration() {
    let server = Server::start();
    let mut client = server.client();
    for (path, method) in [(CREATE, "POST"), (SET, "PUT"), (DELETE, "DELETE")] {
        let body = json!({"products": [product("item", 1)], "productIds": ["PROD-001"]});
        client
            .send(&Request::new(method, path).key("demo").json(&body))
            .problem(403, "forbidden");
    }
    client.get("/v1/inventory/item").expect(404);
    client.get("/v1/inventory/PROD-001").expect(200);
}

#[test]
fn an_admin_key_opens_the_regular_endpoints_too() {
    let (_server, mut client) = Server::with_item(10);
    client
        .send(&Request::new("GET", "/v1/inventory/item").key("admin-demo"))
        .expect(200);
    let body = update("item", -1, 1, "key");
    client
        .send(&Request::new("POST", UPDATES).key("admin-demo").json(&body))
        .applied(9, 2);
}

#[test]
fn keys_are_those_of_the_configuration() {
    let server = Builder::new()
        .env("API_KEYS", "one-key,two-keys")
        .env("ADMIN_API_KEYS", "root-key")
        .start();
    let mut client = server.client();
    let get = |client: &mut Client, key: &str| {
        client.send(&Request::new("GET", "/v1/inventory").key(key))
    };
    for key in ["one-key", "two-keys", "root-key"] {
        get(&mut client, key).expect(200);
    }
    for key in ["demo", "admin-demo", "central-api-key", "one-key,two-keys"] {
        get(&mut client, key).problem(401, "unauthorized");
    }
    let create = Request::new("POST", CREATE).json(&json!({"products": [product("item", 1)]}));
    client
        .send(&create.clone().key("one-key"))
        .problem(403, "forbidden");
    client
        .send(&create.clone().key("admin-demo"))
        .problem(401, "unauthorized");
    client.send(&create.key("root-key")).expect(200);
}

#[test]
fn health_and_the_explanations_of_problems_need_no_key() {
    let server = Server::start();
    let mut client = server.client();
    let health = client
        .send(&Request::new("GET", "/health").without_key())
        .expect(200)
        .json();
    assert_eq!(health["status"], "healthy");
    let codes = "invalid_json validation_error unauthorized forbidden not_found method_not_allowed body_too_large \
        unsupported_media_type headers_too_large offset_expired offset_beyond_end rate_limited overloaded draining \
        storage_failed";
    for code in codes.split_whitespace() {
        let explanation = client
            .send(&Request::new("GET", &format!("/problems/{code}")).without_key())
            .expect(200);
        assert!(!explanation.bytes.is_empty(), "{code}");
    }
    client
        .send(&Request::new("GET", "/problems/no_such_code").without_key())
        .problem(404, "not_found");
}

// Paths and methods

#[test]
fn an_unknown_path_is_404_with_or_without_a_key() {
    let server = Server::start();
    let mut client = server.client();
    for path in [
        "/",
        "/nothing",
        "/v1",
        "/v1/nothing",
        "/v1/admin/nothing",
        "/v1/inventory/a/b",
        "/v2/inventory",
        "/Health",
    ] {
        client
            .send(&Request::new("GET", path))
            .problem(404, "not_found");
        client
            .send(&Request::new("GET", path).without_key())
            .problem(404, "not_found");
        client
            .send(&Request::new("POST", path).without_key().json(&json!({})))
            .problem(404, "not_found");
    }
}

#[test]
fn a_wrong_method_is_405_and_the_right_ones_are_told() {
    let server = Server::start();
    let mut client = server.client();
    for (path, method) in PATHS {
        for wrong in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
            if wrong == method {
                continue;
            }
            let request = Request::new(wrong, path);
            let request = if wrong == "GET" {
                request
            } else {
                request.json(&json!({}))
            };
            let reply = client.send(&request);
            reply.problem(405, "method_not_allowed");
            assert_eq!(allowed(&reply), expected(method), "{wrong} {path}");
        }
    }
}

#[test]
fn options_tells_the_methods_and_needs_no_key() {
    let server = Server::start();
    let mut client = server.client();
    for (path, method) in PATHS {
        let reply = client.send(&Request::new("OPTIONS", path).without_key());
        assert!(
            reply.status == 200 || reply.status == 204,
            "{path}: {}",
            reply.status
        );
        assert_eq!(allowed(&reply), expected(method), "{path}");
    }
    client
        .send(&Request::new("OPTIONS", "/nothing").without_key())
        .problem(404, "not_found");
    let reply = client.send(&Request::new("OPTIONS", "*").without_key());
    assert!(
        reply.status == 200 || reply.status == 204,
        "OPTIONS *: {}",
        reply.status
    );
}

/// The methods that `Allow` names; whether `OPTIONS` is among them is open.
fn allowed(reply: &Reply) -> BTreeSet<&str> {
    reply
        .list("allow")
        .into_iter()
        .filter(|method| *method != "OPTIONS")
        .collect()
}

/// `HEAD` works wherever `GET` does.
fn expected(method: &str) -> BTreeSet<&str> {
    if method == "GET" {
        BTreeSet::from(["GET", "HEAD"])
    } else {
        BTreeSet::from([method])
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::start();
    let mut client = server.client();
    let not_found = "/v1/inventory/nothing";
    for path in PATHS
        .iter()
        .filter(|(_, method)| *method == "GET")
        .map(|(path, _)| *path)
        .chain([not_found])
    {
        let get = client.get(path);
        let head = client.send(&Request::new("HEAD", path));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        if let Some(length) = head
            .header("content-length")
            .filter(|_| path != "/health" && path != not_found)
        {
            assert_eq!(length, get.bytes.len().to_string(), "{path}");
        }
    }
}

// Media types and sizes

#[test]
fn a_body_is_json_or_says_nothing() {
    let (_server, mut client) = Server::with_item(1000);
    let send = |client: &mut Client, content_type: Option<&str>, key: &str| {
        let body = update("item", -1, 0, key);
        client.send(
            &Request::new("POST", UPDATES)
                .content_type(content_type)
                .json(&body),
        )
    };
    let sound = [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
    ];
    for content_type in sound.map(Some).into_iter().chain([None]) {
        send(&mut client, content_type, "key").refused(409, "version_conflict", (1000, 1));
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/jsonx",
        "json",
    ] {
        send(&mut client, Some(content_type), "key").problem(415, "unsupported_media_type");
        for (method, path) in [("POST", CREATE), ("PUT", SET), ("DELETE", DELETE)] {
            let body = json!({"products": [product("other", 1)], "productIds": ["item"]});
            let request = Request::new(method, path)
                .content_type(Some(content_type))
                .json(&body);
            client.send(&request).problem(415, "unsupported_media_type");
        }
    }
    assert_eq!(client.state("item"), (1000, 1));
    client.get("/v1/inventory/other").expect(404);
}

#[test]
fn a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_not() {
    let (server, mut client) = Server::with_item(10);
    let mut body = update("item", -1, 1, "padded").to_string();
    body.push_str(&" ".repeat(BODY_LIMIT - body.len()));
    client
        .send(&Request::new("POST", UPDATES).body(body))
        .applied(9, 2);

    // Only the head: the answer must not wait for a body that is too large anyway.
    let mut connection = server.connect();
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: {}\r\n\r\n",
        BODY_LIMIT + 1
    );
    connection.write(head).expect("sent");
    connection
        .read_reply("POST")
        .expect("an answer")
        .problem(413, "body_too_large");
    server.assert_working();
}

#[test]
fn a_chunked_body_is_taken_up_to_the_same_limit() {
    let (server, mut client) = Server::with_item(10);
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let body = update("item", -1, 1, "chunked").to_string();
    let (start, end) = body.split_at(20);
    let mut connection = server.connect();
    connection
        .write(format!(
            "{head}14\r\n{start}\r\n{:x};a=b\r\n{end}\r\n0\r\n\r\n",
            end.len()
        ))
        .expect("sent");
    connection
        .read_reply("POST")
        .expect("an answer")
        .applied(9, 2);

    let mut connection = server.connect();
    connection.write(&head).expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    // The server may refuse while we are still sending.
    let sent = (0..17).try_for_each(|_| connection.write(&chunk));
    let reply = connection.read_reply("POST");
    match reply {
        Ok(reply) => drop(reply.problem(413, "body_too_large")),
        Err(error) => assert!(
            sent.is_err(),
            "no answer to a chunked body that is too large: {error}"
        ),
    }
    assert_eq!(client.state("item"), (9, 2));
    server.assert_working();
}

#[test]
fn headers_of_more_than_16_kib_are_refused() {
    let server = Server::start();
    let mut client = server.client();
    client
        .send(&Request::new("GET", "/health").header("X-Long", &"x".repeat(15 << 10)))
        .expect(200);
    let long = Request::new("GET", "/health").header("X-Long", &"x".repeat(17 << 10));
    server
        .client()
        .send(&long)
        .problem(431, "headers_too_large");
    let many = (0..60).fold(Request::new("GET", "/health"), |request, number| {
        request.header(&format!("X-Number-{number}"), &"x".repeat(300))
    });
    server
        .client()
        .send(&many)
        .problem(431, "headers_too_large");
    server.assert_working();
}

#[test]
fn whoever_expects_100_continue_gets_it_only_where_the_body_is_wanted() {
    let (server, mut client) = Server::with_item(10);
    let head = |target: &str, key: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let body = update("item", -1, 1, "expected").to_string();
    let mut connection = server.connect();
    connection
        .write(head(UPDATES, "demo", body.len()))
        .expect("sent");
    assert_eq!(
        connection
            .read_reply("POST")
            .expect("an interim answer")
            .status,
        100
    );
    connection.write(&body).expect("sent");
    connection
        .read_reply("POST")
        .expect("an answer")
        .applied(9, 2);

    for (target, key, length, status) in [
        (UPDATES, "demo", BODY_LIMIT + 1, 413),
        (UPDATES, "unknown", 10, 401),
        (CREATE, "demo", 10, 403),
        ("/nothing", "demo", 10, 404),
        ("/v1/inventory", "demo", 10, 405),
    ] {
        let mut connection = server.connect();
        connection.write(head(target, key, length)).expect("sent");
        let reply = connection
            .read_reply("POST")
            .expect("an answer")
            .expect(status);
        reply.any_problem();
    }
    assert_eq!(client.state("item"), (9, 2));
}

// Request ids

#[test]
fn every_answer_carries_the_request_id_of_the_caller_or_a_new_one() {
    let server = Server::start();
    let mut client = server.client();
    let mut id_for = |target: &str, sent: &str| {
        let reply = client.send(&Request::new("GET", target).header("X-Request-ID", sent));
        reply
            .header("x-request-id")
            .expect("every answer has one")
            .to_owned()
    };
    let longest = "x".repeat(128);
    for target in [
        "/health",
        "/v1/inventory/PROD-001",
        "/v1/inventory/nothing",
        "/nothing",
    ] {
        for sent in ["order-17", "a", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", &longest] {
            assert_eq!(id_for(target, sent), sent);
        }
        for sent in ["", &"x".repeat(129), "tab\there"] {
            let id = id_for(target, sent);
            assert!(
                id != sent && (1..=128).contains(&id.len()),
                "{sent:?} became {id:?}"
            );
        }
    }
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        let reply = client.get("/health");
        assert!(
            ids.insert(
                reply
                    .header("x-request-id")
                    .expect("every answer has one")
                    .to_owned()
            )
        );
    }
}

// Connections

#[test]
fn requests_sent_in_one_go_are_answered_in_order() {
    let (server, _) = Server::with_item(10);
    let mut connection = server.connect();
    let mut all = Vec::new();
    for number in 0..50 {
        let request = if number % 2 == 0 {
            Request::new("POST", UPDATES).json(&update(
                "item",
                1,
                1 + number / 2,
                &format!("key-{number}"),
            ))
        } else {
            Request::new("GET", "/v1/inventory/item")
        };
        all.extend(
            request
                .header("X-Request-ID", &format!("number-{number}"))
                .encode(server.address()),
        );
    }
    connection.write(all).expect("sent");
    for number in 0..50 {
        let reply = connection
            .read_reply("POST")
            .expect("an answer")
            .expect(200);
        assert_eq!(
            reply.header("x-request-id"),
            Some(format!("number-{number}").as_str())
        );
        let version = if number % 2 == 0 {
            "newVersion"
        } else {
            "version"
        };
        assert_eq!(reply.json()[version], 2 + number / 2);
    }
}

#[test]
fn a_connection_ends_when_the_client_asks_for_it() {
    let server = Server::start();
    let mut connection = server.connect();
    connection
        .write("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    connection.read_reply("GET").expect("an answer").expect(200);
    assert_eq!(connection.read_to_end(), b"");

    let mut connection = server.connect();
    connection
        .write("GET /health HTTP/1.0\r\n\r\n")
        .expect("sent");
    connection.read_reply("GET").expect("an answer").expect(200);
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_a_request() {
    let (server, _) = Server::with_item(10);
    let mut connection = server.connect();
    for byte in Request::new("POST", UPDATES)
        .json(&update("item", -1, 1, "key"))
        .encode(server.address())
    {
        connection.write([byte]).expect("sent");
    }
    connection
        .read_reply("POST")
        .expect("an answer")
        .applied(9, 2);
}

#[test]
fn nothing_listens_on_another_address_than_the_one_configured() {
    let server = Server::start();
    let other = std::net::SocketAddr::from(([127, 0, 0, 2], server.address().port()));
    let refused = Connection::open(other).err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
}
