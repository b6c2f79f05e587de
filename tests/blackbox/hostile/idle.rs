//! Connections that are opened and then left alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::beside::beside_a_well_behaved_client;
use super::sockets::{allow_connections, wait_for_end};
use crate::server::Builder;

const CONNECTIONS: usize = 5_000;
/// Every so-manieth asks something first.
const ONE_IN: usize = 10;
/// Two seconds, and what a busy machine needs to look at them all.
const CLOSED_BY: Duration = Duration::from_secs(15);

#[test]
fn five_thousand_idle_connections_are_closed_and_disturb_nobody() {
    allow_connections(CONNECTIONS as u64);
    let server = Builder::new().env("IDLE_TIMEOUT", "2s").start();
    beside_a_well_behaved_client(&server, |server| {
        let open_files = server.settled_open_files();
        let mut streams = Vec::with_capacity(CONNECTIONS);
        for index in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(server.address()).expect("connected");
            if index % ONE_IN == 0 {
                stream
                    .write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
                    .expect("sent");
                stream.read_exact(&mut [0; 15]).expect("an answer");
            }
            streams.push(stream);
        }
        for stream in &mut streams {
            wait_for_end(stream, CLOSED_BY);
        }
        server.wait_for_open_files(open_files);
    });
}
