//! Latency over quantile, as HdrHistogram plots it.

use super::WIDTH;
use super::axis::Scale;
use super::chart::{Chart, Line, Point, Stroke};
use super::draw;
use crate::report::{Kind, Report, figures};

/// Latency over quantile of the phases of one name: a colour for each kind, a line for each round, so that the spread
/// between rounds is seen. The x axis is logarithmic towards 1, y is logarithmic.
pub fn percentiles(report: &Report, phase: &str) -> String {
    let rounds = figures::rounds(report, phase);
    let kinds = figures::kind_names(&rounds);
    let lines = kinds.iter().enumerate().map(|(colour, name)| Line {
        name: (*name).to_owned(),
        colour,
        stroke: Stroke::Solid,
        runs: rounds
            .iter()
            .filter_map(|phase| Some(points(phase.kinds.get(*name)?)))
            .collect(),
    });
    let rounds = match rounds.len() {
        0 | 1 => String::new(),
        count => format!(", {count} rounds"),
    };
    draw::svg(&Chart {
        title: format!("Latency by percentile: {phase}{rounds}"),
        size: (WIDTH, 360),
        x_name: "percentile".into(),
        x: Scale::Quantile,
        y: Scale::Latency,
        lines: lines.collect(),
        parts: Vec::new(),
        mark: None,
    })
}

/// The distribution up to the last quantile that its count can tell: of a thousand, that is 99.9 %. There the largest
/// stands, so the line ends at what was seen and not at a quantile that nobody measured.
fn points(kind: &Kind) -> Vec<Point> {
    let last = 1.0 - 1.0 / kind.count.max(1) as f64;
    let known = kind
        .latency
        .quantiles
        .iter()
        .filter(|(quantile, _)| *quantile < last);
    let end = (kind.count > 0).then_some((last, kind.latency.max_us));
    let points = known.copied().chain(end);
    points
        .map(|(quantile, us)| Point::from((quantile, us as f64)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latency;

    #[test]
    fn the_line_ends_where_its_count_ends() {
        let latency = Latency {
            max_us: 900,
            quantiles: vec![(0.0, 10), (0.5, 20), (0.98, 30), (0.9999, 900), (1.0, 900)],
            ..Latency::default()
        };
        let ends = points(&Kind {
            count: 100,
            latency: latency.clone(),
        });
        let ends: Vec<(f64, f64)> = ends.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(
            ends,
            [(0.0, 10.0), (0.5, 20.0), (0.98, 30.0), (0.99, 900.0)]
        );
        assert_eq!(
            points(&Kind {
                count: 0,
                latency: Latency::default()
            }),
            []
        );
    }
}
