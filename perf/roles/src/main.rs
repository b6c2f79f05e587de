//! `roles`: what acceptor, shard and sequencer cost by themselves, each on one CPU, as JSON. See `perf/roles/README.md`.
//!
//! ```text
//!   driver (one CPU)                                 role (one CPU, an executor)
//!   made beforehand: decisions ──lanes──▶ sequencer ──groups──▶ null disk, or the journal
//!   made beforehand: requests  ──lanes──▶ shard ──decisions──▶ dropped by the driver
//!                    answers   ◀──lanes──
//!   connections ──loopback──▶ acceptor ──requests──▶ answered by the driver, in the shard's place
//! ```

mod acceptor;
mod bed;
mod figures;
mod make;
mod null_disk;
mod sequencer;
mod shard;

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};

use bed::Cpus;
use figures::Round;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What one role costs by itself.
#[derive(Parser)]
struct Options {
    /// How often each is measured; the first time, to warm up, does not count.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Events or requests of a round; of acceptors a quarter.
    #[arg(long, default_value_t = 200_000)]
    count: usize,
    /// The CPU of the role.
    #[arg(long, default_value_t = 0)]
    role_cpu: usize,
    /// The CPU that feeds it.
    #[arg(long, default_value_t = 1)]
    driver_cpu: usize,
    /// Only these, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// A thing to measure.
struct Case {
    /// What the model knows it by.
    name: &'static str,
    /// In words.
    meaning: &'static str,
    run: Run,
}

/// A request over a connection costs as much as so many messages between cores.
const REQUESTS_OF_CHANGES: usize = 4;

type Run = Box<dyn Fn(Cpus, usize) -> Result<Round, String>>;

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options) {
        Ok(report) => {
            println!("{report:#}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn cases() -> Vec<Case> {
    let case = |name, meaning, run| Case { name, meaning, run };
    let sequencer = |setup: sequencer::Setup| -> Run {
        Box::new(move |cpus, count| sequencer::round(cpus, count, setup))
    };
    let shard = |setup: shard::Setup| -> Run {
        Box::new(move |cpus, count| shard::round(cpus, count, setup))
    };
    let acceptor = |asks| -> Run {
        Box::new(move |cpus, count| {
            acceptor::round(cpus, count.div_ceil(REQUESTS_OF_CHANGES), asks)
        })
    };
    let single = sequencer::Setup {
        window: 4_000,
        changes: 1,
        is_on_disk: false,
    };
    let updates = shard::Setup {
        products: 10_000,
        asks: shard::Asks::Updates(1),
    };
    vec![
        case(
            "sequencer",
            "single updates from 4 shards, at most 4,000 on their way, null disk",
            sequencer(single),
        ),
        case(
            "sequencer-window-64",
            "the same, at most 64 on their way: small groups",
            sequencer(sequencer::Setup {
                window: 64,
                ..single
            }),
        ),
        case(
            "sequencer-batches",
            "parts of batches, 25 changes each, null disk",
            sequencer(sequencer::Setup {
                changes: 25,
                ..single
            }),
        ),
        case(
            "sequencer-journal",
            "single updates, at most 4,000 on their way, the real journal, synced",
            sequencer(sequencer::Setup {
                is_on_disk: true,
                ..single
            }),
        ),
        case(
            "shard-updates",
            "single updates of 10,000 products, all applied",
            shard(updates),
        ),
        case(
            "shard-updates-250k",
            "the same of 250,000 products: out of the cache",
            shard(shard::Setup {
                products: 250_000,
                ..updates
            }),
        ),
        case(
            "shard-batches",
            "parts of batches, 25 updates each, of 10,000 products",
            shard(shard::Setup {
                asks: shard::Asks::Updates(25),
                ..updates
            }),
        ),
        case(
            "shard-reads",
            "reads of 10,000 products",
            shard(shard::Setup {
                asks: shard::Asks::Reads,
                ..updates
            }),
        ),
        case(
            "acceptor-updates",
            "single updates over 64 connections; the shard's place answers at once",
            acceptor(acceptor::Asks::Updates),
        ),
        case(
            "acceptor-reads",
            "reads of one product, likewise",
            acceptor(acceptor::Asks::Reads),
        ),
    ]
}

fn measure(options: &Options) -> Result<Value, String> {
    let cpus = Cpus {
        role: options.role_cpu,
        driver: options.driver_cpu,
    };
    if cpus.role == cpus.driver {
        return Err("the role and who feeds it need a CPU each".to_owned());
    }
    bed::pin(cpus.driver)?;
    let unknown = options
        .only
        .iter()
        .find(|name| cases().iter().all(|case| case.name != name.as_str()));
    if let Some(name) = unknown {
        let names: Vec<&str> = cases().iter().map(|case| case.name).collect();
        return Err(format!("{name} is none of {}", names.join(", ")));
    }
    let mut report = Map::new();
    let is_wanted =
        |case: &Case| options.only.is_empty() || options.only.iter().any(|name| name == case.name);
    for case in cases().into_iter().filter(is_wanted) {
        let mut rounds = Vec::new();
        for number in 0..=options.rounds {
            let round = (case.run)(cpus, options.count)?;
            if number > 0 {
                rounds.push(round);
            }
        }
        eprintln!("{}: {}", case.name, figures::sentence(&rounds));
        let mut figures = figures::figures(&rounds);
        figures["meaning"] = case.meaning.into();
        report.insert(case.name.to_owned(), figures);
    }
    Ok(
        json!({"rounds": options.rounds, "count": options.count, "isDebugBuild": cfg!(debug_assertions), "roles": report}),
    )
}
