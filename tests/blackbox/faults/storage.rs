//! The journal cannot go on while the server runs: nothing more is acknowledged, what was is still read, and a restart has it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::process::Signal;

use crate::client::Client;
use crate::server::{Builder, eventually, unique};
use crate::workload::Record;

const TTL: Duration = Duration::from_secs(3600);

#[test]
fn a_directory_that_takes_no_more_files_fails_the_journal_and_loses_nothing() {
    let builder = Builder::new()
        .env("MAX_EVENTS_IN_QUEUE", 1_000_000)
        .env("IDEMPOTENCY_CACHE_TTL", "1h");
    let server = builder.start();
    let (address, mut client) = (server.address(), server.client());
    let mut record = Record::begin(&mut client, TTL);
    let Some(frozen) = Frozen::new(builder.directory()) else {
        return;
    };
    record.round(address, 1, || {
        eventually("the journal fails where a segment is full", || {
            (client.get("/health").status == 503).then_some(())
        });
        assert_only_reads_are_answered(&mut client);
        server.signal(Signal::TERM);
        server.wait_for_status(1);
    });
    drop(frozen);
    let server = builder.start();
    record.repeat_unanswered(server.address());
    let summary = record.verify(&mut server.client());
    let summary = summary.unwrap_or_else(|sentences| panic!("broken promises:\n{sentences}"));
    assert!(summary.acknowledged > 100, "{summary}");
    server.assert_working();
}

#[track_caller]
fn assert_only_reads_are_answered(client: &mut Client) {
    client.get("/health/live").expect(200);
    client.get("/v1/inventory/PROD-001").expect(200);
    client.get("/v1/inventory/events?offset=0").expect(200);
    client
        .update_any("PROD-001", 1, &unique("key"))
        .problem(503, "storage_failed");
}

/// A directory in which no file can be made or renamed, by root neither, until this is dropped.
struct Frozen(PathBuf);

impl Frozen {
    /// Says so where the file system or the rights of this process do not allow it.
    fn new(directory: &Path) -> Option<Self> {
        match set_immutable(directory, true) {
            Ok(()) => Some(Self(directory.to_owned())),
            Err(error) => {
                println!("skipped: a directory cannot be made immutable here: {error}");
                None
            }
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        set_immutable(&self.0, false).expect("what was set can be cleared");
    }
}

fn set_immutable(directory: &Path, immutable: bool) -> std::io::Result<()> {
    let directory = File::open(directory)?;
    let mut flags = ioctl_getflags(&directory)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    Ok(ioctl_setflags(&directory, flags)?)
}
