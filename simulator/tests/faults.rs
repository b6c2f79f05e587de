//! The checks find what they are there for: each bug that can be planted is found within a thousand seeds.

use std::sync::Mutex;

use central_inventory::faults::Fault;
use simulator::run::{Plan, run};

const STEPS: u64 = 1_500;
const SEEDS: u64 = 1_000;

/// The first seed that finds `fault`, and what it says.
fn find(fault: Fault) -> Option<(u64, String)> {
    (1..=SEEDS).find_map(|seed| {
        let plan = Plan {
            seed,
            steps: STEPS,
            fault: Some(fault),
            ..Plan::default()
        };
        run(&plan).failure.map(|failure| (seed, failure))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let left = Mutex::new(Fault::ALL.to_vec());
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(fault) = { left.lock().unwrap().pop() } {
                    let finding = find(fault);
                    found.lock().unwrap().push((fault, finding));
                }
            });
        }
    });
    let mut missed = Vec::new();
    println!("{:<24} {:>5}  what the check said", "bug", "seed");
    for (fault, finding) in found.into_inner().unwrap() {
        match finding {
            Some((seed, failure)) => {
                let line = failure.lines().next().unwrap_or_default();
                let line: String = line.chars().take(150).collect();
                println!("{:<24} {seed:>5}  {line}", format!("{fault:?}"));
            }
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
