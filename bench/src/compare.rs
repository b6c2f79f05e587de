//! Two reports side by side: ratios with their spread, and whether they exceed the noise.
//!
//! A figure is taken from every round. The ratio is that of the medians; its spread is the least and the most ratio of any round
//! after to any round before. With three rounds or more on each side the rounds are compared by a two-sided Mann-Whitney U test,
//! exactly: the share of all ways to deal the values out to both sides in which the sums of ranks differ at least as much. Below
//! 5 % (three rounds each can only reach 10 %: then no round of one side may lie among those of the other), and at least 2 % of
//! difference, it is better or worse; otherwise it is noise. One round has no noise that is known.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::report::{Phase, Report, SCHEMA, html};

/// Less of a difference is never told as one.
const DIFFERENCE_MIN: f64 = 0.02;
/// How likely chance alone may be.
const SIGNIFICANCE: f64 = 0.05;

/// Reads a report, as JSON or inside a page.
pub fn read(path: &Path) -> Result<Report, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json = html::json_of(&text).unwrap_or(&text);
    let report: Report = serde_json::from_str(json).map_err(|error| {
        format!(
            "{}: not a report of inventory-bench (--json or --html): {error}",
            path.display()
        )
    })?;
    match report.schema {
        SCHEMA => Ok(report),
        other => Err(format!(
            "{}: its form is {other}, this program reads {SCHEMA}",
            path.display()
        )),
    }
}

/// The comparison, for a person.
pub fn compare(before: &Report, after: &Report) -> Result<String, String> {
    if before.preset != after.preset {
        return Err(format!(
            "{} and {} cannot be compared: give reports of one preset",
            before.preset, after.preset
        ));
    }
    let mut out = String::new();
    for difference in differences(before, after) {
        let _ = writeln!(out, "differs  {difference}");
    }
    let _ = writeln!(
        out,
        "{:<44}{:>11}{:>11}{:>7}  {:<13} verdict",
        "", "before", "after", "ratio", "spread"
    );
    for (name, is_more_better, of) in figures(before) {
        let (old, new) = (of(before), of(after));
        if !old.is_empty() && !new.is_empty() {
            let compared = Compared::new(old, new);
            let _ = writeln!(out, "{name:<44}{}", compared.line(is_more_better));
        }
    }
    Ok(out)
}

fn differences(before: &Report, after: &Report) -> Vec<String> {
    let pairs = [
        (
            "machine",
            before.machine.cpu.clone(),
            after.machine.cpu.clone(),
        ),
        (
            "kernel",
            before.machine.kernel.clone(),
            after.machine.kernel.clone(),
        ),
        (
            "commit",
            before.commit.clone().unwrap_or_default(),
            after.commit.clone().unwrap_or_default(),
        ),
        (
            "server",
            before.server.version.clone(),
            after.server.version.clone(),
        ),
        (
            "connections",
            before.setup.connections.to_string(),
            after.setup.connections.to_string(),
        ),
        (
            "followers",
            before.setup.followers.to_string(),
            after.setup.followers.to_string(),
        ),
        (
            "products",
            before.setup.products.to_string(),
            after.setup.products.to_string(),
        ),
    ];
    let differ = pairs
        .into_iter()
        .filter(|(_, before, after)| before != after);
    differ
        .map(|(what, before, after)| format!("{what}: {before} / {after}"))
        .collect()
}

type Figure = (String, bool, Box<dyn Fn(&Report) -> Vec<f64>>);

