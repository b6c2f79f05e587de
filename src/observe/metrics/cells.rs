//! The numbers that data cores keep: plain counters with one writer each, so that counting is a load and a store in a
//! cache line that nobody else writes. Whoever reads them from another thread sees a value that was true a moment ago.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer: a count that grows, or a level that is set. Two writers would lose counts.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn decrement(&self) {
        self.set(self.get().wrapping_sub(1));
    }

    /// Replaces the number.
    pub fn set(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// The number as it stood a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of a histogram's buckets, in the whole units that are observed, and how many of these make one of
/// those that are exposed.
#[derive(Debug)]
pub struct Buckets {
    bounds: &'static [u64],
    per_exposed: f64,
}

/// Observed in nanoseconds, exposed in seconds, from 10 us to 10 s.
pub static DURATIONS: Buckets = Buckets {
    bounds: &[
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    per_exposed: 1e9,
};

/// In bytes, up to more than a body may have.
pub static SIZES: Buckets = Buckets {
    bounds: &[
        64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304,
    ],
    per_exposed: 1.0,
};

/// In events of a group.
pub static GROUPS: Buckets = Buckets {
    bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
    per_exposed: 1.0,
};

/// How often values came, by size. One writer, like [`Cell`].
#[derive(Debug)]
pub struct Histogram {
    buckets: &'static Buckets,
    /// One per bound, and one for what is above the last.
    counts: Box<[Cell]>,
    sum: Cell,
}

impl Histogram {
    /// Of nothing yet.
    pub fn new(buckets: &'static Buckets) -> Histogram {
        Histogram {
            buckets,
            counts: (0..=buckets.bounds.len())
                .map(|_| Cell::default())
                .collect(),
            sum: Cell::default(),
        }
    }

    /// Counts `value`.
    pub fn observe(&self, value: u64) {
        let bounds = self.buckets.bounds;
        self.counts[bounds.partition_point(|bound| *bound < value)].increment();
        self.sum.add(value);
    }

    /// Counts a duration, in a histogram over [`DURATIONS`].
    pub fn observe_duration(&self, duration: std::time::Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many values came.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Cell::get).sum()
    }

    /// What was counted.
    pub fn read(&self) -> Distribution {
        let bounds = self.buckets.bounds.iter();
        let bounds = bounds.map(|bound| *bound as f64 / self.buckets.per_exposed);
        let counts = self.counts.iter().map(Cell::get);
        Distribution {
            sum: self.sum.get() as f64 / self.buckets.per_exposed,
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
        }
    }
}

/// The state of a [`Histogram`], in the units that are exposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// All values together.
    pub sum: f64,
    /// Each upper bound, the last infinite, and how many values lie between it and the one before.
    pub buckets: Vec<(f64, u64)>,
}

impl Distribution {
    /// How many values came.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Adds what another writer counted of the same thing.
    pub fn add(&mut self, other: &Distribution) {
        if self.buckets.is_empty() {
            *self = other.clone();
            return;
        }
        self.sum += other.sum;
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&GROUPS);
        for value in [1, 2, 3, 4096, 4097] {
            histogram.observe(value);
        }
        let read = histogram.read();
        let counts: Vec<u64> = read.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(vec![1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], counts);
        assert_eq!((5, 8199.0), (read.count(), read.sum));
    }

    #[test]
    fn durations_are_exposed_in_seconds() {
        let histogram = Histogram::new(&DURATIONS);
        histogram.observe_duration(Duration::from_micros(10));
        histogram.observe_duration(Duration::from_secs(11));
        let read = histogram.read();
        assert_eq!(Some(&(1e-5, 1)), read.buckets.first());
        assert_eq!(Some(&(f64::INFINITY, 1)), read.buckets.last());
        assert!((read.sum - 11.00001).abs() < 1e-9);
    }

    #[test]
    fn what_two_writers_counted_is_added_up() {
        let (one, other) = (Histogram::new(&GROUPS), Histogram::new(&GROUPS));
        one.observe(2);
        other.observe(2);
        other.observe(5000);
        let mut both = Distribution::default();
        both.add(&one.read());
        both.add(&other.read());
        assert_eq!((3, 5004.0), (both.count(), both.sum));
    }
}
