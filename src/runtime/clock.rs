//! Time, read from outside the pure cores and handed into them.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shards::Timestamp;

/// The wall clock, now: what a change is stamped with.
pub fn wall_now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        return host.wall_now();
    }
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The time since some fixed moment of this process.
fn monotonic_now() -> Duration {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        return host.monotonic_now();
    }
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// A clock that never runs backwards, counted from when it was made: what deadlines are counted in.
#[derive(Clone, Copy, Debug)]
pub struct Uptime {
    started: Duration,
}

impl Uptime {
    /// Starts at 0.
    pub fn start() -> Uptime {
        Uptime {
            started: monotonic_now(),
        }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        monotonic_now().saturating_sub(self.started)
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
