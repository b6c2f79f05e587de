//! The latency-throughput curve: what latency each offered rate has, and where it falls behind.

use std::collections::BTreeMap;

use super::WIDTH;
use super::axis::Scale;
use super::chart::{Chart, Line, Point, Stroke};
use super::draw;
use crate::report::{Latency, Phase, Report, figures, text};

/// What the names of the phases of a sweep begin with.
const SWEEP: &str = "sweep ";

/// What a line is called, and which figure of a latency it shows.
type Figure = (&'static str, fn(&Latency) -> u64);

/// Whether a phase of this name is a point of a sweep.
pub fn is_sweep(name: &str) -> bool {
    name.starts_with(SWEEP)
}

/// The name of a phase without what all phases of a sweep have in common: `60 %`.
pub fn short_name(name: &str) -> &str {
    name.strip_prefix(SWEEP).unwrap_or(name)
}

/// p50 and p99 over the rate that was achieved, a point for each phase of the sweep; a ring where it did not keep up with
/// what was offered. Saturation is marked: the rate of the closed loop, where the run measured it, else the largest rate
/// of the sweep.
pub fn latency_over_throughput(report: &Report) -> String {
    let rounds = rounds_of(report);
    let phases = rounds.concat();
    let kind = phases
        .first()
        .and_then(|phase| figures::main_kind(phase))
        .map(|(name, _)| name);
    let kind = kind.unwrap_or("update");
    let lines: [Figure; 2] = [
        ("p50", |latency| latency.p50_us),
        ("p99", |latency| latency.p99_us),
    ];
    let lines = lines
        .iter()
        .enumerate()
        .map(|(colour, (name, figure))| Line {
            name: (*name).to_owned(),
            colour,
            stroke: Stroke::Points,
            runs: rounds
                .iter()
                .map(|phases| {
                    phases
                        .iter()
                        .filter_map(|phase| point(phase, kind, *figure))
                        .collect()
                })
                .collect(),
        });
    draw::svg(&Chart {
        title: format!("Latency of {kind} over throughput (ring: fell behind its schedule)"),
        size: (WIDTH, 360),
        x_name: "requests answered a second".into(),
        x: Scale::Rate,
        y: Scale::Latency,
        lines: lines.collect(),
        parts: Vec::new(),
        mark: saturation(report, &phases)
            .map(|rate| (rate, format!("saturation: {}", text::rate(rate)))),
    })
}

/// The points of each round by their offered rate: a curve that falls behind turns back, and is seen to.
fn rounds_of(report: &Report) -> Vec<Vec<&Phase>> {
    let mut rounds: BTreeMap<usize, Vec<(f64, &Phase)>> = BTreeMap::new();
    for phase in report.phases.iter().filter(|phase| is_sweep(&phase.name)) {
        if let Some(offered) = figures::offered(phase) {
            rounds
                .entry(phase.round)
                .or_default()
                .push((offered, phase));
        }
    }
    rounds.into_values().map(by_rate).collect()
}

fn by_rate(mut points: Vec<(f64, &Phase)>) -> Vec<&Phase> {
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    points.into_iter().map(|(_, phase)| phase).collect()
}

fn point(phase: &Phase, kind: &str, figure: fn(&Latency) -> u64) -> Option<Point> {
    let kind = phase.kinds.get(kind).filter(|kind| kind.count > 0)?;
    Some(Point {
        x: figures::request_rate(phase)?,
        y: figure(&kind.latency) as f64,
        is_hollow: figures::kept_up(phase) == Some(false),
    })
}

fn saturation(report: &Report, sweep: &[&Phase]) -> Option<f64> {
    if sweep.is_empty() {
        return None;
    }
    let closed = figures::rounds(report, "saturation");
    let measured = figures::median(
        closed
            .iter()
            .filter_map(|phase| figures::request_rate(phase)),
    );
    let largest = sweep
        .iter()
        .filter_map(|phase| figures::request_rate(phase))
        .reduce(f64::max);
    measured.or(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn points_are_in_the_order_of_their_offered_rate() {
        let mut report = sample::sweep();
        report.phases.reverse();
        let names: Vec<&str> = rounds_of(&report)[0]
            .iter()
            .map(|phase| phase.name.as_str())
            .collect();
        assert_eq!(names[..2], ["sweep 20 %", "sweep 40 %"]);
        assert_eq!(names.len(), 7);
        let again = report
            .phases
            .clone()
            .into_iter()
            .map(|phase| Phase { round: 2, ..phase });
        report.phases.extend(again);
        let lengths: Vec<usize> = rounds_of(&report).iter().map(Vec::len).collect();
        assert_eq!(lengths, [7, 7], "a curve for each round");
    }

    #[test]
    fn a_point_that_fell_behind_is_a_ring() {
        let report = sample::sweep();
        let hollow: Vec<bool> = rounds_of(&report)[0]
            .iter()
            .filter_map(|phase| Some(point(phase, "update", |latency| latency.p99_us)?.is_hollow))
            .collect();
        assert_eq!(hollow, [false, false, false, false, false, false, true]);
    }

    #[test]
    fn saturation_is_the_closed_loop_or_the_largest_rate() {
        let mut report = sample::sweep();
        let sweep =
            |report: &Report| saturation(report, &rounds_of(report).concat()).map(f64::round);
        assert!(latency_over_throughput(&report).contains("saturation: 61.0 k/s"));
        report.phases.retain(|phase| is_sweep(&phase.name));
        assert_eq!(sweep(&report), Some(60_000.0));
        report.phases.clear();
        assert_eq!(sweep(&report), None);
    }
}
