//! What one thread saw in one phase: times and outcomes, in all and second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::{Kind as KindReport, Latency, Second};

/// The longest time that is told apart, in microseconds: an hour, since stores that fall behind do so for minutes.
const LONGEST_US: u64 = 3_600_000_000;
/// Significant digits, in all.
const DIGITS: u8 = 3;
/// Significant digits, of a second: there are many of them.
const DIGITS_OF_A_SECOND: u8 = 2;
/// A phase is not longer.
const SECONDS_MAX: usize = 24 * 3600;
/// Points of a plot for each halving of the distance to 1.
const TICKS_PER_HALF: u32 = 5;

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A single update, retries included.
    Update,
    /// One product.
    Read,
    /// A batch.
    Batch,
    /// An update sent again after its answer.
    Replay,
    /// From an event's taking effect to a follower.
    Delivery,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An update took effect.
    Applied,
    /// An update met another version.
    Conflict,
    /// An update was refused for another reason.
    Refused,
    /// An update met another version each time, and was given up.
    GivenUp,
    /// A repeat got the first answer.
    Replayed,
    /// 429
    Throttled,
    /// 503
    Overloaded,
    /// No answer, or one that makes no sense.
    Error,
    /// An event reached a follower.
    Delivered,
    /// A product was read.
    Found,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Update, "update"),
    (Kind::Read, "read"),
    (Kind::Batch, "batch"),
    (Kind::Replay, "replay"),
    (Kind::Delivery, "delivery"),
];

const OUTCOMES: [(Outcome, &str); 10] = [
    (Outcome::Applied, "applied"),
    (Outcome::Conflict, "conflicts"),
    (Outcome::Refused, "refused"),
    (Outcome::GivenUp, "given_up"),
    (Outcome::Replayed, "replayed"),
    (Outcome::Throttled, "throttled"),
    (Outcome::Overloaded, "overloaded"),
    (Outcome::Error, "errors"),
    (Outcome::Delivered, "delivered"),
    (Outcome::Found, "found"),
];

/// Times and outcomes.
#[derive(Clone, Debug)]
pub struct Recorder {
    kinds: [Histogram<u64>; KINDS.len()],
    outcomes: [u64; OUTCOMES.len()],
    seconds: Vec<Slice>,
}

#[derive(Clone, Debug)]
struct Slice {
    times: [Option<Box<Histogram<u64>>>; KINDS.len()],
    outcomes: [u64; OUTCOMES.len()],
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, digits).expect("the bounds are sound")
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            kinds: std::array::from_fn(|_| histogram(DIGITS)),
            outcomes: [0; OUTCOMES.len()],
            seconds: Vec::new(),
        }
    }
}

impl Slice {
    fn empty() -> Slice {
        Slice {
            times: [const { None }; KINDS.len()],
            outcomes: [0; OUTCOMES.len()],
        }
    }

    fn times_of(&mut self, kind: usize) -> &mut Histogram<u64> {
        self.times[kind].get_or_insert_with(|| Box::new(histogram(DIGITS_OF_A_SECOND)))
    }
}

