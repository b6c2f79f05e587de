//! Power is lost while a snapshot is made and the segments that it covers are removed: at each step of it, in turn.

use std::thread;
use std::time::Duration;

use faulty_disk::{Disk, Fault, Operation};

use crate::on_disk::{lose_power, mount, server_in};
use crate::server::Builder;
use crate::stock::Stock;

const ASIDE: &str = "inventory.json.new";
const FULL: &str = "events.0";
/// What survives is decided by chance: so often for each step.
const ROUNDS: u64 = 4;
/// Longer than it takes to fill a few segments.
const STEP_LIMIT: Duration = Duration::from_secs(30);

/// Each segment is followed by a snapshot, and nothing is kept for longer than a snapshot needs it.
fn server_on(disk: &Disk) -> Builder {
    server_in(disk.path())
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("EVENTS_RETENTION", "0s")
        .env("IDEMPOTENCY_CACHE_TTL", "1s")
        .env("MAX_EVENTS_IN_QUEUE", 100)
}

#[test]
fn no_step_of_a_snapshot_or_of_the_removal_of_segments_loses_anything() {
    let steps = [
        Fault::freeze(Operation::Create).on(ASIDE),
        Fault::freeze(Operation::Write).on(ASIDE),
        Fault::freeze(Operation::SyncFile).on(ASIDE),
        Fault::freeze(Operation::Rename).on(ASIDE),
        Fault::freeze(Operation::Remove).on(FULL),
        Fault::freeze(Operation::Remove).on(FULL).nth(2),
        Fault::freeze(Operation::SyncDirectory).nth(2),
        Fault::freeze(Operation::SyncDirectory).nth(3),
        Fault::freeze(Operation::SyncDirectory).nth(4),
        Fault::freeze(Operation::SyncDirectory).nth(5),
    ];
    let disk = mount(1);
    // So that a snapshot could be done while the changes that it shows are still on their way to the journal.
    disk.set_sync_time("events.json", Duration::from_millis(5));
    let builder = server_on(&disk);
    let mut server = builder.start();
    let mut stock = Stock::create(&server);
    for round in 0..ROUNDS {
        for (number, step) in (0..).zip(&steps) {
            disk.arm(step.clone());
            thread::scope(|scope| {
                scope.spawn(|| stock.add_until_gone());
                let frozen = disk.is_frozen_within(STEP_LIMIT);
                lose_power(&disk, server, round * 100 + number);
                assert!(frozen, "it never came to {step:?}");
            });
            server = builder.start();
            stock.assert_counted(&server);
        }
    }
    assert!(disk.count(Operation::Remove, FULL) > ROUNDS * 2);
}

#[test]
fn a_snapshot_that_fails_leaves_the_last_one_and_the_server_goes_on() {
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::Rename,
    ] {
        let disk = mount(1);
        let server = server_on(&disk).start();
        let mut stock = Stock::create(&server);
        disk.arm(Fault::fail(operation).on(ASIDE));
        stock.fill_segments(3);
        let builder = server.builder().clone();
        lose_power(&disk, server, 1);
        stock.assert_counted(&builder.start());
    }
}
