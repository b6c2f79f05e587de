//! Requests sent without waiting for answers.

use std::thread;

use super::beside::beside_a_well_behaved_client;
use crate::client::{UPDATES, update_any};
use crate::http::Request;
use crate::server::{Server, unique};

const REQUESTS: u64 = 1_000;

#[test]
fn a_thousand_pipelined_requests_have_a_thousand_answers_in_order() {
    let (server, _) = Server::with_item(2 * REQUESTS);
    beside_a_well_behaved_client(&server, |server| {
        let mut bytes = Vec::new();
        for _ in 0..REQUESTS / 2 {
            let update = update_any("item", -1, &unique("key"));
            let update = Request::new("POST", UPDATES).json(&update);
            bytes.extend_from_slice(&update.encode(server.address()));
            let read = Request::new("GET", "/v1/inventory/item");
            bytes.extend_from_slice(&read.encode(server.address()));
        }
        let mut connection = server.connect();
        let mut writing = connection.another_hand();
        thread::scope(|scope| {
            scope.spawn(move || writing.write(&bytes).expect("sent"));
            for sold in 1..=REQUESTS / 2 {
                let left = 2 * REQUESTS - sold;
                let reply = connection.read_reply("POST").expect("an answer");
                reply.applied(left, sold + 1);
                let product = connection
                    .read_reply("GET")
                    .expect("an answer")
                    .expect(200)
                    .json();
                assert_eq!(product["available"], left);
                assert_eq!(product["version"], sold + 1);
            }
        });
    });
}
