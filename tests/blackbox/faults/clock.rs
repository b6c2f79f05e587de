//! A wall clock that jumps, by minutes and both ways, while the server runs and between two starts. Versions and offsets go on,
//! no event of a product is stamped before the one ahead of it, and an identity stays remembered.
//!
//! The clock is libfaketime's (package `libfaketime`). Where it is not installed the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crate::client::Client;
use crate::recorder::event;
use crate::server::Builder;
use crate::workload::Record;

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// Longer than all jumps of a test together.
const TTL: Duration = Duration::from_secs(4 * 3600);

#[test]
fn a_clock_that_jumps_while_everybody_works_breaks_no_promise() {
    let Some(clock) = Clock::install() else {
        return;
    };
    let builder = clock.builder();
    let server = builder.start();
    let mut record = Record::begin(&mut server.client(), TTL);
    record.round(server.address(), 1, || {
        for minutes in [-30, 60, -60, 0] {
            thread::sleep(Duration::from_millis(300));
            clock.set(minutes);
        }
        thread::sleep(Duration::from_millis(300));
        server.kill();
    });
    clock.set(-90);
    let server = builder.start();
    record.repeat_unanswered(server.address());
    record.round(server.address(), 2, || {
        thread::sleep(Duration::from_millis(500));
        server.kill();
    });
    let server = builder.start();
    record.repeat_unanswered(server.address());
    let summary = record.verify(&mut server.client());
    let summary = summary.unwrap_or_else(|sentences| panic!("broken promises:\n{sentences}"));
    assert!(summary.acknowledged > 100, "{summary}");
}

#[test]
fn after_a_jump_back_stamps_stand_still_and_everything_else_goes_on() {
    let Some(clock) = Clock::install() else {
        return;
    };
    let server = clock.builder().start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    let answer = client.update("item", -1, 1, "first").expect(200);
    clock.set(-60);
    server.assert_working();
    client.update("item", -1, 2, "second").applied(8, 3);
    assert!(stamp(&mut client, 4) >= stamp(&mut client, 1));
    assert_repeated(&mut client, &answer.text());
    server.stop();
}

#[test]
fn a_start_with_an_earlier_clock_goes_on_where_the_last_one_ended() {
    let Some(clock) = Clock::install() else {
        return;
    };
    clock.set(60);
    let server = clock.builder().start();
    let mut client = server.client();
    client.create(&[("item", 10)]);
    let answer = client.update("item", -1, 1, "first").expect(200);
    let feed = client.raw_feed(0);
    let really = UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64;
    assert!(
        stamp(&mut client, 0) > really + 3_000_000,
        "the server's clock was not moved"
    );
    clock.set(-60);
    let server = server.kill().start();
    let mut client = server.client();
    assert_eq!(client.raw_feed(0), feed);
    assert_repeated(&mut client, &answer.text());
    client.update("item", -1, 2, "second").applied(8, 3);
    assert_eq!(client.feed_end(), 3);
    assert!(stamp(&mut client, 2) >= stamp(&mut client, 1));
    server.assert_working();
    server.stop();
}

/// A wall clock for servers, some minutes off.
struct Clock {
    library: &'static str,
    setting: tempfile::NamedTempFile,
}

impl Clock {
    fn install() -> Option<Self> {
        let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        if library.is_none() {
            println!("skipped: libfaketime is not installed (apt-get install libfaketime)");
        }
        let clock = Self {
            library: library?,
            setting: tempfile::NamedTempFile::new().expect("a temporary file can be made"),
        };
        clock.set(0);
        Some(clock)
    }

    /// Only the wall clock is moved: deadlines are counted by the other one.
    fn builder(&self) -> Builder {
        Builder::new()
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.setting.path().display())
            .env("FAKETIME_NO_CACHE", 1)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", 1)
            .env("DONT_FAKE_MONOTONIC", 1)
            .env("MAX_EVENTS_IN_QUEUE", 1_000_000)
            .env("IDEMPOTENCY_CACHE_TTL", "4h")
    }

    /// Written aside and renamed, so that no server reads half of it.
    fn set(&self, minutes: i64) {
        let aside: PathBuf = self.setting.path().with_extension("aside");
        fs::write(&aside, format!("{minutes:+}m\n")).expect("a file can be written");
        fs::rename(&aside, self.setting.path()).expect("a file can be renamed");
    }
}

/// When the event at an offset was stamped.
fn stamp(client: &mut Client, offset: u64) -> u64 {
    let feed = client.feed(offset);
    event(&feed[0]).at_ms
}

#[track_caller]
fn assert_repeated(client: &mut Client, answer: &str) {
    let repeat = client.update("item", -1, 1, "first");
    assert_eq!(repeat.text(), answer);
    assert!(repeat.replayed(), "{repeat:?}");
}
