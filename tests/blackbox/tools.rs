//! What an operator does with the data: verify and dump the journal, take the state out and begin with it elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::server::{Builder, Finished, Server};

/// Of one product: about 400 bytes each, so that a MiB is full after some 2,700.
const CHANGES_PER_SEGMENT: usize = 2_700;

/// A stopped server with a little journal behind it: `item` and `gone`, which is deleted.
fn stopped() -> Builder {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("item", 7), ("gone", 1)]);
    client.delete_product("gone");
    for _ in 0..20 {
        client.change_often("item", 1);
    }
    server.kill()
}

fn full_segments(builder: &Builder) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = data(builder).into_keys().collect();
    paths.retain(|path| path.to_string_lossy().contains("events.0"));
    paths
}

/// Every file of the data directory but the logs of these tests.
fn data(builder: &Builder) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(builder.directory()).expect("it can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let paths = paths.filter(|path| path.extension().is_none_or(|end| end != "log"));
    paths
        .map(|path| (path.clone(), fs::read(path).expect("it can be read")))
        .collect()
}

/// Changes one bit of the line with `offset`; returns where the line begins.
fn flip(path: &Path, offset: u64) -> usize {
    let mut bytes = fs::read(path).expect("it can be read");
    let text = String::from_utf8(bytes.clone()).expect("a journal is UTF-8");
    let head = format!("{{\"offset\":{offset},");
    let at = text.find(&head).expect("the event is there");
    bytes[at + 60] ^= 1;
    fs::write(path, bytes).expect("it can be written");
    at
}

#[track_caller]
fn said(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for part in parts {
        let is_there = finished.stdout.contains(part) || finished.stderr.contains(part);
        assert!(is_there, "{part:?} is not in {finished:?}");
    }
}

#[test]
fn a_sound_journal_is_verified_and_not_touched() {
    let builder = stopped();
    let before = data(&builder);
    let verified = builder.run(&["journal", "verify"]);
    said(
        &verified,
        0,
        &["sound", "offsets 0 to 22, 23 events", "next offset 23"],
    );
    assert!(verified.stderr.is_empty(), "{verified:?}");
    assert!(before == data(&builder), "a file was changed");
}

#[test]
fn each_damaged_line_is_reported_with_its_place() {
    let builder = stopped();
    let events = builder.events_path();
    let name = events.display();
    let first = flip(&events, 5);
    let fault = format!("{name}: byte {first}, offset 5: its checksum does not match");
    said(
        &builder.run(&["journal", "verify"]),
        1,
        &[&fault, "damaged: 1 fault;"],
    );
    let second = flip(&events, 9);
    let other = format!("{name}: byte {second}, offset 9: its checksum does not match");
    let verified = builder.run(&["journal", "verify"]);
    said(&verified, 1, &[&fault, &other, "damaged: 2 faults;"]);
    said(
        &builder.run(&["journal", "dump"]),
        1,
        &["\"offset\":4,", &format!("byte {first}")],
    );
}

#[test]
fn a_torn_tail_is_no_damage() {
    let builder = stopped();
    let events = builder.events_path();
    let byte = flip(&events, 22);
    let place = format!("torn     {}: byte {byte}, ", events.display());
    let verified = builder.run(&["journal", "verify"]);
    said(
        &verified,
        0,
        &[
            &place,
            "where offset 22 would be",
            "sound",
            "next offset 22",
        ],
    );
    let dumped = builder.run(&["journal", "dump"]);
    assert_eq!(dumped.stdout.lines().count(), 22);
    said(&dumped, 0, &["is torn"]);
    assert!(builder.start().client().feed_end() == 22);
}

#[test]
fn nothing_there_and_wrong_words_are_told_apart_from_damage() {
    let builder = Builder::new();
    said(
        &builder.run(&["journal", "verify"]),
        2,
        &["there is no journal at"],
    );
    said(
        &builder.run(&["journal", "dump"]),
        2,
        &["there is no journal at"],
    );
    said(&builder.run(&["journal"]), 2, &["verify", "dump"]);
    let export = builder.run(&["snapshot", "export", "copy.json"]);
    said(&export, 1, &["there is nothing to export"]);
    assert!(data(&builder).is_empty(), "something was made");
    let builder = builder.env("ENABLE_JSON_PERSISTENCE", "false");
    said(
        &builder.run(&["journal", "verify"]),
        2,
        &["ENABLE_JSON_PERSISTENCE"],
    );
}

