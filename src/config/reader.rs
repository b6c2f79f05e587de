//! Reads one variable after the other and collects what is wrong, so that all of it is reported at once.
//! After an error the reader goes on with the default, which keeps the code that builds the configuration free of branches.

use std::ffi::OsString;

use super::errors::{ConfigError, ConfigErrors};
use super::variables::{Variable, named};

/// Parses the text of a variable; the error says what is wrong with it, without repeating the text.
pub(super) type Parse<T> = fn(&Variable, &str) -> Result<T, String>;

/// Where values come from and what was wrong with those read so far.
pub(super) struct Reader<F> {
    lookup: F,
    errors: Vec<ConfigError>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    pub(super) fn new(lookup: F) -> Self {
        Reader {
            lookup,
            errors: Vec::new(),
        }
    }

    /// The value of a variable, or its default.
    pub(super) fn read<T>(&mut self, name: &str, parse: Parse<T>) -> T {
        self.read_optional(name, parse).unwrap_or_else(|| {
            let variable = named(name);
            parse(variable, variable.default).expect("the defaults of the table are allowed")
        })
    }

    /// The value of a variable that may stay unset.
    pub(super) fn read_optional<T>(&mut self, name: &str, parse: Parse<T>) -> Option<T> {
        let variable = named(name);
        let value = match self.text(variable)? {
            Ok(text) => text,
            Err(lossy) => {
                self.refuse(name, Some(lossy), NOT_UNICODE);
                return None;
            }
        };
        parse(variable, &value)
            .map_err(|problem| self.refuse(name, Some(value), problem))
            .ok()
    }

    /// As [`read_optional`](Self::read_optional), for a value that no error may show.
    pub(super) fn read_secret<T>(&mut self, name: &str, parse: Parse<T>) -> Option<T> {
        let variable = named(name);
        self.text(variable)?
            .map_err(|_| NOT_UNICODE.to_owned())
            .and_then(|text| parse(variable, &text))
            .map_err(|problem| self.refuse(name, None, problem))
            .ok()
    }

    /// Records an error. `value` is `None` where the variable is unset or secret.
    pub(super) fn refuse(&mut self, name: &str, value: Option<String>, problem: impl Into<String>) {
        self.errors.push(ConfigError {
            variable: named(name),
            value,
            problem: problem.into(),
        });
    }

    /// Whether an error of that variable was recorded: what was read in its place is only its default.
    pub(super) fn refused(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.variable.name == name)
    }

    /// The configuration, if nothing was wrong.
    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(self.errors))
        }
    }

    /// The text of a variable, `None` if unset or empty; as an error, a legible form of what is not UTF-8.
    fn text(&self, variable: &Variable) -> Option<Result<String, String>> {
        let value = (self.lookup)(variable.name).filter(|value| !value.is_empty())?;
        Some(
            value
                .into_string()
                .map_err(|value| value.to_string_lossy().into_owned()),
        )
    }
}

const NOT_UNICODE: &str = "not valid UTF-8";
