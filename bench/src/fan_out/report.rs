//! What a measurement came to, in figures with their units, and what makes them doubtful.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use super::followers::Received;
use super::options::Options;
use super::publisher::{Published, Update};
use super::usage::Usage;

/// Beyond this share of its CPU, this program may be what was measured.
const DRIVER_SHARE_MAX: f64 = 0.9;
/// Beyond this share of two CPUs, other work on the machine may be what was measured.
const OTHERS_SHARE_MAX: f64 = 0.2;
/// Later than this, the publisher's CPU was not there when it should have sent.
const WOKE_LATE_MS_MAX: f64 = 5.0;
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

/// Everything that was seen.
pub struct Figures<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// How long it took until all followers waited.
    pub waiting: Duration,
    /// The server's memory without followers.
    pub resident_before: Option<u64>,
    /// The server's memory while all waited.
    pub resident_waiting: Option<u64>,
    /// When the updates that count were due first.
    pub window_start_ns: u64,
    /// What was counted from then on, until the last was due.
    pub window: Counted,
    /// How long after that all followers had everything, if they did.
    pub drained: Option<Duration>,
    /// What was published.
    pub published: Published,
    /// What was received.
    pub received: Received,
}

/// What was counted between two looks.
pub struct Counted {
    /// What was used.
    pub usage: Usage,
    /// Updates that were received, each counted once for each follower.
    pub deliveries: u64,
    /// Answers, or pieces of a stream, with updates.
    pub responses: u64,
}

/// A measurement in figures. Latencies of updates count from when they were due; a delivery is one update to one follower.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who was measured.
    pub subject: String,
    /// How many followed.
    pub followers: usize,
    /// The rate that was asked for.
    pub rate_wanted_per_second: f64,
    /// How long it was published, and deliveries and CPU time were counted.
    pub window_seconds: f64,
    /// From the first connection to when all waited.
    pub until_all_wait_seconds: f64,
    /// Updates that were due in the window, as all that follows.
    pub updates_due: u64,
    /// Of these, those that the server took.
    pub updates_taken: usize,
    /// Those that it refused, or did not answer.
    pub updates_refused: usize,
    /// Those that could not be sent while it was published: all connections waited for answers.
    pub updates_not_sent: u64,
    /// Updates answered while it was published.
    pub updates_per_second: f64,
    /// Median latency of an update.
    pub update_p50_ms: Option<f64>,
    /// Of 99 in 100.
    pub update_p99_ms: Option<f64>,
    /// Of all.
    pub update_max_ms: Option<f64>,
    /// How late a connection that was free sent an update, of 99 in 100: it is in their latency.
    pub woke_late_p99_ms: Option<f64>,
    /// Updates that all followers received.
    pub updates_received_by_all: usize,
    /// From the answer of an update to when the last follower had it; none where not all ever had it.
    pub last_receipt_p50_ms: Option<f64>,
    /// The same of 99 in 100.
    pub last_receipt_p99_ms: Option<f64>,
    /// Counted in the window, as all that follows.
    pub deliveries: u64,
    /// A second.
    pub deliveries_per_second: f64,
    /// Answers, or pieces of a stream, a second.
    pub responses_per_second: f64,
    /// Updates in an answer.
    pub deliveries_per_response: Option<f64>,
    /// The server's, all its work included.
    pub server_cpu_us_per_delivery: Option<f64>,
    /// Of one CPU.
    pub server_cpu_share: f64,
    /// This program's.
    pub driver_cpu_us_per_delivery: Option<f64>,
    /// Of one CPU.
    pub driver_cpu_share: f64,
    /// Of two CPUs, what went to neither.
    pub others_cpu_share: f64,
    /// What a waiting follower adds to the server's memory.
    pub server_bytes_per_follower: Option<f64>,
    /// From the end of the window to when all followers had everything.
    pub drained_after_seconds: Option<f64>,
    /// Every follower received every update that was taken, once and in the same order.
    pub is_complete: bool,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
    /// What the server did wrong, or what could not be waited for.
    pub problems: Vec<String>,
}

