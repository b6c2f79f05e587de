//! What is reckoned from a report before it is shown: rates, medians over rounds, what an operation costs the server.
//! Nothing here fails on a report without rounds, without operations or of no length: such a figure is not there.

use super::{Kind, Pacing, Phase, Report};

/// The kinds of operations in the order in which they are shown. Others come after these.
const KINDS: [&str; 5] = ["update", "read", "batch", "replay", "delivery"];

/// The kind that is no request: an event that reached a follower.
const DELIVERY: &str = "delivery";

/// The outcomes in the order in which they are shown. Others come after these.
const OUTCOMES: [&str; 10] = [
    "applied",
    "conflicts",
    "given_up",
    "refused",
    "replayed",
    "found",
    "throttled",
    "overloaded",
    "errors",
    "delivered",
];

/// The share of its offered rate that a phase must reach to have kept up with its schedule.
pub const KEPT_UP: f64 = 0.95;

/// The number in the middle; the mean of the two in the middle of an even count. None of none; what is no finite
/// number does not count.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values = sorted(values);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(values[middle - 1].midpoint(values[middle])),
    }
}

/// The finite ones among `values`, ascending.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values
        .into_iter()
        .filter(|value| value.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

/// `amount` a second over `seconds`; none of a time that is none.
pub fn per_second(amount: f64, seconds: f64) -> Option<f64> {
    let rate = amount / seconds;
    (seconds > 0.0 && rate.is_finite()).then_some(rate)
}

/// The names of the phases, each once, in the order of their first appearance.
pub fn phase_names(report: &Report) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for phase in &report.phases {
        if !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    names
}

/// The rounds of a phase.
pub fn rounds<'a>(report: &'a Report, name: &str) -> Vec<&'a Phase> {
    let phases = report.phases.iter();
    phases.filter(|phase| phase.name == name).collect()
}

/// The kinds of operations that any of these phases saw, in the order in which they are shown.
pub fn kind_names<'a>(phases: &[&'a Phase]) -> Vec<&'a str> {
    let seen = phases.iter().flat_map(|phase| &phase.kinds);
    in_order(
        seen.filter(|(_, kind)| kind.count > 0)
            .map(|(name, _)| name.as_str()),
        &KINDS,
    )
}

/// The outcomes that are not zero, summed over these phases, in the order in which they are shown.
pub fn outcomes<'a>(phases: &[&'a Phase]) -> Vec<(&'a str, u64)> {
    let seen = phases.iter().flat_map(|phase| &phase.outcomes);
    let names = in_order(seen.map(|(name, _)| name.as_str()), &OUTCOMES);
    let sum = |name: &str| {
        let counts = phases.iter().filter_map(|phase| phase.outcomes.get(name));
        counts.fold(0_u64, |sum, count| sum.saturating_add(*count))
    };
    let counted = names.into_iter().map(|name| (name, sum(name)));
    counted.filter(|(_, count)| *count > 0).collect()
}

/// Each of `seen` once: those in `order` first, the others after them as they came.
fn in_order<'a>(seen: impl Iterator<Item = &'a str>, order: &[&str]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in seen {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let place = |name: &&str| order.iter().position(|known| known == name);
    names.sort_by_key(|name| place(name).unwrap_or(order.len()));
    names
}

/// Requests that were answered: operations of all kinds but deliveries. A batch is one.
pub fn requests(phase: &Phase) -> u64 {
    let kinds = phase.kinds.iter().filter(|(name, _)| *name != DELIVERY);
    kinds.fold(0, |sum, (_, kind)| sum.saturating_add(kind.count))
}

/// Requests answered a second.
pub fn request_rate(phase: &Phase) -> Option<f64> {
    per_second(requests(phase) as f64, phase.seconds)
}

/// The rate of a phase's schedule; none where it had none.
pub fn offered(phase: &Phase) -> Option<f64> {
    match phase.pacing {
        Pacing::Open { rate } if rate > 0.0 && rate.is_finite() => Some(rate),
        _ => None,
    }
}

/// Whether a phase with a schedule kept up with it; none if it had none, or if nobody can know.
pub fn kept_up(phase: &Phase) -> Option<bool> {
    Some(request_rate(phase)? >= KEPT_UP * offered(phase)?)
}