/// What can be compared: its name, whether more is better, and its value in each round.
fn figures(report: &Report) -> Vec<Figure> {
    let mut figures: Vec<Figure> = vec![
        (
            "updates/s at saturation".to_owned(),
            true,
            Box::new(|it| it.headline.iter().map(|it| it.updates_per_second).collect()),
        ),
        (
            "p99 at half of saturation, us".to_owned(),
            false,
            Box::new(|it| {
                it.headline
                    .iter()
                    .map(|it| it.p99_at_half_us as f64)
                    .collect()
            }),
        ),
    ];
    for phase in report.phases.iter().filter(|phase| phase.round == 1) {
        for kind in phase.kinds.keys() {
            let mut add = |figure: &str, is_more_better, of: fn(&Phase, &str) -> Option<f64>| {
                let (name, kind_name) = (phase.name.clone(), kind.clone());
                let values = move |report: &Report| {
                    let phases = report.phases.iter().filter(|it| it.name == name);
                    phases.filter_map(|phase| of(phase, &kind_name)).collect()
                };
                figures.push((
                    format!("{}, {kind}: {figure}", phase.name),
                    is_more_better,
                    Box::new(values),
                ));
            };
            add("per s", true, |phase, kind| {
                Some(phase.kinds.get(kind)?.count as f64 / phase.seconds)
            });
            add("p50, us", false, |phase, kind| {
                Some(phase.kinds.get(kind)?.latency.p50_us as f64)
            });
            add("p99, us", false, |phase, kind| {
                Some(phase.kinds.get(kind)?.latency.p99_us as f64)
            });
            add("p99.9, us", false, |phase, kind| {
                Some(phase.kinds.get(kind)?.latency.p999_us as f64)
            });
        }
        let name = phase.name.clone();
        let cost = move |report: &Report| {
            let phases = report.phases.iter().filter(|it| it.name == name);
            phases.filter_map(cpu_per_operation).collect()
        };
        figures.push((
            format!("{}: server CPU an operation, us", phase.name),
            false,
            Box::new(cost),
        ));
    }
    figures
}

fn cpu_per_operation(phase: &Phase) -> Option<f64> {
    let asked = phase.kinds.iter().filter(|(name, _)| *name != "delivery");
    let operations: u64 = asked.map(|(_, kind)| kind.count).sum();
    (operations > 0)
        .then_some(phase.server.cpu_seconds)
        .flatten()
        .map(|cpu| cpu * 1e6 / operations as f64)
}

/// One figure on both sides, values ascending.
struct Compared {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl Compared {
    fn new(mut before: Vec<f64>, mut after: Vec<f64>) -> Compared {
        before.sort_by(f64::total_cmp);
        after.sort_by(f64::total_cmp);
        Compared { before, after }
    }

    fn line(&self, is_more_better: bool) -> String {
        let (old, new) = (median(&self.before), median(&self.after));
        let spread = match (
            self.before.last(),
            self.before.first(),
            self.after.first(),
            self.after.last(),
        ) {
            (Some(most), Some(least), Some(low), Some(high)) => {
                format!("{:.2} to {:.2}", low / most, high / least)
            }
            _ => String::new(),
        };
        format!(
            "{old:>11.1}{new:>11.1}{:>7.2}  {spread:<13} {}",
            new / old,
            self.verdict(is_more_better)
        )
    }

    fn verdict(&self, is_more_better: bool) -> &'static str {
        let rounds = self.before.len().min(self.after.len());
        let ratio = median(&self.after) / median(&self.before);
        let overlaps =
            self.before.last() >= self.after.first() && self.after.last() >= self.before.first();
        if rounds < 2 {
            return "one round: no noise is known";
        }
        if rounds < 3 {
            return if overlaps {
                "within the noise"
            } else {
                "ranges do not overlap"
            };
        }
        // Three rounds against three cannot get below 10 % by their number alone.
        let is_seen = self.chance() < SIGNIFICANCE || (rounds == 3 && !overlaps);
        match is_seen && (ratio - 1.0).abs() >= DIFFERENCE_MIN {
            false => "within the noise",
            true if (ratio > 1.0) == is_more_better => "better",
            true => "worse",
        }
    }