#[test]
fn a_dump_is_the_feed_across_segments_and_a_missing_one_is_noticed() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    while full_segments(server.builder()).len() < 2 {
        client.change_often("item", 900);
    }
    let feed = client.raw_feed(0);
    let builder = server.builder().clone();
    let lines = |events: &[String]| {
        events
            .iter()
            .map(|event| format!("{event}\n"))
            .collect::<String>()
    };
    // While the server runs, and after it.
    said(
        &builder.run(&["journal", "verify"]),
        0,
        &["a server is running"],
    );
    assert!(builder.run(&["journal", "dump"]).succeeded() == lines(&feed));
    server.kill();
    assert!(builder.run(&["journal", "dump"]).succeeded() == lines(&feed));
    for from in [
        1,
        CHANGES_PER_SEGMENT - 100,
        CHANGES_PER_SEGMENT + 100,
        feed.len() - 1,
    ] {
        let first = from.to_string();
        let words = ["journal", "dump", "--from", &first];
        assert!(
            builder.run(&words).succeeded() == lines(&feed[from..]),
            "from {from}"
        );
        let to = (from + 300).min(feed.len() - 1);
        let last = to.to_string();
        let words = [&words[..], &["--to", &last]].concat();
        assert!(
            builder.run(&words).succeeded() == lines(&feed[from..=to]),
            "{from} to {to}"
        );
    }
    let beyond = (feed.len() + 1).to_string();
    said(
        &builder.run(&["journal", "dump", "--from", &beyond]),
        2,
        &["the journal ends before"],
    );

    fs::remove_file(&full_segments(&builder)[1]).expect("it can be removed");
    let verified = builder.run(&["journal", "verify"]);
    said(&verified, 1, &["a segment is missing", "damaged: 1 fault;"]);
    said(&builder.run(&["journal", "dump"]), 1, &["are in no file"]);
}

#[test]
fn a_journal_is_verified_while_it_is_written() {
    let server = Server::start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    std::thread::scope(|scope| {
        let builder = server.builder();
        let verifying = scope.spawn(move || {
            for _ in 0..5 {
                said(
                    &builder.run(&["journal", "verify"]),
                    0,
                    &["a server is running"],
                );
                builder.run(&["journal", "dump"]).succeeded();
            }
        });
        while !verifying.is_finished() {
            client.change_often("item", 200);
        }
    });
}

#[test]
fn a_reader_that_has_seen_enough_may_go() {
    let builder = stopped();
    builder
        .start()
        .client()
        .change_often("item", CHANGES_PER_SEGMENT);
    let mut dump = builder.piped(&["journal", "dump"]);
    let mut out = BufReader::new(dump.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("there is a line");
    assert!(line.starts_with("{\"offset\":0,"));
    drop(out);
    assert_eq!(dump.wait().expect("it ends").code(), Some(0));
}

#[test]
fn an_exported_state_goes_on_in_an_empty_directory() {
    let server = stopped().start();
    let mut client = server.client();
    let (listing, end) = (client.listing(), client.feed_end());
    let builder = server.kill();
    let torn = flip(&builder.events_path(), end - 1);
    assert!(torn > 0);
    let before = data(&builder);
    let copy = builder.directory().join("copy.log");
    let copy = copy.to_str().expect("UTF-8");
    let exported = builder.run(&["snapshot", "export", copy]);
    said(
        &exported,
        0,
        &[
            "are torn",
            "Exported 101 products, 1 deleted; the next offset is 22;",
        ],
    );
    assert!(exported.stdout.is_empty());
    assert!(before == data(&builder), "a file was changed");
    said(
        &builder.run(&["snapshot", "export", copy]),
        1,
        &["exists", "--force"],
    );
    builder
        .run(&["snapshot", "export", "--force", copy])
        .succeeded();
    let printed = builder.run(&["snapshot", "export", "-"]).succeeded();
    assert_eq!(printed, fs::read_to_string(copy).expect("it can be read"));
    let own = builder.data_path();
    let own = builder.run(&[
        "snapshot",
        "export",
        "--force",
        own.to_str().expect("UTF-8"),
    ]);
    said(&own, 1, &["one of the server's own files"]);

    let other = Builder::new();
    let imported = other.run(&["snapshot", "import", copy]);
    said(
        &imported,
        0,
        &["Imported 101 products, 1 deleted; the next offset is 22;"],
    );
    let server = other.start();
    let mut client = server.client();
    let same = |of: &[serde_json::Value]| -> Vec<serde_json::Value> {
        of.iter()
            .filter(|product| product["productId"] != "item")
            .cloned()
            .collect()
    };
    // The last change was torn off before it was exported.
    assert_eq!(same(&client.listing()), same(&listing));
    assert_eq!(client.state("item").1, 20);
    assert_eq!(client.feed_end(), 22);
    client.create(&[("gone", 3)]);
    assert_eq!(client.state("gone"), (3, 3));
    assert_eq!(client.feed_end(), 23);
    assert_eq!(client.feed(22)[0]["offset"], 22);
    let builder = server.stop();
    said(&builder.run(&["journal", "verify"]), 0, &["sound"]);
    assert_eq!(builder.start().client().state("gone"), (3, 3));
}

#[test]
fn the_state_of_a_running_server_is_not_exported() {
    let server = Server::start();
    let builder = server.builder();
    for words in [
        ["snapshot", "export", "copy.json"],
        ["snapshot", "import", "-"],
    ] {
        let refused = builder.run(&words).refused();
        assert!(!builder.directory().join("copy.json").exists());
        if words[1] == "export" {
            assert!(refused.contains("GET /v1/inventory/snapshot"), "{refused}");
        }
    }
    server.assert_working();
}

const CATALOGUE: &str = r#"{"products": {"a": {"productId": "a", "name": "A", "available": 3, "version": 4,
    "lastUpdated": "2026-01-15T10:30:00Z", "price": 1.50}},
    "metadata": {"version": "1.0", "lastOffset": 41, "totalProducts": 1}}"#;

