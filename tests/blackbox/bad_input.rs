//! Input that is wrong in every way we could think of, and in some that chance thinks of: each is a 4xx problem, and
//! the server goes on.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::client::{CREATE, DELETE, SET, UPDATES, item, product, update, with};
use crate::http::Request;
use crate::server::Server;

const ENDPOINTS: [(&str, &str); 4] = [
    ("POST", UPDATES),
    ("POST", CREATE),
    ("PUT", SET),
    ("DELETE", DELETE),
];
const DEPTH: usize = 100_000;
/// A body that every endpoint finds all its members in.
const SOUND: &str = r#"{"storeId":"s","productId":"none","delta":-1,"version":1,"idempotencyKey":"k",
    "products":[{"productId":"PROD-001","name":"A","available":1,"price":1}],"productIds":["none"]}"#;

/// Sends each body to an endpoint and asserts a problem with this code; the server keeps working.
#[track_caller]
fn check(server: &Server, method: &str, path: &str, code: &str, bodies: &[Vec<u8>]) {
    let mut client = server.client();
    for body in bodies {
        let reply = client.send(&Request::new(method, path).body(body.clone()));
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        assert_eq!(
            reply.status,
            400,
            "{method} {path} answered {shown:?} with {:?}",
            reply.text()
        );
        assert_eq!(
            reply.any_problem()["code"],
            code,
            "{method} {path} answered {shown:?} with {:?}",
            reply.text()
        );
    }
    server.assert_working();
}

