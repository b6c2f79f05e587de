//! What becomes of the journal as it grows: snapshots while the server runs, segments that go when nobody needs them,
//! and old events that are read back from those that stay.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::mirror::{assert_feed, number};
use crate::server::{Builder, Server, eventually, unique};

/// Of one product: about 400 bytes each, so that a MiB is full after some 2,700.
const CHANGES_PER_SEGMENT: usize = 2_700;

/// A server that makes a snapshot with every MiB, and removes what it may at once.
fn forgetful() -> Builder {
    Builder::new()
        .env("MAX_EVENTS_IN_QUEUE", 100)
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("EVENTS_RETENTION", "0s")
        .env("IDEMPOTENCY_CACHE_TTL", "1s")
}

fn full_segments(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).expect("the directory can be read");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("events.0") && name.ends_with(".json"))
        .collect();
    names.sort();
    names
}

fn snapshot_file(builder: &Builder) -> Value {
    let content = fs::read(builder.data_path()).expect("there is a snapshot");
    serde_json::from_slice(&content).expect("a snapshot is JSON")
}

/// The first offset that a snapshot file need not hold.
fn covered(builder: &Builder) -> u64 {
    let last = snapshot_file(builder)["metadata"]["lastOffset"].as_u64();
    last.map_or(0, |last| last + 1)
}

/// The oldest offset that can be read, as a store far behind is told.
fn oldest(client: &mut Client) -> Option<u64> {
    let reply = client.get("/v1/inventory/events?offset=0&limit=1");
    match reply.status {
        200 => None,
        _ => Some(number(
            &reply.problem(410, "offset_expired"),
            "oldestOffset",
        )),
    }
}

#[test]
fn events_older_than_memory_are_read_back_from_the_journal_as_they_were_served() {
    let builder = Builder::new().env("MAX_EVENTS_IN_QUEUE", 100);
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let mut served = client.raw_feed(0);
    while served.len() < 2 * CHANGES_PER_SEGMENT {
        client.change_often("item", 90);
        served.extend(client.raw_feed(served.len() as u64));
    }
    assert!(!full_segments(builder.directory()).is_empty());
    assert_eq!(client.raw_feed(0), served);
    for offset in [0, 1, CHANGES_PER_SEGMENT, served.len() - 101] {
        let page = client.page(&format!("offset={offset}&limit=3&wait=60"));
        assert_eq!(number(&page["events"][0], "offset"), offset as u64);
        assert_eq!(page["count"], 3);
        assert_eq!(page["hasMore"], true);
    }

    let server = server.kill().start();
    assert_eq!(server.client().raw_feed(0), served);
    let server = server.stop().start();
    assert_eq!(server.client().raw_feed(0), served);
}

#[test]
fn segments_go_when_they_are_covered_and_expired_and_a_store_far_behind_is_told() {
    let builder = forgetful();
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    let mut changes = 0;
    eventually("the first segment is removed", || {
        client.change_often("item", 400);
        changes += 400;
        oldest(&mut client)
    });
    eventually("all that may go is gone", || {
        full_segments(builder.directory()).is_empty().then_some(())
    });
    let first = oldest(&mut client).expect("the first segment is gone");
    let end = changes + 1;
    assert_feed(&client.feed(first), first);
    let before = client.get(&format!("/v1/inventory/events?offset={}", first - 1));
    let problem = before.problem(410, "offset_expired");
    assert_eq!(number(&problem, "oldestOffset"), first);
    assert_eq!(number(&problem, "nextOffset"), end);
    assert!(first + 100 <= end, "the latest 100 events stay");

    let (state, feed) = (client.state("item"), client.raw_feed(first));
    let server = server.kill().start();
    let mut client = server.client();
    assert_eq!(client.state("item"), state);
    assert_eq!(oldest(&mut client), Some(first));
    assert_eq!(client.raw_feed(first), feed);
    client.change_often("item", 1);
    assert_eq!(client.feed_end(), end + 1);
}

#[test]
fn an_idle_server_removes_what_has_expired() {
    let builder = forgetful().env("SNAPSHOT_JOURNAL_MIB", 1_000);
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    client.change_often("item", CHANGES_PER_SEGMENT + 600);
    let first = eventually("the first segment is removed", || oldest(&mut client));
    // Readers are told before the file goes.
    eventually("its file is gone", || {
        full_segments(builder.directory()).is_empty().then_some(())
    });
    assert_feed(&client.feed(first), first);
}

