//! More connections than are allowed, from everywhere or from one address.

use std::net::Ipv4Addr;

use super::beside::beside_a_well_behaved_client;
use crate::http::{Connection, Reply};
use crate::server::{Builder, Server, eventually};

const HEALTH: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn the_connection_above_the_bound_is_told_so_and_one_that_leaves_makes_room() {
    let server = Builder::new().env("MAX_CONNECTIONS", 16).start();
    beside_a_well_behaved_client(&server, |server| {
        // The well-behaved client has one.
        let mut served = fill(server, 15, &[FIRST, SECOND]);
        for source in [FIRST, SECOND] {
            assert_refused(server, source);
        }
        served.pop();
        wait_until_served(server, SECOND);
        drop(served);
    });
}

#[test]
fn one_address_meets_its_own_bound_and_leaves_the_others_alone() {
    let server = Builder::new().env("MAX_CONNECTIONS_PER_IP", 16).start();
    beside_a_well_behaved_client(&server, |server| {
        // The well-behaved client has one of the first address.
        let mut served = fill(server, 15, &[FIRST]);
        assert_refused(server, FIRST);
        let others = fill(server, 16, &[SECOND]);
        assert_refused(server, SECOND);
        assert_refused(server, FIRST);
        drop(others);
        served.pop();
        wait_until_served(server, FIRST);
        wait_until_served(server, SECOND);
    });
}

/// Connects so often, from one address after the other, and asks something each time. A connection that has just been
/// closed may still count.
#[track_caller]
fn fill(server: &Server, count: usize, sources: &[Ipv4Addr]) -> Vec<Connection> {
    let served = (0..count).map(|index| wait_until_served(server, sources[index % sources.len()]));
    served.collect()
}

#[track_caller]
fn wait_until_served(server: &Server, source: Ipv4Addr) -> Connection {
    eventually("there is room for a connection", || {
        let (connection, reply) = ask(server, source);
        match reply.status {
            200 => Some(connection),
            _ => {
                reply.problem(503, "overloaded");
                None
            }
        }
    })
}

/// It hears that there is no room, and nothing more.
#[track_caller]
fn assert_refused(server: &Server, source: Ipv4Addr) {
    let (mut connection, reply) = ask(server, source);
    reply.problem(503, "overloaded");
    let seconds = reply.header("retry-after").map(str::parse::<u32>);
    assert!(matches!(seconds, Some(Ok(1..))), "{reply:?}");
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(connection.read_to_end(), b"");
}

#[track_caller]
fn ask(server: &Server, source: Ipv4Addr) -> (Connection, Reply) {
    let connection = Connection::open_from(source, server.address());
    let mut connection = connection.expect("the kernel connects");
    connection.write(HEALTH).expect("sent");
    let reply = connection.read_reply("GET").expect("an answer");
    (connection, reply)
}
