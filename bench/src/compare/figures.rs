//! The figures that two reports have in common, with their verdicts.

use super::{Figure, Ratio, Unit, Verdict, verdict};
use crate::report::figures::{self, Spread};
use crate::report::{Kind, Phase, Report, plots};

/// The headline first, then phase by phase. Of a sweep's points, the most frequent kind alone: there are many points.
pub fn figures(before: &Report, after: &Report) -> Vec<Figure> {
    let mut found = headline(before, after);
    for name in figures::phase_names(before) {
        let pair = Pair {
            name,
            before: figures::rounds(before, name),
            after: figures::rounds(after, name),
        };
        pair.figures(&mut found);
    }
    found
}

fn headline(before: &Report, after: &Report) -> Vec<Figure> {
    let rate = |report: &Report| {
        report
            .headline
            .iter()
            .map(|round| round.updates_per_second)
            .collect()
    };
    let time = |report: &Report| {
        report
            .headline
            .iter()
            .map(|round| round.p99_at_half_us as f64)
            .collect()
    };
    let figures = [
        figure(
            "updates at saturation",
            Unit::Rate,
            rate(before),
            rate(after),
        ),
        figure(
            "p99 at half of that",
            Unit::Microseconds,
            time(before),
            time(after),
        ),
    ];
    figures.into_iter().flatten().collect()
}

/// What a percentile is called, and where it is.
type Time = (&'static str, fn(&Kind) -> u64);

/// The rounds of one phase in both reports.
struct Pair<'a> {
    name: &'a str,
    before: Vec<&'a Phase>,
    after: Vec<&'a Phase>,
}

impl Pair<'_> {
    fn figures(&self, found: &mut Vec<Figure>) {
        let mut add = |figure: Option<Figure>| {
            let figure = figure.map(|figure| Figure {
                phase: Some(self.name.to_owned()),
                ..figure
            });
            found.extend(figure);
        };
        for kind in self.kinds() {
            add(self.rate(kind));
            let times: [Time; 3] = [
                ("p50", |kind| kind.latency.p50_us),
                ("p99", |kind| kind.latency.p99_us),
                ("p99.9", |kind| kind.latency.p999_us),
            ];
            for (name, time) in times {
                add(self.of_kind(kind, name, Unit::Microseconds, &|_, kind| {
                    Some(time(kind) as f64)
                }));
            }
        }
        if !plots::is_sweep(self.name) {
            add(self.of(
                "server CPU/request",
                Unit::Microseconds,
                &figures::server_cpu_us,
            ));
            add(self.of("server memory", Unit::Bytes, &|phase| {
                Some(phase.server.resident_bytes? as f64)
            }));
        }
    }

    fn kinds(&self) -> Vec<&str> {
        match self
            .before
            .first()
            .and_then(|phase| figures::main_kind(phase))
        {
            Some((kind, _)) if plots::is_sweep(self.name) => vec![kind],
            _ => figures::kind_names(&self.before),
        }
    }

    fn rate(&self, kind: &str) -> Option<Figure> {
        let rate =
            |phase: &Phase, kind: &Kind| figures::per_second(kind.count as f64, phase.seconds);
        let figure = self.of_kind(kind, "rate", Unit::Rate, &rate)?;
        let mut both = self.before.iter().chain(&self.after);
        let verdict = match both.all(|phase| figures::kept_up(phase) == Some(true)) {
            true => Verdict::AsScheduled,
            false => figure.verdict,
        };
        Some(Figure { verdict, ..figure })
    }

    fn of_kind(
        &self,
        kind: &str,
        name: &str,
        unit: Unit,
        value: &dyn Fn(&Phase, &Kind) -> Option<f64>,
    ) -> Option<Figure> {
        self.of(&format!("{kind} {name}"), unit, &|phase| {
            let kind = phase.kinds.get(kind).filter(|kind| kind.count > 0)?;
            value(phase, kind)
        })
    }

    fn of(&self, name: &str, unit: Unit, value: &dyn Fn(&Phase) -> Option<f64>) -> Option<Figure> {
        let values = |phases: &[&Phase]| phases.iter().filter_map(|phase| value(phase)).collect();
        figure(name, unit, values(&self.before), values(&self.after))
    }
}

