//! A body that breaks off, at every byte.

use super::beside::beside_a_well_behaved_client;
use super::sockets::reset;
use crate::client::{UPDATES, update};
use crate::http::Request;
use crate::server::Server;

#[test]
fn a_body_cut_at_any_byte_changes_nothing() {
    let (server, mut client) = Server::with_item(10);
    let body = update("item", -1, 1, "key").to_string();
    let whole = Request::new("POST", UPDATES)
        .body(body.clone())
        .encode(server.address());
    let head_length = whole.len() - body.len();
    beside_a_well_behaved_client(&server, |server| {
        let open_files = server.settled_open_files();
        for length in head_length..whole.len() {
            let mut connection = server.connect();
            connection.write(&whole[..length]).expect("sent");
            if length % 2 == 0 {
                reset(connection.into_stream());
            }
        }
        server.wait_for_open_files(open_files);
    });
    assert_eq!(client.state("item"), (10, 1));
    client
        .send(&Request::new("POST", UPDATES).body(body))
        .applied(9, 2);
}
