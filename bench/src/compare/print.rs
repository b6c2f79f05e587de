//! A comparison as a table for a terminal.

use std::fmt::{Display, Formatter, Result};

use super::{Comparison, Figure, Ratio, Unit, Verdict};
use crate::report::table::WIDTH;
use crate::report::text::{self, UNKNOWN};

impl Display for Comparison {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        for note in &self.notes {
            to.write_str(&text::wrap(note, WIDTH, 4))?;
        }
        if !self.notes.is_empty() {
            to.write_str("\n")?;
        }
        row(to, ["", "before", "after", "after/before", "verdict"])?;
        let mut phase = &None;
        for figure in &self.figures {
            if &figure.phase != phase {
                phase = &figure.phase;
                to.write_str(&text::wrap(phase.as_deref().unwrap_or_default(), WIDTH, 4))?;
            }
            line(to, figure)?;
        }
        Ok(())
    }
}

fn line(to: &mut Formatter<'_>, figure: &Figure) -> Result {
    let indent = if figure.phase.is_some() { "  " } else { "" };
    row(
        to,
        [
            &format!("{indent}{}", figure.name),
            &say(figure.unit, figure.before.median),
            &say(figure.unit, figure.after.median),
            &ratio(
                figure.ratio.as_ref(),
                figure.before.rounds * figure.after.rounds,
            ),
            &figure.verdict.to_string(),
        ],
    )
}

fn row(to: &mut Formatter<'_>, [name, before, after, ratio, verdict]: [&str; 5]) -> Result {
    let line = format!("{name:<22}{before:>10} {after:>10}  {ratio:<22}{verdict}");
    writeln!(to, "{}", line.trim_end())
}

fn say(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Rate => text::rate(value),
        Unit::Microseconds => text::microseconds(value),
        Unit::Bytes => text::bytes(value),
    }
}

fn ratio(ratio: Option<&Ratio>, pairs: usize) -> String {
    match ratio {
        None => UNKNOWN.into(),
        Some(ratio) if pairs == 1 => times(ratio.median),
        Some(ratio) => format!(
            "{} ({} to {})",
            times(ratio.median),
            times(ratio.min),
            times(ratio.max)
        ),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 99.95 => format!("{ratio:.2}"),
        ratio => text::count(ratio.round()),
    }
}

impl Display for Verdict {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        to.write_str(match self {
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::WithinNoise => "within the noise",
            Verdict::RangesApart => "ranges do not overlap",
            Verdict::NoNoiseKnown => "one round each: no noise known",
            Verdict::AsScheduled => "as scheduled",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use crate::report::{Report, sample};

    /// Four rounds, the second and on as the first but for a hair.
    fn four_rounds(slower: f64) -> Report {
        let mut report = sample::report();
        let round = report.phases[..2].to_vec();
        report.phases.clear();
        report.headline = vec![report.headline[0]; 4];
        for index in 0..4 {
            let factor = slower + f64::from(index) * 0.001;
            report.headline[index as usize].updates_per_second /= factor;
            let mut phases = round.clone();
            for phase in &mut phases {
                phase.round = index as usize + 1;
                let update = phase.kinds.get_mut("update").expect("it is in the sample");
                update.latency.p99_us = (update.latency.p99_us as f64 * factor * 10.0) as u64;
            }
            report.phases.extend(phases);
        }
        report
    }

    fn line(printed: &str, beginning: &str) -> String {
        let line = printed.lines().find(|line| line.starts_with(beginning));
        let line = line.unwrap_or_else(|| panic!("no {beginning} in\n{printed}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_table_has_medians_ratios_and_verdicts() {
        let (before, mut after) = (four_rounds(1.0), four_rounds(1.25));
        after.setup.connections = 128;
        let printed = compare(&before, &after).expect("they can be").to_string();
        assert!(
            printed
                .lines()
                .all(|line| line.chars().count() <= 100 && line == line.trim_end()),
            "{printed}"
        );
        assert!(
            printed.starts_with("connections: 64, then 128\n"),
            "{printed}"
        );
        assert_eq!(
            line(&printed, "updates at saturation"),
            "updates at saturation 61.1 k/s 48.9 k/s 0.80 (0.80 to 0.80) WORSE"
        );
        assert_eq!(
            line(&printed, "  update p50"),
            "update p50 1.04 ms 1.04 ms 1.00 (1.00 to 1.00) within the noise"
        );
        let better = compare(&after, &before).expect("they can be");
        assert!(!better.is_worse());
        assert!(line(&better.to_string(), "  update p99 ").ends_with("better"));
    }

    #[test]
    fn a_round_each_says_that_no_noise_is_known() {
        let mut report = sample::report();
        report.phases.truncate(2);
        report.headline.truncate(1);
        let printed = compare(&report, &report).expect("they can be").to_string();
        assert_eq!(
            line(&printed, "  update p99 "),
            "update p99 2.39 ms 2.39 ms 1.00 one round each: no noise known"
        );
        assert!(
            printed.lines().all(|line| line.chars().count() <= 100),
            "{printed}"
        );
    }
}
