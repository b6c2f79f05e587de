//! The state that a server starts with: what was on disk, or the first start's.

use std::io;

use ahash::RandomState;
use shards::{Limits, Shard};
use slog::{Logger, info, warn};

use crate::config::{Config, Environment, JournalSync};
use crate::journal::directory::{self, Lock, Paths};
use crate::journal::recover::{self, FirstStart, Recovered, Tail};
use crate::runtime::clock;
use crate::sequencer::feed::Feed;
use crate::sequencer::order::Order;
use crate::shard::router::Router;

/// What a start finds on disk.
pub struct State {
    /// Held as long as the server runs; none in memory.
    pub lock: Option<Lock>,
    /// What the roles take over.
    pub parts: Parts,
}

/// What the roles take over.
pub struct Parts {
    /// Which shard owns a product.
    pub router: Router,
    /// With the products they own.
    pub shards: Vec<Shard>,
    /// From the next offset on.
    pub order: Order,
    /// With the latest events.
    pub feed: Feed,
    /// Where the journal goes on; none runs in memory.
    pub tail: Option<(Paths, Tail)>,
}

impl State {
    /// Reads the snapshot and the journal, or starts afresh.
    pub fn recover(config: &Config, log: &Logger) -> Result<State, Box<dyn std::error::Error>> {
        let router = Router::new(random_state()?, config.shard_count);
        let limits = Limits {
            idempotency_ttl_ms: config.idempotency_ttl.as_millis() as u64,
            idempotency_entries_max: entries_per_shard(config),
        };
        let mut shards = Vec::new();
        for _ in 0..config.shard_count {
            shards.push(Shard::new(limits, random_state()?));
        }
        let mut feed = Feed::new(config.events_in_memory_max, config.waiters_max);
        let sync_per_group = config.journal_sync == JournalSync::Always || !config.persistence;
        if !config.persistence {
            warn!(
                log,
                "ENABLE_JSON_PERSISTENCE=false: everything is kept in memory only and lost at the end"
            );
            if config.environment == Environment::Development {
                recover::restore_snapshot(recover::sample(), &router, &mut shards);
            }
            let order = Order::new(0, sync_per_group);
            let parts = Parts {
                router,
                shards,
                order,
                feed,
                tail: None,
            };
            return Ok(State { lock: None, parts });
        }
        if config.journal_sync != JournalSync::Always {
            warn!(
                log,
                "JOURNAL_SYNC is not `always`: acknowledged changes can be lost when the machine fails"
            );
        }
        let paths = Paths {
            snapshot: config.data_path.clone(),
            active: config.events_path.clone(),
        };
        let lock = directory::lock(&paths)?;
        let first_start = match config.environment {
            Environment::Development => FirstStart::Sample,
            Environment::Staging | Environment::Production => FirstStart::Empty,
        };
        let recovered = recover::recover(
            &paths,
            config.journal_segment_bytes,
            first_start,
            &router,
            &mut shards,
            &mut feed,
            clock::wall_now(),
        )?;
        directory::check_direct_io(&paths.active)?;
        report(&recovered, &shards, log);
        feed.begin_at(recovered.next_offset);
        let parts = Parts {
            router,
            shards,
            order: Order::new(recovered.next_offset, sync_per_group),
            feed,
            tail: Some((paths, recovered.tail)),
        };
        let lock = Some(lock);
        Ok(State { lock, parts })
    }
}

fn report(recovered: &Recovered, shards: &[Shard], log: &Logger) {
    let report = &recovered.report;
    let products: usize = shards.iter().map(Shard::product_count).sum();
    let remembered: usize = shards.iter().map(Shard::idempotency_entry_count).sum();
    info!(log, "Recovered"; "products" => products, "next_offset" => recovered.next_offset,
        "events_replayed" => report.events, "segments" => report.segments,
        "snapshot_products" => report.snapshot_products, "idempotency_entries" => remembered);
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
fn random_state() -> io::Result<RandomState> {
    let seed = || -> io::Result<u64> {
        getrandom::u64().map_err(|error| io::Error::other(format!("no random seed: {error}")))
    };
    Ok(RandomState::with_seeds(seed()?, seed()?, seed()?, seed()?))
}
