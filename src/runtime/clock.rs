//! Time, read from outside the pure cores and handed into them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use shards::Timestamp;

/// The wall clock, now: what a change is stamped with.
pub fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that never runs backwards, in milliseconds since it was made: what deadlines are counted in.
#[derive(Clone, Copy, Debug)]
pub struct Uptime {
    started: Instant,
}

impl Uptime {
    /// Starts at 0.
    pub fn start() -> Uptime {
        Uptime {
            started: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
