//! Many stores at once: at the end, stock, versions and feed are exactly what the stores were told.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;

use crate::load::Load;
use crate::mirror::{Mirror, follow};
use crate::server::{Builder, SetOnDrop};

#[test]
fn stock_versions_and_feed_are_what_64_stores_were_told() {
    conserves(
        &Builder::new(),
        Load {
            stores: 64,
            products: 20,
            updates: 50,
        },
    );
}

#[test]
fn a_single_hot_product_is_no_exception() {
    conserves(
        &Builder::new(),
        Load {
            stores: 16,
            products: 1,
            updates: 20,
        },
    );
}

/// Runs a load beside a follower and balances the books.
pub fn conserves(builder: &Builder, load: Load) {
    let server = builder
        .clone()
        .env("MAX_EVENTS_IN_QUEUE", 100_000)
        .env("IDEMPOTENCY_CACHE_TTL", "1h")
        .start();
    let mut client = server.client();
    let mut mirror = Mirror::from_snapshot(&mut client);
    assert_eq!(
        mirror.next_offset(),
        0,
        "the sample is in the snapshot, not in the feed"
    );
    load.create_products(&mut client);

    let done = AtomicBool::new(false);
    let (books, followed) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(server.address(), 0, &done));
        let running = SetOnDrop(&done);
        let books = load.run(server.address(), 0, channel().0);
        drop(running);
        (books, follower.join().expect("the follower found an error"))
    });

    let outcomes = books.applied.len() + books.refused;
    assert_eq!(
        outcomes,
        load.stores * load.updates,
        "every update has an outcome"
    );
    assert!(
        books.applied.len() * 2 > outcomes,
        "most updates find enough stock"
    );
    books.assert_replayed(&mut client);
    books.assert_balanced(&load, &mut client);
    assert_eq!(
        followed,
        client.raw_feed(0),
        "who follows by long poll sees what a later reader sees"
    );
    mirror.catch_up(&mut client);
    mirror.assert_is_the_listing(&mut client);
}
