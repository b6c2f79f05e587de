//! A byte now and then: a head or a body that never comes to its end.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::beside::beside_a_well_behaved_client;
use super::sockets::drip;
use crate::client::UPDATES;
use crate::server::{Builder, Server};

/// How many do it at once.
const CLIENTS: usize = 50;
/// Often enough that nobody could take one of them for idle.
const PAUSE: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(1);
/// The deadlines are looked at twice a second; the rest is for a busy machine.
const CLOSED_BY: Duration = Duration::from_secs(4);

#[test]
fn a_head_that_comes_byte_by_byte_ends_at_its_deadline() {
    let server = Builder::new().env("HEADER_TIMEOUT", "1s").start();
    let head = "GET /health HTTP/1.1\r\nHost: a\r\nX-Filler: and so on, and so on, and so on";
    assert_dripping_ends(&server, "", head);
}

#[test]
fn a_body_that_comes_byte_by_byte_ends_at_its_deadline() {
    let server = Builder::new().env("BODY_TIMEOUT", "1s").start();
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: 1000\r\n\r\n"
    );
    assert_dripping_ends(&server, &head, &" ".repeat(60));
}

#[test]
fn chunks_of_one_byte_each_end_at_the_deadline_too() {
    let server = Builder::new().env("BODY_TIMEOUT", "1s").start();
    let head = format!(
        "POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_dripping_ends(&server, &head, &"1\r\n \r\n".repeat(10));
}

#[track_caller]
fn assert_dripping_ends(server: &Server, at_once: &str, byte_by_byte: &str) {
    beside_a_well_behaved_client(server, |server| {
        let open_files = server.settled_open_files();
        let connect = |_| {
            let mut stream = TcpStream::connect(server.address()).expect("connected");
            stream.write_all(at_once.as_bytes()).expect("sent");
            stream
        };
        let streams = (0..CLIENTS).map(connect).collect();
        for open_for in drip(streams, byte_by_byte.as_bytes(), PAUSE) {
            assert!(
                (DEADLINE * 8 / 10..CLOSED_BY).contains(&open_for),
                "{open_for:?}"
            );
        }
        server.wait_for_open_files(open_files);
    });
}