impl Figures<'_> {
    /// In figures.
    pub fn report(self) -> Report {
        let updates: Vec<&Update> = self.updates_that_count().collect();
        let taken = updates.iter().filter(|update| update.is_taken).count();
        let due = self.options.updates_that_count();
        let seconds = self.window.usage.elapsed.as_secs_f64();
        let share = |used: Duration| round(used.as_secs_f64() / seconds);
        let each = |used: Duration| {
            let microseconds = used.as_secs_f64() * 1e6;
            (self.window.deliveries > 0)
                .then(|| round(microseconds / self.window.deliveries as f64))
        };
        let latencies = in_order(updates.iter().map(|update| latency_ns(update)));
        let receipts = in_order(self.receipts());
        let usage = self.window.usage;
        Report {
            subject: self.options.subject.name(),
            followers: self.options.followers,
            rate_wanted_per_second: self.options.rate,
            window_seconds: round(seconds),
            until_all_wait_seconds: round(self.waiting.as_secs_f64()),
            updates_due: due,
            updates_taken: taken,
            updates_refused: updates.len() - taken,
            updates_not_sent: due.saturating_sub(updates.len() as u64),
            updates_per_second: round(self.answered_in_window() as f64 / seconds),
            update_p50_ms: quantile_ms(&latencies, 0.5),
            update_p99_ms: quantile_ms(&latencies, 0.99),
            update_max_ms: quantile_ms(&latencies, 1.0),
            woke_late_p99_ms: self.woke_late_p99_ms(),
            updates_received_by_all: receipts.iter().flatten().count(),
            last_receipt_p50_ms: quantile_ms(&receipts, 0.5),
            last_receipt_p99_ms: quantile_ms(&receipts, 0.99),
            deliveries: self.window.deliveries,
            deliveries_per_second: round(self.window.deliveries as f64 / seconds),
            responses_per_second: round(self.window.responses as f64 / seconds),
            deliveries_per_response: (self.window.responses > 0)
                .then(|| round(self.window.deliveries as f64 / self.window.responses as f64)),
            server_cpu_us_per_delivery: each(usage.server),
            server_cpu_share: share(usage.server),
            driver_cpu_us_per_delivery: each(usage.driver),
            driver_cpu_share: share(usage.driver),
            others_cpu_share: round(usage.others_share()),
            server_bytes_per_follower: self.bytes_per_follower(),
            drained_after_seconds: self.drained.map(|drained| round(drained.as_secs_f64())),
            is_complete: self.is_complete(),
            warnings: self.warnings(),
            problems: self.problems(),
        }
    }

    fn updates_that_count(&self) -> impl Iterator<Item = &Update> {
        let start_ns = self.window_start_ns;
        let updates = self.published.updates.iter();
        updates.filter(move |update| update.due_ns >= start_ns)
    }

    /// How many updates were taken, those before the window too.
    fn taken(&self) -> usize {
        let updates = self.published.updates.iter();
        updates.filter(|update| update.is_taken).count()
    }

    /// Of each that was taken, how long after its answer the last follower had it.
    fn receipts(&self) -> Vec<Option<u64>> {
        let followers = self.options.followers as u32;
        if followers == 0 {
            return Vec::new();
        }
        let entries = self.received.ledger.entries().iter();
        let entries = entries.filter(|entry| entry.receipts == followers);
        let latest: HashMap<u64, u64> = entries
            .map(|entry| (entry.number, entry.latest_ns))
            .collect();
        let taken = self.updates_that_count().filter(|update| update.is_taken);
        let receipt = |update: &Update| {
            // All may have it before its answer is there.
            Some(
                latest
                    .get(&update.number)?
                    .saturating_sub(update.answered_ns?),
            )
        };
        taken.map(receipt).collect()
    }

    fn woke_late_p99_ms(&self) -> Option<f64> {
        let free = self.updates_that_count();
        let late = free.filter_map(|update| update.woke_late_ns);
        quantile_ms(&in_order(late.map(Some)), 0.99)
    }

    fn answered_in_window(&self) -> usize {
        let end_ns = self.window_start_ns + super::nanoseconds(self.options.duration);
        let updates = self.published.updates.iter();
        let answered = updates.filter_map(|update| update.answered_ns);
        answered
            .filter(|at| (self.window_start_ns..end_ns).contains(at))
            .count()
    }

    fn bytes_per_follower(&self) -> Option<f64> {
        let more = self.resident_waiting?.saturating_sub(self.resident_before?);
        (self.options.followers > 0).then(|| round(more as f64 / self.options.followers as f64))
    }

    fn is_complete(&self) -> bool {
        self.received.problems.is_empty()
            && (self.options.followers == 0
                || self.received.ledger.received_by_all() >= self.taken())
    }

    fn warnings(&self) -> Vec<String> {
        let usage = &self.window.usage;
        let driver = usage.driver.as_secs_f64() / usage.elapsed.as_secs_f64();
        let others = usage.others_share();
        let mut warnings = Vec::new();
        if driver > DRIVER_SHARE_MAX {
            warnings.push(format!(
                "the driver used {:.0} % of its CPU, so the server may be faster than measured",
                driver * 100.0
            ));
        }
        if others > OTHERS_SHARE_MAX {
            warnings.push(format!(
                "{:.0} % of two CPUs' time went to neither the server nor the driver",
                others * 100.0
            ));
        }
        if let Some(late) = self
            .woke_late_p99_ms()
            .filter(|late| *late > WOKE_LATE_MS_MAX)
        {
            warnings.push(format!(
                "the publisher sent {late:.0} ms late (p99), which is in the latency of updates"
            ));
        }
        if !self.published.has_precedence {
            warnings.push("the publisher has no precedence over the followers (root gives it): its latencies have their work in them".to_owned());
        }
        warnings
    }

    fn problems(&self) -> Vec<String> {
        let taken = self.taken();
        let limit = humantime::format_duration(self.options.drain);
        let mut problems = self.received.problems.clone();
        problems.extend(counted(&self.published.problems));
        let by_all = self.received.ledger.received_by_all();
        if self.options.followers > 0 && by_all < taken {
            problems.push(format!(
                "{by_all} of {taken} updates were received by all within {limit} after the last"
            ));
        }
        let updates = &self.published.updates;
        let answered = updates.iter().filter(|update| update.answered_ns.is_some());
        let answered = answered.count();
        if answered > taken {
            problems.push(format!("{} updates were refused", answered - taken));
        }
        if updates.len() > answered {
            let count = updates.len() - answered;
            problems.push(format!("{count} updates were not answered within {limit}"));
        }
        problems
    }
}

