//! A start that takes its time: the port answers from the beginning, says that it recovers, and how far it is.

use std::fs;

use central_inventory::journal::format::{Change, Changes, EventKind, Group};
use rustix::process::Signal;
use serde_json::Value;
use shards::{Price, Product, Ticket, Timestamp};

use crate::client::Client;
use crate::server::{Builder, Server, eventually};

/// So many that a start replays them for some seconds in a test build.
const CHANGES: u64 = 400_000;
const GROUP: usize = 1_000;

/// A directory whose journal holds `CHANGES` changes of one product, and no snapshot of them.
pub fn long_journal() -> Builder {
    let builder = Builder::new();
    let mut product = Product {
        id: "item".into(),
        name: "Item".into(),
        price: Price::new("1"),
        available: 0,
        version: 0,
        updated_at: Timestamp(1_705_314_600_000),
        ticket: Ticket(0),
    };
    let mut journal = Vec::new();
    let mut offset = 0;
    while offset < CHANGES {
        let mut changes = Changes::default();
        for _ in 0..GROUP {
            product.version += 1;
            product.available += 1;
            let kind = match product.version {
                1 => EventKind::ProductCreated,
                _ => EventKind::ProductModified,
            };
            changes.push(&Change {
                kind,
                at: product.updated_at,
                product: &product,
                update: None,
            });
        }
        let mut group = Group::new(offset, offset);
        for (served, private) in changes.iter() {
            group.push(changes.latest_at(), served, private);
        }
        let group = group.seal();
        offset = group.end_offset;
        journal.extend_from_slice(&group.blocks);
    }
    fs::write(builder.events_path(), journal).expect("the journal can be written");
    fs::write(builder.data_path(), "{\"products\":{}}").expect("so can the catalogue");
    builder
}

/// What `/health` says until the server is ready.
pub fn while_recovering(server: &Server, client: &mut Client) -> Value {
    eventually("it listens", || {
        let health = client.try_get("/health").ok()?;
        assert_eq!(health.status, 503, "it recovers for some seconds");
        Some(health.json())
    });
    let health = server.client().get("/health").expect(503).json();
    assert_eq!(health["status"], "recovering");
    health
}

#[test]
fn while_it_recovers_it_answers_that_it_does_and_says_how_far_it_is() {
    let builder = long_journal();
    let server = builder.spawn();
    let mut client = server.client();
    while_recovering(&server, &mut client);
    client.get("/health/ready").expect(503);
    client.get("/health/live").expect(200);
    let refused = client.get("/v1/inventory/item");
    refused.problem(503, "recovering");
    assert!(refused.header("retry-after").is_some());
    client
        .update("item", 1, 1, "key")
        .problem(503, "recovering");
    eventually("it is ready", || {
        (client.get("/health").status == 200).then_some(())
    });
    assert_eq!(client.state("item"), (CHANGES, CHANGES));
    let said = server.stderr();
    assert!(said.contains("\"msg\":\"Recovering\""), "{said}");
    assert!(said.contains("\"percent\":"), "{said}");
}

#[test]
fn a_stop_while_it_recovers_ends_it_at_once_and_changes_nothing() {
    let builder = long_journal();
    let before = fs::read(builder.events_path()).expect("the journal can be read");
    let server = builder.spawn();
    while_recovering(&server, &mut server.client());
    server.signal(Signal::TERM);
    let builder = server.wait();
    let after = fs::read(builder.events_path()).expect("the journal can be read");
    assert!(before == after, "the journal was changed");
    assert_eq!(builder.start().client().state("item"), (CHANGES, CHANGES));
}
