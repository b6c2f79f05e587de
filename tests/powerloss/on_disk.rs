//! A server whose files lie on a disk of the test's own.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use faulty_disk::{Disk, Fates};
use rustix::process::Signal;

use crate::server::{Builder, Server, eventually};

/// A disk of its own for a test.
#[track_caller]
pub fn mount(seed: u64) -> Disk {
    Disk::mount(seed).unwrap_or_else(|error| panic!("{error}"))
}

/// A server that keeps its files in `directory`; its logs stay elsewhere.
pub fn server_in(directory: &Path) -> Builder {
    let path = |name: &str| directory.join(name).display().to_string();
    Builder::new()
        .env("DATA_PATH", path("inventory.json"))
        .env("EVENTS_FILE_PATH", path("events.json"))
}

/// Waits until the next segment lies ready in `directory`.
#[track_caller]
pub fn await_spare(directory: &Path) {
    const SEGMENT_BYTES: u64 = 1 << 20;
    let spare = directory.join("events.spare.json");
    eventually("the spare was made", || {
        let length = fs::metadata(&spare).ok()?.len();
        (length == SEGMENT_BYTES).then_some(())
    });
}

/// Ends a server by the loss of its power, and gives the disk its power back.
pub fn lose_power(disk: &Disk, server: Server, seed: u64) -> Fates {
    disk.freeze();
    // Time for the server to say something that it should not.
    thread::sleep(Duration::from_millis(5));
    server.signal(Signal::KILL);
    disk.cut_power();
    server.kill();
    disk.restore_power(seed)
}

/// Stops a server whose journal failed: it ends in time, with a status that says so.
#[track_caller]
pub fn stop_failed(server: Server) -> Builder {
    server.signal(Signal::TERM);
    server.wait_for_status(1)
}
