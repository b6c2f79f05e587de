//! `GET /health`, `/health/ready` and `/health/live`: how the server is, part by part. What the parts say of themselves is
//! what they have counted; nobody is asked and nothing is waited for.

use std::sync::atomic::Ordering;

use hyper::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::values;
use super::respond::{self, ResponseBody};
use crate::acceptor::Acceptor;
use crate::config::JournalSync;
use crate::observe::metrics::Metrics;
use crate::observe::metrics::cells::Cell;

/// How the server is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Health)]
pub struct HealthJson {
    #[schema(value_type = values::HealthStatus)]
    status: &'static str,
    /// The server's version.
    version: &'static str,
    /// Seconds since it started.
    uptime_seconds: u64,
    /// Part by part; absent where only is asked whether the process runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    components: Option<ComponentsJson>,
}

/// The parts of the server.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthComponents)]
struct ComponentsJson {
    shards: ShardsJson,
    sequencer: SequencerJson,
    journal: JournalJson,
    memory: MemoryJson,
}

/// Those who decide.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HealthOfShards)]
struct ShardsJson {
    #[schema(value_type = values::ComponentStatus)]
    status: &'static str,
    /// How many there are.
    #[schema(value_type = values::Count)]
    count: u64,
    /// How many are at work.
    #[schema(value_type = values::Count)]
    active: u64,
    /// Products that exist.
    #[schema(value_type = values::Count)]
    products: u64,
}

/// Who puts changes in order and serves the feed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HealthOfSequencer)]
struct SequencerJson {
    #[schema(value_type = values::ComponentStatus)]
    status: &'static str,
    /// The offset that the next change gets.
    #[schema(value_type = values::Count)]
    next_offset: u64,
    /// Polls that wait for an event.
    #[schema(value_type = values::Count)]
    waiters: u64,
}

/// The record of all changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HealthOfJournal)]
struct JournalJson {
    #[schema(value_type = values::ComponentStatus)]
    status: &'static str,
    /// Whether changes reach the disk before they are acknowledged: not with `ENABLE_JSON_PERSISTENCE=false`, and only with
    /// `JOURNAL_SYNC=always`.
    durable: bool,
    /// The offset of the last change that may be acknowledged; null before the first.
    #[schema(value_type = Option<values::Count>)]
    last_durable_offset: Option<u64>,
    /// Changes that have an offset and are still on their way there.
    #[schema(value_type = values::Count)]
    lag_events: u64,
}

/// What fills up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HealthOfMemory)]
struct MemoryJson {
    #[schema(value_type = values::ComponentStatus)]
    status: &'static str,
    /// Memory of the process that is in RAM, as of a second ago.
    #[schema(value_type = values::Count)]
    resident_bytes: u64,
    /// Applied updates that are remembered.
    #[schema(value_type = values::Count)]
    idempotency_entries: u64,
    /// How many can be.
    #[schema(value_type = values::Count)]
    idempotency_capacity: u64,
    /// Events in memory.
    #[schema(value_type = values::Count)]
    events: u64,
}

/// How a part is, best first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Healthy,
    /// It serves, and somebody should look.
    Degraded,
    Recovering,
    Unhealthy,
}

impl Condition {
    fn as_str(self) -> &'static str {
        match self {
            Condition::Healthy => "healthy",
            Condition::Degraded => "degraded",
            Condition::Recovering => "recovering",
            Condition::Unhealthy => "unhealthy",
        }
    }

    fn degraded_if(is_degraded: bool) -> Condition {
        match is_degraded {
            true => Condition::Degraded,
            false => Condition::Healthy,
        }
    }
}

/// Whether the server is fit to serve, and its parts.
pub fn ready(acceptor: &Acceptor) -> Response<ResponseBody> {
    let lifecycle = &acceptor.lifecycle;
    let (status, condition) = if lifecycle.has_failed_journal() || acceptor.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Condition::Unhealthy)
    } else if lifecycle.is_recovering() {
        (StatusCode::SERVICE_UNAVAILABLE, Condition::Recovering)
    } else {
        (StatusCode::OK, Condition::Healthy)
    };
    respond::json(
        status,
        &HealthJson {
            components: Some(components(acceptor)),
            ..health(acceptor, condition)
        },
    )
}

/// Whether the process runs: it answers.
pub fn live(acceptor: &Acceptor) -> Response<ResponseBody> {
    respond::json(StatusCode::OK, &health(acceptor, Condition::Healthy))
}

fn health(acceptor: &Acceptor, condition: Condition) -> HealthJson {
    HealthJson {
        status: condition.as_str(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: acceptor.lifecycle.uptime().as_secs(),
        components: None,
    }
}

fn components(acceptor: &Acceptor) -> ComponentsJson {
    let (config, metrics) = (&acceptor.config, &*acceptor.server_metrics);
    let is_recovering = acceptor.lifecycle.is_recovering();
    let unless_recovering = |condition: Condition| match is_recovering {
        true => Condition::Recovering.as_str(),
        false => condition.as_str(),
    };
    let all_shards = |cell: fn(&crate::observe::metrics::roles::ShardMetrics) -> &Cell| -> u64 {
        metrics.shards.iter().map(|shard| cell(shard).get()).sum()
    };
    let (count, active) = (metrics.shards.len() as u64, all_shards(|s| &s.is_active));
    let sequencer = &metrics.sequencer;
    let durable = sequencer.durable_offset.get();
    let next = sequencer.next_offset.get().max(durable);
    let (entries, capacity) = (
        all_shards(|s| &s.idempotency_entries),
        config.idempotency_entries_max,
    );
    ComponentsJson {
        shards: ShardsJson {
            status: unless_recovering(match active == count {
                true => Condition::degraded_if(metrics.has_stalled_executor()),
                false => Condition::Unhealthy,
            }),
            count,
            active,
            products: all_shards(|s| &s.products),
        },
        sequencer: SequencerJson {
            status: unless_recovering(Condition::degraded_if(metrics.has_stalled_executor())),
            next_offset: next,
            waiters: sequencer.waiters.get(),
        },
        journal: JournalJson {
            status: match acceptor.lifecycle.has_failed_journal() {
                true => Condition::Unhealthy.as_str(),
                false => unless_recovering(Condition::degraded_if(is_stalled(metrics))),
            },
            durable: config.persistence && config.journal_sync == JournalSync::Always,
            last_durable_offset: durable.checked_sub(1),
            lag_events: next - durable,
        },
        memory: MemoryJson {
            status: Condition::degraded_if(is_full(metrics, capacity)).as_str(),
            resident_bytes: metrics.resident_bytes(),
            idempotency_entries: entries,
            idempotency_capacity: capacity,
            events: sequencer.events_in_memory.get(),
        },
    }
}

fn is_stalled(metrics: &Metrics) -> bool {
    metrics.is_journal_stalled.load(Ordering::Relaxed)
}

/// Whether a shard refuses updates since it can remember no more.
fn is_full(metrics: &Metrics, capacity: u64) -> bool {
    let of_shard = capacity / metrics.shards.len() as u64;
    let mut shards = metrics.shards.iter();
    shards.any(|shard| shard.idempotency_entries.get() >= of_shard)
}
