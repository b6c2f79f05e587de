//! What is shown of two pages: one function per part of the server. The parts that are always short come first, so that
//! a low terminal has them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::change::Change;
use super::format::{
    bytes, count, duration, exact, lasted, megabytes, of_most, rate, share, things,
};
use super::lines::{Align, Line, flow, table};
use super::page::Filter;

/// Of all lanes the fullest are shown.
const LANES_SHOWN: usize = 5;
const DURATIONS: &str = "inventory_api_request_duration_seconds";
const UPDATES: Filter = &[("endpoint", "/v1/inventory/updates"), ("method", "POST")];

/// Everything, for a page that is `width` characters wide.
pub(super) fn draw(change: Change, source: &str, width: usize) -> Vec<Line> {
    let parts = [
        header(change, source, width),
        sequencer(change, width),
        feed(change, width),
        limits(change, width),
        executors(change),
        shards(change),
        lanes(change),
    ];
    parts.join(&Line::new(""))
}

fn header(change: Change, source: &str, width: usize) -> Vec<Line> {
    let build = change.after.samples("inventory_build_info", &[]).next();
    let label = |name| build.map_or("", |build| build.label(name));
    let state = match change.after.level("inventory_ready", &[]) {
        Some(ready) if ready >= 1.0 => "ready",
        _ => "NOT READY",
    };
    let percentile = |quantile| duration(change.percentile(quantile, DURATIONS, UPDATES));
    let head = format!(
        "central-inventory {} ({})  {state}  up {}  {source}",
        label("version"),
        label("profile"),
        lasted(uptime(change)),
    );
    let items = [
        format!(
            "requests {}",
            rate(change.rate("inventory_api_requests_total", &[]))
        ),
        format!(
            "updates {}",
            rate(change.rate("inventory_updates_processed_total", &[]))
        ),
        // Each error has labels only once it occurred.
        format!(
            "errors {}",
            rate(change.rate("inventory_api_errors_total", &[]).or(Some(0.0)))
        ),
        format!("update p50 {}", percentile(0.5)),
        format!("p99 {}", percentile(0.99)),
        format!(
            "CPU {}",
            share(change.rate("process_cpu_seconds_total", &[]))
        ),
        format!(
            "memory {}",
            bytes(level(change, "process_resident_memory_bytes"))
        ),
        format!(
            "files {}",
            most(change, "process_open_fds", "process_max_fds")
        ),
    ];
    flow(&head, &items, width)
}

fn sequencer(change: Change, width: usize) -> Vec<Line> {
    const SYNC: &str = "inventory_journal_sync_duration_seconds";
    let sync = |quantile| duration(change.percentile(quantile, SYNC, &[]));
    let group = change.percentile(0.5, "inventory_commit_group_events", &[]);
    let failed = level(change, "inventory_journal_failed").is_some_and(|failed| failed > 0.0);
    let head = match failed {
        true => "SEQUENCER AND JOURNAL  THE JOURNAL HAS FAILED",
        false => "SEQUENCER AND JOURNAL",
    };
    let items = [
        format!(
            "events {}",
            rate(change.rate("inventory_events_published_total", &[]))
        ),
        format!("per group p50 {}", things(group)),
        format!("sync p50 {}", sync(0.5)),
        format!("p99 {}", sync(0.99)),
        format!(
            "durable lag {}",
            count(level(change, "inventory_journal_durable_lag_events"))
        ),
        format!(
            "waiting {}",
            bytes(level(change, "inventory_sequencer_waiting_bytes"))
        ),
        format!(
            "journal {}",
            megabytes(change.rate("inventory_journal_bytes_total", &[]))
        ),
        format!(
            "segments {}",
            count(level(change, "inventory_journal_segments"))
        ),
        format!(
            "next offset {}",
            exact(level(change, "inventory_sequencer_next_offset"))
        ),
    ];
    flow(head, &items, width)
}

