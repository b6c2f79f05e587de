//! A report as JSON, as `--json` keeps it and the page holds it.

use super::Report;

/// The report, indented, with a line feed at the end.
pub fn pretty(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(&readable(report)).expect("a report has no keys but strings");
    text.push('\n');
    text
}

/// The report in one line that can stand within a `<script>` of a page: no `<` in it ends that.
pub fn for_page(report: &Report) -> String {
    let text = serde_json::to_string(&readable(report)).expect("a report has no keys but strings");
    // Outside of strings JSON has none of these, and within them this is the same character.
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// JSON knows no NaN and no infinity; written as `null`, they would make a report that cannot be read again. Points of a
/// server's metric that are no numbers are left out; other figures become 0, which is shown as what it is.
fn readable(report: &Report) -> Report {
    let mut report = report.clone();
    let finite = |value: &mut f64| *value = if value.is_finite() { *value } else { 0.0 };
    finite(&mut report.machine.load_average);
    report
        .headline
        .iter_mut()
        .for_each(|round| finite(&mut round.updates_per_second));
    for phase in &mut report.phases {
        finite(&mut phase.seconds);
        if let super::Pacing::Open { rate } = &mut phase.pacing {
            finite(rate);
        }
        finite(&mut phase.client.cpu_seconds);
        finite(&mut phase.client.busiest_thread);
        phase.server.cpu_seconds = phase
            .server
            .cpu_seconds
            .filter(|seconds| seconds.is_finite());
        phase
            .series
            .iter_mut()
            .for_each(|second| finite(&mut second.at));
        for kind in phase.kinds.values_mut() {
            finite(&mut kind.latency.mean_us);
            kind.latency
                .quantiles
                .retain(|(quantile, _)| quantile.is_finite());
        }
        for points in phase.server.metrics.values_mut() {
            points.retain(|(at, value)| at.is_finite() && value.is_finite());
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = sample::sweep();
        let text = pretty(&report);
        assert!(text.ends_with("}\n"));
        let again: Report = serde_json::from_str(&text).expect("it can be read");
        assert!(pretty(&again) == text);
        assert_eq!(again.phases.len(), report.phases.len());
    }

    #[test]
    fn a_report_with_odd_numbers_can_be_read_again() {
        let text = pretty(&sample::odd());
        let again: Report = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(again.phases[0].seconds, 0.0);
    }

    #[test]
    fn nothing_in_it_ends_a_script() {
        let mut report = sample::report();
        report.command = "</script><!-- & -->".into();
        let text = for_page(&report);
        assert!(!text.contains(['<', '>', '&']));
        let again: Report = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(again.command, report.command);
    }
}
