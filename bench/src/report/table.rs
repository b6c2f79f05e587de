//! A report as a table for a terminal: plain text, at most [`WIDTH`] columns. The engine prints it at the end of a run.

use super::figures::{self, Spread};
use super::text::{self, UNKNOWN};
use super::{Checked, Kind, Phase, Report, Verification, plots};

/// The longest line, in characters.
pub const WIDTH: usize = 100;

/// How far what belongs to a phase is indented.
const INDENT: usize = 4;

/// The column of a phase's name, in characters.
const NAME_WIDTH: usize = 22;

/// So many problems of a verification are printed.
const PROBLEMS_SHOWN: usize = 10;

/// The whole table. Where there were several rounds, a line holds the medians over them, but of the maximum the largest;
/// outcomes are the sums. "late" is the p99 of how late the load generator woke to send, the largest of the
/// rounds.
pub fn table(report: &Report) -> String {
    let names = figures::phase_names(report);
    let phases: Vec<String> = names.iter().map(|name| phase(report, name)).collect();
    let parts = [
        set_up(report),
        warnings(report),
        format!("{}{}", header(report), phases.concat()),
        headline(report),
        verification(&report.verification),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn set_up(report: &Report) -> String {
    let lines = [run(report), machine(report), load(report)];
    lines.map(|line| text::wrap(&line, WIDTH, INDENT)).concat()
}

fn run(report: &Report) -> String {
    format!(
        "{}, {}, bench {} ({}), server {}{}",
        report.preset,
        report.started,
        report.bench_version,
        report.commit.as_deref().unwrap_or("commit unknown"),
        or_unknown(&report.server.version),
        kind_of_server(report),
    )
}

fn kind_of_server(report: &Report) -> &'static str {
    match (report.server.is_durable, report.server.is_debug_build) {
        (Some(false), Some(true)) => " (NOT DURABLE, DEBUG BUILD)",
        (Some(false), _) => " (NOT DURABLE)",
        (_, Some(true)) => " (DEBUG BUILD)",
        _ => "",
    }
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{}, {}, {}, Linux {}; server on {}, load on {}",
        or_unknown(&machine.cpu),
        text::plural(machine.cpus as u64, "CPU", "CPUs"),
        text::bytes(machine.memory_mib as f64 * 1_048_576.0),
        or_unknown(&machine.kernel),
        cpus(report.setup.server_cpus.as_deref().unwrap_or_default()),
        cpus(&report.setup.client_cpus),
    )
}

fn load(report: &Report) -> String {
    let setup = &report.setup;
    format!(
        "{}, {}, {} to {}; {} ({}), seed {}",
        text::plural(setup.connections as u64, "connection", "connections"),
        text::followers(setup),
        text::plural(setup.threads as u64, "thread", "threads"),
        or_unknown(&setup.url),
        text::plural(setup.products as u64, "product", "products"),
        or_unknown(&setup.popularity),
        setup.seed,
    )
}