#[test]
fn the_data_file_of_another_system_is_taken_and_its_events_are_not() {
    let builder = Builder::new();
    let mut import = builder.piped(&["snapshot", "import", "-"]);
    let mut input = import.stdin.take().expect("it is piped");
    input.write_all(CATALOGUE.as_bytes()).expect("it is read");
    drop(input);
    assert!(import.wait().expect("it ends").success());
    let server = builder.start();
    assert_eq!(server.client().state("a"), (3, 4));
    assert_eq!(server.client().listing().len(), 1);
    assert_eq!(server.client().feed_end(), 42);
    server.stop();

    let builder = Builder::new();
    let events = "{\n \"events\": [], \"nextOffset\": 42}";
    let (file, catalogue) = (
        builder.directory().join("e.log"),
        builder.directory().join("c.log"),
    );
    fs::write(&file, events).expect("it can be written");
    fs::write(&catalogue, CATALOGUE).expect("it can be written");
    let import = |path: &Path| builder.run(&["snapshot", "import", path.to_str().expect("UTF-8")]);
    said(&import(&file), 1, &["events file", "the feed starts anew"]);
    fs::write(builder.events_path(), events).expect("it can be written");
    let before = data(&builder);
    said(
        &import(&catalogue),
        1,
        &["events file", "set EVENTS_FILE_PATH to another name"],
    );
    assert!(before == data(&builder), "a file was changed");
}

#[test]
fn an_import_overwrites_nothing_and_takes_nothing_unsound() {
    let builder = stopped();
    let catalogue = builder.directory().join("c.log");
    fs::write(&catalogue, CATALOGUE).expect("it can be written");
    let import = |builder: &Builder| {
        builder.run(&["snapshot", "import", catalogue.to_str().expect("UTF-8")])
    };
    let before = data(&builder);
    said(&import(&builder), 1, &["there is a journal already"]);
    assert!(before == data(&builder), "a file was changed");
    fs::remove_file(builder.events_path()).expect("it can be removed");
    let _ = fs::remove_file(builder.directory().join("events.spare.json"));
    said(&import(&builder), 1, &["exists already"]);

    let empty = Builder::new();
    for (content, expected) in [
        (
            CATALOGUE.replace("\"version\": 4", "\"version\": 0"),
            "out of range",
        ),
        (CATALOGUE.replace("1.50", "-1"), "price"),
        (
            CATALOGUE.replace("\"name\": \"A\"", "\"name\": \"\""),
            "name",
        ),
        (
            CATALOGUE.replace("41,", "41, \"endOffset\": 50,"),
            "snapshot export",
        ),
        (
            CATALOGUE.replace("\"metadata\"", "\"tombstones\": {\"b\": 0}, \"metadata\""),
            "out of range",
        ),
        ("{\"offset\":0,".to_owned(), "is a journal"),
        ("[]".to_owned(), "not a snapshot"),
    ] {
        fs::write(&catalogue, content).expect("it can be written");
        said(&import(&empty), 1, &[expected]);
        assert!(data(&empty).is_empty(), "something was made");
    }
}