impl Recorder {
    /// Something of `kind` took `time` and ended at `at`, from the beginning of the phase.
    pub fn time(&mut self, kind: Kind, at: Duration, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).max(1);
        self.kinds[kind as usize].saturating_record(time);
        self.slice(at)
            .times_of(kind as usize)
            .saturating_record(time);
    }

    /// So many ended in that way at `at`.
    pub fn count(&mut self, outcome: Outcome, at: Duration, count: u64) {
        self.outcomes[outcome as usize] += count;
        self.slice(at).outcomes[outcome as usize] += count;
    }

    fn slice(&mut self, at: Duration) -> &mut Slice {
        let second = (at.as_secs() as usize).min(SECONDS_MAX);
        while self.seconds.len() <= second {
            self.seconds.push(Slice::empty());
        }
        &mut self.seconds[second]
    }

    /// Takes in what another thread saw in the same phase.
    pub fn add(&mut self, other: &Recorder) {
        for (mine, theirs) in self.kinds.iter_mut().zip(&other.kinds) {
            mine.add(theirs).expect("the bounds are the same");
        }
        for (mine, theirs) in self.outcomes.iter_mut().zip(&other.outcomes) {
            *mine += theirs;
        }
        for (second, theirs) in other.seconds.iter().enumerate() {
            let mine = self.slice(Duration::from_secs(second as u64));
            for (mine, theirs) in mine.outcomes.iter_mut().zip(&theirs.outcomes) {
                *mine += theirs;
            }
            for (kind, times) in theirs.times.iter().enumerate() {
                if let Some(times) = times {
                    let mine = mine.times_of(kind);
                    mine.add(&**times).expect("the bounds are the same");
                }
            }
        }
    }

    /// How many ended in that way.
    pub fn counted(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many operations there were, of all kinds that a store asks for.
    pub fn operations(&self) -> u64 {
        let asked = KINDS.iter().filter(|(kind, _)| *kind != Kind::Delivery);
        asked
            .map(|(kind, _)| self.kinds[*kind as usize].len())
            .sum()
    }

    /// The kinds that there were, by name.
    pub fn kinds(&self) -> BTreeMap<String, KindReport> {
        let all = KINDS
            .iter()
            .map(|(kind, name)| (name, &self.kinds[*kind as usize]));
        let seen = all.filter(|(_, times)| !times.is_empty());
        seen.map(|(name, times)| {
            let latency = latency(times);
            let count = times.len();
            ((*name).to_owned(), KindReport { count, latency })
        })
        .collect()
    }

    /// The outcomes that there were, by name.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let all = OUTCOMES
            .iter()
            .map(|(outcome, name)| (name, self.counted(*outcome)));
        let seen = all.filter(|(_, count)| *count > 0);
        seen.map(|(name, count)| ((*name).to_owned(), count))
            .collect()
    }

    /// Second by second.
    pub fn series(&self) -> Vec<Second> {
        self.seconds.iter().enumerate().map(second).collect()
    }

    /// The times of each second and kind, for a log.
    pub fn intervals(&self) -> impl Iterator<Item = (usize, &'static str, &Histogram<u64>)> {
        self.seconds.iter().enumerate().flat_map(|(second, slice)| {
            let times = slice.times.iter().zip(KINDS);
            times.filter_map(move |(times, (_, name))| Some((second, name, &**times.as_ref()?)))
        })
    }

    /// p99 of all that a store asks for, in microseconds.
    pub fn p99_us(&self) -> u64 {
        let mut all = histogram(DIGITS);
        for (kind, _) in KINDS.iter().filter(|(kind, _)| *kind != Kind::Delivery) {
            all.add(&self.kinds[*kind as usize])
                .expect("the bounds are the same");
        }
        all.value_at_quantile(0.99)
    }
}

fn second((number, slice): (usize, &Slice)) -> Second {
    let mut all = histogram(DIGITS_OF_A_SECOND);
    for (kind, _) in KINDS.iter().filter(|(kind, _)| *kind != Kind::Delivery) {
        if let Some(times) = &slice.times[*kind as usize] {
            all.add(&**times).expect("the bounds are the same");
        }
    }
    let of = |outcome: Outcome| slice.outcomes[outcome as usize];
    Second {
        at: number as f64,
        operations: all.len(),
        applied: of(Outcome::Applied),
        conflicts: of(Outcome::Conflict),
        failures: of(Outcome::Throttled) + of(Outcome::Overloaded) + of(Outcome::Error),
        p50_us: all.value_at_quantile(0.5),
        p99_us: all.value_at_quantile(0.99),
        max_us: all.max(),
    }
}

/// A distribution in figures.
pub fn latency(times: &Histogram<u64>) -> Latency {
    let at = |quantile| times.value_at_quantile(quantile);
    let quantiles = times.iter_quantiles(TICKS_PER_HALF);
    Latency {
        mean_us: times.mean(),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: times.max(),
        quantiles: quantiles
            .map(|it| (it.quantile_iterated_to(), it.value_iterated_to()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_saw_adds_up_in_all_and_by_second() {
        let ms = Duration::from_millis;
        let mut one = Recorder::default();
        one.time(Kind::Update, ms(100), ms(2));
        one.count(Outcome::Applied, ms(100), 1);
        let mut other = Recorder::default();
        other.time(Kind::Read, ms(1500), ms(8));
        other.time(Kind::Delivery, ms(1500), ms(900));
        other.count(Outcome::Error, ms(1500), 2);
        one.add(&other);
        assert_eq!(2, one.operations());
        assert_eq!(3, one.kinds().len());
        assert_eq!(Some(&2), one.outcomes().get("errors"));
        let series = one.series();
        assert_eq!(2, series.len());
        assert_eq!(
            (1, 1, 0),
            (series[0].operations, series[0].applied, series[0].failures)
        );
        assert_eq!(
            (1, 0, 2),
            (series[1].operations, series[1].applied, series[1].failures)
        );
        assert!(
            (7_900..=8_100).contains(&series[1].max_us),
            "the delivery is no operation"
        );
        assert!((7_900..=8_100).contains(&one.p99_us()));
        assert_eq!(3, one.intervals().count());
    }
}
