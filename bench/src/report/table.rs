//! The report for a terminal.

use std::fmt::Write as _;

use super::{Headline, Pacing, Phase, Report, Verification};

/// So many problems of a verification are printed.
const PROBLEMS_SHOWN: usize = 10;

/// A short table, in plain text.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    put(&mut out, &set_up(report));
    for warning in &report.warnings {
        put(&mut out, &format!("WARNING  {warning}"));
    }
    put(&mut out, "");
    put(
        &mut out,
        &row(
            "",
            "count",
            "per s",
            ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned),
        ),
    );
    for phase in &report.phases {
        out.push_str(&phase_lines(phase));
    }
    put(&mut out, "");
    for line in headline(&report.headline) {
        put(&mut out, &line);
    }
    out.push_str(&verification(&report.verification));
    out
}

fn put(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

fn set_up(report: &Report) -> String {
    let setup = &report.setup;
    let server = match &setup.server_cpus {
        Some(cpus) => format!("{} on CPU {cpus}", report.server.version),
        None => format!("{} at {}", report.server.version, setup.url),
    };
    format!(
        "{}: {} products, {}; {} connections, {} followers\nserver {server}; load generator {} on CPU {}; {}, Linux {}",
        report.preset,
        setup.products,
        setup.popularity,
        setup.connections,
        setup.followers,
        report.bench_version,
        setup.client_cpus,
        report.machine.cpu,
        report.machine.kernel,
    )
}

fn row(name: &str, count: &str, rate: &str, times: [String; 5]) -> String {
    let times: String = times.iter().map(|time| format!("{time:>9}")).collect();
    format!("  {name:<12}{count:>10}{rate:>10}{times}")
}

fn phase_lines(phase: &Phase) -> String {
    let mut out = String::new();
    let pace = match phase.pacing {
        Pacing::Closed => "closed loop".to_owned(),
        Pacing::Open { rate } => format!("open loop, {rate:.0} operations/s"),
    };
    put(
        &mut out,
        &format!(
            "{} ({pace}, {:.1} s, round {})",
            phase.name, phase.seconds, phase.round
        ),
    );
    let seconds = phase.seconds.max(f64::MIN_POSITIVE);
    for (name, kind) in &phase.kinds {
        let latency = &kind.latency;
        let times = [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ];
        let rate = format!("{:.0}", kind.count as f64 / seconds);
        put(
            &mut out,
            &row(name, &kind.count.to_string(), &rate, times.map(time)),
        );
    }
    let outcomes: Vec<String> = phase
        .outcomes
        .iter()
        .map(|(name, count)| format!("{} {count}", name.replace('_', " ")))
        .collect();
    put(&mut out, &format!("  {}", outcomes.join(", ")));
    put(&mut out, &format!("  {}", costs(phase)));
    out
}

/// What it cost the server and the load generator.
fn costs(phase: &Phase) -> String {
    let asked = phase.kinds.iter().filter(|(name, _)| *name != "delivery");
    let operations = asked.map(|(_, kind)| kind.count).sum::<u64>().max(1) as f64;
    let mut out = String::new();
    if let Some(cpu) = phase.server.cpu_seconds {
        let _ = write!(
            out,
            "server {:.1} us of CPU an operation, ",
            cpu * 1e6 / operations
        );
    }
    if let Some(bytes) = phase.server.resident_bytes {
        let _ = write!(out, "{} MiB; ", bytes >> 20);
    }
    let _ = write!(
        out,
        "load generator {:.1} us, busiest thread {:.0} %",
        phase.client.cpu_seconds * 1e6 / operations,
        100.0 * phase.client.busiest_thread
    );
    if phase.client.late_p99_us > 0 {
        let _ = write!(out, ", late p99 {}", time(phase.client.late_p99_us));
    }
    out
}

/// In the unit in which it has few digits.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn headline(rounds: &[Headline]) -> Vec<String> {
    let spread = |of: fn(&Headline) -> f64, show: fn(f64) -> String| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).map(|value| show(*value));
        match (values.first(), median, values.last()) {
            (Some(low), Some(median), Some(high)) if rounds.len() > 1 => {
                format!(
                    "{median}  ({} to {} in {} rounds)",
                    show(*low),
                    show(*high),
                    rounds.len()
                )
            }
            (_, median, _) => median.unwrap_or_default(),
        }
    };
    match rounds.is_empty() {
        true => Vec::new(),
        false => vec![
            format!(
                "durable updates/s at saturation   {}",
                spread(|it| it.updates_per_second, |value| format!("{value:.0}"))
            ),
            format!(
                "p99 at half of saturation         {}",
                spread(|it| it.p99_at_half_us as f64, |value| time(value as u64))
            ),
        ],
    }
}

fn verification(verification: &Verification) -> String {
    let checked = |checked: &super::Checked| {
        format!(
            "{} products, {} updates ({} without an answer), {} repeats, {} events, {} followers",
            checked.products,
            checked.updates,
            checked.unknown,
            checked.replays,
            checked.events,
            checked.followers
        )
    };
    match verification {
        Verification::Off => "not verified (--no-verify)\n".to_owned(),
        Verification::Passed { checked: of } => {
            format!("verified: {}: nothing lost, nothing twice\n", checked(of))
        }
        Verification::Failed {
            checked: of,
            problems,
        } => {
            let mut out = format!("VERIFICATION FAILED: {}\n", checked(of));
            for problem in problems.iter().take(PROBLEMS_SHOWN) {
                put(&mut out, &format!("  {problem}"));
            }
            if problems.len() > PROBLEMS_SHOWN {
                put(
                    &mut out,
                    &format!("  and {} more", problems.len() - PROBLEMS_SHOWN),
                );
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_few_digits() {
        let shown = [0, 999, 1_500, 45_678, 2_000_000].map(time);
        assert_eq!(
            ["0 us", "999 us", "1.50 ms", "46 ms", "2.0 s"].map(str::to_owned),
            shown
        );
    }

    #[test]
    fn the_headline_has_its_spread() {
        let round = |updates_per_second| Headline {
            updates_per_second,
            p99_at_half_us: 1500,
        };
        assert!(headline(&[]).is_empty());
        assert!(headline(&[round(10.0)])[0].ends_with("   10"));
        let three = headline(&[round(10.0), round(30.0), round(20.0)]);
        assert!(
            three[0].ends_with("20  (10 to 30 in 3 rounds)"),
            "{three:?}"
        );
        assert!(three[1].ends_with("1.50 ms  (1.50 ms to 1.50 ms in 3 rounds)"));
    }
}
