//! The disk refuses an operation of the journal, once. Nothing is acknowledged after it, nothing is tried again, what is
//! on disk can be read, and all that was acknowledged is there after a restart.

use std::fs;
use std::ops::Range;

use faulty_disk::{Disk, Fault, Operation};

use crate::on_disk::{await_spare, mount, server_in, stop_failed};
use crate::server::{Builder, Server};
use crate::stock::Stock;

/// Part of the name of the active segment, and of no other file's.
const ACTIVE: &str = "events.json";
const SPARE: &str = "events.spare";

/// What a failed write or sync leaves is decided by chance: each seed decides otherwise. Half of them write and sync in one.
const SEEDS: Range<u64> = 0..6;

fn started(seed: u64) -> (Disk, Server, Stock) {
    let disk = mount(seed);
    let server = server_on(&disk)
        .env("JOURNAL_WRITE_THROUGH", seed & 2 == 0)
        .start();
    let mut stock = Stock::create(&server);
    stock.add(20);
    (disk, server, stock)
}

fn server_on(disk: &Disk) -> Builder {
    server_in(disk.path()).env("MAX_EVENTS_IN_QUEUE", 100_000)
}

/// The next start finds a sound disk. In every second case it has also forgotten what was not synced.
fn restart(seed: u64, disk: &Disk, builder: &Builder) -> Server {
    disk.disarm();
    if seed % 2 == 1 {
        disk.cut_power();
        disk.restore_power(seed);
    }
    builder.start()
}

#[test]
fn a_failed_sync_is_never_tried_again_and_nothing_acknowledged_is_lost() {
    for seed in SEEDS {
        let (disk, server, mut stock) = started(seed);
        disk.arm(Fault::fail(Operation::SyncFile).on(ACTIVE));
        stock.add_in_vain();
        let touched = |disk: &Disk| {
            [Operation::SyncFile, Operation::Write].map(|operation| disk.count(operation, ACTIVE))
        };
        let before = touched(&disk);
        stock.assert_storage_failed();
        let builder = stop_failed(server);
        assert_eq!(touched(&disk), before, "syncs and writes after the failure");
        stock.assert_nothing_lost(&restart(seed, &disk, &builder));
    }
}

#[test]
fn a_failed_write_is_never_tried_again_and_nothing_acknowledged_is_lost() {
    for seed in SEEDS {
        let (disk, server, mut stock) = started(seed);
        disk.arm(Fault::fail(Operation::Write).on(ACTIVE));
        stock.add_in_vain();
        let written = disk.count(Operation::Write, ACTIVE);
        stock.assert_storage_failed();
        let builder = stop_failed(server);
        assert_eq!(disk.count(Operation::Write, ACTIVE), written);
        stock.assert_nothing_lost(&restart(seed, &disk, &builder));
    }
}

#[test]
fn a_rotation_that_fails_at_any_step_fails_the_journal_and_loses_nothing() {
    let steps = [
        Fault::fail(Operation::Rename).on(ACTIVE),
        Fault::fail(Operation::Rename).on(SPARE),
        Fault::fail(Operation::SyncDirectory),
        Fault::fail(Operation::Look).on(ACTIVE),
    ];
    for (seed, step) in (0..).zip(steps) {
        let (disk, server, mut stock) = started(seed);
        stock.fill_segments(1);
        await_spare(disk.path());
        disk.arm(step);
        stock.add_until_storage_fails();
        stock.assert_storage_failed();
        let builder = stop_failed(server);
        stock.assert_nothing_lost(&restart(seed, &disk, &builder));
    }
}

#[test]
fn a_spare_that_could_not_be_prepared_is_prepared_when_it_is_needed() {
    for operation in [Operation::Create, Operation::Write, Operation::SyncFile] {
        let disk = mount(1);
        let server = server_on(&disk).start();
        await_spare(disk.path());
        let builder = server.stop();
        // A first start makes the active segment by way of the spare's name; the next one makes the spare only.
        fs::remove_file(disk.path().join("events.spare.json")).expect("the spare is there");
        let before = disk.count(operation, SPARE);
        disk.arm(Fault::fail(operation).on(SPARE));
        let server = builder.start();
        let mut stock = Stock::create(&server);
        stock.fill_segments(2);
        let tried = disk.count(operation, SPARE) - before;
        assert!(tried > 1, "{operation:?} was tried {tried} times");
        let builder = server.stop();
        stock.assert_nothing_lost(&builder.start());
    }
}

#[test]
fn a_start_that_cannot_read_the_journal_says_so_and_changes_nothing() {
    for file in [ACTIVE, "events.0000", "inventory.json"] {
        let (disk, server, mut stock) = started(1);
        stock.fill_segments(1);
        let builder = server.kill();
        let written = disk.count(Operation::Write, file);
        disk.arm(Fault::fail(Operation::Read).on(file));
        let said = builder.run(&[]).refused();
        assert!(said.contains(file), "the file is named: {said}");
        assert_eq!(disk.count(Operation::Write, file), written);
        disk.disarm();
        stock.assert_nothing_lost(&builder.start());
    }
}
