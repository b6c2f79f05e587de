//! What happened between two pages: rates of counters, and percentiles of what histograms counted meanwhile.

use super::page::{Filter, Page, Sample};

/// Two pages of the same server, and the time between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'p> {
    pub before: &'p Page,
    pub after: &'p Page,
    pub seconds: f64,
}

/// A percentile, as well as buckets tell it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Percentile {
    /// About so much.
    About(f64),
    /// More than the last bound.
    Above(f64),
}

impl Change<'_> {
    /// How much a counter grew per second, over all its samples that are wanted; none if there is none.
    pub(super) fn rate(&self, name: &str, wanted: Filter) -> Option<f64> {
        self.growth(name, wanted)
            .map(|growth| growth / self.seconds)
    }

    /// Below which value lies the share `quantile` of what was counted between the pages; none if nothing was.
    pub(super) fn percentile(
        &self,
        quantile: f64,
        histogram: &str,
        wanted: Filter,
    ) -> Option<Percentile> {
        let name = format!("{histogram}_bucket");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.after.samples(&name, wanted) {
            let bound: f64 = sample.label("le").parse().ok()?;
            let growth = self.growth_of(&name, sample);
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += growth,
                None => buckets.push((bound, growth)),
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        percentile(quantile, &buckets)
    }

    fn growth(&self, name: &str, wanted: Filter) -> Option<f64> {
        let samples = self.after.samples(name, wanted);
        let growths = samples.map(|sample| self.growth_of(name, sample));
        growths.reduce(|sum, growth| sum + growth)
    }

    /// A counter that was not there was at zero, and one that fell began again.
    fn growth_of(&self, name: &str, after: &Sample) -> f64 {
        let mut alike = self.before.samples(name, &[]);
        let before = alike.find(|before| before.labels == after.labels);
        let before = before.map_or(0.0, |before| before.value);
        match after.value >= before {
            true => after.value - before,
            false => after.value,
        }
    }
}

/// Of bounds, each with how many values are not above it. Within a bucket values are taken to be spread evenly.
fn percentile(quantile: f64, buckets: &[(f64, f64)]) -> Option<Percentile> {
    let total = buckets.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    if total <= 0.0 {
        return None;
    }
    let wanted = quantile * total;
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        // A restart between the pages can leave a bucket with less than the one before it.
        if *count >= wanted && *count > below {
            return Some(match bound.is_finite() {
                true => Percentile::About(
                    lower + (bound - lower) * ((wanted - below) / (count - below)),
                ),
                false => Percentile::Above(lower),
            });
        }
        if bound.is_finite() {
            lower = *bound;
        }
        below = below.max(*count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, look: impl Fn(Change)) {
        let (before, after) = (Page::parse(before).unwrap(), Page::parse(after).unwrap());
        look(Change {
            before: &before,
            after: &after,
            seconds: 2.0,
        });
    }

    #[test]
    fn a_rate_is_what_was_added_per_second_over_all_labels() {
        check(
            "a{x=\"1\"} 10\n",
            "a{x=\"1\"} 30\na{x=\"2\"} 4\n",
            |change| {
                assert_eq!(Some(12.0), change.rate("a", &[]));
                assert_eq!(Some(10.0), change.rate("a", &[("x", "1")]));
                assert_eq!(None, change.rate("b", &[]));
            },
        );
    }

    #[test]
    fn a_counter_that_fell_began_again() {
        check("a 1000\nb 7\n", "a 6\nb 7\n", |change| {
            assert_eq!(Some(3.0), change.rate("a", &[]));
            assert_eq!(Some(0.0), change.rate("b", &[]));
        });
    }

    /// A histogram with the bounds 1, 2 and 4, of which so many values are not above each.
    fn histogram(counts: [u64; 4]) -> String {
        let bounds = ["1.0", "2.0", "4.0", "+Inf"].into_iter().zip(counts);
        let lines = bounds.map(|(bound, count)| format!("h_bucket{{le=\"{bound}\"}} {count}\n"));
        lines.collect()
    }

    #[track_caller]
    fn check_percentile(
        before: [u64; 4],
        after: [u64; 4],
        quantile: f64,
        expected: Option<Percentile>,
    ) {
        check(&histogram(before), &histogram(after), |change| {
            assert_eq!(expected, change.percentile(quantile, "h", &[]));
        });
    }

    #[test]
    fn a_percentile_is_of_what_came_between_the_pages() {
        let about = |value| Some(Percentile::About(value));
        check_percentile([9, 9, 9, 9], [9, 19, 19, 19], 0.5, about(1.5));
        check_percentile([0, 0, 0, 0], [4, 4, 8, 8], 0.5, about(1.0));
        check_percentile([0, 0, 0, 0], [4, 4, 8, 8], 0.75, about(3.0));
        check_percentile([0, 0, 0, 0], [1, 1, 1, 1], 0.99, about(0.99));
        check_percentile([5, 5, 5, 5], [5, 5, 5, 5], 0.5, None);
    }

    #[test]
    fn beyond_the_last_bound_nothing_is_known() {
        check_percentile(
            [0, 0, 0, 0],
            [1, 1, 1, 2],
            0.99,
            Some(Percentile::Above(4.0)),
        );
    }

    #[test]
    fn after_a_restart_a_percentile_is_of_the_new_counts() {
        check_percentile(
            [90, 90, 90, 90],
            [0, 2, 2, 2],
            0.5,
            Some(Percentile::About(1.5)),
        );
        // Old and new counts mixed: not exact, and not absurd.
        check_percentile(
            [5, 5, 5, 5],
            [3, 10, 10, 10],
            0.99,
            Some(Percentile::About(1.975)),
        );
    }

    #[test]
    fn buckets_of_all_labels_are_added_up() {
        let before = "h_bucket{x=\"1\",le=\"1.0\"} 0\n";
        let after = "h_bucket{x=\"1\",le=\"1.0\"} 1\nh_bucket{x=\"1\",le=\"+Inf\"} 1\n\
                     h_bucket{x=\"2\",le=\"1.0\"} 0\nh_bucket{x=\"2\",le=\"+Inf\"} 1\n";
        check(before, after, |change| {
            assert_eq!(
                Some(Percentile::About(1.0)),
                change.percentile(0.5, "h", &[])
            );
            let second = change.percentile(0.5, "h", &[("x", "2")]);
            assert_eq!(Some(Percentile::Above(1.0)), second);
        });
    }
}
