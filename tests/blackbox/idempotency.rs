//! A repeat of an update has no effect and gets the first answer again.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Client, batch, item, item_any, update, update_any, with, without};
use crate::expect::{assert_applied, assert_refused, summary};
use crate::http::Reply;
use crate::mirror::number;
use crate::server::{Builder, Server, eventually, unique};

#[track_caller]
fn assert_repeats(first: &Reply, repeat: &Reply) {
    assert_eq!((repeat.status, repeat.text()), (first.status, first.text()));
    assert!(
        repeat.replayed(),
        "a repeat says that it is one: {repeat:?}"
    );
}

#[test]
fn a_repeat_gets_the_same_bytes_and_has_no_effect() {
    let (_server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key");
    first.applied(8, 2);
    assert_eq!(first.header("idempotent-replayed"), None);
    for _ in 0..3 {
        assert_repeats(&first, &client.update("item", -2, 1, "key"));
    }
    assert_eq!(client.state("item"), (8, 2));
    assert_eq!(client.raw_feed(0).len(), 2, "a creation and one update");
}

#[test]
fn a_repeat_may_name_another_version_or_none() {
    let (_server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key").expect(200);
    assert_repeats(&first, &client.update("item", -2, 2, "key"));
    assert_repeats(&first, &client.update("item", -2, 77, "key"));
    assert_repeats(&first, &client.update_any("item", -2, "key"));
    assert_eq!(client.state("item"), (8, 2));
}

#[test]
fn a_repeat_gets_the_first_answer_also_after_later_updates() {
    let (_server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key").expect(200);
    client.update("item", -3, 2, "later").applied(5, 3);
    assert_repeats(&first, &client.update("item", -2, 1, "key"));
    assert_eq!(client.state("item"), (5, 3));
}

#[test]
fn the_same_key_with_another_delta_is_refused() {
    let (_server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key").expect(200);
    client
        .update("item", -3, 2, "key")
        .refused(422, "idempotency_key_reused", (8, 2));
    client
        .update("item", 2, 2, "key")
        .refused(422, "idempotency_key_reused", (8, 2));
    assert_repeats(&first, &client.update("item", -2, 1, "key"));
    assert_eq!(client.state("item"), (8, 2));
}

#[test]
fn another_store_or_another_product_with_the_same_key_is_another_operation() {
    let (_server, mut client) = Server::with_item(10);
    client.create(&[("other", 10)]);
    client.update("item", -2, 1, "key").applied(8, 2);
    client.update("other", -2, 1, "key").applied(8, 2);
    client
        .send_update(&with(&update("item", -2, 2, "key"), "storeId", "store-s2"))
        .applied(6, 3);
}

#[test]
fn parts_of_an_identity_do_not_run_into_each_other() {
    let (_server, mut client) = Server::with_item(10);
    client.create(&[("itemb", 10)]);
    let body = |store: &str, product: &str, key: &str| {
        with(&update(product, -1, 1, key), "storeId", store)
    };
    client.send_update(&body("a", "item", "bc")).applied(9, 2);
    client.send_update(&body("a", "itemb", "c")).applied(9, 2);
    client
        .send_update(&with(&body("ab", "item", "c"), "version", 2))
        .applied(8, 3);
}

#[test]
fn a_refusal_is_not_remembered() {
    let (_server, mut client) = Server::with_item(10);
    client
        .update("item", -2, 5, "conflict")
        .refused(409, "version_conflict", (10, 1));
    client.update("item", -2, 1, "conflict").applied(8, 2);

    client
        .update("item", -9, 2, "sold-out")
        .refused(409, "insufficient_inventory", (8, 2));
    client.update("item", 1, 2, "restock").applied(9, 3);
    client.update("item", -9, 3, "sold-out").applied(0, 4);

    client.update("late", -1, 1, "unknown").expect(404);
    client.create(&[("late", 1)]);
    client.update("late", -1, 1, "unknown").applied(0, 2);

    client
        .update("item", -7, 4, "changed-mind")
        .refused(409, "insufficient_inventory", (0, 4));
    client.update("item", 3, 4, "changed-mind").applied(3, 5);
}

#[test]
fn a_repeat_is_answered_after_the_product_was_deleted_and_after_it_was_created_again() {
    let (_server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key").expect(200);
    client.delete_product("item");
    assert_repeats(&first, &client.update("item", -2, 1, "key"));
    client.create(&[("item", 3)]);
    assert_repeats(&first, &client.update("item", -2, 1, "key"));
    assert_eq!(client.state("item"), (3, 4));
}

#[test]
fn a_repeat_is_answered_after_a_restart() {
    let (server, mut client) = Server::with_item(10);
    let first = client.update("item", -2, 1, "key").expect(200);
    let server = server.stop().start();
    let mut client = server.client();
    assert_repeats(&first, &client.update("item", -2, 1, "key"));
    client
        .update("item", -3, 2, "key")
        .refused(422, "idempotency_key_reused", (8, 2));
    assert_eq!(client.state("item"), (8, 2));
}

#[test]
fn fifty_duplicates_at_once_have_one_effect_and_fifty_equal_answers() {
    fifty_duplicates_have_one_effect(&Server::start());
}

/// Sends one update from fifty connections at the same moment.
pub fn fifty_duplicates_have_one_effect(server: &Server) {
    let mut client = server.client();
    client.create(&[("duplicated", 100)]);
    for (round, version) in (0..5).zip(1..) {
        let key = format!("duplicate-{round}");
        let replies = at_once(server, 50, |client, _| {
            client.update("duplicated", -1, version, &key)
        });
        for reply in &replies {
            reply.applied(100 - version, version + 1);
            assert_eq!(reply.text(), replies[0].text());
        }
        let originals = replies.iter().filter(|reply| !reply.replayed()).count();
        assert_eq!(
            originals, 1,
            "one answer is the first, the others repeat it"
        );
    }
    assert_eq!(client.state("duplicated"), (95, 6));
}

#[test]
fn of_two_deltas_for_one_key_at_once_one_wins_and_the_other_is_refused() {
    let (server, mut client) = Server::with_item(100);
    let replies = at_once(&server, 20, |client, number| {
        client.update_any("item", -1 - (number % 2) as i64, "key")
    });
    let (applied, refused): (Vec<&Reply>, Vec<&Reply>) =
        replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((applied.len(), refused.len()), (10, 10));
    assert!(applied.iter().all(|reply| reply.bytes == applied[0].bytes));
    let state = client.state("item");
    assert!(state == (99, 2) || state == (98, 2), "{state:?}");
    for reply in refused {
        reply.refused(422, "idempotency_key_reused", state);
    }
}

/// The answers to requests that so many clients send at the same moment.
fn at_once(
    server: &Server,
    count: usize,
    send: impl Fn(&mut Client, usize) -> Reply + Sync,
) -> Vec<Reply> {
    let start = Barrier::new(count);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count)
            .map(|number| {
                let (mut client, start, send) = (server.client(), &start, &send);
                scope.spawn(move || {
                    client.get("/health").expect(200);
                    start.wait();
                    send(&mut client, number)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("an answer"))
            .collect()
    })
}

#[test]
fn a_key_is_free_again_after_its_time_to_live_and_not_before() {
    let builder = Builder::new()
        .env("IDEMPOTENCY_CACHE_TTL", "1s")
        .env("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", "1s");
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    let sent = Instant::now();
    client.update_any("item", -2, "key").applied(8, 2);
    let second = eventually("the key is free again", || {
        Some(client.update_any("item", -2, "key").expect(200)).filter(|reply| !reply.replayed())
    });
    // The server reads its clock every few milliseconds.
    assert!(
        sent.elapsed() > Duration::from_millis(900),
        "forgotten after {:?}",
        sent.elapsed()
    );
    second.applied(6, 3);
}

#[test]
fn a_key_is_free_again_after_its_time_to_live_also_across_a_restart() {
    let server = Builder::new().env("IDEMPOTENCY_CACHE_TTL", "1s").start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    client.update_any("item", -2, "key").applied(8, 2);
    let server = server.stop().start();
    let mut client = server.client();
    let second = eventually("the key is free again", || {
        Some(client.update_any("item", -2, "key").expect(200)).filter(|reply| !reply.replayed())
    });
    second.applied(6, 3);
}

#[test]
fn a_full_memory_refuses_new_updates_and_keeps_its_promises() {
    let server = Builder::new()
        .shards(1)
        .env("IDEMPOTENCY_CACHE_MAX_ENTRIES", 1024)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let first = client.update_any("item", 1, "first").expect(200);
    client.change_often("item", 1023);

    let refusal = client.update_any("item", 1, "one-more");
    refusal.problem(503, "overloaded");
    let seconds = refusal
        .header("retry-after")
        .expect("a refusal for lack of room says when to come back");
    assert!(seconds.parse::<u32>().is_ok(), "{seconds}");
    let all = client.send_update(&batch(&[
        item_any("item", 1, "x"),
        item_any("item", 1, "y"),
    ]));
    all.problem(503, "overloaded");
    assert_eq!(
        client.state("item"),
        (1024, 1025),
        "a refused update has no effect"
    );

    assert_repeats(&first, &client.update_any("item", 1, "first"));
    let mixed = client.send_update(&batch(&[
        item_any("item", 1, "first"),
        item_any("item", 1, "one-more"),
    ]));
    let mixed = mixed.expect(200).json();
    assert_eq!(mixed["results"][0]["replayed"], true);
    assert_eq!(mixed["results"][1]["errorType"], "overloaded");
    assert_eq!(summary(&mixed), [2, 1, 1]);
}

#[test]
fn a_full_memory_takes_updates_again_when_old_ones_expire() {
    let builder = Builder::new()
        .shards(1)
        .env("IDEMPOTENCY_CACHE_MAX_ENTRIES", 1024);
    let builder = builder
        .env("IDEMPOTENCY_CACHE_TTL", "2s")
        .env("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", "1s");
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    eventually("the memory is full", || {
        let items: Vec<Value> = (0..400)
            .map(|_| item_any("item", 1, &unique("key")))
            .collect();
        (client.send_update(&batch(&items)).status == 503).then_some(())
    });
    let applied = eventually("there is room again", || {
        Some(client.update_any("item", 1, &unique("key"))).filter(|reply| reply.status == 200)
    });
    let (quantity, version) = client.state("item");
    applied.applied(quantity, version);
}

#[test]
fn a_repeated_item_of_a_batch_says_that_it_is_one() {
    let (_server, mut client) = Server::with_item(10);
    let body = batch(&[item("item", -1, 1, "one"), item("item", -2, 2, "two")]);
    let first = client.send_update(&body).expect(200).json();
    let repeat = client.send_update(&body).expect(200).json();
    assert_eq!(summary(&repeat), [2, 2, 0]);
    for (first, repeat) in [0, 1].map(|at| (&first["results"][at], &repeat["results"][at])) {
        assert_eq!(repeat["replayed"], true);
        assert_eq!(without(repeat, "replayed"), *first);
        assert_ne!(first["replayed"], true);
    }
    assert_eq!(client.state("item"), (7, 3));
}

#[test]
fn one_key_twice_in_a_batch_has_one_effect() {
    let (_server, mut client) = Server::with_item(10);
    let body = batch(&[
        item_any("item", -1, "same"),
        item_any("item", -1, "same"),
        item_any("item", -5, "same"),
    ]);
    let answer = client.send_update(&body).expect(200).json();
    assert_eq!(summary(&answer), [3, 2, 1]);
    assert_applied(&answer["results"][0], 9, 2);
    assert_applied(&answer["results"][1], 9, 2);
    assert_eq!(answer["results"][1]["replayed"], true);
    assert_refused(
        &answer["results"][2],
        "idempotency_key_reused",
        Some((9, 2)),
    );
}

#[test]
fn an_operation_is_the_same_alone_and_in_a_batch() {
    let (_server, mut client) = Server::with_item(10);
    let single = client
        .send_update(&update_any("item", -1, "alone-first"))
        .applied(9, 2);
    let answer = client
        .send_update(&batch(&[item_any("item", -1, "alone-first")]))
        .expect(200)
        .json();
    assert_eq!(without(&answer["results"][0], "replayed"), single);

    let answer = client
        .send_update(&batch(&[item_any("item", -1, "batch-first")]))
        .expect(200)
        .json();
    let single = client.send_update(&update_any("item", -1, "batch-first"));
    assert!(single.replayed());
    assert_eq!(single.json(), answer["results"][0]);
    assert_eq!(number(&single.json(), "newVersion"), 3);
}