/// The figure of these rounds; none if it is missing on a side.
fn figure(name: &str, unit: Unit, before: Vec<f64>, after: Vec<f64>) -> Option<Figure> {
    let (before, after) = (figures::sorted(before), figures::sorted(after));
    let (was, is) = (
        Spread::of(before.iter().copied())?,
        Spread::of(after.iter().copied())?,
    );
    let ratio = (was.min > 0.0).then(|| Ratio {
        median: is.median / was.median,
        // Of all pairs, these have the smallest and the largest ratio.
        min: is.min / was.max,
        max: is.max / was.min,
    });
    Some(Figure {
        phase: None,
        name: name.to_owned(),
        unit,
        before: was,
        after: is,
        ratio,
        verdict: verdict(unit, &before, &after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Pacing, sample};

    fn find<'a>(found: &'a [Figure], phase: &str, name: &str) -> &'a Figure {
        let mut of_phase = found
            .iter()
            .filter(|figure| figure.phase.as_deref() == Some(phase));
        of_phase
            .find(|figure| figure.name == name)
            .expect("both have it")
    }

    #[test]
    fn ratios_are_those_of_the_medians_and_of_all_pairs() {
        let figure = figure(
            "x",
            Unit::Rate,
            vec![20.0, 10.0, 40.0],
            vec![60.0, 30.0, 50.0],
        )
        .expect("both have it");
        assert_eq!(
            figure.ratio,
            Some(Ratio {
                median: 2.5,
                min: 0.75,
                max: 6.0
            })
        );
        assert_eq!(
            figure.before,
            Spread {
                median: 20.0,
                min: 10.0,
                max: 40.0,
                rounds: 3
            }
        );
    }

    #[test]
    fn what_is_missing_on_a_side_is_left_out() {
        assert!(figure("x", Unit::Rate, vec![], vec![1.0]).is_none());
        assert!(figure("x", Unit::Rate, vec![1.0], vec![f64::NAN]).is_none());
        let nothing_before = figure("x", Unit::Rate, vec![0.0], vec![1.0]).expect("both have it");
        assert_eq!(nothing_before.ratio, None);
        let (before, mut after) = (sample::report(), sample::report());
        for phase in &mut after.phases {
            phase.kinds.remove("batch");
            phase.server.cpu_seconds = None;
        }
        let names: Vec<String> = figures(&before, &after)
            .into_iter()
            .map(|figure| figure.name)
            .collect();
        assert!(
            names
                .iter()
                .all(|name| !name.starts_with("batch") && !name.contains("CPU")),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name == "server memory"),
            "{names:?}"
        );
    }

    #[test]
    fn a_rate_that_the_schedule_set_is_no_figure_of_the_server() {
        let (before, mut after) = (sample::report(), sample::report());
        let verdicts = |after: &Report| {
            let found = figures(&before, after);
            ["saturation", "half of saturation"]
                .map(|phase| find(&found, phase, "update rate").verdict)
        };
        assert_eq!(
            verdicts(&after),
            [Verdict::WithinNoise, Verdict::AsScheduled]
        );
        after.phases[1].pacing = Pacing::Open { rate: 1e9 };
        assert_eq!(verdicts(&after)[1], Verdict::WithinNoise);
    }

    #[test]
    fn a_point_of_a_sweep_has_its_most_frequent_kind_alone() {
        let report = sample::sweep();
        let found = figures(&report, &report);
        let points = found
            .iter()
            .filter(|figure| figure.phase.as_deref() == Some("sweep 60 %"));
        let names: Vec<&str> = points.map(|figure| figure.name.as_str()).collect();
        assert_eq!(
            names,
            ["update rate", "update p50", "update p99", "update p99.9"]
        );
    }
}
