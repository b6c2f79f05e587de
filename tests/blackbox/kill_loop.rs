//! Killed again and again in one directory, while everybody works: everything that was said in all that time is judged
//! against what is there at the end.
//!
//! `KILL_LOOP_ROUNDS` is how often (50 unless set), `KILL_LOOP_SEED` repeats the choices of an earlier run. The journal grows
//! with every round and each start reads all of it, so that a long run wants `--release`.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Builder, Random, Server};
use crate::workload::Record;

const ROUNDS: usize = 50;
/// Between two looks at the whole history.
const ROUNDS_UNTIL_VERIFIED: usize = 10;
const TTL: Duration = Duration::from_secs(3600);

#[test]
fn nothing_is_lost_and_nothing_is_twice_however_often_the_server_is_killed() {
    let rounds = setting("KILL_LOOP_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    let seed = setting("KILL_LOOP_SEED").unwrap_or_else(|| Random::from_chance().draw());
    eprintln!("KILL_LOOP_SEED={seed} KILL_LOOP_ROUNDS={rounds}");
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let directory = Builder::new();
    let first = settings(&mut random, &directory).start();
    let mut record = Record::begin(&mut first.client(), TTL);
    first.kill();
    for round in 1..=rounds {
        one_round(&mut random, &directory, &mut record);
        if round % ROUNDS_UNTIL_VERIFIED == 0 {
            let server = settings(&mut random, &directory).start();
            let summary = verify(&server, &mut record);
            eprintln!("{round} rounds, {:.0?}: {summary}", begun.elapsed());
        }
    }
    let last = settings(&mut random, &directory).start();
    record.repeat_unanswered(last.address());
    let summary = verify(&last, &mut record);
    println!(
        "{rounds} rounds in {:.0?}: {summary}: nothing lost, nothing twice",
        begun.elapsed()
    );
}

/// Starts, has everybody work, and ends in the midst of it: killed nearly always, now and then told to stop, now and
/// then killed while it recovers.
fn one_round(random: &mut Random, directory: &Builder, record: &mut Record) {
    if random.one_in(5) {
        let recovering = settings(random, directory).spawn();
        thread::sleep(Duration::from_millis(random.below(100) as u64));
        recovering.kill();
    }
    let server = settings(random, directory).start();
    let (address, seed) = (server.address(), random.draw());
    let worked = Duration::from_millis(20 + random.below(800) as u64);
    let killed = !random.one_in(8);
    record.round(address, seed, || {
        thread::sleep(worked);
        match killed {
            true => drop(server.kill()),
            false => drop(server.stop()),
        }
    });
}

/// Another number of shards and acceptors each time; small segments, so that many fill up; snapshots in between, or
/// only at a stop; events that are read from memory, or from disk.
fn settings(random: &mut Random, directory: &Builder) -> Builder {
    let snapshot_mib = [1, 65_536][random.below(2)];
    let events_in_memory = [100, 10_000_000][random.below(2)];
    Builder::new()
        .in_directory_of(directory)
        .shards(1 + random.below(4))
        .acceptors(1 + random.below(2))
        .env("JOURNAL_SEGMENT_MIB", 1)
        .env("SNAPSHOT_JOURNAL_MIB", snapshot_mib)
        .env("MAX_EVENTS_IN_QUEUE", events_in_memory)
        .env("IDEMPOTENCY_CACHE_TTL", "1h")
}

#[track_caller]
fn verify(server: &Server, record: &mut Record) -> history::Summary {
    match record.verify(&mut server.client()) {
        Ok(summary) => summary,
        Err(sentences) => panic!("broken promises:\n{sentences}"),
    }
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {value}")),
    )
}
