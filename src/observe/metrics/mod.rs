//! Metrics: what the roles count, each on its own core, and how it is added up when somebody asks.
//!
//! ```text
//!   acceptor, shard, sequencer, executor ──count──▶ cells (one writer each)
//!   metrics port, OTLP export ──families──▶ read all cells, lanes and the kernel's figures ──▶ text
//! ```
//!
//! Nothing here waits for a data core, and no data core waits for this. `docs/METRICS.md` tells what each means.

pub mod cells;
mod families;
pub mod family;
pub mod process;
pub mod roles;
pub mod stores;
pub mod text;
pub mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::limiter::Limiter;
use crate::plan::Plan;
use crate::runtime::lane::Depth;
use cells::Cell;
pub use cells::Distribution;
pub use family::{Family, Kind, Labels, Sample, Value};
use process::ThreadTimes;
use roles::{ExecutorMetrics, SequencerMetrics, ShardMetrics};
use stores::Stores;
use traffic::AcceptorMetrics;

/// Every number that a server keeps of itself.
pub struct Metrics {
    /// Of each acceptor.
    pub acceptors: Vec<Arc<AcceptorMetrics>>,
    /// Of each shard.
    pub shards: Vec<Arc<ShardMetrics>>,
    /// Of the sequencer.
    pub sequencer: Arc<SequencerMetrics>,
    /// Of each executor of the plan.
    pub executors: Vec<Arc<ExecutorMetrics>>,
    /// Which stores are counted apart.
    pub stores: Arc<Stores>,
    /// Of the log.
    pub log: Arc<LogMetrics>,
    /// What is sampled from time to time.
    samples: Samples,
    config: Arc<Config>,
    lifecycle: Arc<Lifecycle>,
}

/// What the log counts. Written by whoever logs.
#[derive(Debug, Default)]
pub struct LogMetrics {
    /// Lines for which the channel had no room.
    pub dropped: AtomicU64,
    /// Lines of requests that were not written since there were too many, by class: success, refusal, failure.
    pub suppressed: [AtomicU64; 3],
}

/// The classes of requests that are logged apart.
pub const LOG_CLASSES: [&str; 3] = ["success", "refusal", "failure"];

/// The kind of the lanes from acceptors to shards.
pub const REQUESTS: &str = "requests";

/// A lane, as it is shown.
pub struct WatchedLane {
    /// What it carries.
    pub kind: &'static str,
    /// Who drains it.
    pub receiver: String,
    /// How full it is.
    pub depth: Arc<dyn Depth>,
}

/// What is only known once lanes are laid and limits are made.
pub struct Wired {
    /// Every lane.
    pub lanes: Vec<WatchedLane>,
    /// The rate limiter, if there is one.
    pub limiter: Option<Arc<Limiter>>,
    /// The directory of the journal, if there is one.
    pub directory: Option<PathBuf>,
}

/// Figures that the thread of the metrics port takes once a second: to make a rate of them, or since taking them may block.
#[derive(Debug, Default)]
struct Samples {
    executors: Vec<ExecutorSample>,
    disk_free_bytes: Cell,
    disk_total_bytes: Cell,
}

#[derive(Debug, Default)]
struct ExecutorSample {
    ran_ns: Cell,
    at_ns: Cell,
    /// In millionths.
    busy: Cell,
}

impl Metrics {
    /// Of a server that begins to start.
    pub fn new(config: Arc<Config>, lifecycle: Arc<Lifecycle>, plan: &Plan) -> Metrics {
        let stores = Stores::new(config.metrics_stores_max);
        let executors = plan.executors.iter();
        let executors = executors.map(|plan| {
            Arc::new(ExecutorMetrics::new(
                plan.name.clone(),
                plan.describe_roles(),
            ))
        });
        let executors: Vec<_> = executors.collect();
        let acceptor = |_| Arc::new(AcceptorMetrics::new(stores.places()));
        Metrics {
            acceptors: (0..plan.acceptor_count).map(acceptor).collect(),
            shards: (0..plan.shard_count).map(|_| Arc::default()).collect(),
            sequencer: Arc::default(),
            samples: Samples {
                executors: executors
                    .iter()
                    .map(|_| ExecutorSample::default())
                    .collect(),
                ..Samples::default()
            },
            executors,
            stores,
            log: Arc::default(),
            config,
            lifecycle,
        }
    }

    /// Takes the figures of executors, `now_ns` after some moment that stays the same.
    pub fn sample_executors(&self, now_ns: u64) {
        for (executor, sample) in self.executors.iter().zip(&self.samples.executors) {
            let Some(times) = executor.thread().and_then(process::thread_times) else {
                continue;
            };
            let (ran, passed) = (
                times.ran_ns.saturating_sub(sample.ran_ns.get()),
                now_ns.saturating_sub(sample.at_ns.get()),
            );
            if sample.at_ns.get() > 0 && passed > 0 {
                sample
                    .busy
                    .set((ran.min(passed) as u128 * 1_000_000 / passed as u128) as u64);
            }
            sample.ran_ns.set(times.ran_ns);
            sample.at_ns.set(now_ns);
        }
    }

    /// The file system of the journal has `free` of `total` bytes.
    pub fn sample_disk(&self, free: u64, total: u64) {
        self.samples.disk_free_bytes.set(free);
        self.samples.disk_total_bytes.set(total);
    }

    /// Everything, as it stands now.
    pub fn families(&self, wired: &Wired) -> Vec<Family> {
        let mut all = families::of_traffic(&self.acceptors);
        all.extend(families::of_updates(self));
        all.extend(families::of_shards(&self.shards, &self.config));
        all.extend(families::of_lanes(&wired.lanes));
        all.extend(families::of_sequencer(&self.sequencer));
        all.extend(families::of_disk(self, wired.directory.is_some()));
        all.extend(families::of_feed(&self.sequencer, &self.config));
        all.extend(families::of_clients(
            &self.acceptors,
            &self.config,
            wired.limiter.as_deref(),
        ));
        all.extend(families::of_executors(self));
        all.extend(families::of_server(self));
        all.extend(process::families());
        all
    }

    fn thread_times(&self) -> Vec<(&ExecutorMetrics, ThreadTimes)> {
        let times = |executor: &Arc<ExecutorMetrics>| {
            executor
                .thread()
                .and_then(process::thread_times)
                .unwrap_or_default()
        };
        self.executors.iter().map(|e| (&**e, times(e))).collect()
    }
}

impl LogMetrics {
    /// A line of a request was not written.
    pub fn suppress(&self, class: usize, lines: u64) {
        self.suppressed[class].fetch_add(lines, Ordering::Relaxed);
    }
}
