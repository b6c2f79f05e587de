//! What happened second by second, all phases of a run one after another.

use super::WIDTH;
use super::axis::Scale;
use super::chart::{Chart, Line, Part, Point, Stroke};
use super::{draw, sweep};
use crate::report::{Phase, Report, Second};

/// What a line is called, and which figure of a second it shows.
type Figure = (&'static str, fn(&Second) -> u64);

/// p50, p99 and the largest latency of each second, of all operations.
pub fn latency_over_time(report: &Report) -> String {
    let lines: [Figure; 3] = [
        ("p50", |second| second.p50_us),
        ("p99", |second| second.p99_us),
        ("max", |second| second.max_us),
    ];
    seconds(
        report,
        "Latency over time, all operations",
        Scale::Latency,
        &lines,
    )
}

/// Operations, and updates that took effect, in each second.
pub fn throughput_over_time(report: &Report) -> String {
    let lines: [Figure; 2] = [
        ("operations", |second| second.operations),
        ("updates applied", |second| second.applied),
    ];
    seconds(report, "Throughput over time", Scale::Rate, &lines)
}

/// Conflicts, and operations that failed, in each second.
pub fn failures_over_time(report: &Report) -> String {
    let lines: [Figure; 2] = [
        ("conflicts (another version)", |second| second.conflicts),
        ("failures (429, 503, errors)", |second| second.failures),
    ];
    seconds(
        report,
        "Conflicts and failures over time",
        Scale::WideRate,
        &lines,
    )
}

fn seconds(report: &Report, title: &str, y: Scale, figures: &[Figure]) -> String {
    let placed = timeline(report);
    let lines = figures
        .iter()
        .enumerate()
        .map(|(colour, (name, figure))| Line {
            name: (*name).to_owned(),
            colour,
            stroke: Stroke::Solid,
            runs: placed
                .iter()
                .map(|(from, phase)| {
                    let point =
                        |second: &Second| Point::from((from + second.at, figure(second) as f64));
                    whole_seconds(phase).map(point).collect()
                })
                .collect(),
        });
    draw::svg(&Chart {
        title: title.into(),
        size: (WIDTH, 300),
        x_name: "measured time, phase after phase".into(),
        x: Scale::Seconds,
        y,
        lines: lines.collect(),
        parts: parts(&placed),
        mark: None,
    })
}

/// The phases with the second at which each begins, one after another: what was not measured takes no room.
pub fn timeline(report: &Report) -> Vec<(f64, &Phase)> {
    let mut from = 0.0;
    let placed = report.phases.iter().map(|phase| {
        let begins = from;
        from += length(phase);
        (begins, phase)
    });
    placed.collect()
}

/// The phases as parts of the x axis.
pub fn parts(placed: &[(f64, &Phase)]) -> Vec<Part> {
    let part = |(from, phase): &(f64, &Phase)| Part {
        from: *from,
        to: from + length(phase),
        name: sweep::short_name(&phase.name).to_owned(),
    };
    placed.iter().map(part).collect()
}

/// The last second is hardly ever whole, and what came after the end is none. A phase of less than a second has one.
fn whole_seconds(phase: &Phase) -> impl Iterator<Item = &Second> {
    let whole = phase
        .series
        .iter()
        .filter(|second| second.at + 1.0 <= phase.seconds);
    whole.chain(phase.series.iter().take(usize::from(phase.seconds < 1.0)))
}

/// How long a phase was; none if nobody can know.
fn length(phase: &Phase) -> f64 {
    if phase.seconds.is_finite() {
        phase.seconds.max(0.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn phases_stand_one_after_another() {
        let mut report = sample::report();
        report.phases[1].seconds = f64::NAN;
        report.phases[1].series.clear();
        let begins: Vec<f64> = timeline(&report).iter().map(|(from, _)| *from).collect();
        assert_eq!(begins, [0.0, 20.0, 20.0, 40.0, 60.0, 80.0]);
    }

    #[test]
    fn seconds_that_are_not_whole_are_left_out() {
        let mut phase = sample::report().phases.remove(0);
        let count = |phase: &Phase| whole_seconds(phase).count();
        assert_eq!(count(&phase), 20);
        phase.seconds = 18.4;
        assert_eq!(count(&phase), 18);
        phase.seconds = 0.4;
        assert_eq!(count(&phase), 1);
        phase.series.clear();
        assert_eq!(count(&phase), 0);
    }

    #[test]
    fn each_plot_names_its_lines_and_phases() {
        let report = sample::report();
        let latency = latency_over_time(&report);
        for name in ["p50", "p99", "max", "saturation", "200 us", "1 ms", "20 s"] {
            assert!(
                latency.contains(&format!("\n{name}\n")),
                "{name} is missing in {latency}"
            );
        }
        assert!(throughput_over_time(&report).contains("updates applied"));
        assert!(failures_over_time(&report).contains("conflicts"));
    }
}
