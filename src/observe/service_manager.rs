//! Tells a service manager how the server is, by systemd's notify protocol: `NOTIFY_SOCKET` and `WATCHDOG_USEC`. Where neither
//! is set, nothing happens. Only threads that may block tell it.

use std::time::Duration;

use sd_notify::NotifyState;
use slog::{Logger, warn};

/// A recovery that makes progress is given this much more time, again and again.
const MORE_TIME: Duration = Duration::from_secs(60);

/// Who started the server and wants to know.
#[derive(Clone)]
pub struct ServiceManager {
    log: Logger,
    /// Whether it wants to hear that the server is alive.
    watches: bool,
}

impl ServiceManager {
    /// The one that the environment names, if any.
    pub fn of_environment(log: Logger) -> ServiceManager {
        ServiceManager {
            log,
            watches: sd_notify::watchdog_enabled().is_some(),
        }
    }

    /// The journal is being read, so far to `percent`.
    pub fn recovering(&self, percent: u64) {
        let more = u32::try_from(MORE_TIME.as_micros()).expect("a minute fits");
        let status = format!("Recovering: {percent} % of the journal is read");
        self.tell(&[
            NotifyState::ExtendTimeoutUsec(more),
            NotifyState::Status(&status),
        ]);
    }

    /// Requests are answered.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("Serving")]);
    }

    /// Runs `reload`, and tells when it begins and ends.
    pub fn reloading(&self, reload: impl FnOnce()) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(self.log, "The monotonic clock cannot be read"; "error" => %error),
        }
        reload();
        self.tell(&[NotifyState::Ready]);
    }

    /// What is in flight is finished, and then the server ends.
    pub fn stopping(&self) {
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("Stopping: finishing what is in flight"),
        ]);
    }

    /// Every executor runs. To be called more often than `WATCHDOG_USEC`.
    pub fn alive(&self) {
        if self.watches {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, states: &[NotifyState]) {
        if let Err(error) = sd_notify::notify(states) {
            warn!(self.log, "The service manager cannot be told how the server is: is NOTIFY_SOCKET right?";
                "error" => %error);
        }
    }
}
