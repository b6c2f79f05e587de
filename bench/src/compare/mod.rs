//! Two runs beside each other: what became better, what became worse, and what cannot be told from noise. For
//! `inventory-bench compare`.
//!
//! # Method
//!
//! A figure has a value in each round. Between the rounds of two runs:
//!
//! - The medians are shown, and the ratio of the medians, after to before. Behind it stand the smallest and the largest
//!   ratio of all pairs of a round after and a round before.
//! - Where the rounds suffice, the verdict is a two-sided Mann-Whitney U test, computed exactly over all ways to share
//!   the rounds out (ties have the mean of their ranks), at a significance of [`SIGNIFICANCE`]. It assumes no
//!   distribution. Figures are `better` or `worse` only if the medians differ by [`RELEVANT`] too; else the difference is
//!   `within the noise`.
//! - Rounds suffice if the test could reach that significance at all: 4 and 4, or 3 and 5. With 3 and 3 even rounds that
//!   do not mix at all come out of the same server in one of ten comparisons.
//! - With fewer, ranges that do not meet are told as such, which is a hint and no verdict; else the difference is `within
//!   the noise`. With a round each, no noise is known, and nothing is said.
//!
//! Many figures are compared and each may be wrong: of twenty that did not change, one is called better or worse. A
//! single verdict among many `within the noise` is a reason to measure again, not a finding.
//!
//! A rate that a schedule set is no figure of the server's as long as it kept up: it is `as scheduled`.

mod differences;
mod figures;
mod mann_whitney;
mod print;
mod read;

pub use read::read;

use crate::report::figures::Spread;
use crate::report::{Report, SCHEMA};

/// How seldom the test may see a difference where there is none.
pub const SIGNIFICANCE: f64 = 0.05;

/// The smallest difference of medians that is called one: 2 %.
pub const RELEVANT: f64 = 0.02;

/// Two runs beside each other. `Display` prints it as a table of at most a hundred columns.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What differs between the runs beside the server, and what else a reader must know: a sentence or `name: one, then
    /// other` each.
    pub notes: Vec<String>,
    /// The figures that both runs have.
    pub figures: Vec<Figure>,
}

impl Comparison {
    /// Whether any figure is worse, for an exit code.
    pub fn is_worse(&self) -> bool {
        self.figures
            .iter()
            .any(|figure| figure.verdict == Verdict::Worse)
    }
}

/// A figure of two runs.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The phase that it belongs to; none for the headline.
    pub phase: Option<String>,
    /// Such as `update p99`.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// Over the rounds before.
    pub before: Spread,
    /// Over the rounds after.
    pub after: Spread,
    /// After to before; none if before was 0.
    pub ratio: Option<Ratio>,
    /// What that means.
    pub verdict: Verdict,
}

/// What a figure is measured in, which also tells what is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A second; more is better.
    Rate,
    /// Microseconds; less is better.
    Microseconds,
    /// Bytes; less is better.
    Bytes,
}

/// How many times as much it is after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Of the medians.
    pub median: f64,
    /// The smallest of all pairs of rounds.
    pub min: f64,
    /// The largest of all pairs of rounds.
    pub max: f64,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Significant, relevant, and in the right direction.
    Better,
    /// Significant, relevant, and in the wrong direction.
    Worse,
    /// None that could be told from noise.
    WithinNoise,
    /// Too few rounds for a verdict, but every round after was on the same side of every round before.
    RangesApart,
    /// A round each.
    NoNoiseKnown,
    /// The schedule set this rate, and both runs kept up.
    AsScheduled,
}

/// Compares two runs. The error is a sentence that says why they cannot be.
pub fn compare(before: &Report, after: &Report) -> Result<Comparison, String> {
    for report in [before, after] {
        if report.schema != SCHEMA {
            return Err(format!(
                "A report has schema {}; this inventory-bench compares schema {SCHEMA}.",
                report.schema
            ));
        }
    }
    if before.preset != after.preset {
        return Err(format!(
            "The runs cannot be compared: one is of preset {:?}, the other of {:?}, which are different loads.",
            before.preset, after.preset
        ));
    }
    let figures = figures::figures(before, after);
    if figures.is_empty() {
        return Err("The runs cannot be compared: there is no figure that both have.".into());
    }
    Ok(Comparison {
        notes: differences::notes(before, after),
        figures,
    })
}

