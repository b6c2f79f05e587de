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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// Of the export by OTLP.
    pub otlp: OtlpMetrics,
    /// Whether changes have waited for the disk for seconds, and none got there.
    pub is_journal_stalled: AtomicBool,
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

/// What the export by OTLP counts. Written on its thread alone.
#[derive(Debug, Default)]
pub struct OtlpMetrics {
    /// Exports that the receiver took.
    pub exported: Cell,
    /// Exports that it did not take.
    pub failed: Cell,
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
    durable_offset: Cell,
    /// How often in a row changes waited for the disk and none had got there.
    stalled: Cell,
    resident_bytes: Cell,
    disk_free_bytes: Cell,
    disk_total_bytes: Cell,
}

#[derive(Debug, Default)]
struct ExecutorSample {
    ran_ns: Cell,
    at_ns: Cell,
    /// In millionths.
    busy: Cell,
    beats: Cell,
    /// How often in a row its heartbeat had not come.
    silent: Cell,
}

/// After so many samples, seconds, without a sign of life something has stalled: a shared CPU may well take one away.
const STALLED_SAMPLES: u64 = 5;

impl Metrics {
    /// Of a server that begins to start.
    pub fn new(
        config: Arc<Config>,
        lifecycle: Arc<Lifecycle>,
        plan: &Plan,
        log: Arc<LogMetrics>,
    ) -> Metrics {
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
            log,
            otlp: OtlpMetrics::default(),
            is_journal_stalled: AtomicBool::new(false),
            config,
            lifecycle,
        }
    }

    /// Takes the figures that are compared with those of a second before, `now_ns` after some moment that stays the same.
    pub fn sample(&self, now_ns: u64) {
        for (executor, sample) in self.executors.iter().zip(&self.samples.executors) {
            if let Some(times) = executor.thread().and_then(process::thread_times) {
                sample.take(times.ran_ns, now_ns);
            }
            let beats = executor.heartbeat_delay.count();
            let is_silent = beats > 0 && beats == sample.beats.get();
            count_in_a_row(&sample.silent, is_silent);
            sample.beats.set(beats);
        }
        let samples = &self.samples;
        let (next, durable) = (
            self.sequencer.next_offset.get(),
            self.sequencer.durable_offset.get(),
        );
        let waits = next > durable && durable == samples.durable_offset.get();
        samples.durable_offset.set(durable);
        let is_stalled = count_in_a_row(&samples.stalled, waits) >= STALLED_SAMPLES;
        self.is_journal_stalled.store(is_stalled, Ordering::Relaxed);
        samples
            .resident_bytes
            .set(process::resident_bytes().unwrap_or(0));
    }

    /// Whether some executor has not run for seconds.
    pub fn has_stalled_executor(&self) -> bool {
        let mut samples = self.samples.executors.iter();
        samples.any(|sample| sample.silent.get() >= STALLED_SAMPLES)
    }

    /// Memory of the process that is in RAM, as of the last sample.
    pub fn resident_bytes(&self) -> u64 {
        self.samples.resident_bytes.get()
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
        let executors = self.executors.iter();
        executors.map(|e| (&**e, e.thread_times())).collect()
    }
}

impl ExecutorSample {
    fn take(&self, ran_ns: u64, now_ns: u64) {
        let ran = ran_ns.saturating_sub(self.ran_ns.get());
        let passed = now_ns.saturating_sub(self.at_ns.get());
        if self.at_ns.get() > 0 && passed > 0 {
            let busy = u128::from(ran.min(passed)) * 1_000_000 / u128::from(passed);
            self.busy.set(busy as u64);
        }
        self.ran_ns.set(ran_ns);
        self.at_ns.set(now_ns);
    }
}

fn count_in_a_row(cell: &Cell, is_so: bool) -> u64 {
    cell.set(match is_so {
        true => cell.get() + 1,
        false => 0,
    });
    cell.get()
}

impl OtlpMetrics {
    /// Counts an export.
    pub fn count(&self, is_exported: bool) {
        match is_exported {
            true => self.exported.increment(),
            false => self.failed.increment(),
        }
    }
}

impl LogMetrics {
    /// A line of a request was not written.
    pub fn suppress(&self, class: usize, lines: u64) {
        self.suppressed[class].fetch_add(lines, Ordering::Relaxed);
    }
}
