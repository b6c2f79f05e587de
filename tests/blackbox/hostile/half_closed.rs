//! Clients that end their side and leave: in the midst of a head, of a body, and behind a whole request.

use std::time::{Duration, Instant};

use super::beside::beside_a_well_behaved_client;
use crate::client::{UPDATES, update_any};
use crate::http::{Connection, Request};
use crate::server::Server;

/// Far below the deadlines of heads, bodies and idle connections: the end is noticed, not waited out.
const CLOSED_BY: Duration = Duration::from_secs(5);
const CLIENTS: usize = 20;

#[test]
fn a_connection_that_ends_within_a_request_is_closed_at_once() {
    let (server, mut client) = Server::with_item(10);
    let head = format!("POST {UPDATES} HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\n");
    beside_a_well_behaved_client(&server, |server| {
        for sent in [
            String::new(),
            "P".to_owned(),
            head.clone(),
            format!("{head}Content-Length: 10\r\n\r\n"),
            format!("{head}Content-Length: 10\r\n\r\n{{\"a\""),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n"),
        ] {
            assert_closed(server, sent.as_bytes(), |answer| {
                answer.is_empty() || answer.starts_with("HTTP/1.1 400 ")
            });
        }
    });
    assert_eq!(client.state("item"), (10, 1));
}

#[test]
fn a_connection_that_ends_behind_a_whole_request_is_closed_and_the_request_takes_effect_at_most_once()
 {
    let (server, mut client) = Server::with_item(1000);
    let update = update_any("item", -1, "the-only-key");
    let whole = Request::new("POST", UPDATES)
        .json(&update)
        .encode(server.address());
    beside_a_well_behaved_client(&server, |server| {
        assert_closed(server, &whole, |answer| {
            answer.is_empty() || answer.starts_with("HTTP/1.1 200 ")
        });
    });
    client.send_update(&update).applied(999, 2);
}

/// Sends `bytes` and the end of our side, several at once; each connection is closed soon, after an answer that is
/// expected.
#[track_caller]
fn assert_closed(server: &Server, bytes: &[u8], is_expected: impl Fn(&str) -> bool) {
    let open_files = server.settled_open_files();
    let mut connections: Vec<Connection> = (0..CLIENTS).map(|_| server.connect()).collect();
    let begun = Instant::now();
    for connection in &mut connections {
        connection.write(bytes).expect("sent");
        connection.half_close();
    }
    for connection in &mut connections {
        let answer = connection.read_to_end();
        let answer = String::from_utf8_lossy(&answer);
        assert!(is_expected(&answer), "{answer}");
    }
    let took = begun.elapsed();
    assert!(
        took < CLOSED_BY,
        "{:?} took {took:?}",
        String::from_utf8_lossy(bytes)
    );
    server.wait_for_open_files(open_files);
}
