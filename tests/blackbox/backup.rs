//! A backup is made while everybody works, and a server goes on from it elsewhere.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

use crate::client::{Client, UPDATES, batch, item_any, update};
use crate::server::{Builder, Server};

/// Segments so small, and kept so briefly, that some are removed while they are copied.
fn busy() -> Builder {
    Builder::new()
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("EVENTS_RETENTION", "0s")
        .env("IDEMPOTENCY_CACHE_TTL", "1s")
        .env("MAX_EVENTS_IN_QUEUE", 100)
}

/// A server that goes on from what is in `directory`.
fn restored(directory: &Path) -> Server {
    let path = |name: &str| directory.join(name).display().to_string();
    Builder::new()
        .env("DATA_PATH", path("inventory.json"))
        .env("EVENTS_FILE_PATH", path("events.json"))
        .start()
}

/// Counts `item` up, batch by batch, until it is told to end.
fn count_up(client: &mut Client, acknowledged: &AtomicU64, is_over: &AtomicBool) {
    const BATCH: u64 = 200;
    for number in 0.. {
        let item = |at| item_any("item", 1, &format!("{number}-{at}"));
        let items: Vec<Value> = (0..BATCH).map(item).collect();
        client.post(UPDATES, &batch(&items)).expect(200);
        acknowledged.fetch_add(BATCH, Ordering::SeqCst);
        if is_over.load(Ordering::SeqCst) {
            return;
        }
    }
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_it_began() {
    const BACKUPS: usize = 6;
    let server = busy().start();
    server.client().create(&[("item", 0)]);
    let builder = server.builder();
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| count_up(&mut server.client(), &acknowledged, &is_over));
        for number in 0..BACKUPS {
            let before = acknowledged.load(Ordering::SeqCst);
            let directory = builder.directory().join(format!("backup-{number}"));
            let made = builder.run(&["backup", &directory.display().to_string()]);
            is_over.store(
                made.code != Some(0) || number + 1 == BACKUPS,
                Ordering::SeqCst,
            );
            assert_eq!(Some(0), made.code, "{made:?}");
            let copy = restored(&directory);
            let (available, version) = copy.client().state("item");
            assert!(
                available >= before,
                "{available} of {before} that were acknowledged before"
            );
            assert_eq!(available + 1, version);
            copy.client()
                .update("item", 1, version, "goes on")
                .expect(200);
            copy.stop();
        }
    });
    server.stop();
}

#[test]
fn what_was_remembered_is_remembered_elsewhere_and_the_original_is_untouched() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("item", 10), ("gone", 1)]);
    client.delete_product("gone");
    let sold = client
        .send_update(&update("item", -2, 1, "k"))
        .expect(200)
        .bytes;
    let builder = server.stop();
    let names = || {
        let entries = fs::read_dir(builder.directory()).expect("it is there");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".log")).collect();
        names.sort();
        names
    };
    let before = names();
    let elsewhere = Builder::new();
    let directory = elsewhere.directory().join("backup");
    let said = builder.run(&["backup", &directory.display().to_string()]);
    assert!(
        said.stderr
            .starts_with("Backed up 1 segment and the snapshot; the next offset is 4;"),
        "{said:?}"
    );
    assert_eq!(before, names());
    let copy = restored(&directory);
    let again = copy
        .client()
        .send_update(&update("item", -2, 1, "k"))
        .expect(200);
    assert_eq!(Some("true"), again.header("idempotent-replayed"));
    assert_eq!(sold, again.bytes);
    let events = copy
        .client()
        .get("/v1/inventory/events?offset=0&limit=10")
        .expect(200)
        .json();
    assert_eq!(4, events["nextOffset"]);
    copy.stop();
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let server = Server::start();
    server.client().create(&[("item", 10)]);
    let builder = server.stop();
    let directory = builder.directory().join("backup");
    let to = directory.display().to_string();
    fs::create_dir(&directory).expect("it can be made");
    let said = builder.run(&["backup", &to]).refused();
    assert!(said.contains("exists"), "{said}");
    fs::remove_dir(&directory).expect("it is empty");
    // What an interrupted backup has left is in nobody's way.
    fs::create_dir_all(builder.directory().join(".backup.part/x")).expect("it can be made");
    builder.run(&["backup", &to]).succeeded();
    assert!(!builder.directory().join(".backup.part").exists());
    builder.run(&["backup", "nowhere/backup"]).refused();
    let nothing = Builder::new();
    let said = nothing.run(&["backup", "backup"]).refused();
    assert!(said.contains("there is no journal"), "{said}");
    assert!(!nothing.directory().join("backup").exists());
}

#[test]
fn data_of_a_later_format_are_refused_and_not_touched() {
    let server = Server::start();
    server.client().create(&[("item", 10)]);
    let builder = server.stop();
    let text = fs::read_to_string(builder.data_path()).expect("the snapshot");
    assert!(text.contains("\"formatVersion\":1,"));
    // As a later program would write it, with a checksum that this one does not know how to make.
    let later = text.replace("\"formatVersion\":1,", "\"formatVersion\":2,");
    let (without, _) = later.rsplit_once(",\"crc32c\"").expect("it has a checksum");
    fs::write(builder.data_path(), format!("{without}}}}}\n")).expect("it can be written");
    let before = fs::read(builder.data_path()).expect("it is there");
    let said = builder.run(&[]).refused();
    assert!(
        said.contains("its format version is 2, this program knows versions up to 1"),
        "{said}"
    );
    assert_eq!(before, fs::read(builder.data_path()).expect("it is there"));
}
