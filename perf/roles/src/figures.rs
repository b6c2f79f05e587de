//! Rounds, and what they say together: medians with their spread.

use std::time::Duration;

use serde_json::{Value, json};

/// What one round came to.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Changes, or requests where nothing changes.
    pub count: usize,
    /// From the first message to the last answer.
    pub elapsed: Duration,
    /// CPU time of the role's thread meanwhile.
    pub cpu: Duration,
    /// Of that thread: ready to run, and kept waiting for its CPU by others.
    pub waited: Duration,
    /// Groups that were written; 0 for a shard.
    pub groups: u64,
}

impl Round {
    fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count as f64
    }

    fn group_events(&self) -> f64 {
        self.count as f64 / self.groups.max(1) as f64
    }
}

/// Lowest, middle, highest.
pub fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = match (values.len(), values.len() / 2) {
        (0, _) => return [0.0; 3],
        (count, half) if count % 2 == 0 => (values[half - 1] + values[half]) / 2.0,
        (_, half) => values[half],
    };
    [values[0], middle, values[values.len() - 1]]
}

/// As JSON.
pub fn figures(rounds: &[Round]) -> Value {
    let of = |[low, middle, high]: [f64; 3]| json!({"min": low, "median": middle, "max": high});
    let mut figures = json!({
        "perSecond": of(spread(rounds.iter().map(Round::per_second))),
        "cpuUs": of(spread(rounds.iter().map(Round::cpu_us))),
        "samples": rounds.iter().map(|round| json!({
            "seconds": round.elapsed.as_secs_f64(),
            "cpuSeconds": round.cpu.as_secs_f64(),
            "waitedSeconds": round.waited.as_secs_f64(),
        })).collect::<Vec<_>>(),
    });
    if rounds.iter().any(|round| round.groups > 0) {
        figures["eventsPerGroup"] = of(spread(rounds.iter().map(Round::group_events)));
    }
    figures
}

/// For a person.
pub fn sentence(rounds: &[Round]) -> String {
    let [low, middle, high] = spread(rounds.iter().map(Round::per_second));
    let [cpu_low, cpu, cpu_high] = spread(rounds.iter().map(Round::cpu_us));
    format!(
        "{:.0} k/s ({:.0}-{:.0}), {cpu:.3} us of CPU each ({cpu_low:.3}-{cpu_high:.3}): {:.0} k/s of a core",
        middle / 1e3,
        low / 1e3,
        high / 1e3,
        1e3 / cpu,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_of_an_even_number_too() {
        assert_eq!([1.0, 2.0, 9.0], spread([9.0, 1.0, 2.0].into_iter()));
        assert_eq!([1.0, 2.5, 4.0], spread([4.0, 1.0, 3.0, 2.0].into_iter()));
        assert_eq!([0.0; 3], spread([].into_iter()));
    }

    #[test]
    fn a_round_says_what_a_core_could_do() {
        let round = Round {
            count: 1_000,
            elapsed: Duration::from_millis(2),
            cpu: Duration::from_millis(1),
            waited: Duration::ZERO,
            groups: 4,
        };
        let figures = figures(&[round]);
        assert_eq!(500_000.0, figures["perSecond"]["median"]);
        assert_eq!(1.0, figures["cpuUs"]["median"]);
        assert_eq!(250.0, figures["eventsPerGroup"]["max"]);
        assert!(sentence(&[round]).contains("1000 k/s of a core"));
    }
}