#[test]
fn segments_stay_as_long_as_events_are_to_be_read_or_updates_remembered() {
    for (name, value) in [
        ("EVENTS_RETENTION", "1h"),
        ("IDEMPOTENCY_CACHE_TTL", "1h"),
        ("MAX_EVENTS_IN_QUEUE", "1000000"),
    ] {
        let builder = forgetful().env(name, value);
        let server = builder.start();
        let mut client = server.client();
        client.create(&[("item", 0)]);
        let key = unique("key");
        client.update_any("item", 1, &key).applied(1, 2);
        client.change_often("item", 2 * CHANGES_PER_SEGMENT);
        eventually("a snapshot is made", || {
            (covered(&builder) > CHANGES_PER_SEGMENT as u64).then_some(())
        });
        let server = server.stop().start();
        assert_eq!(oldest(&mut server.client()), None, "{name}");
        assert_eq!(
            full_segments(builder.directory())[0],
            "events.00000000000000000000.json",
            "{name}"
        );
        if name == "IDEMPOTENCY_CACHE_TTL" {
            let repeat = server.client().update_any("item", 1, &key);
            assert!(repeat.replayed(), "the first update is remembered");
        }
    }
}

#[test]
fn snapshots_are_made_while_changes_go_on_and_a_restart_is_exact() {
    let builder = Builder::new()
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("MAX_EVENTS_IN_QUEUE", 1_000_000);
    let server = builder.start();
    let mut client = server.client();
    let ids: Vec<String> = (0..1_000).map(|n| format!("item-{n:04}")).collect();
    let products: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 5)).collect();
    client.create(&products);
    let mut round = 0;
    eventually("three snapshots are made", || {
        round += 1;
        for id in ids.iter().skip(round % 7).step_by(97) {
            client.delete_product(id);
            client.create(&[(id, 5)]);
        }
        client.change_often(&ids[round % ids.len()], 300);
        (server.stderr().matches("Snapshot written").count() >= 3).then_some(())
    });
    let (listing, feed) = (client.listing(), client.raw_feed(0));
    let server = server.kill().start();
    let mut client = server.client();
    assert_eq!(client.listing(), listing);
    assert_eq!(client.raw_feed(0), feed);
}

#[test]
fn a_stop_leaves_a_snapshot_of_everything() {
    let builder = Builder::new();
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 7), ("gone", 1)]);
    client.delete_product("gone");
    client.change_often("item", 3);
    let end = client.feed_end();
    server.stop();
    assert_eq!(covered(&builder), end);
    let snapshot = snapshot_file(&builder);
    assert_eq!(snapshot["products"]["item"]["available"], 10);
    assert_eq!(snapshot["tombstones"]["gone"], 2);

    // It is all that a start needs, but for the events.
    fs::remove_file(builder.events_path()).expect("the journal can be removed");
    let server = builder.start();
    let mut client = server.client();
    assert_eq!(client.state("item"), (10, 4));
    assert_eq!(client.feed_end(), end);
    client.create(&[("other", 1)]);
    assert_eq!(client.feed_end(), end + 1);
}

#[test]
fn a_snapshot_that_cannot_be_written_does_no_harm() {
    let builder = Builder::new().env("SNAPSHOT_JOURNAL_MIB", 1);
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    // What would be written aside cannot be: a directory has its name.
    let aside = builder.directory().join("inventory.json.new");
    fs::create_dir(&aside).expect("a directory can be made");
    let mut changes = 0;
    eventually("it is said", || {
        client.change_often("item", 400);
        changes += 400;
        let said = server.stderr();
        said.contains("A snapshot could not be written")
            .then_some(())
    });
    server.assert_working();
    let server = server.stop().start();
    assert_eq!(server.client().state("item"), (changes, changes + 1));
    fs::remove_dir(&aside).expect("the directory can be removed");
    server.stop();
    assert!(covered(&builder) > changes);
}

#[test]
fn a_damaged_snapshot_is_refused_and_named() {
    let builder = Builder::new();
    let server = builder.start();
    server.client().create(&[("item", 3)]);
    server.stop();
    let mut content = fs::read_to_string(builder.data_path()).expect("there is a snapshot");
    content = content.replace("\"available\":3", "\"available\":4");
    fs::write(builder.data_path(), content).expect("it can be written");
    let said = builder.run(&[]).refused();
    assert!(said.contains("inventory.json"), "{said}");
    assert!(said.contains("checksum"), "{said}");
}

#[test]
fn a_listed_segment_that_is_missing_is_noticed_though_nobody_reads_it() {
    let builder = forgetful().env("EVENTS_RETENTION", "1h");
    let server = builder.start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    client.change_often("item", 3 * CHANGES_PER_SEGMENT);
    std::thread::sleep(Duration::from_millis(1_100));
    server.stop();
    let server: Server = builder.start();
    assert!(!server.stderr().contains("\"segments_skipped\":0"));
    server.stop();
    let segments = full_segments(builder.directory());
    fs::remove_file(builder.directory().join(&segments[1])).expect("it can be removed");
    let said = builder.run(&[]).refused();
    assert!(said.contains("a segment is missing"), "{said}");
}