/// The verdict of a figure's rounds.
fn verdict(unit: Unit, before: &[f64], after: &[f64]) -> Verdict {
    let (Some(was), Some(is)) = (
        Spread::of(before.iter().copied()),
        Spread::of(after.iter().copied()),
    ) else {
        return Verdict::NoNoiseKnown;
    };
    if was.rounds == 1 && is.rounds == 1 {
        return Verdict::NoNoiseKnown;
    }
    let is_apart = was.max < is.min || is.max < was.min;
    let is_relevant =
        (is.median - was.median).abs() >= RELEVANT * was.median.abs() && is.median != was.median;
    if !mann_whitney::can_reach(SIGNIFICANCE, was.rounds, is.rounds) {
        return if is_apart && is_relevant {
            Verdict::RangesApart
        } else {
            Verdict::WithinNoise
        };
    }
    if !is_relevant || mann_whitney::p_value(before, after) > SIGNIFICANCE {
        return Verdict::WithinNoise;
    }
    let is_more = is.median > was.median;
    let is_more_better = unit == Unit::Rate;
    if is_more == is_more_better {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn verdicts_need_enough_rounds_that_differ_enough() {
        let cases: [(&str, &[f64], &[f64], Verdict); 9] = [
            (
                "less rate",
                &[100.0, 101.0, 102.0, 103.0],
                &[90.0, 91.0, 92.0, 93.0],
                Verdict::Worse,
            ),
            (
                "more rate",
                &[90.0, 91.0, 92.0, 93.0],
                &[100.0, 101.0, 102.0, 103.0],
                Verdict::Better,
            ),
            (
                "mixed",
                &[90.0, 100.0, 92.0, 103.0],
                &[101.0, 91.0, 102.0, 104.0],
                Verdict::WithinNoise,
            ),
            (
                "apart by 1 %",
                &[100.0, 100.1, 100.2, 100.3],
                &[101.0, 101.1, 101.2, 101.3],
                Verdict::WithinNoise,
            ),
            (
                "three each",
                &[100.0, 101.0, 102.0],
                &[90.0, 91.0, 92.0],
                Verdict::RangesApart,
            ),
            (
                "three each, mixed",
                &[100.0, 90.5, 102.0],
                &[90.0, 91.0, 92.0],
                Verdict::WithinNoise,
            ),
            (
                "three and five",
                &[100.0, 101.0, 102.0],
                &[90.0, 91.0, 92.0, 93.0, 94.0],
                Verdict::Worse,
            ),
            ("one each", &[100.0], &[90.0], Verdict::NoNoiseKnown),
            (
                "nothing to divide by",
                &[0.0, 0.0],
                &[0.0, 0.0],
                Verdict::WithinNoise,
            ),
        ];
        for (name, before, after, expected) in cases {
            assert_eq!(verdict(Unit::Rate, before, after), expected, "{name}");
        }
    }

    #[test]
    fn less_time_and_less_memory_are_better() {
        let (less, more) = (&[90.0, 91.0, 92.0, 93.0], &[100.0, 101.0, 102.0, 103.0]);
        for unit in [Unit::Microseconds, Unit::Bytes] {
            assert_eq!(verdict(unit, more, less), Verdict::Better);
            assert_eq!(verdict(unit, less, more), Verdict::Worse);
        }
    }

    #[test]
    fn a_run_is_as_good_as_itself() {
        let report = sample::sweep();
        let comparison = compare(&report, &report).expect("it has figures");
        assert!(!comparison.is_worse());
        assert!(
            comparison
                .figures
                .iter()
                .all(|figure| figure.ratio.is_some_and(|ratio| ratio.median == 1.0))
        );
        assert_eq!(
            comparison.notes.len(),
            1,
            "the warning alone: {:?}",
            comparison.notes
        );
    }

    #[test]
    fn other_loads_and_other_forms_are_refused() {
        let report = sample::report();
        let other = Report {
            preset: "flash-sale".into(),
            ..report.clone()
        };
        let refused = compare(&report, &other).expect_err("the loads differ");
        assert!(
            refused.contains("canonical") && refused.contains("flash-sale"),
            "{refused}"
        );
        let other = Report {
            schema: SCHEMA + 1,
            ..report.clone()
        };
        assert!(compare(&report, &other).is_err());
        assert!(
            compare(&report, &sample::empty())
                .expect_err("nothing is in it")
                .contains("no figure")
        );
    }

    #[test]
    fn odd_reports_can_be_compared() {
        let comparison =
            compare(&sample::odd(), &sample::sweep()).expect("they have figures in common");
        let printed = comparison.to_string();
        assert!(
            !printed.contains("NaN") && !printed.contains("inf"),
            "{printed}"
        );
    }
}
