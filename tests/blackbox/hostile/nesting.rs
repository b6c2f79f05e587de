//! Bodies that nest as deep as a body can.

use super::beside::beside_a_well_behaved_client;
use crate::client::{CREATE, DELETE, SET, UPDATES};
use crate::http::Request;
use crate::server::Server;

const BODY_BYTES: usize = 1 << 20;

#[test]
fn a_body_of_nothing_but_nesting_is_refused_on_every_path() {
    let server = Server::start();
    let endpoints = [
        ("POST", UPDATES),
        ("POST", CREATE),
        ("PUT", SET),
        ("DELETE", DELETE),
    ];
    let nests = [
        "[".repeat(BODY_BYTES),
        "{\"a\":".repeat(BODY_BYTES / 5),
        format!(
            "{}{}",
            "[".repeat(BODY_BYTES / 2),
            "]".repeat(BODY_BYTES / 2)
        ),
        format!("{{\"updates\":{}", "[{\"x\":".repeat(BODY_BYTES / 8)),
        format!("{}1{}", "[".repeat(33), "]".repeat(33)),
    ];
    beside_a_well_behaved_client(&server, |server| {
        let mut client = server.client();
        for (method, path) in endpoints {
            for body in &nests {
                let reply = client.send(&Request::new(method, path).body(body.as_str()));
                reply.problem(400, "invalid_json");
            }
        }
    });
}
