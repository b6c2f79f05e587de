//! What is wrong with the configuration, all of it at once, in words for whoever starts the server.

use std::fmt;

use super::variables::Variable;

/// One variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) variable: &'static Variable,
    /// The value as it was found; `None` where it is unset or secret.
    pub(super) value: Option<String>,
    pub(super) problem: String,
}

impl ConfigError {
    /// The name of the variable.
    pub fn variable(&self) -> &'static str {
        self.variable.name
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variable.name)?;
        if let Some(value) = &self.value {
            write!(f, "={value:?}")?;
        }
        write!(f, ": {}; allowed: {}", self.problem, self.variable.allowed)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with the configuration, at least one error, a line each when displayed.
/// Holds no API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, in the order in which the variables are read.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