fn feed(change: Change, width: usize) -> Vec<Line> {
    let lag = change.percentile(0.99, "inventory_feed_delivery_lag_seconds", &[]);
    let items = [
        format!(
            "waiters {}",
            most(
                change,
                "inventory_feed_waiters",
                "inventory_feed_waiters_max"
            )
        ),
        format!(
            "delivered {}",
            rate(change.rate("inventory_feed_events_delivered_total", &[]))
        ),
        format!("delivery lag p99 {}", duration(lag)),
        format!(
            "offsets {}..{}",
            exact(level(change, "inventory_feed_oldest_offset")),
            exact(level(change, "inventory_feed_end_offset")),
        ),
        format!(
            "in memory {}",
            most(
                change,
                "inventory_events_queue_size",
                "inventory_events_queue_capacity"
            ),
        ),
    ];
    flow("FEED", &items, width)
}

fn limits(change: Change, width: usize) -> Vec<Line> {
    let of = |name| rate(change.rate(name, &[]));
    let items = [
        format!(
            "connections {}",
            most(change, "inventory_connections", "inventory_connections_max")
        ),
        format!("accepted {}", of("inventory_connections_accepted_total")),
        format!("refused {}", of("inventory_connections_refused_total")),
        format!("timed out {}", of("inventory_connections_timed_out_total")),
        format!(
            "over budget {}",
            of("inventory_rate_limit_violations_total")
        ),
        format!(
            "bodies {} of {}",
            bytes(level(change, "inventory_body_memory_bytes")),
            bytes(level(change, "inventory_body_memory_max_bytes")),
        ),
    ];
    flow("LIMITS AND CONNECTIONS", &items, width)
}

fn executors(change: Change) -> Vec<Line> {
    let samples = change.after.samples("inventory_executor_busy_ratio", &[]);
    let rows = samples.map(|sample| {
        let name = sample.label("executor");
        let wanted: Filter = &[("executor", name)];
        let delay = "inventory_executor_heartbeat_delay_seconds";
        vec![
            name.to_owned(),
            sample.label("roles").to_owned(),
            share(change.rate("inventory_executor_cpu_seconds_total", wanted)),
            share(change.rate("inventory_executor_wait_seconds_total", wanted)),
            duration(change.percentile(0.99, delay, wanted)),
        ]
    });
    let columns = [
        ("EXECUTOR", Align::Left),
        ("ROLES", Align::Left),
        ("BUSY", Align::Right),
        ("CPU WAIT", Align::Right),
        ("HEARTBEAT DELAY P99", Align::Right),
    ];
    table(&columns, &rows.collect::<Vec<_>>())
}

fn shards(change: Change) -> Vec<Line> {
    let acceptors = change
        .after
        .samples("inventory_api_requests_in_flight", &[])
        .count();
    let decisions = "inventory_shard_decisions_total";
    let samples = change.after.samples("inventory_shard_products", &[]);
    let rows = samples.map(|sample| {
        let shard = sample.label("shard");
        let of: Filter = &[("shard", shard)];
        let conflicts: Filter = &[("shard", shard), ("decision", "version_conflict")];
        let level = |name| change.after.level(name, of);
        let receiver = format!("shard-{shard}");
        let lanes: Filter = &[("lane", "requests"), ("receiver", &receiver)];
        let slots = change.after.level("inventory_lane_capacity", lanes);
        // A lane from each acceptor.
        let slots = slots.map(|slots| slots * acceptors as f64);
        vec![
            shard.to_owned(),
            count(change.rate(decisions, of)),
            count(change.rate(decisions, conflicts)),
            of_most(level("inventory_worker_queue_size"), slots),
            exact(Some(sample.value)),
            of_most(
                level("inventory_idempotency_entries"),
                level("inventory_idempotency_capacity"),
            ),
        ]
    });
    let columns = [
        ("SHARD", Align::Left),
        ("DECISIONS/S", Align::Right),
        ("CONFLICTS/S", Align::Right),
        ("QUEUE", Align::Right),
        ("PRODUCTS", Align::Right),
        ("IDEMPOTENCY ENTRIES", Align::Right),
    ];
    table(&columns, &rows.collect::<Vec<_>>())
}

