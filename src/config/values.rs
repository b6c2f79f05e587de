//! The closed sets of values that some variables take, and the rate limits as a group.

use std::path::PathBuf;
use std::time::Duration;

use super::parse::{duration_text, one_of};
use super::variables::Variable;

/// Where certificate and key of TLS are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The chain of certificates in PEM, the server's own first.
    pub certificates: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// The least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything, a line for every request included.
    Debug,
    /// What the service does.
    Info,
    /// What someone should look at some day.
    Warn,
    /// What someone should look at now.
    Error,
}

impl LogLevel {
    pub(super) fn parse(_: &Variable, text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("debug", LogLevel::Debug),
                ("info", LogLevel::Info),
                ("warn", LogLevel::Warn),
                ("error", LogLevel::Error),
            ],
        )
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text in development where standard error is a terminal, else JSON.
    Auto,
    /// A JSON object.
    Json,
    /// For a person.
    Text,
}

impl LogFormat {
    pub(super) fn parse(_: &Variable, text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("auto", LogFormat::Auto),
                ("json", LogFormat::Json),
                ("text", LogFormat::Text),
            ],
        )
    }
}

/// What kind of installation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Example keys open the API, and a first start without data takes the bundled sample.
    Development,
    /// Example keys open the API; no sample.
    Staging,
    /// Keys of one's own are required; no sample.
    Production,
}

impl Environment {
    /// The word that the variable takes, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Environment::Development => "development",
            Environment::Staging => "staging",
            Environment::Production => "production",
        }
    }

    pub(super) fn parse(_: &Variable, text: &str) -> Result<Self, String> {
        let choices = [
            Environment::Development,
            Environment::Staging,
            Environment::Production,
        ];
        one_of(text, &choices.map(|choice| (choice.name(), choice)))
    }
}

/// When the journal is synced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalSync {
    /// Before a group is acknowledged.
    Always,
    /// Once per that time; a crash of the machine may lose what was acknowledged since.
    Interval(Duration),
    /// When the kernel sees fit; a crash of the machine may lose what was acknowledged lately.
    Never,
}

impl JournalSync {
    /// Below it, syncing on a timer is no cheaper than `always`.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
    /// Above it, more would be lost in a crash than anyone means to accept.
    pub const INTERVAL_MAX: Duration = Duration::from_secs(60);

    pub(super) fn parse(_: &Variable, text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().split_once(':') {
            Some(("interval", interval)) => Self::interval(interval),
            _ => one_of(
                text,
                &[
                    ("always", JournalSync::Always),
                    ("never", JournalSync::Never),
                ],
            ),
        }
    }

    fn interval(text: &str) -> Result<Self, String> {
        let interval = duration_text(text)?;
        if (Self::INTERVAL_MIN..=Self::INTERVAL_MAX).contains(&interval) {
            Ok(JournalSync::Interval(interval))
        } else {
            Err("the interval is out of range".to_owned())
        }
    }
}

/// Whose requests share a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitKind {
    /// Each client address has its own.
    Ip,
    /// All clients have one.
    Global,
    /// Both; whichever is spent first refuses.
    Both,
}

impl RateLimitKind {
    pub(super) fn parse(_: &Variable, text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("ip", RateLimitKind::Ip),
                ("global", RateLimitKind::Global),
                ("both", RateLimitKind::Both),
            ],
        )
    }
}

/// The rate limits. The budget of a window is its length in minutes times the figure per minute, which may exceed 2^32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whether requests are limited at all.
    pub enabled: bool,
    /// Whose requests share a budget.
    pub kind: RateLimitKind,
    /// Regular requests of one client, per minute.
    pub requests_per_minute: u32,
    /// Regular requests of all clients, per minute.
    pub global_requests_per_minute: u32,
    /// Admin requests, per minute.
    pub admin_requests_per_minute: u32,
    /// Length of the sliding window, in minutes.
    pub window_minutes: u32,
    /// Clients whose requests are counted at a time.
    pub clients_max: usize,
}
