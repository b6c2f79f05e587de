//! More connections than the process may have open files.

use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, prlimit};

use super::beside::beside_a_well_behaved_client;
use crate::server::{Server, eventually};

/// Connections for which there is room.
const ROOM: usize = 30;
/// More than twice as many.
const CONNECTIONS: usize = 80;

#[test]
fn a_server_without_open_files_left_goes_on_with_what_it_has_and_takes_more_when_some_leave() {
    let (server, _) = Server::with_item(10);
    let lowered = Some((server.settled_open_files() + ROOM) as u64);
    let limit = Rlimit {
        current: lowered,
        maximum: lowered,
    };
    prlimit(Some(server.pid()), Resource::Nofile, limit).expect("a child may be limited");
    beside_a_well_behaved_client(&server, |server| {
        let connect = |_| TcpStream::connect(server.address()).expect("the kernel takes it");
        let streams: Vec<TcpStream> = (0..CONNECTIONS).map(connect).collect();
        let is_said = || {
            server
                .stderr()
                .contains("could not be accepted")
                .then_some(())
        };
        eventually("the server says that it cannot accept", is_said);
        drop(streams);
        let mut client = server.client();
        assert_eq!(client.state("item"), (10, 1));
    });
    let said = server.stderr().matches("could not be accepted").count();
    assert!(said < 1000, "the log says it {said} times");
    server.stop();
}
