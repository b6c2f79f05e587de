//! Power is lost again and again while everybody works: everything that was said in all that time is judged against
//! what is there afterwards.
//!
//! `POWERLOSS_ROUNDS` is how often (50 unless set), `POWERLOSS_SEED` repeats the choices of an earlier run; what the
//! threads of the server make of them differs each time.

use std::env;
use std::time::{Duration, Instant};

use faulty_disk::{Disk, Fates, Fault, Operation};

use crate::on_disk::{lose_power, mount, server_in};
use crate::server::{Builder, Random};
use crate::workload::Record;

const ROUNDS: usize = 50;
/// A history is judged, and the next begins on an empty disk, after so many.
const ROUNDS_PER_DISK: usize = 10;
const TTL: Duration = Duration::from_secs(3600);

#[test]
fn nothing_is_lost_and_nothing_is_twice_however_often_power_is_lost() {
    let rounds = setting("POWERLOSS_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    let seed = setting("POWERLOSS_SEED").unwrap_or_else(|| Random::from_chance().draw());
    eprintln!("POWERLOSS_SEED={seed} POWERLOSS_ROUNDS={rounds}");
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut fates = Fates::default();
    let (mut operations, mut events) = (0, 0);
    let mut left = rounds;
    while left > 0 {
        let now = left.min(ROUNDS_PER_DISK);
        let mut machine = Machine::new(&mut random, "always");
        for _ in 0..now {
            machine.one_round(&mut random);
        }
        let last = machine.settings(&mut random).start();
        machine.record.repeat_unanswered(last.address());
        match machine.record.verify(&mut last.client()) {
            Ok(summary) => {
                operations += summary.operations;
                events += summary.events;
            }
            Err(sentences) => panic!("broken promises, POWERLOSS_SEED={seed}:\n{sentences}"),
        }
        fates += machine.fates;
        left -= now;
    }
    println!(
        "{rounds} rounds in {:.0?}: {operations} operations, {events} events: nothing lost, nothing twice ({fates})",
        begun.elapsed()
    );
    let lost = fates.dropped + fates.torn + fates.flipped + fates.names_dropped;
    assert!(
        lost > 0 || rounds < ROUNDS,
        "the disk never lost anything: {fates}"
    );
}

/// The proof that this test can fail: a server that acknowledges before it syncs is caught.
#[test]
fn a_server_that_does_not_sync_is_found_to_lose_what_it_acknowledged() {
    const TRIES: u64 = 20;
    for seed in 0..TRIES {
        let mut random = Random::new(seed);
        let mut machine = Machine::new(&mut random, "never");
        machine.one_round(&mut random);
        // A start that refuses has noticed by itself. What is looked for here is the loss that only the checker sees.
        let Ok(last) = machine.settings(&mut random).try_start() else {
            continue;
        };
        if let Err(sentences) = machine.record.verify(&mut last.client()) {
            println!("found in try {seed}:\n{sentences}");
            return;
        }
    }
    panic!("power was lost {TRIES} times, nothing was synced, and nothing was found missing");
}

/// A disk, the servers that run on it one after the other, and what was said by all of them.
struct Machine {
    disk: Disk,
    /// Where the servers leave their logs.
    logs: Builder,
    journal_sync: &'static str,
    record: Record,
    fates: Fates,
}

impl Machine {
    fn new(random: &mut Random, journal_sync: &'static str) -> Self {
        let disk = mount(random.draw());
        for name in ["", "events.json"] {
            disk.set_sync_time(name, Duration::from_micros(random.below(5000) as u64));
        }
        disk.refuse_direct_io(random.one_in(4));
        let logs = Builder::new();
        let first = settings(random, &disk, &logs, journal_sync).start();
        let record = Record::begin(&mut first.client(), TTL);
        let mut machine = Self {
            disk,
            logs,
            journal_sync,
            record,
            fates: Fates::default(),
        };
        machine.fates += lose_power(&machine.disk, first, random.draw());
        machine
    }

    fn settings(&self, random: &mut Random) -> Builder {
        settings(random, &self.disk, &self.logs, self.journal_sync)
    }

    /// Starts, has everybody work, and loses power in the midst of it; now and then already while it recovers.
    fn one_round(&mut self, random: &mut Random) {
        while random.one_in(3) {
            let recovering = self.settings(random).spawn();
            arm_within(random, &self.disk, Fault::freeze, 3);
            freeze_within(random, &self.disk, Duration::from_millis(150));
            self.fates += lose_power(&self.disk, recovering, random.draw());
        }
        let server = self.settings(random).start();
        let (address, seed) = (server.address(), random.draw());
        let (disk, fates) = (&self.disk, &mut self.fates);
        self.record.round(address, seed, || {
            let mut limit = Duration::from_millis(900);
            match random.below(8) {
                0 => arm_within(random, disk, Fault::fail, 100),
                1..=4 => {
                    limit *= 3;
                    arm_within(random, disk, Fault::freeze, 100);
                }
                _ => {}
            }
            freeze_within(random, disk, limit);
            *fates += lose_power(disk, server, random.draw());
        });
    }
}

/// Freezes the disk at any moment within `limit`, if no fault does so before.
fn freeze_within(random: &mut Random, disk: &Disk, limit: Duration) {
    let limit = limit.mul_f64(random.below(1000) as f64 / 1000.0);
    if !disk.is_frozen_within(limit) {
        disk.freeze();
    }
}

/// Lets something happen at an operation that matters, one of the next `most` of its kind. Before a sync of the
/// journal there is surely something to lose; changes of segments and snapshots are few, and are met on purpose.
fn arm_within(random: &mut Random, disk: &Disk, fault: fn(Operation) -> Fault, most: usize) {
    let (operation, name, usual) = match random.below(12) {
        0..=4 => (Operation::SyncFile, "events.json", 100),
        5 => (Operation::Write, "events.json", 100),
        6 | 7 => (Operation::Rename, "", 4),
        8 => (Operation::SyncDirectory, "", 4),
        9 => (Operation::SyncFile, "events.spare", 3),
        10 => (Operation::Create, "", 2),
        _ => (Operation::Remove, "", 3),
    };
    let nth = 1 + random.below(usual.min(most));
    disk.arm(fault(operation).on(name).nth(nth));
}

/// Another number of shards and acceptors, and another way to the disk, each time; segments and snapshots small, so that many are made.
fn settings(random: &mut Random, disk: &Disk, logs: &Builder, journal_sync: &str) -> Builder {
    server_in(disk.path())
        .in_directory_of(logs)
        .shards(1 + random.below(4))
        .acceptors(1 + random.below(2))
        .env("JOURNAL_SYNC", journal_sync)
        .env("JOURNAL_WRITE_THROUGH", random.one_in(2))
        .env("JOURNAL_SEGMENT_MIB", 1)
        .env("SNAPSHOT_JOURNAL_MIB", 1)
        .env("MAX_EVENTS_IN_QUEUE", 10_000_000)
        .env("IDEMPOTENCY_CACHE_TTL", "1h")
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}
