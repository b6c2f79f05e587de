//! What the server said of itself while the load ran, a small plot for each metric.

use super::axis::Scale;
use super::chart::{Chart, Line, Point, Stroke};
use super::draw;
use super::timeline::{parts, timeline};
use crate::report::Report;

/// The size of a small plot.
const SIZE: (u32, u32) = (424, 170);

/// A plot for each metric, in the order of their names. Of what only ever grows (a counter, by its name), the plot shows
/// how much it grew in a second.
pub fn server_metrics(report: &Report) -> Vec<String> {
    let mut names: Vec<&str> = report
        .phases
        .iter()
        .flat_map(|phase| phase.server.metrics.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| metric(report, name)).collect()
}

fn metric(report: &Report, name: &str) -> String {
    let placed = timeline(report);
    let is_counter = is_counter(name);
    let runs = placed.iter().filter_map(|(from, phase)| {
        let points = phase.server.metrics.get(name)?;
        let points = if is_counter {
            growth(points)
        } else {
            points.clone()
        };
        let moved = points
            .into_iter()
            .map(|(at, value)| Point::from((from + at, value)));
        Some(moved.collect())
    });
    let what = if is_counter {
        format!("{name}, a second")
    } else {
        name.to_owned()
    };
    let line = Line {
        name: what.clone(),
        colour: 0,
        stroke: Stroke::Solid,
        runs: runs.collect(),
    };
    draw::svg(&Chart {
        title: what,
        size: SIZE,
        x_name: String::new(),
        x: Scale::Seconds,
        y: scale(name, is_counter),
        lines: vec![line],
        // Here they are too narrow to be named.
        parts: parts(&placed)
            .into_iter()
            .map(|part| super::chart::Part {
                name: String::new(),
                ..part
            })
            .collect(),
        mark: None,
    })
}

/// Whether a metric of this name only ever grows, by the conventions of Prometheus.
fn is_counter(name: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn scale(name: &str, is_counter: bool) -> Scale {
    match is_counter {
        _ if name.contains("_bytes") => Scale::Bytes,
        true if !name.contains("_seconds") => Scale::Rate,
        _ => Scale::Count,
    }
}

/// Growth a second between a point and the next. Where it shrank, the server was started again: no growth is known.
fn growth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let pairs = points.windows(2);
    let grown = pairs.map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)));
    grown.filter(|(_, rate)| *rate >= 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_counter_shows_its_growth() {
        let points = [
            (0.0, 10.0),
            (1.0, 30.0),
            (3.0, 90.0),
            (4.0, 5.0),
            (4.0, 6.0),
            (5.0, 7.0),
        ];
        let grown = growth(&points);
        assert_eq!(grown[..2], [(1.0, 20.0), (3.0, 30.0)]);
        assert_eq!(grown.last(), Some(&(5.0, 1.0)));
        assert!(grown.iter().all(|(at, _)| *at != 3.5));
        assert_eq!(growth(&[]), []);
    }

    #[test]
    fn every_metric_has_a_plot_with_its_unit() {
        let plots = server_metrics(&sample::report());
        assert_eq!(plots.len(), 5);
        assert!(plots.iter().any(|plot| {
            plot.contains("<title>inventory_updates_total, a second</title>")
                && plot.contains(" k/s")
        }));
        assert!(plots.iter().any(|plot| {
            plot.contains("<title>process_resident_memory_bytes</title>") && plot.contains(" MiB")
        }));
        assert!(server_metrics(&sample::empty()).is_empty());
    }
}
