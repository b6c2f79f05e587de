//! The same results whatever the number of shards and acceptors, and also when it changes between two starts.

use crate::client::{Client, MAX_INTEGER};
use crate::conservation::conserves;
use crate::crash::survives_kills;
use crate::events::wakes_a_waiting_poll;
use crate::idempotency::fifty_duplicates_have_one_effect;
use crate::load::Load;
use crate::products::{snapshots_lead_to_the_listing, walks_are_exact};
use crate::server::{Builder, unique};
use crate::updates::answers_a_batch_in_order;

const LOAD: Load = Load {
    stores: 16,
    products: 10,
    updates: 20,
};
const LONG_LOAD: Load = Load {
    stores: 16,
    products: 10,
    updates: 10_000,
};

macro_rules! topologies {
    ($($name:ident: $shards:literal x $acceptors:literal;)*) => {$(
        mod $name {
            use super::*;

            fn builder() -> Builder {
                Builder::new().shards($shards).acceptors($acceptors)
            }

            #[test]
            fn conserves_stock() {
                conserves(&builder(), LOAD);
            }

            #[test]
            fn survives_a_crash() {
                survives_kills([builder(), builder(), builder()], LONG_LOAD, 100);
            }

            #[test]
            fn walks_pages_exactly() {
                walks_are_exact(&builder().start(), 300, &[100, 37]);
            }

            #[test]
            fn leads_from_a_snapshot_to_the_listing() {
                snapshots_lead_to_the_listing(&builder().start(), LOAD);
            }

            #[test]
            fn answers_as_one() {
                let server = builder().start();
                answers_a_batch_in_order(&server);
                fifty_duplicates_have_one_effect(&server);
                wakes_a_waiting_poll(&server);
            }
        }
    )*};
}

topologies! {
    one_shard_one_acceptor: 1 x 1;
    one_shard_two_acceptors: 1 x 2;
    two_shards_one_acceptor: 2 x 1;
    two_shards_two_acceptors: 2 x 2;
    five_shards_one_acceptor: 5 x 1;
    five_shards_two_acceptors: 5 x 2;
}

#[test]
fn a_restart_with_another_number_of_shards_changes_nothing() {
    let server = Builder::new().shards(2).start();
    let mut client = server.client();
    client.create(&[("item", 10), ("gone", 1), ("full", MAX_INTEGER)]);
    let first = client.update("item", -2, 1, "key").expect(200);
    client.delete_product("gone");
    client.change_often("PROD-007", 50);
    let (listing, feed) = (client.listing(), client.raw_feed(0));

    let check = |client: &mut Client| {
        assert_eq!(client.listing(), listing);
        assert_eq!(client.raw_feed(0), feed);
        let repeat = client.update("item", -2, 1, "key");
        assert_eq!((repeat.text(), repeat.replayed()), (first.text(), true));
    };
    let server = server.stop().shards(5).acceptors(2).start();
    check(&mut server.client());
    let server = server.kill().shards(1).acceptors(1).start();
    check(&mut server.client());
    let server = server.stop().shards(3).start();
    let mut client = server.client();
    check(&mut client);
    client.create(&[("gone", 4)]);
    assert_eq!(
        client.state("gone"),
        (4, 3),
        "the versions of deleted products are remembered"
    );
    client.update("item", -1, 2, &unique("key")).applied(7, 3);
}

#[test]
fn crashes_and_another_number_of_shards_each_time_lose_nothing() {
    let shards = |count| Builder::new().shards(count).acceptors(1 + count % 2);
    survives_kills([shards(2), shards(5), shards(1)], LONG_LOAD, 150);
}