fn cpus(list: &str) -> String {
    match list {
        "" => "any CPU".into(),
        list => format!("CPU {list}"),
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

fn warnings(report: &Report) -> String {
    let line = |warning: &String| text::wrap(&format!("WARNING: {warning}"), WIDTH, 9);
    report.warnings.iter().map(line).collect()
}

/// The columns: where, kind, and six figures.
fn row(columns: [&str; 8]) -> String {
    let [phase, kind, rate, p50, p90, p99, p999, max] = columns;
    let line = format!(
        "{phase:<NAME_WIDTH$} {kind:<9}{rate:>10} {p50:>10} {p90:>10} {p99:>10} {p999:>10} {max:>10}"
    );
    format!("{}\n", line.trim_end())
}

fn header(report: &Report) -> String {
    if report.phases.is_empty() {
        return "No phase was measured.\n".into();
    }
    row(["phase", "kind", "rate", "p50", "p90", "p99", "p99.9", "max"])
}

/// The lines of one phase, over its rounds. A point of a sweep has but the line of its most frequent kind: there are many
/// points, and the page has the rest.
fn phase(report: &Report, name: &str) -> String {
    let rounds = figures::rounds(report, name);
    let is_point = plots::is_sweep(name);
    let kinds = match rounds.first().and_then(|phase| figures::main_kind(phase)) {
        Some((kind, _)) if is_point => vec![kind],
        _ => figures::kind_names(&rounds),
    };
    // A name that is longer than its column has a line of its own.
    let (title, mut shown) = match name.chars().count() {
        ..=NAME_WIDTH => (String::new(), name),
        _ => (text::wrap(name, WIDTH, INDENT), ""),
    };
    let mut lines = title;
    if kinds.is_empty() {
        lines += &row([shown, UNKNOWN, "", "", "", "", "", ""]);
    }
    for kind in kinds {
        lines += &kind_line(shown, kind, &rounds);
        shown = "";
    }
    lines += &note(&behind(&rounds));
    if !is_point {
        lines += &note(&outcomes(&rounds));
        lines += &note(&both_sides(&rounds));
    }
    lines
}

/// A sentence below the lines of a phase; nothing if there is none.
fn note(sentence: &str) -> String {
    match sentence {
        "" => String::new(),
        sentence => format!(
            "{:INDENT$}{}",
            "",
            text::wrap(sentence, WIDTH - INDENT, INDENT)
        ),
    }
}

fn kind_line(name: &str, kind: &str, rounds: &[&Phase]) -> String {
    let of = |figure: &dyn Fn(&Phase, &Kind) -> Option<f64>| -> Option<Spread> {
        let seen = rounds
            .iter()
            .filter_map(|phase| Some((phase, phase.kinds.get(kind)?)));
        let seen = seen.filter(|(_, kind)| kind.count > 0);
        Spread::of(seen.filter_map(|(phase, kind)| figure(phase, kind)))
    };
    let time = |figure: fn(&Kind) -> u64| {
        let spread = of(&|_, kind| Some(figure(kind) as f64));
        spread.map_or(UNKNOWN.into(), |spread| text::microseconds(spread.median))
    };
    let rate = of(&|phase, kind| figures::per_second(kind.count as f64, phase.seconds));
    let max = of(&|_, kind| Some(kind.latency.max_us as f64));
    row([
        name,
        kind,
        &rate.map_or(UNKNOWN.into(), |spread| text::rate(spread.median)),
        &time(|kind| kind.latency.p50_us),
        &time(|kind| kind.latency.p90_us),
        &time(|kind| kind.latency.p99_us),
        &time(|kind| kind.latency.p999_us),
        &max.map_or(UNKNOWN.into(), |spread| text::microseconds(spread.max)),
    ])
}

fn outcomes(rounds: &[&Phase]) -> String {
    let counted = figures::outcomes(rounds);
    let said: Vec<String> = counted
        .iter()
        .map(|(name, count)| format!("{} {}", text::thousands(*count), name.replace('_', " ")))
        .collect();
    said.join(", ")
}

/// Whether an open phase kept up with its schedule; nothing if it did.
fn behind(rounds: &[&Phase]) -> String {
    let behind = rounds
        .iter()
        .filter(|phase| figures::kept_up(phase) == Some(false))
        .count();
    match behind {
        0 => String::new(),
        behind => format!(
            "did not keep up with its schedule in {behind} of {}",
            text::plural(rounds.len() as u64, "round", "rounds")
        ),
    }
}

fn both_sides(rounds: &[&Phase]) -> String {
    let sides = [("server", server(rounds)), ("client", client(rounds))];
    let known = sides.into_iter().filter(|(_, figures)| !figures.is_empty());
    let said: Vec<String> = known
        .map(|(side, figures)| format!("{side} {}", figures.join(", ")))
        .collect();
    said.join("; ")
}

fn server(rounds: &[&Phase]) -> Vec<String> {
    let cpu = figures::median(
        rounds
            .iter()
            .filter_map(|phase| figures::server_cpu_us(phase)),
    );
    let resident = figures::median(
        rounds
            .iter()
            .filter_map(|phase| Some(phase.server.resident_bytes? as f64)),
    );
    let figures = [
        cpu.map(|us| format!("{} CPU a request", text::microseconds(us))),
        resident.map(|bytes| format!("RSS {}", text::bytes(bytes))),
    ];
    figures.into_iter().flatten().collect()
}

fn client(rounds: &[&Phase]) -> Vec<String> {
    let cpus = rounds
        .iter()
        .filter_map(|phase| figures::per_second(phase.client.cpu_seconds, phase.seconds));
    let busiest = Spread::of(rounds.iter().map(|phase| phase.client.busiest_thread));
    // A closed loop has no schedule to be late for.
    let late = rounds.iter().map(|phase| phase.client.late_p99_us).max();
    let late = late.filter(|us| *us > 0);
    let figures = [
        figures::median(cpus).map(|cpus| format!("{cpus:.2} CPUs")),
        busiest.map(|spread| format!("busiest thread {}", text::percent(spread.max))),
        late.map(|us| format!("late {}", text::microseconds(us as f64))),
    ];
    figures.into_iter().flatten().collect()
}

fn headline(report: &Report) -> String {
    let say =
        |spread: Option<Spread>, unit: fn(f64) -> String| spread.map(|spread| spread.say(unit));
    let figures = [
        (
            "durable updates at saturation",
            say(figures::updates_per_second(report), text::rate),
        ),
        (
            "p99 at half of that",
            say(figures::p99_at_half_us(report), text::microseconds),
        ),
    ];
    let known = figures
        .into_iter()
        .filter_map(|(name, figure)| Some((name, figure?)));
    known
        .map(|(name, figure)| format!("{name:<30} {figure}\n"))
        .collect()
}

/// The verification in a line, and what was wrong, a line each.
pub fn verification(verification: &Verification) -> String {
    match verification {
        Verification::Off => "not verified (--no-verify)\n".into(),
        Verification::Passed { checked } => text::wrap(
            &format!("verified: {}: nothing lost, nothing twice", said(checked)),
            WIDTH,
            INDENT,
        ),
        Verification::Failed { checked, problems } => {
            let first = text::wrap(
                &format!("VERIFICATION FAILED: {}", said(checked)),
                WIDTH,
                INDENT,
            );
            let more = problems.len().saturating_sub(PROBLEMS_SHOWN);
            let problems = problems
                .iter()
                .take(PROBLEMS_SHOWN)
                .map(|problem| format!("  - {}", text::wrap(problem, WIDTH - INDENT, INDENT)));
            let shown = problems.fold(first, |lines, problem| lines + &problem);
            match more {
                0 => shown,
                more => format!("{shown}  and {more} more; the report has them\n"),
            }
        }
    }
}

/// What was compared: `10,000 products, 183,211 updates, ...`.
pub fn said(checked: &Checked) -> String {
    let counts = [
        (checked.products, "product", "products"),
        (checked.updates, "update", "updates"),
        (
            checked.unknown,
            "update without an answer",
            "updates without an answer",
        ),
        (checked.replays, "replay", "replays"),
        (checked.events, "event", "events"),
        (checked.followers, "follower", "followers"),
    ];
    // Products and updates are always named: that there were none is worth knowing.
    let named = counts
        .iter()
        .enumerate()
        .filter(|(index, (count, ..))| *index < 2 || *count > 0);
    let said: Vec<String> = named
        .map(|(_, (count, one, many))| text::plural(*count, one, many))
        .collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Pacing, sample};

    fn assert_fits(table: &str) {
        for line in table.lines() {
            assert!(
                line.chars().count() <= WIDTH,
                "{} characters: {line}",
                line.chars().count()
            );
            assert_eq!(line, line.trim_end());
        }
    }

    fn line<'a>(table: &'a str, beginning: &str) -> &'a str {
        table
            .lines()
            .find(|line| line.starts_with(beginning))
            .unwrap_or_else(|| panic!("no {beginning} in\n{table}"))
    }

    #[test]
    fn the_table_fits_a_terminal_and_has_its_parts_in_order() {
        let table = table(&sample::sweep());
        assert_fits(&table);
        let places = [
            "canonical, ",
            "WARNING: ",
            "phase ",
            "saturation ",
            "half of saturation",
            "sweep 110 %",
            "durable updates",
            "p99 at half",
            "verified: ",
        ];
        let places = places.map(|part| table.find(part).unwrap_or_else(|| panic!("no {part}")));
        assert!(places.is_sorted(), "{table}");
    }

    #[test]
    fn a_line_holds_medians_over_the_rounds_and_the_largest_maximum() {
        let mut report = sample::report();
        report.phases.retain(|phase| phase.name == "saturation");
        for (phase, (p50, max)) in
            report
                .phases
                .iter_mut()
                .zip([(300, 9_000), (100, 70_000), (200, 8_000)])
        {
            phase.seconds = 10.0;
            phase.kinds.retain(|kind, _| kind == "read");
            let kind = phase.kinds.get_mut("read").expect("it is in the sample");
            (kind.count, kind.latency.p50_us, kind.latency.max_us) = (p50 * 100, p50, max);
        }
        let table = table(&report);
        let words: Vec<&str> = line(&table, "saturation").split_whitespace().collect();
        assert_eq!(words[..5], ["saturation", "read", "2000/s", "200", "us"]);
        assert_eq!(words[words.len() - 2..], ["70.0", "ms"]);
    }

    #[test]
    fn outcomes_are_sums_and_none_of_them_is_zero() {
        let mut report = sample::report();
        for phase in &mut report.phases {
            phase.outcomes = [
                ("applied".into(), 1_000),
                ("errors".into(), 0),
                ("conflicts".into(), 2),
            ]
            .into();
        }
        let table = table(&report);
        assert!(
            table.contains("    3,000 applied, 6 conflicts\n"),
            "{table}"
        );
        assert!(!table.contains("errors"), "{table}");
    }

    #[test]
    fn a_point_of_a_sweep_has_one_line() {
        let table = table(&sample::sweep());
        let points = table.split_once("sweep 20 %").map_or("", |(_, rest)| rest);
        let (points, _) = points.split_once("\n\n").expect("the headline follows");
        assert_eq!(
            points.lines().count(),
            8,
            "seven points, and that one fell behind: {points}"
        );
    }

    #[test]
    fn a_phase_that_fell_behind_says_so() {
        let mut report = sample::report();
        assert!(!table(&report).contains("keep up"));
        report.phases[1].pacing = Pacing::Open { rate: 1e9 };
        assert!(table(&report).contains("did not keep up with its schedule in 1 of 3 rounds"));
    }

    #[test]
    fn the_headline_has_the_spread_of_its_rounds() {
        let mut report = sample::report();
        let of_three = table(&report);
        let said = line(&of_three, "durable updates at saturation");
        assert!(
            said.ends_with("61.2 k/s (median of 3 rounds, 60.4 k/s to 62.9 k/s)"),
            "{said}"
        );
        report.headline.truncate(1);
        assert!(line(&table(&report), "durable updates at saturation").ends_with(" 61.2 k/s"));
    }

    #[test]
    fn the_verification_is_told_in_each_case() {
        let checked = Checked {
            products: 10_000,
            updates: 183_211,
            replays: 1,
            ..Checked::default()
        };
        assert_eq!(
            verification(&Verification::Passed { checked }),
            "verified: 10,000 products, 183,211 updates, 1 replay: nothing lost, nothing twice\n"
        );
        let problems = vec![
            "BENCH-0007 has 4 of 5.".to_owned(),
            "An offset is missing: 12.".to_owned(),
        ];
        let failed = verification(&Verification::Failed { checked, problems });
        assert!(failed.starts_with("VERIFICATION FAILED"), "{failed}");
        assert!(
            failed.contains("\n  - BENCH-0007 has 4 of 5.\n  - An offset is missing: 12.\n"),
            "{failed}"
        );
        let many = vec!["Wrong.".to_owned(); 13];
        let failed = verification(&Verification::Failed {
            checked,
            problems: many,
        });
        assert_eq!(failed.matches("Wrong.").count(), PROBLEMS_SHOWN);
        assert!(
            failed.ends_with("  and 3 more; the report has them\n"),
            "{failed}"
        );
        assert_eq!(
            verification(&Verification::Off),
            "not verified (--no-verify)\n"
        );
    }

    #[test]
    fn a_server_that_is_not_durable_is_seen() {
        let mut report = sample::report();
        report.server.is_durable = Some(false);
        assert!(table(&report).contains("NOT DURABLE"));
    }

    #[test]
    fn odd_and_empty_reports_have_tables() {
        let table_of_none = table(&sample::empty());
        assert!(
            table_of_none.contains("No phase was measured."),
            "{table_of_none}"
        );
        let odd = table(&sample::odd());
        assert_fits(&odd);
        assert!(!odd.contains("NaN") && !odd.contains("inf"), "{odd}");
    }
}
