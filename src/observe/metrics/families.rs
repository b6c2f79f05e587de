//! Adds up what the roles counted: one function per part of the server, one line per family.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cells::{Cell, Distribution, Histogram};
use super::family::{Family, Kind};
use super::roles::{Decided, ExecutorMetrics, Polled, SequencerMetrics, ShardMetrics};
use super::traffic::{AcceptorMetrics, ClientKind, Deadline, Endpoint, METHODS, STATUSES};
use super::{LOG_CLASSES, Metrics, REQUESTS, WatchedLane};
use crate::api;
use crate::config::Config;
use crate::limiter::{Class, Limiter};

type Acceptors = [Arc<AcceptorMetrics>];

fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(name, Kind::Counter, help)
}

fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(name, Kind::Gauge, help)
}

fn histogram(name: &'static str, help: &'static str) -> Family {
    Family::new(name, Kind::Histogram, help)
}

fn sum(acceptors: &Acceptors, cell: impl Fn(&AcceptorMetrics) -> &Cell) -> u64 {
    acceptors.iter().map(|acceptor| cell(acceptor).get()).sum()
}

fn add_up<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Distribution {
    let mut all = Distribution::default();
    histograms.for_each(|histogram| all.add(&histogram.read()));
    all
}

pub(super) fn of_traffic(acceptors: &Acceptors) -> Vec<Family> {
    let mut requests = counter(
        "inventory_api_requests_total",
        "Requests that were answered",
    );
    let mut errors = counter(
        "inventory_api_errors_total",
        "Requests that were answered with a status of 400 and above",
    );
    let mut durations = histogram(
        "inventory_api_request_duration_seconds",
        "From the parsed head of a request to its answer; of events with the time a poll waited",
    );
    for endpoint in Endpoint::ALL {
        for (method, method_name) in METHODS.iter().enumerate() {
            let of_method = acceptors.iter().map(|a| a.durations(endpoint, method));
            let distribution = add_up(of_method);
            if distribution.count() > 0 {
                let labels = [
                    ("endpoint", endpoint.as_str().into()),
                    ("method", (*method_name).into()),
                ];
                durations.push(labels, distribution);
            }
        }
        for (status, code) in STATUSES.iter().enumerate() {
            let code = match code {
                0 => Cow::from("other"),
                code => code.to_string().into(),
            };
            let mut of_status = 0;
            for (method, method_name) in METHODS.iter().enumerate() {
                let each = acceptors.iter();
                let count: u64 = each.map(|a| a.requests(endpoint, method, status)).sum();
                of_status += count;
                if count > 0 {
                    let labels = [
                        ("endpoint", endpoint.as_str().into()),
                        ("method", (*method_name).into()),
                        ("status", code.clone()),
                    ];
                    requests.push(labels, count);
                }
            }
            if of_status > 0 && STATUSES[status] >= 400 {
                let labels = [("endpoint", endpoint.as_str().into()), ("status", code)];
                errors.push(labels, of_status);
            }
        }
    }
    let by_kind = ClientKind::ALL.map(|kind| {
        let each = acceptors.iter().map(|a| &a.response_times[kind as usize]);
        (kind.as_str(), add_up(each))
    });
    vec![
        requests,
        errors,
        durations,
        counter(
            "inventory_api_requests_by_client_ip_type",
            "Requests that were answered, by the network of the client",
        )
        .by(
            "client_ip_type",
            by_kind.iter().map(|(kind, times)| (*kind, times.count())),
        ),
        histogram(
            "inventory_api_response_time_by_client_type",
            "As the duration of requests, in seconds, by the network of the client",
        )
        .by("client_ip_type", by_kind),
        histogram(
            "inventory_api_request_size_bytes",
            "Bodies of requests that have one",
        )
        .of(add_up(acceptors.iter().map(|a| &a.request_bytes))),
        histogram(
            "inventory_api_response_size_bytes",
            "Bodies of answers, as they were sent",
        )
        .of(add_up(acceptors.iter().map(|a| &a.response_bytes))),
        counter(
            "inventory_api_problems_total",
            "Answers that are a problem, by its code",
        )
        .by(
            "code",
            api::problem_codes()
                .map(|(index, code)| (code, sum(acceptors, |a| &a.problems[index]))),
        ),
        gauge(
            "inventory_api_requests_in_flight",
            "Requests that are being answered, waiting polls among them",
        )
        .by(
            "acceptor",
            numbered(acceptors.iter().map(|a| a.in_flight.get())),
        ),
    ]
}

fn numbered<V>(values: impl Iterator<Item = V>) -> impl Iterator<Item = (String, V)> {
    values
        .enumerate()
        .map(|(index, value)| (index.to_string(), value))
}

