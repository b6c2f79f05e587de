//! When operations are due. Pure: time comes in as an argument.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand_distr::{Distribution, Exp1};

/// How far apart operations are that come at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// As from many stores that know nothing of each other.
    Poisson,
    /// All equally far.
    Even,
}

/// The operations of one thread in one phase.
#[derive(Clone, Debug)]
pub struct Schedule {
    pacing: Pacing,
    length: Duration,
}

#[derive(Clone, Debug)]
enum Pacing {
    Closed,
    Open {
        mean: Duration,
        arrivals: Arrivals,
        next: Duration,
    },
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An operation, as soon as it can.
    Now,
    /// An operation that is due then, from the beginning of the phase; it may be in the past.
    At(Duration),
    /// Nothing any more.
    Over,
}

impl Schedule {
    /// One operation after the other, for `length`.
    pub fn closed(length: Duration) -> Schedule {
        Schedule {
            pacing: Pacing::Closed,
            length,
        }
    }

    /// `rate` operations a second, above 0, for `length`.
    pub fn open(rate: f64, arrivals: Arrivals, length: Duration) -> Schedule {
        let pacing = Pacing::Open {
            mean: Duration::from_secs_f64(1.0 / rate),
            arrivals,
            next: Duration::ZERO,
        };
        Schedule { pacing, length }
    }

    /// What a connection that is free at `now`, from the beginning of the phase, does next.
    pub fn next(&mut self, now: Duration, random: &mut SmallRng) -> Next {
        match &mut self.pacing {
            Pacing::Closed if now < self.length => Next::Now,
            Pacing::Open {
                mean,
                arrivals,
                next,
            } if *next < self.length => {
                let due = *next;
                let gap: f64 = match arrivals {
                    Arrivals::Poisson => Exp1.sample(random),
                    Arrivals::Even => 1.0,
                };
                *next += mean.mul_f64(gap);
                Next::At(due)
            }
            _ => Next::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn count(mut schedule: Schedule) -> (usize, Duration) {
        let mut random = SmallRng::seed_from_u64(3);
        let mut last = Duration::ZERO;
        for count in 0.. {
            // Nobody is ever late enough to lose an operation.
            match schedule.next(Duration::from_secs(1000), &mut random) {
                Next::At(due) => {
                    assert!(due >= last);
                    last = due;
                }
                _ => return (count, last),
            }
        }
        unreachable!()
    }

    #[test]
    fn what_is_due_stays_due_however_late_the_connections_are() {
        assert_eq!(
            (1000, Duration::from_millis(999)),
            count(Schedule::open(1000.0, Arrivals::Even, SECOND))
        );
        let (poisson, last) = count(Schedule::open(10_000.0, Arrivals::Poisson, SECOND));
        assert!(
            (9_600..10_400).contains(&poisson) && last < SECOND,
            "{poisson}"
        );
    }

    #[test]
    fn a_closed_loop_ends_by_the_clock() {
        let mut random = SmallRng::seed_from_u64(3);
        let mut schedule = Schedule::closed(SECOND);
        assert_eq!(Next::Now, schedule.next(SECOND / 2, &mut random));
        assert_eq!(Next::Over, schedule.next(SECOND, &mut random));
    }
}
