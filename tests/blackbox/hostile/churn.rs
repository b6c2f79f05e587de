//! Connections that come and go without end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use super::beside::beside_a_well_behaved_client;
use super::sockets::reset;
use crate::server::Server;

const CONNECTIONS: usize = 10_000;
const CLIENTS: usize = 4;

const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn ten_thousand_connections_that_come_and_go_leave_nothing_behind() {
    let server = Server::start();
    beside_a_well_behaved_client(&server, |server| {
        let open_files = server.settled_open_files();
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    (0..CONNECTIONS / CLIENTS).for_each(|index| come_and_go(server, index))
                });
            }
        });
        server.wait_for_open_files(open_files);
    });
}

/// In one of the ways in which a connection can go.
fn come_and_go(server: &Server, index: usize) {
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    match index % 5 {
        // Without a word.
        0 => {}
        // With a reset, without a word.
        1 => reset(stream),
        // With a reset, in the midst of a request and of its answer.
        2 => {
            stream
                .write_all(&REQUEST[..REQUEST.len() - index % 3])
                .expect("sent");
            reset(stream);
        }
        _ => {
            stream.write_all(REQUEST).expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("an answer");
            assert!(
                answer.starts_with(b"HTTP/1.1 200 "),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}