pub(super) fn of_updates(metrics: &Metrics) -> Vec<Family> {
    let decided = |wanted: Decided| -> u64 {
        metrics
            .shards
            .iter()
            .map(|shard| shard.decisions(wanted))
            .sum()
    };
    let remembered = |wanted: bool| -> u64 {
        let all = Decided::ALL.into_iter();
        all.filter(|one| one.was_remembered() == Some(wanted))
            .map(decided)
            .sum()
    };
    let by_store = metrics.stores.labels().into_iter();
    vec![
        counter(
            "inventory_updates_processed_total",
            "Updates that took effect, by store; replays are not among them",
        )
        .by(
            "store",
            by_store.map(|(place, store)| (store, sum(&metrics.acceptors, |a| &a.applied[place]))),
        ),
        counter(
            "inventory_version_conflicts_total",
            "Updates that were refused for a stale version",
        )
        .of(decided(Decided::VersionConflict)),
        counter(
            "inventory_cache_hits_total",
            "Updates that were found in the idempotency memory",
        )
        .of(remembered(true)),
        counter(
            "inventory_cache_misses_total",
            "Updates that were not found in the idempotency memory",
        )
        .of(remembered(false)),
    ]
}

pub(super) fn of_shards(shards: &[Arc<ShardMetrics>], config: &Config) -> Vec<Family> {
    let mut decisions = counter(
        "inventory_shard_decisions_total",
        "What shards decided about updates and admin changes",
    );
    for (index, shard) in shards.iter().enumerate() {
        for decided in Decided::ALL {
            let labels = [
                ("shard", index.to_string().into()),
                ("decision", decided.as_str().into()),
            ];
            decisions.push(labels, shard.decisions(decided));
        }
    }
    let capacity = config.idempotency_entries_max / shards.len() as u64;
    vec![
        decisions,
        gauge("inventory_shard_products", "Products that exist")
            .by("shard", numbered(shards.iter().map(|s| s.products.get()))),
        gauge(
            "inventory_idempotency_entries",
            "Applied updates that are remembered",
        )
        .by(
            "shard",
            numbered(shards.iter().map(|s| s.idempotency_entries.get())),
        ),
        gauge(
            "inventory_idempotency_capacity",
            "Applied updates that can be remembered; beyond them updates are refused",
        )
        .by("shard", numbered(shards.iter().map(|_| capacity))),
        gauge("inventory_worker_active_count", "Shards at work")
            .of(shards.iter().map(|s| s.is_active.get()).sum::<u64>()),
    ]
}

/// Of the lanes of one kind to one receiver the deepest counts: a single full one is met by clients.
pub(super) fn of_lanes(lanes: &[WatchedLane]) -> Vec<Family> {
    let mut depth = gauge(
        "inventory_lane_depth",
        "Messages in the deepest of the lanes of a kind to a receiver",
    );
    let mut capacity = gauge("inventory_lane_capacity", "Slots of each such lane");
    let mut queued = gauge(
        "inventory_worker_queue_size",
        "Requests that wait in the lanes of a shard",
    );
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for lane in lanes {
        if seen.contains(&(lane.kind, &*lane.receiver)) {
            continue;
        }
        seen.push((lane.kind, &lane.receiver));
        let alike = lanes
            .iter()
            .filter(|other| (other.kind, &other.receiver) == (lane.kind, &lane.receiver));
        let depths: Vec<u64> = alike.map(|lane| lane.depth.messages() as u64).collect();
        let labels = || {
            [
                ("lane", lane.kind.into()),
                ("receiver", lane.receiver.clone().into()),
            ]
        };
        depth.push(labels(), depths.iter().copied().max().unwrap_or(0));
        capacity.push(labels(), lane.depth.slots() as u64);
        if let (REQUESTS, Some(shard)) = (lane.kind, lane.receiver.strip_prefix("shard-")) {
            queued.push(
                [("shard", shard.to_owned().into())],
                depths.iter().sum::<u64>(),
            );
        }
    }
    vec![queued, depth, capacity]
}

