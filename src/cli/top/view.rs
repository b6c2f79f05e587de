//! What `top` shows of two pages: a block of text, a table per kind of role.

use std::fmt::Write;

use super::page::{Change, Label};

const UPDATES: &[Label<'_>] = &[("endpoint", "/v1/inventory/updates")];
const DURATION: &str = "inventory_api_request_duration_seconds";
/// How many lanes are shown, the fullest first.
const LANES: usize = 4;

/// The block for `change`.
pub fn block(change: &Change<'_>) -> String {
    let mut out = String::new();
    for part in [header, executors, shards, journal, feed, clients, process] {
        // Memory takes every text.
        let _ = part(&mut out, change);
    }
    out
}

fn header(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    let version = now.values("inventory_build_info", "version");
    let state = match now.sum("inventory_ready", &[]) > 0.0 {
        true => "ready",
        false => "NOT READY",
    };
    let failed = match now.sum("inventory_journal_failed", &[]) > 0.0 {
        true => ", JOURNAL FAILED",
        false => "",
    };
    writeln!(
        out,
        "central-inventory {}  {state}{failed}   {} requests/s  {} errors/s  {} updates/s  {} conflicts/s",
        version.first().unwrap_or(&"?"),
        count(change.rate("inventory_api_requests_total", &[])),
        count(change.rate("inventory_api_errors_total", &[])),
        count(change.rate("inventory_updates_processed_total", &[])),
        count(change.rate("inventory_version_conflicts_total", &[])),
    )?;
    writeln!(
        out,
        "answers to updates  p50 {}  p99 {}\n",
        seconds(change.quantile(DURATION, UPDATES, 0.5)),
        seconds(change.quantile(DURATION, UPDATES, 0.99)),
    )
}

fn executors(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let rows = change
        .now
        .values("inventory_executor_busy_ratio", "executor");
    let rows = rows.into_iter().map(|name| {
        let labels = &[("executor", name)];
        let share = |counter| ratio(change.rate(counter, labels));
        let roles = change.now.values("inventory_executor_busy_ratio", "roles");
        let is_own = |roles: &&str| {
            let both = [("executor", name), ("roles", *roles)];
            change
                .now
                .has_series("inventory_executor_busy_ratio", &both)
        };
        let roles = roles.into_iter().find(is_own).unwrap_or_default();
        let delay = change.quantile("inventory_executor_heartbeat_delay_seconds", labels, 0.99);
        [
            name.to_owned(),
            share("inventory_executor_cpu_seconds_total"),
            share("inventory_executor_wait_seconds_total"),
            seconds(delay),
            roles.to_owned(),
        ]
    });
    table(
        out,
        ["EXECUTOR", "BUSY", "WAITING", "BEAT LATE P99", "ROLES"],
        rows,
    )
}

fn shards(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    let shards = now.values("inventory_shard_products", "shard");
    let rows = shards.into_iter().map(|shard| {
        let of = &[("shard", shard)];
        let conflicts = [("shard", shard), ("decision", "version_conflict")];
        let receiver = format!("shard-{shard}");
        let lane = [("lane", "requests"), ("receiver", receiver.as_str())];
        [
            shard.to_owned(),
            count(change.rate("inventory_shard_decisions_total", of)),
            count(change.rate("inventory_shard_decisions_total", &conflicts)),
            of_at_most(
                now.sum("inventory_lane_depth", &lane),
                now.sum("inventory_lane_capacity", &lane),
            ),
            count(now.sum("inventory_shard_products", of)),
            of_at_most(
                now.sum("inventory_idempotency_entries", of),
                now.sum("inventory_idempotency_capacity", of),
            ),
        ]
    });
    let columns = [
        "SHARD",
        "DECISIONS/S",
        "CONFLICTS/S",
        "QUEUE",
        "PRODUCTS",
        "REMEMBERED",
    ];
    table(out, columns, rows)
}

fn journal(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    let half = |histogram| change.quantile(histogram, &[], 0.5);
    let most = |histogram| change.quantile(histogram, &[], 0.99);
    writeln!(
        out,
        "SEQUENCER  {} events/s  {} groups/s of {:.0} (p50)  behind {}  waiting {}",
        count(change.rate("inventory_events_published_total", &[])),
        count(change.rate("inventory_commit_group_events_count", &[])),
        half("inventory_commit_group_events").unwrap_or(0.0),
        count(now.sum("inventory_journal_durable_lag_events", &[])),
        bytes(now.sum("inventory_sequencer_waiting_bytes", &[])),
    )?;
    writeln!(
        out,
        "JOURNAL    {}/s  commit p50 {} p99 {}  sync p50 {} p99 {}  {} segments  {} free",
        bytes(change.rate("inventory_journal_bytes_total", &[])),
        seconds(half("inventory_commit_duration_seconds")),
        seconds(most("inventory_commit_duration_seconds")),
        seconds(half("inventory_journal_sync_duration_seconds")),
        seconds(most("inventory_journal_sync_duration_seconds")),
        count(now.sum("inventory_journal_segments", &[])),
        bytes(now.sum("inventory_data_free_bytes", &[])),
    )
}

fn feed(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    writeln!(
        out,
        "FEED       {} waiting  {} events/s delivered  lag p99 {}  offsets {} to {}  {} resyncs/s",
        of_at_most(
            now.sum("inventory_feed_waiters", &[]),
            now.sum("inventory_feed_waiters_max", &[])
        ),
        count(change.rate("inventory_feed_events_delivered_total", &[])),
        seconds(change.quantile("inventory_feed_delivery_lag_seconds", &[], 0.99)),
        now.sum("inventory_feed_oldest_offset", &[]),
        now.sum("inventory_feed_end_offset", &[]),
        count(change.rate(
            "inventory_feed_polls_total",
            &[("outcome", "offset_expired")]
        )),
    )?;
    let mut lanes = Vec::new();
    for lane in now.values("inventory_lane_depth", "lane") {
        for receiver in now.values("inventory_lane_depth", "receiver") {
            let labels = [("lane", lane), ("receiver", receiver)];
            let depth = now.sum("inventory_lane_depth", &labels);
            let capacity = now.sum("inventory_lane_capacity", &labels);
            if capacity > 0.0 {
                lanes.push((
                    depth / capacity,
                    format!("{lane} to {receiver} {}", of_at_most(depth, capacity)),
                ));
            }
        }
    }
    lanes.sort_by(|one, other| other.0.total_cmp(&one.0));
    let fullest: Vec<String> = lanes
        .into_iter()
        .take(LANES)
        .map(|(_, lane)| lane)
        .collect();
    writeln!(out, "LANES      {}", fullest.join(", "))
}

fn clients(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    writeln!(
        out,
        "CLIENTS    {} connections  {} new/s  {} in flight  {} limited/s  {} overloaded/s",
        of_at_most(
            now.sum("inventory_connections", &[]),
            now.sum("inventory_connections_max", &[])
        ),
        count(change.rate("inventory_connections_accepted_total", &[])),
        count(now.sum("inventory_api_requests_in_flight", &[])),
        count(change.rate("inventory_rate_limit_violations_total", &[])),
        count(change.rate("inventory_api_problems_total", &[("code", "overloaded")])),
    )
}

fn process(out: &mut String, change: &Change<'_>) -> std::fmt::Result {
    let now = change.now;
    writeln!(
        out,
        "PROCESS    {} resident  {} CPU  {} files  {} log lines dropped",
        bytes(now.sum("process_resident_memory_bytes", &[])),
        ratio(change.rate("process_cpu_seconds_total", &[])),
        of_at_most(
            now.sum("process_open_fds", &[]),
            now.sum("process_max_fds", &[])
        ),
        count(now.sum("inventory_log_lines_dropped_total", &[])),
    )
}

/// The last column is as wide as it is; the first and the last are text, the others numbers.
fn table<const COLUMNS: usize>(
    out: &mut String,
    head: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> std::fmt::Result {
    let rows: Vec<[String; COLUMNS]> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            match column {
                0 => write!(out, "{cell:<width$}")?,
                _ if head[column] == "ROLES" => write!(out, "  {cell}")?,
                _ => write!(out, "  {cell:>width$}")?,
            }
        }
        out.push('\n');
    }
    out.push('\n');
    Ok(())
}

