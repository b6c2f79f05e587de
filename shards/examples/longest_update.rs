//! `longest_update UPDATES`: how long single updates take while the idempotency memory grows to so many entries, which shows the
//! steps in which it grows. One line: updates a second, then the mean, p99.99 and longest in microseconds, and how many took longer
//! than a millisecond.

use std::time::Instant;

use ahash::RandomState;
use shards::{Creation, Identity, Limits, Price, Shard, Timestamp, Update, UpdateAnswer};

const PRODUCTS: usize = 1_000;
const NOW: Timestamp = Timestamp(1_705_314_600_000);

fn main() {
    let updates: usize = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .expect("the number of updates");
    let limits = Limits {
        idempotency_ttl_ms: 120_000,
        idempotency_entries_max: updates,
    };
    let mut shard = Shard::new(limits, RandomState::with_seeds(1, 2, 3, 4));
    for number in 0..PRODUCTS {
        let creation = Creation {
            id: id(number).into(),
            name: "A product".into(),
            available: 1_000,
            price: Price::new("9.99"),
        };
        shard.create(NOW, creation);
    }
    let mut took_ns: Vec<u64> = Vec::with_capacity(updates);
    let begun = Instant::now();
    for number in 0..updates {
        let key = format!("store-0042-{number:x}");
        let update = Update {
            identity: Identity::new("store-0042", &id(number % PRODUCTS), &key),
            delta: 1,
            expected_version: None,
        };
        let before = Instant::now();
        let verdict = shard.update(NOW, &update);
        took_ns.push(before.elapsed().as_nanos() as u64);
        assert!(matches!(verdict.answer, UpdateAnswer::Applied(_)));
    }
    let elapsed = begun.elapsed();
    took_ns.sort_unstable();
    let us = |ns: u64| ns as f64 / 1e3;
    println!(
        "{:.0}/s mean {:.2} p99.99 {:.1} longest {:.0} us, {} longer than 1 ms",
        updates as f64 / elapsed.as_secs_f64(),
        us(took_ns.iter().sum::<u64>() / updates as u64),
        us(took_ns[updates / 10_000 * 9_999]),
        us(took_ns[updates - 1]),
        took_ns.iter().filter(|ns| **ns > 1_000_000).count(),
    );
}

fn id(number: usize) -> String {
    format!("PROD-{number:04}")
}