impl Report {
    /// On one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("figures are JSON")
    }
}

/// Each once, with how often it came. There may be one for each connection.
fn counted(problems: &[String]) -> Vec<String> {
    let mut times = BTreeMap::new();
    for problem in problems {
        *times.entry(problem).or_insert(0) += 1;
    }
    let counted = times.into_iter();
    counted
        .map(|(problem, times)| format!("{problem} ({times} times)"))
        .collect()
}

fn latency_ns(update: &Update) -> Option<u64> {
    Some(update.answered_ns?.saturating_sub(update.due_ns))
}

/// Ascending; what never came is at the end.
fn in_order(times: impl IntoIterator<Item = Option<u64>>) -> Vec<Option<u64>> {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable_by_key(|time| time.unwrap_or(u64::MAX));
    times
}

/// The smallest of `ordered` that at least `share` of them do not exceed.
fn quantile_ms(ordered: &[Option<u64>], share: f64) -> Option<f64> {
    let rank = (ordered.len() as f64 * share).ceil() as usize;
    let nanoseconds = (*ordered.get(rank.saturating_sub(1))?)?;
    Some(round(nanoseconds as f64 / NANOSECONDS_PER_MILLISECOND))
}

/// To what can be told apart.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::ledger::Ledger;
    use super::*;

    const MS: u64 = 1_000_000;

    fn options(followers: &str) -> Options {
        let fixed = [
            "x",
            "--subject",
            "inventory-poll",
            "--address",
            "127.0.0.1:1",
        ];
        let more = [
            "--status",
            "127.0.0.1:2",
            "--followers",
            followers,
            "--rate",
            "2",
            "--warm-up",
            "0s",
            "--duration",
            "1s",
        ];
        Options::parse_from(fixed.iter().chain(&more))
    }

    fn update(number: u64, due_ms: u64, answered_ms: Option<u64>) -> Update {
        Update {
            number,
            due_ns: due_ms * MS,
            woke_late_ns: Some(6 * MS),
            answered_ns: answered_ms.map(|at| at * MS),
            is_taken: answered_ms.is_some(),
        }
    }

    fn report(options: &Options, updates: Vec<Update>, ledger: Ledger) -> Report {
        let before = Usage::now(&[]);
        std::thread::sleep(Duration::from_millis(1));
        Figures {
            options,
            waiting: Duration::from_secs(1),
            resident_before: Some(1000),
            resident_waiting: Some(3000),
            window_start_ns: 0,
            window: Counted {
                usage: Usage::now(&[]).since(&before),
                deliveries: 4,
                responses: 2,
            },
            drained: Some(Duration::ZERO),
            published: Published {
                updates,
                problems: Vec::new(),
                has_precedence: true,
            },
            received: Received {
                ledger,
                problems: Vec::new(),
            },
        }
        .report()
    }

    #[test]
    fn a_delivery_lasts_from_the_answer_to_the_last_receipt() {
        let mut ledger = Ledger::new(2, 2);
        for (position, number, at) in [(0, 1, 9), (0, 1, 30), (1, 0, 40), (1, 0, 42)] {
            ledger.receive(position, number, at * MS).unwrap();
        }
        let updates = vec![update(0, 0, Some(2)), update(1, 5, Some(10))];
        let report = report(&options("2"), updates, ledger);
        assert_eq!(
            (Some(20.0), Some(40.0)),
            (report.last_receipt_p50_ms, report.last_receipt_p99_ms)
        );
        assert_eq!(
            (Some(2.0), Some(5.0)),
            (report.update_p50_ms, report.update_max_ms)
        );
        assert_eq!(
            (Some(2.0), Some(1000.0)),
            (
                report.deliveries_per_response,
                report.server_bytes_per_follower
            )
        );
        assert!(
            report.is_complete && report.problems.is_empty(),
            "{report:?}"
        );
    }

    #[test]
    fn what_is_missing_is_a_problem_and_no_figure() {
        let mut ledger = Ledger::new(2, 2);
        ledger.receive(0, 0, 9 * MS).unwrap();
        let updates = vec![update(0, 0, Some(2)), update(1, 500, None)];
        let report = report(&options("2"), updates, ledger);
        assert_eq!(
            (None, 0),
            (report.last_receipt_p50_ms, report.updates_received_by_all)
        );
        assert!(!report.is_complete);
        assert_eq!(2, report.problems.len(), "{:?}", report.problems);
        assert_eq!(
            (1, 1, 0),
            (
                report.updates_taken,
                report.updates_refused,
                report.updates_not_sent
            )
        );
    }

    #[test]
    fn without_followers_there_is_nothing_to_wait_for() {
        let report = report(
            &options("0"),
            vec![update(0, 0, Some(2))],
            Ledger::new(0, 2),
        );
        assert_eq!(
            (None, None),
            (report.last_receipt_p50_ms, report.server_bytes_per_follower)
        );
        assert!(
            report.is_complete && report.problems.is_empty(),
            "{report:?}"
        );
        assert!(
            report
                .warnings
                .iter()
                .any(|warning| warning.contains("6 ms late"))
        );
        assert_eq!(1, report.updates_not_sent);
    }

    #[test]
    fn what_befell_many_connections_is_told_once() {
        let problems = ["b", "a", "b"].map(str::to_owned);
        assert_eq!(vec!["a (1 times)", "b (2 times)"], counted(&problems));
    }

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times = in_order([Some(3 * MS), None, Some(MS), Some(2 * MS)]);
        assert_eq!(Some(2.0), quantile_ms(&times, 0.5));
        assert_eq!(None, quantile_ms(&times, 0.99));
        assert_eq!(None, quantile_ms(&[], 0.5));
    }
}