fn lanes(change: Change) -> Vec<Line> {
    let samples = change.after.samples("inventory_lane_depth", &[]);
    let mut lanes: Vec<(&str, &str, f64, f64)> = samples
        .filter_map(|sample| {
            let (lane, receiver) = (sample.label("lane"), sample.label("receiver"));
            let wanted: Filter = &[("lane", lane), ("receiver", receiver)];
            let slots = change.after.level("inventory_lane_capacity", wanted)?;
            Some((lane, receiver, sample.value, slots))
        })
        .collect();
    let fullness = |lane: &(&str, &str, f64, f64)| lane.2 / lane.3.max(1.0);
    lanes.sort_by(|one, other| fullness(other).total_cmp(&fullness(one)));
    let rows = lanes.iter().take(LANES_SHOWN).map(|lane| {
        let (kind, receiver, depth, slots) = lane;
        vec![
            format!("{kind} to {receiver}"),
            of_most(Some(*depth), Some(*slots)),
            share(Some(fullness(lane))),
        ]
    });
    let columns = [
        ("FULLEST LANES", Align::Left),
        ("DEPTH", Align::Right),
        ("FULL", Align::Right),
    ];
    table(&columns, &rows.collect::<Vec<_>>())
}

fn level(change: Change, name: &str) -> Option<f64> {
    change.after.level(name, &[])
}

fn most(change: Change, name: &str, most: &str) -> String {
    of_most(level(change, name), level(change, most))
}

/// By this machine's clock.
fn uptime(change: Change) -> Option<f64> {
    let started = level(change, "process_start_time_seconds")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs_f64() - started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::page::Page;

    fn drawn(before: &str, after: &str) -> String {
        let (before, after) = (Page::parse(before).unwrap(), Page::parse(after).unwrap());
        let change = Change {
            before: &before,
            after: &after,
            seconds: 1.0,
        };
        let lines = draw(change, "here", 100);
        let texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        texts.join("\n")
    }

    #[test]
    fn what_a_page_does_not_have_is_left_open() {
        let text = drawn(
            "",
            "inventory_build_info{version=\"1\",profile=\"release\"} 1\n",
        );
        assert!(
            text.starts_with("central-inventory 1 (release)  NOT READY  up -  here\nrequests -/s"),
            "{text}"
        );
        assert!(text.contains("update p50 -"), "{text}");
    }

    #[test]
    fn a_shard_is_a_row_with_its_own_numbers() {
        let page = |decided: u32| {
            format!(
                "inventory_api_requests_in_flight{{acceptor=\"0\"}} 0\n\
                 inventory_api_requests_in_flight{{acceptor=\"1\"}} 0\n\
                 inventory_shard_decisions_total{{shard=\"0\",decision=\"applied\"}} {decided}\n\
                 inventory_shard_decisions_total{{shard=\"0\",decision=\"version_conflict\"}} 3\n\
                 inventory_shard_products{{shard=\"0\"}} 100000\n\
                 inventory_worker_queue_size{{shard=\"0\"}} 7\n\
                 inventory_lane_capacity{{lane=\"requests\",receiver=\"shard-0\"}} 500\n\
                 inventory_idempotency_entries{{shard=\"0\"}} 12\n\
                 inventory_idempotency_capacity{{shard=\"0\"}} 1024\n"
            )
        };
        let text = drawn(&page(10), &page(52));
        let row = text.lines().find(|line| line.starts_with("0 ")).unwrap();
        let cells: Vec<&str> = row.split_ascii_whitespace().collect();
        assert_eq!(vec!["0", "42", "0", "7/1000", "100000", "12/1024"], cells);
    }

    #[test]
    fn the_fullest_lanes_are_shown_first() {
        let lane = |receiver: usize, depth: usize| {
            format!(
                "inventory_lane_depth{{lane=\"requests\",receiver=\"shard-{receiver}\"}} {depth}\n\
                 inventory_lane_capacity{{lane=\"requests\",receiver=\"shard-{receiver}\"}} 10\n"
            )
        };
        let page: String = (0..7).map(|n| lane(n, n)).collect();
        let text = drawn("", &page);
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("requests to"))
            .collect();
        assert_eq!(LANES_SHOWN, shown.len());
        assert!(
            shown[0].starts_with("requests to shard-6") && shown[0].ends_with("60.0%"),
            "{text}"
        );
    }

    #[test]
    fn a_failed_journal_cannot_be_overlooked() {
        let text = drawn("", "inventory_journal_failed 1\n");
        assert!(text.contains("THE JOURNAL HAS FAILED"), "{text}");
    }
}