/// Sends each body to an endpoint and asserts a problem that is the client's fault.
#[track_caller]
fn check_any(server: &Server, method: &str, path: &str, bodies: &[Vec<u8>]) {
    let mut client = server.client();
    for body in bodies {
        let reply = client.send(&Request::new(method, path).body(body.clone()));
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        assert!(
            (400..500).contains(&reply.status),
            "{method} {path} answered {shown:?} with {}",
            reply.status
        );
        reply.any_problem();
    }
    server.assert_working();
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn json_bytes(values: &[Value]) -> Vec<Vec<u8>> {
    values
        .iter()
        .map(|value| value.to_string().into_bytes())
        .collect()
}

#[test]
fn what_is_not_json_is_invalid_json() {
    let server = Server::start();
    let bodies = bytes(&[
        "",
        " ",
        "\n\t ",
        "{",
        "}",
        "{]",
        "nonsense",
        "{'storeId': 's'}",
        r#"{"storeId""#,
        r#"{"storeId":"s"#,
        r#"{"storeId":"s","productId":"#,
        r#"{"storeId":"s",}"#,
        r#"{storeId:"s"}"#,
        r#"{"storeId":"\x41"}"#,
        "{\"storeId\":\"line\nbreak\"}",
        r#"{"products":[}"#,
        r#"{"productIds":["a",]}"#,
        &format!("{SOUND} x"),
        &format!("{SOUND}{SOUND}"),
        &format!("{SOUND}}}"),
        &format!("\u{feff}{SOUND}"),
        &SOUND[..SOUND.len() - 1],
        r#"{"productIds":["a""#,
    ]);
    for (method, path) in ENDPOINTS {
        check(&server, method, path, "invalid_json", &bodies);
    }
}

#[test]
fn numbers_that_json_does_not_know_are_refused() {
    let server = Server::start();
    for number in [
        "NaN", "Infinity", "-", "+1", "01", ".5", "1.", "0x10", "1e", "--1", "1_000",
    ] {
        let update = format!(
            r#"{{"storeId":"s","productId":"p","delta":{number},"version":1,"idempotencyKey":"k"}}"#
        );
        check(&server, "POST", UPDATES, "invalid_json", &bytes(&[&update]));
        let create = format!(
            r#"{{"products":[{{"productId":"p","name":"P","available":1,"price":{number}}}]}}"#
        );
        check(&server, "POST", CREATE, "invalid_json", &bytes(&[&create]));
    }
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let server = Server::start();
    let bodies = bytes(&[
        "1",
        "true",
        "null",
        r#""text""#,
        "{}",
        "[]",
        r#"["store-s1","PROD-001",-1,1,"key"]"#,
        r#"[["PROD-001"]]"#,
        r#"[[{"productId":"item","name":"A","available":1,"price":1}]]"#,
        r#"{"products":[["PROD-001","A",1,1]]}"#,
    ]);
    for (method, path) in ENDPOINTS {
        check(&server, method, path, "validation_error", &bodies);
    }
    let mut client = server.client();
    client.get("/v1/inventory/PROD-001").expect(200);
    client.get("/v1/inventory/item").expect(404);
}

#[test]
fn the_sound_body_that_others_are_made_of_is_sound() {
    let server = Server::start();
    let mut client = server.client();
    let mut status =
        |method: &str, path: &str| client.send(&Request::new(method, path).body(SOUND)).status;
    assert_eq!(
        ENDPOINTS.map(|(method, path)| status(method, path)),
        [404, 200, 200, 200]
    );
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
    let server = Server::start();
    let in_text = |before: &str, wrong: &[u8], after: &str| {
        [before.as_bytes(), wrong, after.as_bytes()].concat()
    };
    for wrong in [
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"a\x80b",
    ] {
        let rest = r#"","productId":"p","delta":-1,"version":1,"idempotencyKey":"k"}"#;
        let value = in_text(r#"{"storeId":""#, wrong, rest);
        let ignored = in_text(
            r#"{"comment":""#,
            wrong,
            &rest.replacen('"', r#"","storeId":"s""#, 1),
        );
        let name = in_text(r#"{""#, wrong, r#"":1}"#);
        check_any(
            &server,
            "POST",
            UPDATES,
            &[value, ignored, name, wrong.to_vec()],
        );
        let product = in_text(
            r#"{"products":[{"productId":"p","available":1,"price":1,"name":""#,
            wrong,
            r#""}]}"#,
        );
        check_any(&server, "POST", CREATE, std::slice::from_ref(&product));
        check_any(&server, "PUT", SET, &[product]);
        check_any(
            &server,
            "DELETE",
            DELETE,
            &[in_text(r#"{"productIds":[""#, wrong, r#""]}"#)],
        );
    }
    let lone_surrogate =
        r#"{"storeId":"\ud800","productId":"p","delta":-1,"version":1,"idempotencyKey":"k"}"#;
    check_any(&server, "POST", UPDATES, &bytes(&[lone_surrogate]));
}

#[test]
fn nesting_without_end_is_refused() {
    let server = Server::start();
    let arrays = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let open = "[".repeat(DEPTH);
    let objects = r#"{"a":"#.repeat(DEPTH) + "1" + &"}".repeat(DEPTH);
    let open_objects = r#"{"a":"#.repeat(DEPTH);
    let mixed = r#"[{"a":"#.repeat(DEPTH / 2) + "1" + &"}]".repeat(DEPTH / 2);
    let rest = r#""storeId":"s","productId":"p","delta":-1,"version":1,"idempotencyKey":"k"}"#;
    let in_unknown_member = format!(r#"{{"comment":{arrays},{rest}"#);
    let in_known_member = format!(r#"{{"delta":{arrays},{rest}"#);
    let in_updates = format!(r#"{{"storeId":"s","updates":{arrays}}}"#);
    let in_item = format!(r#"{{"storeId":"s","updates":[{{"productId":{objects}}}]}}"#);
    let in_products = format!(r#"{{"products":{arrays}}}"#);
    let in_product = format!(r#"{{"products":[{{"name":{objects}}}]}}"#);
    let in_ids = format!(r#"{{"productIds":{arrays}}}"#);
    let bodies = [
        arrays,
        open,
        objects,
        open_objects,
        mixed,
        in_unknown_member,
        in_known_member,
        in_updates,
        in_item,
        in_products,
        in_product,
        in_ids,
    ];
    for (method, path) in ENDPOINTS {
        check_any(
            &server,
            method,
            path,
            &bodies.clone().map(String::into_bytes),
        );
    }
}

#[test]
fn brackets_inside_text_are_no_nesting() {
    let (_server, mut client) = Server::with_item(10);
    let body = with(
        &update("item", -1, 1, "key"),
        "comment",
        "[{\"".repeat(10_000),
    );
    client.send_update(&body).applied(9, 2);
}

#[test]
fn numbers_beyond_what_every_client_can_read_are_refused() {
    let (server, mut client) = Server::with_item(10);
    let beyond = [
        "9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e300",
        "1e999",
        "123456789012345678901234567890",
    ];
    for number in beyond {
        for (delta, version) in [
            (number.to_owned(), "1"),
            (format!("-{number}"), "1"),
            ("-1".to_owned(), number),
        ] {
            let text = format!(
                r#"{{"storeId":"s","productId":"item","delta":{delta},"version":{version},"idempotencyKey":"k"}}"#
            );
            let reply = client.send(&Request::new("POST", UPDATES).body(text.clone()));
            assert!(
                (400..500).contains(&reply.status),
                "{text} was answered {} {:?}",
                reply.status,
                reply.text()
            );
        }
        let text = format!(
            r#"{{"products":[{{"productId":"p","name":"P","available":{number},"price":1}}]}}"#
        );
        check_any(&server, "POST", CREATE, &bytes(&[&text]));
        check_any(
            &server,
            "PUT",
            SET,
            &bytes(&[&text.replace("\"p\"", "\"item\"")]),
        );
    }
    assert_eq!(client.state("item"), (10, 1));
    client.get("/v1/inventory/p").expect(404);
}

#[test]
fn a_member_twice_is_refused() {
    let (server, mut client) = Server::with_item(10);
    let rest = r#""storeId":"s","productId":"item","delta":-1,"version":1,"idempotencyKey":"k"}"#;
    for twice in [
        r#""storeId":"t""#,
        r#""productId":"item""#,
        r#""delta":-2"#,
        r#""version":1"#,
        r#""idempotencyKey":"l""#,
    ] {
        check_any(
            &server,
            "POST",
            UPDATES,
            &bytes(&[&format!("{{{twice},{rest}")]),
        );
    }
    check_any(
        &server,
        "POST",
        CREATE,
        &bytes(&[
            r#"{"products":[{"productId":"a","productId":"b","name":"A","available":1,"price":1}]}"#,
            r#"{"products":[{"productId":"a","name":"A","available":1,"available":2,"price":1}]}"#,
            r#"{"products":[{"productId":"a","name":"A","available":1,"price":1}],"products":[]}"#,
        ]),
    );
    check_any(
        &server,
        "PUT",
        SET,
        &bytes(&[r#"{"products":[{"productId":"item","available":1,"available":2}]}"#]),
    );
    check_any(
        &server,
        "DELETE",
        DELETE,
        &bytes(&[r#"{"productIds":["item"],"productIds":["PROD-001"]}"#]),
    );
    assert_eq!(client.state("item"), (10, 1));
    client.get("/v1/inventory/a").expect(404);
    client.get("/v1/inventory/b").expect(404);
    client.get("/v1/inventory/PROD-001").expect(200);
}

#[test]
fn a_member_of_the_wrong_type_is_a_validation_error() {
    let (server, mut client) = Server::with_item(10);
    let (text, whole) = (json!("1"), json!(1));
    let others = [
        json!(true),
        json!(null),
        json!([]),
        json!({}),
        json!([1]),
        json!(1.5),
    ];
    let sound = update("item", -1, 1, "key");
    for (member, wrong) in [
        ("storeId", &whole),
        ("productId", &whole),
        ("idempotencyKey", &whole),
        ("delta", &text),
        ("version", &text),
    ] {
        for wrong in others.iter().chain([wrong]) {
            let body = with(&sound, member, wrong.clone());
            check(
                &server,
                "POST",
                UPDATES,
                "validation_error",
                &json_bytes(&[body]),
            );
        }
    }
    for wrong in [json!("true"), json!(1), json!([]), json!({})] {
        let body = with(&sound, "anyVersion", wrong);
        check(
            &server,
            "POST",
            UPDATES,
            "validation_error",
            &json_bytes(&[body]),
        );
    }
    for wrong in [json!("x"), json!(1), json!({}), json!(true)] {
        let body = json!({"storeId": "s", "updates": wrong});
        check(
            &server,
            "POST",
            UPDATES,
            "validation_error",
            &json_bytes(&[body]),
        );
    }
    let negative = with(&sound, "version", -1);
    check(
        &server,
        "POST",
        UPDATES,
        "validation_error",
        &json_bytes(&[negative]),
    );
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn a_product_of_the_wrong_type_is_a_validation_error() {
    let (server, mut client) = Server::with_item(10);
    let sound = product("item", 5);
    let wrong = [
        json!({"products": {}}),
        json!({"products": "item"}),
        json!({"products": null}),
        json!({"products": [1]}),
        json!({"products": ["item"]}),
        json!({"products": [null]}),
        json!({"products": [[]]}),
        json!({"products": [with(&sound, "productId", 1)]}),
        json!({"products": [with(&sound, "name", 1)]}),
        json!({"products": [with(&sound, "name", json!([]))]}),
        json!({"products": [with(&sound, "available", "5")]}),
        json!({"products": [with(&sound, "available", 1.5)]}),
        json!({"products": [with(&sound, "available", -1)]}),
        json!({"products": [with(&sound, "available", true)]}),
        json!({"products": [with(&sound, "price", "9.5")]}),
        json!({"products": [with(&sound, "price", -0.01)]}),
        json!({"products": [with(&sound, "price", json!({}))]}),
    ];
    check(
        &server,
        "POST",
        CREATE,
        "validation_error",
        &json_bytes(&wrong),
    );
    check(&server, "PUT", SET, "validation_error", &json_bytes(&wrong));
    let version = json!({"products": [with(&sound, "version", "1")]});
    check(
        &server,
        "PUT",
        SET,
        "validation_error",
        &json_bytes(&[version]),
    );
    let wrong = [
        json!({"productIds": "item"}),
        json!({"productIds": {}}),
        json!({"productIds": null}),
        json!({"productIds": ["item", 1]}),
        json!({"productIds": [null]}),
        json!({"productIds": [["item"]]}),
    ];
    check(
        &server,
        "DELETE",
        DELETE,
        "validation_error",
        &json_bytes(&wrong),
    );
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn a_body_that_ends_too_soon_has_no_effect() {
    let (server, mut client) = Server::with_item(10);
    let whole = Request::new("POST", UPDATES)
        .json(&update("item", -1, 1, "key"))
        .encode(server.address());
    for missing in [1, 2, 30, 80] {
        let mut connection = server.connect();
        connection
            .write(&whole[..whole.len() - missing])
            .expect("sent");
        connection.half_close();
        assert_client_error_or_nothing(&connection.read_to_end());
    }
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for chunks in ["", "5\r\n{\"sto", "5\r\n{\"sto\r\n", "ffff\r\n{}", "5"] {
        let mut connection = server.connect();
        connection.write(format!("{head}{chunks}")).expect("sent");
        connection.half_close();
        assert_client_error_or_nothing(&connection.read_to_end());
    }
    assert_eq!(client.state("item"), (10, 1));
    server.assert_working();
}

#[test]
fn a_client_that_vanishes_in_the_midst_of_a_request_disturbs_nobody() {
    let (server, mut client) = Server::with_item(10);
    let whole = Request::new("POST", UPDATES)
        .json(&update("item", -1, 7, "key"))
        .encode(server.address());
    for length in (0..whole.len()).step_by(17) {
        let mut connection = server.connect();
        connection.write(&whole[..length]).expect("sent");
    }
    assert_eq!(client.state("item"), (10, 1));
    server.assert_working();
}

#[test]
fn a_broken_chunk_is_answered_or_ends_the_connection() {
    let (server, mut client) = Server::with_item(10);
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.write(format!("{head}{chunks}")).expect("sent");
        connection.half_close();
        assert_client_error_or_nothing(&connection.read_to_end());
    }
    assert_eq!(client.state("item"), (10, 1));
    server.assert_working();
}

#[track_caller]
fn assert_client_error_or_nothing(answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
}

#[test]
fn a_request_head_that_breaks_the_rules_is_400() {
    let server = Server::start();
    let body = update("PROD-001", -1, 0, "key").to_string();
    let post = |headers: &str| {
        format!("POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\n{headers}\r\n{body}")
    };
    let heads = [
        "GET /health HTTP/1.1\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET /health HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        "GET http://a/health HTTP/1.1\r\n\r\n".to_owned(),
        "GET http://user@a/health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nBroken header\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nSpaced : x\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nFolded: x\r\n y\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        post("Transfer-Encoding: gzip, chunked\r\n"),
        post("Transfer-Encoding: chunked, chunked\r\n"),
        post("Transfer-Encoding: identity\r\n"),
        post(&format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
            body.len()
        )),
        post(&format!(
            "Content-Length: {}\r\nContent-Length: 1\r\n",
            body.len()
        )),
        post("Content-Length: -5\r\n"),
        post("Content-Length: +5\r\n"),
        post("Content-Length: five\r\n"),
    ];
    for head in heads {
        let mut connection = server.connect();
        connection.write(&head).expect("sent");
        let reply = connection.read_reply("GET");
        let status = reply
            .map(|reply| reply.status)
            .map_err(|error| error.to_string());
        assert_eq!(status, Ok(400), "{head:?}");
    }
    server.assert_working();
}

#[test]
fn what_surrounds_a_sound_request_decides_nothing() {
    let server = Server::start();
    for head in [
        format!(
            "GET http://{}/health HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address(),
            server.address()
        ),
        "GET /health HTTP/1.1\r\nhOST:a\r\n\r\n".to_owned(),
        "GET /health?unknown=1&unknown HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: a\r\nEmpty:\r\n\r\n".to_owned(),
    ] {
        let mut connection = server.connect();
        connection.write(&head).expect("sent");
        let status = connection
            .read_reply("GET")
            .map(|reply| reply.status)
            .map_err(|error| error.to_string());
        assert_eq!(status, Ok(200), "{head:?}");
    }
}

#[test]
fn a_target_that_cannot_be_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    for target in [
        "/v1/inventory/%FF",
        "/v1/inventory/%C3",
        "/v1/inventory/%00",
        "/v1/inventory/a%2Fb",
        "/v1/inventory/%",
    ] {
        let reply = client.get(target);
        assert!(
            (400..500).contains(&reply.status),
            "{target}: {}",
            reply.status
        );
        reply.any_problem();
    }
    let long = format!("/v1/inventory/{}", "x".repeat(129));
    let reply = client.get(&long);
    assert!(
        reply.status == 400 || reply.status == 404,
        "{}",
        reply.status
    );
    let endless = format!("/v1/inventory/{}", "x".repeat(20_000));
    let mut connection = server.connect();
    connection
        .write(Request::new("GET", &endless).encode(server.address()))
        .expect("sent");
    let status = connection.read_reply("GET").expect("an answer").status;
    assert!((400..500).contains(&status), "{status}");
    server.assert_working();
}

// Chance

const CASES: u32 = 300;

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(failure) = TestRunner::new(config).run(strategy, test) {
        panic!("{failure}");
    }
}

#[test]
fn random_bytes_are_refused() {
    let server = Server::start();
    let client = RefCell::new(server.client());
    let endpoint = prop::sample::select(&ENDPOINTS[..]);
    run(
        &(endpoint, prop::collection::vec(any::<u8>(), 0..200)),
        |((method, path), body)| {
            let reply = client
                .borrow_mut()
                .send(&Request::new(method, path).body(body));
            prop_assert_eq!(reply.status, 400, "{:?}", reply.text());
            reply.any_problem();
            Ok(())
        },
    );
    server.assert_working();
}

/// Pieces of JSON in any order: most of it is not JSON, some of it is.
#[test]
fn random_json_has_a_defined_answer() {
    let server = Server::start();
    let client = RefCell::new(server.client());
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(item("PROD-001", -1, 1, "chance")),
        Just(product("PROD-002", 1)),
    ];
    let member = prop::sample::select(vec![
        "storeId",
        "productId",
        "delta",
        "version",
        "anyVersion",
        "idempotencyKey",
        "updates",
        "products",
        "productIds",
        "name",
        "available",
        "price",
        "x",
    ]);
    let value = leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(member.clone(), inner, 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Value>()
            }),
        ]
    });
    run(
        &(prop::sample::select(&ENDPOINTS[..]), value),
        |((method, path), body)| {
            let reply = client
                .borrow_mut()
                .send(&Request::new(method, path).json(&body));
            prop_assert!(
                [200, 400, 404, 409, 422].contains(&reply.status),
                "{} {:?}",
                reply.status,
                reply.text()
            );
            Ok(())
        },
    );
    server.assert_working();
}

#[test]
fn a_sound_update_with_one_byte_changed_has_a_defined_answer() {
    let (server, _) = Server::with_item(1_000_000);
    let client = RefCell::new(server.client());
    let sound = update("item", -1, 1, "key").to_string().into_bytes();
    let change = (0..sound.len(), any::<u8>(), 0..3);
    run(&change, |(at, byte, kind)| {
        let mut body = sound.clone();
        match kind {
            0 => body[at] = byte,
            1 => body.insert(at, byte),
            _ => drop(body.remove(at)),
        }
        let reply = client
            .borrow_mut()
            .send(&Request::new("POST", UPDATES).body(body));
        prop_assert!(
            [200, 400, 404, 409, 422].contains(&reply.status),
            "{} {:?}",
            reply.status,
            reply.text()
        );
        if reply.status == 400 {
            reply.any_problem();
        }
        Ok(())
    });
    server.assert_working();
}
