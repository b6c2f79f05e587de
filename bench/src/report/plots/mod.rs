//! Plots of a report, each a whole SVG document: light background, axes with units, colours that colour-blind people tell
//! apart, a title that is read aloud. The page shows them all, `--svg` keeps the [`overview`].
//!
//! No plot fails: where there is nothing to draw, the drawing says so.

mod axis;
mod chart;
mod draw;
mod percentiles;
mod server;
mod sweep;
mod timeline;

pub use percentiles::percentiles;
pub use server::server_metrics;
pub use sweep::{is_sweep, latency_over_throughput, short_name};
pub use timeline::{failures_over_time, latency_over_time, throughput_over_time};

use super::Report;
use super::figures;

/// The width of a plot in pixels.
const WIDTH: u32 = 860;

/// The names of the phases whose percentiles are worth a plot: all but the points of a sweep.
pub fn percentile_phases(report: &Report) -> Vec<&str> {
    let mut names = figures::phase_names(report);
    names.retain(|name| !is_sweep(name));
    names
}

/// Whether there is a sweep to draw.
pub fn has_sweep(report: &Report) -> bool {
    report.phases.iter().any(|phase| is_sweep(&phase.name))
}

/// The important plots in one drawing, one below the other: the sweep if there was one, the percentiles of each phase,
/// latency and throughput over time.
pub fn overview(report: &Report) -> String {
    let mut plots = Vec::new();
    if has_sweep(report) {
        plots.push(latency_over_throughput(report));
    }
    plots.extend(
        percentile_phases(report)
            .iter()
            .map(|name| percentiles(report, name)),
    );
    plots.extend([
        latency_over_time(report),
        throughput_over_time(report),
        failures_over_time(report),
    ]);
    stacked(&plots)
}

/// Drawings within a drawing, one below the other.
fn stacked(plots: &[String]) -> String {
    const GAP: u32 = 12;
    let mut y = 0;
    let mut inner = String::new();
    for plot in plots {
        inner += &plot.replacen("<svg ", &format!("<svg y=\"{y}\" "), 1);
        y += height(plot) + GAP;
    }
    let height = y.saturating_sub(GAP).max(1);
    format!(
        "<svg role=\"img\" aria-label=\"Benchmark report\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>Benchmark report</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{inner}</svg>\n"
    )
}

/// The height that a drawing of this module says it has.
fn height(svg: &str) -> u32 {
    let (_, rest) = svg.split_once(" height=\"").unwrap_or_default();
    let (digits, _) = rest.split_once('"').unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn all(report: &Report) -> Vec<String> {
        let mut plots = vec![
            overview(report),
            latency_over_throughput(report),
            latency_over_time(report),
            throughput_over_time(report),
            failures_over_time(report),
        ];
        plots.extend(
            figures::phase_names(report)
                .iter()
                .map(|name| percentiles(report, name)),
        );
        plots.extend(server_metrics(report));
        plots
    }

    #[test]
    fn every_plot_of_every_report_is_a_drawing() {
        for report in [
            sample::report(),
            sample::sweep(),
            sample::empty(),
            sample::odd(),
        ] {
            for plot in all(&report) {
                assert!(
                    plot.starts_with("<svg role=\"img\" aria-label=\""),
                    "{plot}"
                );
                assert!(plot.ends_with("</svg>\n"), "{plot}");
                assert_eq!(
                    plot.matches("<svg ").count(),
                    plot.matches("</svg>").count()
                );
                assert_eq!(
                    plot.matches("<svg ").count(),
                    plot.matches("<title>").count()
                );
                assert!(!plot.contains("NaN") && !plot.contains(">inf"), "{plot}");
            }
        }
    }

    #[test]
    fn the_overview_holds_its_plots_one_below_the_other() {
        let overview = overview(&sample::sweep());
        let tops = overview.match_indices("<svg y=\"").map(|(at, found)| {
            let (digits, _) = overview[at + found.len()..]
                .split_once('"')
                .expect("it is closed");
            digits.parse::<u32>().expect("it is a number")
        });
        let tops: Vec<u32> = tops.collect();
        assert_eq!(tops.len(), 6);
        assert!(
            tops.is_sorted() && tops.last() < Some(&height(&overview)),
            "{tops:?}"
        );
    }

    #[test]
    fn a_drawing_without_a_sweep_says_so() {
        assert!(latency_over_throughput(&sample::report()).contains("There is nothing to draw."));
        assert!(!latency_over_throughput(&sample::sweep()).contains("There is nothing to draw."));
    }
}
