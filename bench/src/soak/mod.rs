//! What `perf/soak/run` has done to a server that it started: loads that go on for long, and stores that begin with a large
//! catalogue. Each prints one JSON object; memory is looked at from outside meanwhile.
//!
//! ```text
//!   events ────▶ sender (batches), sender (single updates)
//!   steady ────▶ sender (updates and reads at a low rate)   stalls: what the machine itself stood still
//!   bootstrap ─▶ sender (updates) beside a store: snapshot, feed, and then the listing
//! ```

mod bootstrap;
mod events;
mod sender;
mod stalls;
mod steady;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use central_inventory::plan::{ExecutorPlan, Machine};
use clap::{Args, Subcommand};
use serde_json::Value;

use stalls::What;

use crate::options::{Cpus, parse_address, parse_cpus, parse_rate};

/// What all parts are told.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The server, as host:port. It must have products with the ids `<prefix>-0000000` and so on.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub url: SocketAddr,
    /// A regular API key.
    #[arg(
        long,
        env = "INVENTORY_API_KEY",
        default_value = "demo",
        hide_env_values = true
    )]
    pub key: String,
    /// What the ids of the products begin with.
    #[arg(long, default_value = "soak")]
    pub prefix: String,
    /// How many products there are.
    #[arg(long, default_value_t = 1_000_000)]
    pub products: usize,
    /// Makes every choice of a product the same again.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The parts.
#[derive(Clone, Debug, Subcommand)]
pub enum Part {
    /// So many events at an even rate, by batches of 100 and single updates.
    Events {
        /// The server.
        #[command(flatten)]
        server: Server,
        /// How many events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Events a second.
        #[arg(long, default_value_t = 20_000.0, value_parser = parse_rate)]
        rate: f64,
        /// Of a hundred events, so many come as single updates; the others in batches of 100.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
        single_percent: u64,
    },
    /// Updates and reads in turns at an even rate, and which of them the server kept waiting.
    Steady {
        /// The server.
        #[command(flatten)]
        server: Server,
        /// Requests a second.
        #[arg(long, default_value_t = 200.0, value_parser = parse_rate)]
        rate: f64,
        /// Connections that send.
        #[arg(long, default_value_t = 4)]
        connections: usize,
        /// How long.
        #[arg(long, default_value_t = 180.0)]
        seconds: f64,
        /// Only updates.
        #[arg(long)]
        updates_only: bool,
        /// CPUs whose own stalls are measured meanwhile: all that the server and this program run on.
        #[arg(long, value_name = "CPUS", value_parser = parse_cpus)]
        watch_cpus: Option<Cpus>,
        /// A directory on the disk whose own stalls are measured meanwhile: the journal's.
        #[arg(long, value_name = "DIRECTORY")]
        watch_disk: Option<PathBuf>,
        /// No request may wait longer, in milliseconds, but for what the machine stood still.
        #[arg(long, default_value_t = 100.0)]
        limit_ms: f64,
    },
    /// A store begins with the snapshot while updates go on, follows the feed, and must end equal to the listing.
    Bootstrap {
        /// The server.
        #[command(flatten)]
        server: Server,
        /// Updates a second meanwhile.
        #[arg(long, default_value_t = 300.0, value_parser = parse_rate)]
        rate: f64,
        /// How long updates go on before the snapshot is asked for, and after the store has it.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
}

/// Does what is asked, and says what came of it.
///
/// # Errors
/// If the server refuses, or is wrong.
pub fn run(part: &Part) -> Result<Value, String> {
    match part {
        Part::Events {
            server,
            events,
            rate,
            single_percent,
        } => events::run(server, *events, *rate, *single_percent),
        Part::Steady {
            server,
            rate,
            connections,
            seconds,
            updates_only,
            watch_cpus,
            watch_disk,
            limit_ms,
        } => {
            let cpus = watch_cpus.iter().flat_map(|cpus| &cpus.0);
            let disk = watch_disk.clone().map(What::Disk);
            let watched = cpus.copied().map(What::Cpu).chain(disk).collect();
            let pace = steady::Pace {
                rate: *rate,
                connections: *connections,
                seconds: *seconds,
                updates_only: *updates_only,
            };
            steady::run(server, &pace, watched, *limit_ms)
        }
        Part::Bootstrap {
            server,
            rate,
            seconds,
        } => bootstrap::run(server, *rate, *seconds),
    }
}

/// An executor that may use every CPU of this process.
fn plan(name: &str) -> ExecutorPlan {
    ExecutorPlan {
        name: name.to_owned(),
        cpus: Machine::read().cpus,
        pinned: false,
        roles: Vec::new(),
    }
}

/// A store that has never sent anything, so that none of its keys was used.
fn new_store(what: &str) -> String {
    format!("{what}-{:x}", unix_ms())
}

/// Milliseconds since the epoch: what the memory was looked at by, too.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}
