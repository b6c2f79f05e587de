//! Numbers as people read them, in few characters.

use std::time::Duration;

use super::change::Percentile;

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// A count or a rate: `0`, `12.3`, `456`, `7.89k`.
pub(super) fn count(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| match value.abs() {
        magnitude if magnitude >= 1e9 => format!("{}G", digits(value / 1e9)),
        magnitude if magnitude >= 1e6 => format!("{}M", digits(value / 1e6)),
        magnitude if magnitude >= 1e4 => format!("{}k", digits(value / 1e3)),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => digits(value),
    })
}

/// A rate with its unit.
pub(super) fn rate(value: Option<f64>) -> String {
    format!("{}/s", count(value))
}

/// A number that must be exact, such as an offset.
pub(super) fn exact(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| format!("{value:.0}"))
}

/// How much there is of the most that there can be.
pub(super) fn of_most(level: Option<f64>, most: Option<f64>) -> String {
    format!("{}/{}", exact(level), exact(most))
}

/// A share of one.
pub(super) fn share(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| format!("{:.1}%", value * 100.0))
}

/// A level in bytes.
pub(super) fn bytes(value: Option<f64>) -> String {
    const KIB: f64 = 1024.0;
    value.map_or_else(unknown, |value| match value {
        value if value >= KIB * KIB * KIB => format!("{} GiB", digits(value / KIB / KIB / KIB)),
        value if value >= KIB * KIB => format!("{} MiB", digits(value / KIB / KIB)),
        value if value >= KIB => format!("{} KiB", digits(value / KIB)),
        value => format!("{value:.0} B"),
    })
}

/// Bytes a second, in millions.
pub(super) fn megabytes(rate: Option<f64>) -> String {
    rate.map_or_else(unknown, |rate| format!("{} MB/s", digits(rate / 1e6)))
}

/// A percentile of durations in seconds.
pub(super) fn duration(percentile: Option<Percentile>) -> String {
    with_bound(percentile, |seconds| match seconds {
        seconds if seconds >= 1.0 => format!("{} s", digits(seconds)),
        seconds if seconds >= 1e-3 => format!("{} ms", digits(seconds * 1e3)),
        seconds => format!("{:.0} us", seconds * 1e6),
    })
}

/// A percentile of numbers of things, of which there is always one.
pub(super) fn things(percentile: Option<Percentile>) -> String {
    with_bound(percentile, |value| format!("{:.0}", value.max(1.0)))
}

/// How long something has lasted: `3d 4h 5m 6s`.
pub(super) fn lasted(seconds: Option<f64>) -> String {
    let duration = seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0).trunc()));
    match duration {
        Some(Ok(duration)) => humantime::format_duration(duration).to_string(),
        _ => unknown(),
    }
}

fn with_bound(percentile: Option<Percentile>, write: impl Fn(f64) -> String) -> String {
    match percentile {
        Some(Percentile::About(value)) => write(value),
        Some(Percentile::Above(bound)) => format!(">{}", write(bound)),
        None => unknown(),
    }
}

/// Three of them.
fn digits(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 99.95 => format!("{value:.0}"),
        magnitude if magnitude >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let told =
            [0.0, 0.126, 12.34, 456.7, 9999.0, 12_345.0, 2.5e6, 3e12].map(|n| count(Some(n)));
        assert_eq!(
            [
                "0", "0.13", "12.3", "457", "9999", "12.3k", "2.50M", "3000G"
            ]
            .map(str::to_owned),
            told
        );
        assert_eq!("-", count(None));
        assert_eq!("3.50/s", rate(Some(3.5)));
        assert_eq!("1.50 KiB", bytes(Some(1536.0)));
        assert_eq!("12.3 MB/s", megabytes(Some(12_345_678.0)));
        assert_eq!("5/-", of_most(Some(5.0), None));
        assert_eq!("53.2%", share(Some(0.532)));
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        let told = |seconds| duration(Some(Percentile::About(seconds)));
        assert_eq!("12 us", told(12e-6));
        assert_eq!("1.25 ms", told(1.25e-3));
        assert_eq!("2.00 s", told(2.0));
        assert_eq!(">10.0 s", duration(Some(Percentile::Above(10.0))));
        assert_eq!("1", things(Some(Percentile::About(0.5))));
        assert_eq!("1h 1m 1s", lasted(Some(3661.7)));
        assert_eq!("0s", lasted(Some(-1.0)));
    }
}