pub(super) fn of_sequencer(sequencer: &SequencerMetrics) -> Vec<Family> {
    let (next, durable) = (sequencer.next_offset.get(), sequencer.durable_offset.get());
    vec![
        counter(
            "inventory_events_published_total",
            "Events that became durable and were published",
        )
        .of(sequencer.published.get()),
        gauge(
            "inventory_sequencer_next_offset",
            "The offset that the next change gets",
        )
        .of(next),
        gauge(
            "inventory_journal_durable_offset",
            "Every change below this offset may be acknowledged",
        )
        .of(durable),
        gauge(
            "inventory_journal_durable_lag_events",
            "Changes that have an offset and may not be acknowledged yet",
        )
        .of(next.saturating_sub(durable)),
        gauge(
            "inventory_sequencer_waiting_bytes",
            "Bytes that wait to be written",
        )
        .of(sequencer.waiting_bytes.get()),
        histogram("inventory_commit_group_events", "Events of a group commit")
            .of(sequencer.group_events.read()),
        histogram(
            "inventory_commit_duration_seconds",
            "How long a group took to be written and, with JOURNAL_SYNC=always, synced",
        )
        .of(sequencer.commits.read()),
        histogram(
            "inventory_journal_sync_duration_seconds",
            "How long a sync of the journal took",
        )
        .of(sequencer.syncs.read()),
        counter(
            "inventory_journal_bytes_total",
            "Bytes that were appended to the journal, padding included",
        )
        .of(sequencer.journal_bytes.get()),
        gauge(
            "inventory_journal_segments",
            "Segments of the journal on disk, with the active one",
        )
        .of(sequencer.segments.get()),
        counter(
            "inventory_snapshots_total",
            "Snapshots, by what came of them",
        )
        .by(
            "outcome",
            [
                ("completed", sequencer.snapshots.get()),
                ("failed", sequencer.snapshots_failed.get()),
            ],
        ),
        gauge(
            "inventory_snapshot_last_duration_seconds",
            "How long the latest completed snapshot took",
        )
        .of(sequencer.snapshot_ms.get() as f64 / 1000.0),
        gauge(
            "inventory_snapshot_covered_offset",
            "The latest snapshot holds every change below this offset",
        )
        .of(sequencer.covered_offset.get()),
    ]
}

pub(super) fn of_disk(metrics: &Metrics, is_persistent: bool) -> Vec<Family> {
    let failed = u64::from(metrics.lifecycle.has_failed_journal());
    let mut families = vec![
        gauge(
            "inventory_journal_failed",
            "1 after a write or sync of the journal failed, which only a restart ends",
        )
        .of(failed),
    ];
    if is_persistent {
        families.push(
            gauge(
                "inventory_data_free_bytes",
                "Free space on the journal's file system",
            )
            .of(metrics.samples.disk_free_bytes.get()),
        );
        families.push(
            gauge(
                "inventory_data_total_bytes",
                "Size of the journal's file system",
            )
            .of(metrics.samples.disk_total_bytes.get()),
        );
    }
    families
}

pub(super) fn of_feed(sequencer: &SequencerMetrics, config: &Config) -> Vec<Family> {
    vec![
        gauge("inventory_events_queue_size", "Events in memory")
            .of(sequencer.events_in_memory.get()),
        gauge("inventory_events_queue_capacity", "MAX_EVENTS_IN_QUEUE")
            .of(config.events_in_memory_max as u64),
        gauge(
            "inventory_feed_oldest_offset",
            "The first offset that can be read",
        )
        .of(sequencer.oldest_offset.get()),
        gauge("inventory_feed_end_offset", "The end of the feed").of(sequencer.end_offset.get()),
        gauge(
            "inventory_feed_waiters",
            "Polls and streams that wait for an event",
        )
        .of(sequencer.waiters.get()),
        gauge("inventory_feed_waiters_max", "MAX_WAITERS").of(config.waiters_max as u64),
        gauge(
            "inventory_feed_pages_bytes",
            "Pages that are not yet gone from the last connection they go to",
        )
        .of(sequencer.pages_bytes.get()),
        counter(
            "inventory_feed_polls_total",
            "Answers to polls, by what they said",
        )
        .by(
            "outcome",
            Polled::ALL.map(|polled| (polled.as_str(), sequencer.polls[polled as usize].get())),
        ),
        counter(
            "inventory_feed_events_delivered_total",
            "Events in answers to polls, once for each answer",
        )
        .of(sequencer.delivered.get()),
        histogram(
            "inventory_feed_delivery_lag_seconds",
            "From the publication of events to the answer of a poll that waited for them",
        )
        .of(sequencer.delivery_lag.read()),
    ]
}

