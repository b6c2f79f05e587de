//! What a run found, as it is kept: everything that is printed or drawn is made from this, and so is a comparison.

pub mod figures;
pub mod hdr_log;
pub mod html;
pub mod json;
pub mod plots;
#[cfg(test)]
pub mod sample;
pub mod table;
pub mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of this form; one with another is not read.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The preset, such as `canonical`.
    pub preset: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The exact command line.
    pub command: String,
    /// The commit that the load generator was built from, if it is known; with `-dirty` if files were changed.
    pub commit: Option<String>,
    /// The version of the load generator.
    pub bench_version: String,
    /// What the server says of itself.
    pub server: ServerFacts,
    /// Where it ran.
    pub machine: Machine,
    /// How it was set up.
    pub setup: Setup,
    /// What makes the figures less worth than they look, a sentence each.
    pub warnings: Vec<String>,
    /// The measured phases in order; the warm-up is not among them.
    pub phases: Vec<Phase>,
    /// Headline figures, one for each round.
    pub headline: Vec<Headline>,
    /// Whether the server was right.
    pub verification: Verification,
}

/// What the server says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Whether it was built with debug assertions, where it tells.
    pub is_debug_build: Option<bool>,
    /// `JOURNAL_SYNC=always` with persistence, where it tells.
    pub is_durable: Option<bool>,
}

/// Where a run took place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many CPUs are online.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Load average over a minute when the run began: work of others.
    pub load_average: f64,
}

/// How a run was set up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// Where the server is.
    pub url: String,
    /// Whether the load generator started it.
    pub is_managed: bool,
    /// CPUs of the server, like `0`, where the load generator chose them.
    pub server_cpus: Option<String>,
    /// CPUs of the load generator.
    pub client_cpus: String,
    /// Its threads.
    pub threads: usize,
    /// Connections that send requests.
    pub connections: usize,
    /// Stores that follow the feed.
    pub followers: usize,
    /// How they do: `poll` or `stream`.
    #[serde(default)]
    pub followed_by: String,
    /// Products.
    pub products: usize,
    /// How they are chosen, such as `zipf 0.99`.
    pub popularity: String,
    /// The seed of every choice.
    pub seed: u64,
}

/// How requests are paced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// Each connection sends the next when it has its answer. Latency is from sending to the answer.
    Closed,
    /// So many a second, whatever the answers do. Latency is from when a request should have been sent.
    Open {
        /// Operations a second.
        rate: f64,
    },
}

/// A time in which the load was the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// Such as `saturation`, `half of saturation`, `sweep 60 %`.
    pub name: String,
    /// Which of the repeated rounds it belongs to, from 1.
    pub round: usize,
    /// How requests were paced.
    pub pacing: Pacing,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Latency and count by kind: `update`, `read`, `batch`, `replay`, `delivery`.
    pub kinds: BTreeMap<String, Kind>,
    /// How operations ended: `applied` (updates, those in batches too), `conflicts` (tried again), `given_up` (after too many),
    /// `refused`, `replayed`, `found` (reads), `throttled` (429),
    /// `overloaded` (503), `errors` (no answer, or one that makes no sense), `delivered` (events, over all followers).
    pub outcomes: BTreeMap<String, u64>,
    /// Second by second.
    pub series: Vec<Second>,
    /// What the load generator itself did.
    pub client: ClientSide,
    /// What could be seen of the server.
    pub server: ServerSide,
}

/// The operations of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kind {
    /// How many.
    pub count: u64,
    /// Their latency.
    pub latency: Latency,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The mean.
    pub mean_us: f64,
    /// p50
    pub p50_us: u64,
    /// p90
    pub p90_us: u64,
    /// p99
    pub p99_us: u64,
    /// p99.9
    pub p999_us: u64,
    /// The largest.
    pub max_us: u64,
    /// For a plot: (quantile from 0 to 1, microseconds), ascending, denser towards 1, as HdrHistogram iterates.
    pub quantiles: Vec<(f64, u64)>,
}

/// What happened within one second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// From the beginning of the phase, in seconds.
    pub at: f64,
    /// Operations that ended, of all kinds.
    pub operations: u64,
    /// Updates that took effect.
    pub applied: u64,
    /// Updates that met another version.
    pub conflicts: u64,
    /// 429, 503 and errors.
    pub failures: u64,
    /// Of all operations, in microseconds.
    pub p50_us: u64,
    /// Of all operations, in microseconds.
    pub p99_us: u64,
    /// Of all operations, in microseconds.
    pub max_us: u64,
}

/// What the load generator itself did: whether it measured itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientSide {
    /// CPU time of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// The share of its time of the busiest thread, or of the only CPU, 0 to 1.
    pub busiest_thread: f64,
    /// How late it woke to send what was due, in microseconds: p99. Only what was its own fault.
    pub late_p99_us: u64,
}

/// What could be seen of the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerSide {
    /// CPU time of its process, in seconds; none where it runs elsewhere.
    pub cpu_seconds: Option<f64>,
    /// Its resident memory at the end, in bytes.
    pub resident_bytes: Option<u64>,
    /// Of its metrics port, once a second: name of the metric (summed over labels) to (seconds from the beginning, value).
    pub metrics: BTreeMap<String, Vec<(f64, f64)>>,
}

/// The two numbers that are quoted.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Headline {
    /// Durable updates a second at saturation.
    pub updates_per_second: f64,
    /// p99 of all operations at half of that, in microseconds, from the intended time.
    pub p99_at_half_us: u64,
}

/// Whether the server was right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Verification {
    /// `--no-verify`
    Off,
    /// Everything was as it should be.
    Passed {
        /// What was compared.
        checked: Checked,
    },
    /// It was not.
    Failed {
        /// What was compared.
        checked: Checked,
        /// What was wrong, a sentence each, at most a hundred.
        problems: Vec<String>,
    },
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Checked {
    /// Products whose stock and version are what the acknowledged updates make of them.
    pub products: u64,
    /// Acknowledged updates.
    pub updates: u64,
    /// Updates without an answer: each may have taken effect, once.
    pub unknown: u64,
    /// Repeats that got the first answer, byte for byte.
    pub replays: u64,
    /// Events of the feed, read once more from the beginning of the run.
    pub events: u64,
    /// Followers that saw every offset.
    pub followers: u64,
}