    /// How likely it is that chance alone deals the values out so unevenly, or more.
    fn chance(&self) -> f64 {
        /// Beyond it the ways are too many to count, and the middle rounds tell as much.
        const ROUNDS_MAX: usize = 10;
        let side = |values: &[f64]| values.iter().copied().take(ROUNDS_MAX).collect::<Vec<_>>();
        let (before, after) = (side(&self.before), side(&self.after));
        let u_of = |one: &[f64], other: &[f64]| -> f64 {
            let wins = |value: &f64| {
                other
                    .iter()
                    .map(|it| {
                        if value > it {
                            1.0
                        } else if value == it {
                            0.5
                        } else {
                            0.0
                        }
                    })
                    .sum::<f64>()
            };
            one.iter().map(wins).sum()
        };
        let middle = (before.len() * after.len()) as f64 / 2.0;
        let seen = (u_of(&before, &after) - middle).abs();
        let all: Vec<f64> = before.iter().chain(&after).copied().collect();
        let (mut ways, mut as_uneven) = (0_u64, 0_u64);
        for chosen in 0_u32..1 << all.len() {
            if chosen.count_ones() as usize != before.len() {
                continue;
            }
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for (index, value) in all.iter().enumerate() {
                if chosen >> index & 1 == 1 {
                    one.push(*value)
                } else {
                    other.push(*value)
                }
            }
            ways += 1;
            as_uneven += u64::from((u_of(&one, &other) - middle).abs() >= seen - 1e-9);
        }
        as_uneven as f64 / ways.max(1) as f64
    }
}

fn median(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::report;

    fn verdict(before: &[f64], after: &[f64]) -> &'static str {
        Compared::new(before.to_vec(), after.to_vec()).verdict(true)
    }

    #[test]
    fn a_difference_counts_only_beyond_the_noise() {
        assert_eq!("one round: no noise is known", verdict(&[1.0], &[2.0]));
        assert_eq!("ranges do not overlap", verdict(&[1.0, 1.1], &[2.0, 2.1]));
        assert_eq!("better", verdict(&[1.0, 1.1, 1.2], &[2.0, 2.1, 2.2]));
        assert_eq!(
            "worse",
            verdict(&[2.0, 2.1, 2.2, 2.3], &[1.0, 1.1, 1.2, 1.3])
        );
        assert_eq!(
            "within the noise",
            verdict(&[1.0, 1.2, 1.4, 1.6], &[1.1, 1.3, 1.5, 1.7])
        );
        assert_eq!(
            "within the noise",
            verdict(&[1.0, 1.001, 1.002, 1.003], &[1.01, 1.011, 1.012, 1.013]),
            "too little"
        );
    }

    #[test]
    fn the_chance_is_exact() {
        let compared = Compared::new(vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]);
        // Two of the 70 ways to choose four of eight are as uneven.
        assert!((compared.chance() - 2.0 / 70.0).abs() < 1e-9);
    }

    #[test]
    fn reports_are_compared_by_figure() {
        let same = compare(&report(1.0), &report(1.0)).unwrap();
        assert!(
            same.contains("updates/s at saturation")
                && !same.contains("better")
                && !same.contains("worse"),
            "{same}"
        );
        let faster = compare(&report(1.0), &report(2.0)).unwrap();
        assert!(faster.lines().any(|line| line.starts_with("updates/s at saturation") && line.ends_with("better")), "{faster}");
        assert!(
            faster
                .lines()
                .any(|line| line.starts_with("p99 at half") && line.ends_with("better")),
            "{faster}"
        );
        let mut other = report(1.0);
        other.preset = "reads".to_owned();
        assert!(compare(&report(1.0), &other).is_err());
    }

    #[test]
    fn reports_are_read_from_json_and_from_pages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let report = report(1.0);
        for text in [serde_json::to_string(&report).unwrap(), html::page(&report)] {
            fs::write(&path, text).unwrap();
            assert_eq!(report.phases.len(), read(&path).unwrap().phases.len());
        }
        fs::write(&path, "{}").unwrap();
        assert!(read(&path).unwrap_err().contains("not a report"));
        assert!(read(&directory.path().join("none")).is_err());
    }
}
