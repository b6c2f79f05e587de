//! The state that a server starts with: what was on disk, or the first start's.

use std::io;
use std::ops::ControlFlow;

use ahash::RandomState;
use shards::{Limits, Shard};
use slog::{Logger, info, warn};

use crate::config::{Config, Environment, JournalSync};
use crate::journal::directory::{self, Files};
use crate::journal::recover::{
    self, FirstStart, Progress, RecoverError, Recovered, Settings, Target,
};
use crate::observe::service_manager::ServiceManager;
use crate::runtime::clock::{self, Uptime};
use crate::runtime::disk::Writes;
use crate::sequencer::feed::Feed;
use crate::sequencer::order::Order;
use crate::shard::router::Router;

/// A recovery that takes longer says how far it is, so often.
const PROGRESS_EVERY_MS: u64 = 1_000;

/// What the roles take over.
pub struct State {
    /// With the products they own.
    pub shards: Vec<Shard>,
    /// From the next offset on.
    pub order: Order,
    /// With the latest events.
    pub feed: Feed,
    /// What is on disk; none runs in memory.
    pub on_disk: Option<OnDisk>,
}

/// What is on disk.
pub struct OnDisk {
    /// Where.
    pub files: Files,
    /// What was found there.
    pub recovered: Recovered,
}

/// Where a server keeps its state; none keeps it in memory.
pub fn files(config: &Config) -> Option<Files> {
    let on_disk = || Files::new(config.data_path.clone(), config.events_path.clone());
    config.persistence.then(on_disk)
}

/// Which shard owns which product, for this run.
pub fn router(config: &Config) -> io::Result<Router> {
    Ok(Router::new(random_state()?, config.shard_count))
}

impl State {
    /// Reads the snapshot and the journal of `files`, or starts afresh. Ends early when `interrupted` says so.
    pub fn recover(
        config: &Config,
        files: Option<Files>,
        router: &Router,
        log: &Logger,
        manager: &ServiceManager,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<State, Box<dyn std::error::Error>> {
        let mut state = State {
            shards: empty_shards(config)?,
            order: Order::new(0, true),
            feed: Feed::new(config.events_in_memory_max, config.waiters_max),
            on_disk: None,
        };
        let Some(files) = files else {
            warn!(
                log,
                "ENABLE_JSON_PERSISTENCE=false: everything is kept in memory only and lost at the end"
            );
            if config.environment == Environment::Development {
                recover::restore_snapshot(recover::sample(), router, &mut state.shards);
            }
            return Ok(state);
        };
        if config.journal_sync != JournalSync::Always {
            warn!(
                log,
                "JOURNAL_SYNC is not `always`: acknowledged changes can be lost when the machine fails"
            );
        }
        let target = Target {
            router,
            shards: &mut state.shards,
            feed: &mut state.feed,
        };
        let (started, mut next_report_ms) = (Uptime::start(), PROGRESS_EVERY_MS);
        let mut watch = |progress: Progress| {
            if started.now_ms() >= next_report_ms {
                next_report_ms = started.now_ms() + PROGRESS_EVERY_MS;
                report_progress(&progress, log, manager);
            }
            match interrupted() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let recovered = recover::recover(&files, &settings(config), target, &mut watch)?;
        let writes = journal_writes(config, &files)?;
        if writes == Writes::Buffered {
            warn!(log, "The file system refuses direct I/O: the journal is written through the page cache, as durable but slower";
                "path" => %files.active.display());
        }
        let files = files.written(writes);
        report(&recovered, &state.shards, started.now_ms(), log);
        state.feed.begin_at(recovered.next_offset);
        let sync_per_group = config.journal_sync == JournalSync::Always;
        state.order = Order::new(recovered.next_offset, sync_per_group);
        state.on_disk = Some(OnDisk { files, recovered });
        Ok(state)
    }
}

/// Whether `error` only says that recovery was told to end.
pub fn is_interruption(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(RecoverError::Interrupted))
}

/// The quickest way for segments to the disk of which this configuration's promise may be expected.
fn journal_writes(config: &Config, files: &Files) -> io::Result<Writes> {
    if !directory::takes_direct_io(&files.active)? {
        return Ok(Writes::Buffered);
    }
    let keeps = || directory::keeps_write_through(&files.active);
    let through = config.journal_write_through.unwrap_or_else(keeps);
    // Whoever may lose changes does not want to wait for each.
    Ok(
        match through && config.journal_sync == JournalSync::Always {
            true => Writes::Through,
            false => Writes::Direct,
        },
    )
}

fn settings(config: &Config) -> Settings {
    Settings {
        segment_bytes: config.journal_segment_bytes,
        first_start: match config.environment {
            Environment::Development => FirstStart::Sample,
            Environment::Staging | Environment::Production => FirstStart::Empty,
        },
        now: clock::wall_now(),
        idempotency_ttl_ms: config.idempotency_ttl.as_millis() as u64,
        events_in_memory: config.events_in_memory_max,
    }
}

fn empty_shards(config: &Config) -> io::Result<Vec<Shard>> {
    let limits = Limits {
        idempotency_ttl_ms: config.idempotency_ttl.as_millis() as u64,
        idempotency_entries_max: entries_per_shard(config),
    };
    let shard = |_| Ok(Shard::new(limits, random_state()?));
    (0..config.shard_count).map(shard).collect()
}

fn report_progress(progress: &Progress, log: &Logger, manager: &ServiceManager) {
    let percent = (100 * progress.bytes) / progress.bytes_total.max(1);
    manager.recovering(percent);
    info!(log, "Recovering"; "percent" => percent, "events" => progress.events,
        "mib" => progress.bytes >> 20, "mib_total" => progress.bytes_total >> 20);
}

fn report(recovered: &Recovered, shards: &[Shard], ms: u64, log: &Logger) {
    let report = &recovered.report;
    let products: usize = shards.iter().map(Shard::product_count).sum();
    let remembered: usize = shards.iter().map(Shard::idempotency_entry_count).sum();
    info!(log, "Recovered"; "products" => products, "next_offset" => recovered.next_offset,
        "events_replayed" => report.events, "segments" => report.segments,
        "segments_skipped" => report.segments_skipped,
        "snapshot_products" => report.snapshot_products, "idempotency_entries" => remembered, "ms" => ms);
    if report.torn_bytes > 0 {
        warn!(log, "A torn tail was cut off the journal: what the last stop interrupted"; "bytes" => report.torn_bytes);
    }
}

/// The bound is over all shards; each gets its share, rounded up.
fn entries_per_shard(config: &Config) -> usize {
    let share = config
        .idempotency_entries_max
        .div_ceil(u64::from(config.shard_count));
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// Seeds from the system: ids come from outside, and must not be able to aim at one bucket or one shard.
pub(super) fn random_state() -> io::Result<RandomState> {
    let seed = || -> io::Result<u64> {
        getrandom::u64().map_err(|error| io::Error::other(format!("no random seed: {error}")))
    };
    Ok(RandomState::with_seeds(seed()?, seed()?, seed()?, seed()?))
}
