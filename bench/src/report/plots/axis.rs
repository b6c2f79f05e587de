//! Axes: a figure's place on an axis, and the marks with their labels. Logarithms are taken here and the chart itself is
//! linear, so that no figure, not even 0, has no place.

use std::ops::Range;

use super::super::text;

/// How a figure becomes a place on an axis, and a place a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Seconds of a run.
    Seconds,
    /// Numbers, from 0.
    Count,
    /// Numbers a second, from 0.
    Rate,
    /// Numbers a second, logarithmic, with a place for 0: few and many are both seen.
    WideRate,
    /// Memory, from 0.
    Bytes,
    /// Times in microseconds, logarithmic.
    Latency,
    /// A quantile, logarithmic towards 1: 0, 90 %, 99 %, 99.9 % are at equal distances.
    Quantile,
}

/// The most decades of an axis: microseconds to eleven days, or up to twelve nines.
const DECADES_MAX: f64 = 12.0;

impl Scale {
    /// The place of a figure; none of one that is no number.
    pub fn place(self, value: f64) -> Option<f64> {
        let place = match self {
            Scale::Latency => value.max(1.0).log10().min(DECADES_MAX),
            Scale::Quantile => -(1.0 - value.clamp(0.0, 1.0))
                .max(10_f64.powf(-DECADES_MAX))
                .log10(),
            Scale::WideRate => (1.0 + value.max(0.0)).log10().min(DECADES_MAX),
            Scale::Seconds | Scale::Count | Scale::Rate | Scale::Bytes => value,
        };
        (place.is_finite() && value.is_finite()).then_some(place)
    }

    /// The axis that holds these places, with its marks.
    pub fn axis(self, places: impl IntoIterator<Item = f64>) -> Axis {
        let (low, high) = places
            .into_iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
                (low.min(place), high.max(place))
            });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let (range, marks) = match self {
            Scale::Latency => decades(low, high),
            Scale::Quantile => nines(high),
            Scale::Seconds => (0.0..longer(0.0, high), steps(0.0, high, 10.0)),
            Scale::Count | Scale::Rate => from_zero(low, high),
            Scale::WideRate => powers(high),
            Scale::Bytes => bytes_from_zero(low, high),
        };
        Axis {
            scale: self,
            range,
            marks,
        }
    }

    /// What is written at a place.
    pub fn label(self, place: f64) -> String {
        match self {
            Scale::Seconds => format!("{} s", text::count(place)),
            Scale::Count => short(&text::count(place)),
            Scale::Rate => short(&text::rate(place)),
            Scale::WideRate => short(&text::rate((10_f64.powf(place) - 1.0).round())),
            Scale::Bytes => short(&text::bytes(place)),
            Scale::Latency => round_time(10_f64.powf(place)),
            Scale::Quantile => text::percentile(1.0 - 10_f64.powf(-place)),
        }
    }
}

/// `20 k/s` for `20.0 k/s`: marks are round.
fn short(label: &str) -> String {
    label.replacen(".00 ", " ", 1).replacen(".0 ", " ", 1)
}

/// The time at a mark, which is 1, 2 or 5 of some unit: without decimals.
fn round_time(us: f64) -> String {
    match us {
        us if us < 999.0 => format!("{us:.0} us"),
        us if us < 999e3 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

/// The part of the numbers that an axis shows, and where its marks are.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// How places are labelled.
    pub scale: Scale,
    /// From, to; never empty.
    pub range: Range<f64>,
    /// Within the range, ascending.
    pub marks: Vec<f64>,
}

/// The places of an axis and its marks.
type Marked = (Range<f64>, Vec<f64>);

/// From a mark below to a mark above; marks at 1, 2, 5 of each decade where there are few, else at 1.
fn decades(low: f64, high: f64) -> Marked {
    let digits: &[f64] = if high - low <= 3.5 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let decade = |decade: u32| {
        digits
            .iter()
            .map(move |digit| f64::from(decade) + digit.log10())
    };
    let marks: Vec<f64> = (0..=DECADES_MAX as u32 + 1).flat_map(decade).collect();
    let first = marks
        .iter()
        .rposition(|mark| *mark <= low + 1e-9)
        .unwrap_or(0);
    let last = marks
        .iter()
        .position(|mark| *mark > high + 1e-9)
        .unwrap_or(marks.len() - 1);
    (marks[first]..marks[last], marks[first..=last].to_vec())
}

/// From 0 to the last nine, at least to 99.9 %.
fn nines(high: f64) -> Marked {
    let last = high.ceil().clamp(3.0, DECADES_MAX);
    let median = 2_f64.log10();
    let marks = [0.0, median]
        .into_iter()
        .chain((1..=last as u32).map(f64::from));
    (0.0..last, marks.collect())
}

/// 0, 10, 100, ... up to a mark above.
fn powers(high: f64) -> Marked {
    let place = |decade: u32| (1.0 + 10_f64.powf(f64::from(decade))).log10();
    let all: Vec<f64> = [0.0]
        .into_iter()
        .chain((0..=DECADES_MAX as u32).map(place))
        .collect();
    let last = all
        .iter()
        .position(|mark| *mark >= high && *mark > 0.5)
        .unwrap_or(all.len() - 1);
    // 1 stands so close to 0 that only one of the labels has room.
    let marks = all[..=last]
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != 1);
    (0.0..all[last], marks.map(|(_, mark)| *mark).collect())
}

