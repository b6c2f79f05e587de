//! Clients that ask for a lot and never read it.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use serde_json::json;
use socket2::SockRef;

use super::beside::beside_a_well_behaved_client;
use crate::client::CREATE;
use crate::http::Request;
use crate::server::Builder;

/// Connections that do it at once.
const CLIENTS: usize = 8;
/// What each asks for, without reading any of it: pages of a megabyte.
const PAGES: usize = 100;
/// What the server may take for all of them together: far below the 800 MB that they asked for.
const GROWTH_MAX: u64 = 64 << 20;
/// A name of 256 bytes that takes six times as much as JSON.
const NAME: &str = "\u{1}";

#[test]
fn answers_that_nobody_reads_cost_bounded_memory_and_end_with_the_write_timeout() {
    let server = Builder::new().env("WRITE_TIMEOUT", "1s").start();
    let mut client = server.client();
    for part in 0..2 {
        let products: Vec<_> = (0..350)
            .map(|index| json!({"productId": format!("p-{part}-{index}"), "name": NAME.repeat(256), "available": 1, "price": 1}))
            .collect();
        client
            .post(CREATE, &json!({"products": products}))
            .expect(200);
    }
    let page = client
        .get("/v1/inventory/events?offset=0&limit=1000")
        .expect(200);
    assert!(
        page.bytes.len() > 1_000_000,
        "a page of {} bytes",
        page.bytes.len()
    );
    beside_a_well_behaved_client(&server, |server| {
        let (open_files, before) = (server.settled_open_files(), server.resident_bytes());
        let asks = [
            "/v1/inventory/events?offset=0&limit=1000",
            "/v1/inventory/snapshot",
        ];
        let asks = asks.map(|path| {
            Request::new("GET", path)
                .encode(server.address())
                .repeat(PAGES)
        });
        let connect = |index: usize| {
            let stream = TcpStream::connect(server.address()).expect("connected");
            SockRef::from(&stream)
                .set_recv_buffer_size(4096)
                .expect("told so");
            (&stream).write_all(&asks[index % 2]).expect("sent");
            stream
        };
        let streams: Vec<TcpStream> = (0..CLIENTS).map(connect).collect();
        let mut most = before;
        while server.open_files() > open_files {
            most = most.max(server.resident_bytes());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(most - before < GROWTH_MAX, "from {before} to {most} bytes");
        for stream in streams {
            // It is closed already, from the other side.
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}