/// With four digits or three and a letter.
fn count(value: f64) -> String {
    match value {
        ..9.95 if value.fract() != 0.0 => format!("{value:.1}"),
        ..9_999.5 => format!("{value:.0}"),
        ..999_500.0 => format!("{:.1}k", value / 1e3),
        _ => format!("{:.2}M", value / 1e6),
    }
}

fn of_at_most(value: f64, most: f64) -> String {
    format!("{}/{}", count(value), count(most))
}

fn ratio(value: f64) -> String {
    format!("{:.0}%", value * 100.0)
}

fn bytes(value: f64) -> String {
    match value {
        ..1e4 => format!("{value:.0} B"),
        ..1e7 => format!("{:.0} kB", value / 1e3),
        ..1e10 => format!("{:.0} MB", value / 1e6),
        _ => format!("{:.0} GB", value / 1e9),
    }
}

fn seconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 1e-3 => format!("{:.0} us", value * 1e6),
        Some(value) if value < 1.0 => format!("{:.1} ms", value * 1e3),
        Some(value) => format!("{value:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |value, expected: &str| assert_eq!(expected, count(value));
        check(0.0, "0");
        check(0.25, "0.2");
        check(9999.0, "9999");
        check(21_873.0, "21.9k");
        check(1_234_567.0, "1.23M");
        assert_eq!("250 us", seconds(Some(0.00025)));
        assert_eq!("2.5 ms", seconds(Some(0.0025)));
        assert_eq!("-", seconds(None));
        assert_eq!("81 MB", bytes(81_088_512.0));
    }
}