/// From 0, or a mark below what is less, to a little above.
fn from_zero(low: f64, high: f64) -> Marked {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let high = longer(low, high + (high - low) * 0.06);
    let marks = steps(low, high, 5.0);
    let step = if marks.len() > 1 {
        marks[1] - marks[0]
    } else {
        1.0
    };
    let low = (low / step).floor() * step;
    (low..high, steps(low, high, 5.0))
}

/// The same with marks that are round in the unit that labels them.
fn bytes_from_zero(low: f64, high: f64) -> Marked {
    let units = [1_073_741_824.0, 1_048_576.0, 1_024.0];
    let unit = units.into_iter().find(|unit| high >= *unit).unwrap_or(1.0);
    let (range, marks) = from_zero(low / unit, high / unit);
    (
        range.start * unit..range.end * unit,
        marks.iter().map(|mark| mark * unit).collect(),
    )
}

/// `high`, or something above `low` if it is not.
fn longer(low: f64, high: f64) -> f64 {
    if high > low { high } else { low + 1.0 }
}

/// About `count` marks at multiples of 1, 2 or 5 times a power of ten.
fn steps(low: f64, high: f64, count: f64) -> Vec<f64> {
    let rough = (high - low) / count;
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![low];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough * 0.999);
    let step = factor.unwrap_or(10.0) * power;
    let first = (low / step).ceil();
    let marks = (0..64).map(|index| (first + f64::from(index)) * step);
    marks
        .take_while(|mark| *mark <= high + step * 1e-6)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let places = values.iter().filter_map(|value| scale.place(*value));
        scale
            .axis(places)
            .marks
            .iter()
            .map(|mark| scale.label(*mark))
            .collect()
    }

    #[test]
    fn latencies_have_marks_at_one_two_and_five() {
        let expected = ["200 us", "500 us", "1 ms", "2 ms", "5 ms", "10 ms"];
        assert_eq!(labels(Scale::Latency, &[260.0, 7_000.0]), expected);
    }

    #[test]
    fn many_decades_have_a_mark_each() {
        let expected = ["10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"];
        assert_eq!(labels(Scale::Latency, &[12.0, 4e6]), expected);
    }

    #[test]
    fn quantiles_have_a_mark_at_each_nine() {
        let expected = ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"];
        assert_eq!(labels(Scale::Quantile, &[0.2, 0.9995]), expected);
    }

    #[test]
    fn numbers_have_round_marks_from_zero() {
        assert_eq!(
            labels(Scale::Count, &[40.0, 93.0]),
            ["0", "20", "40", "60", "80"]
        );
        assert_eq!(
            labels(Scale::Rate, &[61_000.0]),
            ["0/s", "20 k/s", "40 k/s", "60 k/s"]
        );
        assert_eq!(
            labels(Scale::WideRate, &[0.0, 170.0]),
            ["0/s", "10/s", "100/s", "1000/s"]
        );
        assert_eq!(labels(Scale::Seconds, &[20.0]).len(), 11);
        assert_eq!(
            labels(Scale::Seconds, &[2.0])[..4],
            ["0 s", "0.2 s", "0.4 s", "0.6 s"]
        );
        assert_eq!(
            labels(Scale::Bytes, &[188e6]),
            ["0 B", "50 MiB", "100 MiB", "150 MiB"]
        );
    }

    #[test]
    fn no_figures_make_an_axis_and_so_does_one() {
        let scales = [
            Scale::Seconds,
            Scale::Count,
            Scale::Rate,
            Scale::WideRate,
            Scale::Bytes,
            Scale::Latency,
            Scale::Quantile,
        ];
        for scale in scales {
            for values in [
                &[][..],
                &[0.0],
                &[7.0, 7.0],
                &[-3.0],
                &[1e300],
                &[f64::NAN, f64::INFINITY, 1.0],
            ] {
                let places = values.iter().filter_map(|value| scale.place(*value));
                let axis = scale.axis(places);
                assert!(
                    axis.range.start < axis.range.end,
                    "{scale:?} {values:?} {axis:?}"
                );
                assert!(
                    !axis.marks.is_empty() && axis.marks.len() < 64,
                    "{scale:?} {values:?} {axis:?}"
                );
                assert!(
                    axis.marks.iter().all(|mark| mark.is_finite()),
                    "{scale:?} {values:?} {axis:?}"
                );
            }
        }
    }
}