/// The kind of which there were most requests: the one whose latency stands for the phase.
pub fn main_kind(phase: &Phase) -> Option<(&str, &Kind)> {
    let kinds = phase
        .kinds
        .iter()
        .filter(|(name, kind)| *name != DELIVERY && kind.count > 0);
    let most = kinds.max_by_key(|(_, kind)| kind.count)?;
    Some((most.0.as_str(), most.1))
}

/// CPU time of the server for each request, in microseconds.
pub fn server_cpu_us(phase: &Phase) -> Option<f64> {
    let seconds = phase.server.cpu_seconds?;
    per_second(seconds * 1e6, requests(phase) as f64)
}

/// A figure over the rounds of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Its median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many rounds had it.
    pub rounds: usize,
}

impl Spread {
    /// Of these values; none if none of them is a finite number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let values = sorted(values);
        Some(Spread {
            median: median(values.iter().copied())?,
            min: *values.first()?,
            max: *values.last()?,
            rounds: values.len(),
        })
    }

    /// The median, with the smallest and the largest behind it where there were several rounds.
    pub fn say(&self, unit: impl Fn(f64) -> String) -> String {
        let median = unit(self.median);
        match self.rounds {
            1 => median,
            rounds => format!(
                "{median} (median of {rounds} rounds, {} to {})",
                unit(self.min),
                unit(self.max)
            ),
        }
    }
}

/// Durable updates a second at saturation.
pub fn updates_per_second(report: &Report) -> Option<Spread> {
    Spread::of(report.headline.iter().map(|round| round.updates_per_second))
}

/// p99 at half of that, in microseconds.
pub fn p99_at_half_us(report: &Report) -> Option<Spread> {
    Spread::of(
        report
            .headline
            .iter()
            .map(|round| round.p99_at_half_us as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::NAN, 7.0, f64::INFINITY]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_rate_over_no_time_is_not_known() {
        assert_eq!(per_second(10.0, 2.0), Some(5.0));
        for seconds in [0.0, -1.0, f64::NAN] {
            assert_eq!(per_second(10.0, seconds), None);
        }
        assert_eq!(per_second(f64::NAN, 1.0), None);
    }

    #[test]
    fn kinds_and_outcomes_come_in_a_fixed_order() {
        let report = sample::report();
        let phases = rounds(&report, "saturation");
        assert_eq!(
            kind_names(&phases),
            ["update", "read", "batch", "replay", "delivery"]
        );
        let outcomes: Vec<&str> = outcomes(&phases).iter().map(|(name, _)| *name).collect();
        assert_eq!(
            outcomes,
            [
                "applied",
                "conflicts",
                "refused",
                "replayed",
                "overloaded",
                "delivered"
            ]
        );
    }

    #[test]
    fn an_unknown_kind_comes_last() {
        let mut report = sample::report();
        let phase = &mut report.phases[0];
        phase
            .kinds
            .insert("admin".into(), phase.kinds["read"].clone());
        assert_eq!(kind_names(&[phase]).last(), Some(&"admin"));
    }

    #[test]
    fn deliveries_are_no_requests() {
        let mut phase = sample::report().phases.remove(0);
        let before = requests(&phase);
        phase
            .kinds
            .get_mut("delivery")
            .expect("it is in the sample")
            .count += 1_000_000;
        assert_eq!(requests(&phase), before);
        assert_eq!(main_kind(&phase).map(|(name, _)| name), Some("update"));
    }

    #[test]
    fn the_cost_of_a_request_is_known_only_with_requests() {
        let mut phase = sample::report().phases.remove(0);
        phase.server.cpu_seconds = Some(2.0);
        let expected = 2e6 / requests(&phase) as f64;
        assert_eq!(server_cpu_us(&phase), Some(expected));
        phase.kinds.clear();
        assert_eq!(server_cpu_us(&phase), None);
    }

    #[test]
    fn a_spread_of_one_round_is_its_figure() {
        let say = |values: &[f64]| {
            Spread::of(values.iter().copied()).map(|spread| spread.say(super::super::text::rate))
        };
        assert_eq!(say(&[5.0]).as_deref(), Some("5/s"));
        assert_eq!(
            say(&[5.0, 7.0, 6.0]).as_deref(),
            Some("6/s (median of 3 rounds, 5/s to 7/s)")
        );
        assert_eq!(say(&[]), None);
    }
}
