//! Bounds that are met with an answer: bodies in memory, bodies too large, connections, and the deadlines around them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{CREATE, UPDATES, product, update_any};
use crate::http::{Connection, Request};
use crate::server::{Builder, Server, eventually};

const MIB: usize = 1 << 20;

/// A body that is announced and invited, and not sent.
fn begin_body(server: &Server, length: usize) -> Connection {
    let mut connection = server.connect();
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    connection.write(head).expect("the server reads");
    let invited = connection.read_reply("POST").expect("an answer");
    assert_eq!(100, invited.status);
    connection
}

#[test]
fn the_bodies_of_all_connections_share_one_bound() {
    let server = Builder::new()
        .acceptors(1)
        .env("MAX_BODY_MEMORY_MIB", 1)
        .start();
    let mut client = server.client();
    client.create(&[("item", 100)]);
    let held = begin_body(&server, MIB);
    let request = Request::new("POST", UPDATES).json(&update_any("item", -1, "key"));
    let refused = client.send(&request).expect(503);
    assert_eq!(Some("1"), refused.header("retry-after"));
    assert!(refused.text().contains(r#""code":"overloaded""#));
    assert!(refused.text().contains("MAX_BODY_MEMORY_MIB"));
    client.get("/v1/inventory/item").expect(200);
    drop(held);
    eventually("the memory is free again", || {
        (client.send(&request).status == 200).then_some(())
    });
}

#[test]
fn whoever_sends_too_large_a_body_meets_the_answer_behind_it() {
    let server = Server::start();
    let body = format!(r#"{{"products":[{}]}}"#, " ".repeat(8 * MIB));
    let declared = Request::new("POST", CREATE).body(body.clone());
    let mut connection = server.connect();
    connection
        .write(declared.encode(server.address()))
        .expect("the server takes what it does not want");
    let reply = connection.read_reply("POST").expect("an answer");
    assert_eq!(413, reply.status);
    let mut connection = server.connect();
    let head = format!(
        "POST {CREATE} HTTP/1.1\r\nHost: a\r\nX-API-Key: admin-demo\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    connection
        .write(head)
        .expect("the server takes what it does not want");
    let reply = connection.read_reply("POST").expect("an answer");
    assert_eq!(413, reply.status);
    assert_eq!(Some("close"), reply.header("connection"));
    server.assert_working();
}

#[test]
fn a_chunked_body_is_the_last_of_its_connection() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = json!({"products": [product("item", 5)]}).to_string();
    let (left, right) = body.split_at(7);
    connection
        .write(format!(
            "POST {CREATE} HTTP/1.1\r\nHost: a\r\nX-API-Key: admin-demo\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{left}\r\n{:x}\r\n{right}\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
            left.len(),
            right.len()
        ))
        .expect("the server reads");
    let reply = connection.read_reply("POST").expect("an answer");
    assert_eq!(200, reply.status);
    assert_eq!(Some("close"), reply.header("connection"));
    assert_eq!(Vec::<u8>::new(), connection.read_to_end());
    server.client().get("/v1/inventory/item").expect(200);
}

#[test]
fn part_of_a_head_behind_a_request_is_under_the_deadline_of_a_head() {
    let server = Builder::new()
        .env("HEADER_TIMEOUT", "1s")
        .env("IDLE_TIMEOUT", "10m")
        .start();
    let mut connection = server.connect();
    let whole = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    connection
        .write(format!("{whole}{}", &whole[..20]))
        .expect("the server reads");
    assert_eq!(200, connection.read_reply("GET").expect("an answer").status);
    assert_eq!(Vec::<u8>::new(), connection.read_to_end());
}

#[test]
fn a_head_that_never_becomes_one_is_under_the_deadline_too() {
    let server = Builder::new().env("HEADER_TIMEOUT", "1s").start();
    for beginning in ["\n", "\r\n\r\n", "G", "GET / HTTP/1.1\nHost: a\n"] {
        let mut connection = server.connect();
        connection.write(beginning).expect("the server reads");
        assert_eq!(Vec::<u8>::new(), connection.read_to_end(), "{beginning:?}");
    }
}

#[test]
fn a_stop_does_not_wait_for_who_was_refused() {
    let server = Server::start();
    let mut refused = server.connect();
    refused
        .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        .expect("the server reads");
    assert_eq!(400, refused.read_reply("POST").expect("an answer").status);
    let start = Instant::now();
    let stop = thread::spawn(move || server.stop());
    stop.join().expect("it stops");
    assert!(start.elapsed() < Duration::from_secs(9));
    drop(refused);
}