pub(super) fn of_clients(
    acceptors: &Acceptors,
    config: &Config,
    limiter: Option<&Limiter>,
) -> Vec<Family> {
    let mut violations = counter(
        "inventory_rate_limit_violations_total",
        "Requests over a budget, by the network of the client and the budget",
    );
    for kind in ClientKind::ALL {
        for (class, name) in [(Class::Regular, "regular"), (Class::Admin, "admin")] {
            let labels = [
                ("client_ip_type", kind.as_str().into()),
                ("class", name.into()),
            ];
            let count = sum(acceptors, |a| &a.violations[kind as usize][class as usize]);
            violations.push(labels, count);
        }
    }
    vec![
        violations,
        counter(
            "inventory_rate_limit_clients_forgotten_total",
            "Clients that got their budgets anew since there were more than RATE_LIMIT_MAX_CLIENTS",
        )
        .of(limiter.map_or(0, Limiter::clients_forgotten)),
        gauge(
            "inventory_feed_streams",
            "Open streams of server-sent events",
        )
        .of(sum(acceptors, |a| &a.streams)),
        gauge("inventory_connections", "Open connections").of(sum(acceptors, |a| &a.connections)),
        gauge("inventory_connections_max", "MAX_CONNECTIONS").of(config.connections_max as u64),
        counter(
            "inventory_connections_accepted_total",
            "Connections that were let in",
        )
        .of(sum(acceptors, |a| &a.accepted)),
        counter(
            "inventory_connections_refused_total",
            "Connections over MAX_CONNECTIONS (server) or MAX_CONNECTIONS_PER_IP (address)",
        )
        .by(
            "reason",
            [
                ("server", sum(acceptors, |a| &a.refused_by_server)),
                ("address", sum(acceptors, |a| &a.refused_by_address)),
            ],
        ),
        counter(
            "inventory_connections_timed_out_total",
            "Connections that were ended by a deadline",
        )
        .by(
            "deadline",
            Deadline::ALL.map(|deadline| {
                let count = sum(acceptors, |a| &a.timed_out[deadline as usize]);
                (deadline.as_str(), count)
            }),
        ),
        gauge(
            "inventory_body_memory_bytes",
            "Memory that request bodies hold",
        )
        .of(sum(acceptors, |a| &a.body_bytes)),
        gauge(
            "inventory_body_memory_max_bytes",
            "MAX_BODY_MEMORY_MIB in bytes",
        )
        .of(config.body_memory_bytes_max),
    ]
}

pub(super) fn of_executors(metrics: &Metrics) -> Vec<Family> {
    let mut ran = counter(
        "inventory_executor_cpu_seconds_total",
        "CPU time of an executor",
    );
    let mut waited = counter(
        "inventory_executor_wait_seconds_total",
        "Time that an executor could have run and had no CPU",
    );
    let mut busy = gauge(
        "inventory_executor_busy_ratio",
        "Share of the last second that an executor was on a CPU",
    );
    let mut delays = histogram(
        "inventory_executor_heartbeat_delay_seconds",
        "How late an executor's heartbeat of 10 ms came",
    );
    let labels = |executor: &ExecutorMetrics| {
        [
            ("executor", executor.name.clone().into()),
            ("roles", executor.roles.clone().into()),
        ]
    };
    let samples = &metrics.samples.executors;
    for ((executor, times), sample) in metrics.thread_times().into_iter().zip(samples) {
        ran.push(labels(executor), times.ran_ns as f64 / 1e9);
        waited.push(labels(executor), times.waited_ns as f64 / 1e9);
        busy.push(labels(executor), sample.busy.get() as f64 / 1e6);
        delays.push(labels(executor), executor.heartbeat_delay.read());
    }
    vec![ran, waited, busy, delays]
}

pub(super) fn of_server(metrics: &Metrics) -> Vec<Family> {
    let lifecycle = &metrics.lifecycle;
    let is_ready =
        !lifecycle.is_recovering() && !lifecycle.is_draining() && !lifecycle.has_failed_journal();
    let profile = match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    };
    let mut build = gauge("inventory_build_info", "1, with what was built as labels");
    build.push(
        [
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("profile", profile.into()),
        ],
        1,
    );
    let suppressed = metrics.log.suppressed.iter();
    vec![
        build,
        gauge(
            "inventory_ready",
            "1 while everything is served: not recovering, not stopping, no failed journal",
        )
        .of(u64::from(is_ready)),
        counter(
            "inventory_otlp_exports_total",
            "Exports by OTLP, by what came of them",
        )
        .by(
            "outcome",
            [
                ("exported", metrics.otlp.exported.get()),
                ("failed", metrics.otlp.failed.get()),
            ],
        ),
        counter(
            "inventory_log_lines_dropped_total",
            "Lines of the log for which its channel had no room",
        )
        .of(metrics.log.dropped.load(Ordering::Relaxed)),
        counter(
            "inventory_log_requests_suppressed_total",
            "Lines of requests that were not written since there were too many, by class",
        )
        .by(
            "class",
            LOG_CLASSES
                .into_iter()
                .zip(suppressed.map(|count| count.load(Ordering::Relaxed))),
        ),
    ]
}
