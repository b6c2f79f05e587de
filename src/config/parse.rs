//! Text to value, for the kinds of value that several variables share. The bounds are those that the table states.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::variables::Variable;

/// A whole number within the bounds of the table.
pub(super) fn whole<T: TryFrom<u64>>(variable: &Variable, text: &str) -> Result<T, String> {
    let number = digits(text)?;
    let (low, high) = bounds(variable, digits);
    if !(low..=high).contains(&number) {
        return Err("out of range".to_owned());
    }
    Ok(T::try_from(number)
        .ok()
        .expect("the bounds of the table fit the field"))
}

/// A whole number of MiB within the bounds of the table, in bytes.
pub(super) fn mebibytes(variable: &Variable, text: &str) -> Result<u64, String> {
    whole::<u64>(variable, text).map(|count| count << 20)
}

/// A whole number of microseconds within the bounds of the table.
pub(super) fn microseconds(variable: &Variable, text: &str) -> Result<Duration, String> {
    whole(variable, text).map(Duration::from_micros)
}

/// A whole number of milliseconds within the bounds of the table.
pub(super) fn milliseconds(variable: &Variable, text: &str) -> Result<Duration, String> {
    whole(variable, text).map(Duration::from_millis)
}

/// A duration with its unit, within the bounds of the table.
pub(super) fn duration(variable: &Variable, text: &str) -> Result<Duration, String> {
    let (low, high) = bounds(variable, duration_text);
    let duration = duration_text(text)?;
    if (low..=high).contains(&duration) {
        Ok(duration)
    } else {
        Err("out of range".to_owned())
    }
}

/// A duration with its unit, however long.
pub(super) fn duration_text(text: &str) -> Result<Duration, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a duration needs its unit, like 500ms, 30s, 2m or 24h".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| format!("not a duration ({error})"))
}

/// `true` or `false`.
pub(super) fn truth(_: &Variable, text: &str) -> Result<bool, String> {
    one_of(text, &[("true", true), ("false", false)])
}

/// `true` or `false`; none where it is left to the machine.
pub(super) fn truth_or_auto(_: &Variable, text: &str) -> Result<Option<bool>, String> {
    let choices = [("auto", None), ("true", Some(true)), ("false", Some(false))];
    one_of(text, &choices)
}

/// One of a few words, whatever their case.
pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|&(_, value)| value)
        .ok_or_else(|| "not one of the allowed words".to_owned())
}

/// An IPv4 or IPv6 address.
pub(super) fn address(_: &Variable, text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "not an IP address".to_owned())
}

/// The path of a file, which need not exist.
pub(super) fn file_path(_: &Variable, text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.ends_with('/') || path.file_name().is_none() {
        return Err("names no file".to_owned());
    }
    Ok(path)
}

/// Anything that parses itself and says what is wrong.
pub(super) fn itself<T: FromStr<Err: ToString>>(_: &Variable, text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A comma list of anything that parses itself. Blanks around the items do not matter; an empty item is an error.
pub(super) fn list<T: FromStr<Err: ToString>>(_: &Variable, text: &str) -> Result<Vec<T>, String> {
    text.split(',')
        .zip(1..)
        .map(|(item, position)| {
            item.trim()
                .parse()
                .map_err(|error: T::Err| format!("position {position}: {}", error.to_string()))
        })
        .collect()
}

fn digits(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number".to_owned());
    }
    text.parse().map_err(|_| "out of range".to_owned())
}

/// The bounds `low-high` that a table entry begins with, both included.
fn bounds<T>(variable: &Variable, parse: fn(&str) -> Result<T, String>) -> (T, T) {
    let stated = variable.allowed.split(',').next().and_then(|bounds| {
        let (low, high) = bounds.split_once('-')?;
        Some((parse(low).ok()?, parse(high).ok()?))
    });
    stated.expect("the table states the bounds of numbers and durations as low-high")
}
