//! The pictures that are made of a report.

use super::chart::{Chart, Scale};
use super::{Pacing, Phase, Report, Second};

/// How a phase of a sweep begins.
const SWEEP: &str = "sweep ";

/// All pictures of a report, those that say most first.
pub fn all(report: &Report) -> Vec<String> {
    let latest = report.phases.iter().map(|phase| phase.round).max();
    let phases = || {
        report
            .phases
            .iter()
            .filter(|phase| Some(phase.round) == latest)
    };
    let mut charts = vec![percentiles(phases())];
    charts.extend(sweep(phases()));
    for phase in phases().filter(|phase| !phase.name.starts_with(SWEEP)) {
        charts.extend(of_phase(phase));
    }
    charts.iter().filter_map(Chart::svg).collect()
}

/// All pictures below each other, as one.
pub fn overview(report: &Report) -> String {
    const HEIGHT: usize = 300;
    let pictures = all(report);
    let height = HEIGHT * pictures.len().max(1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" viewBox=\"0 0 900 {height}\">\n"
    );
    for (number, picture) in pictures.iter().enumerate() {
        out.push_str(&picture.replacen("<svg ", &format!("<svg y=\"{}\" ", number * HEIGHT), 1));
    }
    out.push_str("</svg>\n");
    out
}

/// Latency over quantiles, a line for each phase and kind.
fn percentiles<'a>(phases: impl Iterator<Item = &'a Phase>) -> Chart {
    let mut lines = Vec::new();
    for phase in phases.filter(|phase| !phase.name.starts_with(SWEEP)) {
        for (kind, figures) in phase
            .kinds
            .iter()
            .filter(|(name, _)| ["update", "read", "batch"].contains(&name.as_str()))
        {
            let quantiles = figures.latency.quantiles.iter();
            let points = quantiles
                .map(|(quantile, us)| (*quantile, *us as f64))
                .collect();
            lines.push((format!("{kind}, {}", phase.name), points));
        }
    }
    Chart {
        title: "Latency by percentile".to_owned(),
        x_label: "percentile",
        y_label: "us",
        x_scale: Scale::Quantile,
        y_scale: Scale::Logarithmic,
        lines,
    }
}

/// Latency over the rate that was reached.
fn sweep<'a>(phases: impl Iterator<Item = &'a Phase>) -> Option<Chart> {
    let mut points: Vec<(f64, f64, f64)> = phases
        .filter(|phase| {
            phase.name.starts_with(SWEEP) && matches!(phase.pacing, Pacing::Open { .. })
        })
        .filter_map(|phase| {
            let update = phase
                .kinds
                .get("update")
                .or_else(|| phase.kinds.values().next())?;
            let asked = phase.kinds.iter().filter(|(name, _)| *name != "delivery");
            let operations: u64 = asked.map(|(_, kind)| kind.count).sum();
            let rate = operations as f64 / phase.seconds;
            Some((
                rate,
                update.latency.p50_us as f64,
                update.latency.p99_us as f64,
            ))
        })
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let line =
        |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(|point| (point.0, of(point))).collect();
    (!points.is_empty()).then(|| Chart {
        title: "Latency by rate".to_owned(),
        x_label: "operations/s that were answered",
        y_label: "us",
        x_scale: Scale::Linear,
        y_scale: Scale::Logarithmic,
        lines: vec![
            ("p50".to_owned(), line(|it| it.1)),
            ("p99".to_owned(), line(|it| it.2)),
        ],
    })
}

/// The name of a line, and its value in a second.
type Line<'a> = (&'a str, fn(&Second) -> f64);

fn of_phase(phase: &Phase) -> Vec<Chart> {
    let over_time = |title: &str, y_label, y_scale, lines: &[Line]| Chart {
        title: format!("{title}: {}", phase.name),
        x_label: "s",
        y_label,
        x_scale: Scale::Linear,
        y_scale,
        lines: lines
            .iter()
            .map(|(name, of)| {
                (
                    (*name).to_owned(),
                    whole_seconds(phase).map(|it| (it.at, of(it))).collect(),
                )
            })
            .collect(),
    };
    let mut charts = vec![
        over_time(
            "Latency",
            "us",
            Scale::Logarithmic,
            &[
                ("p50", |it| it.p50_us as f64),
                ("p99", |it| it.p99_us as f64),
                ("most", |it| it.max_us as f64),
            ],
        ),
        over_time(
            "Throughput",
            "per s",
            Scale::Linear,
            &[
                ("operations", |it| it.operations as f64),
                ("updates applied", |it| it.applied as f64),
            ],
        ),
        over_time(
            "Conflicts and failures",
            "per s",
            Scale::Linear,
            &[
                ("conflicts", |it| it.conflicts as f64),
                ("failures", |it| it.failures as f64),
            ],
        ),
    ];
    charts.extend(phase.server.metrics.iter().map(|(name, points)| Chart {
        title: format!("{name}: {}", phase.name),
        x_label: "s",
        y_label: if name.ends_with("_total") {
            "per s"
        } else {
            ""
        },
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        lines: vec![(
            name.clone(),
            match name.ends_with("_total") {
                true => rate(points),
                false => points.clone(),
            },
        )],
    }));
    charts
}

/// The last second is hardly ever whole, and what came after the end is none.
fn whole_seconds(phase: &Phase) -> impl Iterator<Item = &Second> {
    let whole = phase
        .series
        .iter()
        .filter(|second| second.at + 1.0 <= phase.seconds);
    whole.chain(phase.series.iter().take(usize::from(phase.seconds < 1.0)))
}

/// What a counter grew by in a second.
fn rate(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let pairs = points.windows(2).filter(|pair| pair[1].0 > pair[0].0);
    pairs
        .map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_as_rates() {
        assert_eq!(vec![(2.0, 10.0)], rate(&[(1.0, 5.0), (2.0, 15.0)]));
        assert!(rate(&[(1.0, 5.0), (1.0, 6.0)]).is_empty());
    }
}
