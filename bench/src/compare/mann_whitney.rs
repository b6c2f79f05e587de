//! The Mann-Whitney U test, exact: whether two small samples could well be of the same kind, without a word on how they
//! are distributed.

/// The most values of a sample that are looked at: beyond it, nobody runs more rounds, and the sums stay small.
const SAMPLE_MAX: usize = 50;

/// Whether samples of these sizes can be as different as that at all.
pub fn can_reach(significance: f64, one: usize, other: usize) -> bool {
    let (one, other) = (one.min(SAMPLE_MAX), other.min(SAMPLE_MAX));
    // Two of all ways to share the values out are the most different ones: all of one sample below, or all above.
    one > 0 && other > 0 && 2.0 / ways(one + other, one) <= significance
}

/// How often samples of the same kind would differ at least as much as these, in either direction.
pub fn p_value(one: &[f64], other: &[f64]) -> f64 {
    let (one, other) = (
        &one[..one.len().min(SAMPLE_MAX)],
        &other[..other.len().min(SAMPLE_MAX)],
    );
    let ranks = doubled_ranks(one, other);
    let observed: usize = ranks[..one.len()].iter().sum();
    let sums = ways_by_sum(&ranks, one.len());
    // The mean over all ways, times the size of the whole: whole numbers compare without rounding.
    let all = ranks.len();
    let mean = ranks.iter().sum::<usize>() * one.len();
    let distance = (observed * all).abs_diff(mean);
    let as_far = sums
        .iter()
        .enumerate()
        .filter(|(sum, _)| (sum * all).abs_diff(mean) >= distance);
    let p = as_far.map(|(_, ways)| ways).sum::<f64>() / sums.iter().sum::<f64>();
    if p.is_finite() { p.min(1.0) } else { 1.0 }
}

/// Twice the rank of each value among all, those of `one` first; equal values share the mean of their ranks.
fn doubled_ranks(one: &[f64], other: &[f64]) -> Vec<usize> {
    let all = || one.iter().chain(other);
    let rank = |value: &f64| {
        let below = all().filter(|than| *than < value).count();
        let equal = all().filter(|than| *than == value).count();
        2 * below + equal + 1
    };
    all().map(rank).collect()
}

/// At each sum: in how many ways `size` of the ranks add up to it.
fn ways_by_sum(ranks: &[usize], size: usize) -> Vec<f64> {
    let highest: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; highest + 1]; size + 1];
    ways[0][0] = 1.0;
    for rank in ranks {
        for taken in (1..=size).rev() {
            for sum in (*rank..=highest).rev() {
                ways[taken][sum] += ways[taken - 1][sum - rank];
            }
        }
    }
    ways.swap_remove(size)
}

/// How many ways there are to choose so many of so many.
fn ways(of: usize, chosen: usize) -> f64 {
    (0..chosen).fold(1.0, |ways, index| {
        ways * (of - index) as f64 / (index + 1) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(one: &[f64], other: &[f64], expected: f64) {
        for (one, other) in [(one, other), (other, one)] {
            let p = p_value(one, other);
            assert!(
                (p - expected).abs() < 1e-9,
                "{one:?} {other:?}: {p}, not {expected}"
            );
        }
    }

    #[test]
    fn samples_that_do_not_mix_are_as_different_as_their_size_allows() {
        assert_near(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 2.0 / 20.0);
        assert_near(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 2.0 / 70.0);
        assert_near(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0, 8.0], 2.0 / 56.0);
    }

    /// From `scipy.stats.mannwhitneyu(..., method="exact")`, and counted over all ways where there are ties.
    #[test]
    fn known_samples_have_their_known_values() {
        assert_near(&[1.1, 2.2, 5.5, 3.3], &[4.4, 6.6, 7.7, 8.8], 4.0 / 70.0);
        assert_near(
            &[19.0, 22.0, 16.0, 29.0, 24.0],
            &[20.0, 11.0, 17.0, 12.0],
            14.0 / 126.0,
        );
        assert_near(&[1.0, 1.0, 2.0], &[1.0, 2.0, 2.0], 1.0);
        assert_near(&[7.0, 7.0, 7.0, 7.0], &[7.0, 7.0, 7.0, 7.0], 1.0);
    }

    #[test]
    fn few_rounds_cannot_decide() {
        let reachable: Vec<bool> = [(1, 30), (2, 7), (2, 8), (3, 3), (3, 4), (3, 5), (4, 4)]
            .map(|(one, other)| can_reach(0.05, one, other))
            .into();
        assert_eq!(reachable, [false, false, true, false, false, true, true]);
        assert!(!can_reach(0.05, 0, 5));
    }

    #[test]
    fn many_rounds_are_no_burden() {
        let low: Vec<f64> = (0..200).map(f64::from).collect();
        let high: Vec<f64> = (500..700).map(f64::from).collect();
        assert!(p_value(&low, &high) < 1e-20);
        assert!(p_value(&[], &high) >= 1.0);
    }
}
