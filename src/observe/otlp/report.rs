//! What the log says of exports: a failure at most once a minute, and when it is over.

use std::time::{Duration, Instant};

use slog::{Logger, info, warn};

use super::send::Failed;

/// From one warning to the next.
const QUIET: Duration = Duration::from_secs(60);

/// What was said, and what was not.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// When it was last said that exports fail.
    said_at: Option<Instant>,
    /// Exports that failed since then, and are not told.
    untold: u64,
    /// Whether the last that was said is that exports fail.
    is_said_to_fail: bool,
}

/// What is to be said of an export.
#[derive(Debug, PartialEq, Eq)]
enum Saying {
    Nothing,
    /// It failed, and so many before it of which nothing was said.
    Fails {
        untold: u64,
    },
    /// It works, and it was last said that it does not.
    Works {
        untold: u64,
    },
}

impl Report {
    /// Says what there is to say of an export that ended at `now`.
    pub(super) fn tell(&mut self, outcome: Result<(), Failed>, now: Instant, log: &Logger) {
        match (self.judge(outcome.is_ok(), now), outcome) {
            (Saying::Fails { untold }, Err(failed)) => warn!(log,
                "Metrics could not be sent by OTLP; the next export has them"; "error" => %failed, "failed_before" => untold),
            (Saying::Works { untold }, _) => {
                info!(log, "Metrics are sent by OTLP again"; "failed_before" => untold);
            }
            _ => {}
        }
    }

    fn judge(&mut self, is_sent: bool, now: Instant) -> Saying {
        if is_sent {
            return match std::mem::take(&mut self.is_said_to_fail) {
                true => Saying::Works {
                    untold: std::mem::take(&mut self.untold),
                },
                false => Saying::Nothing,
            };
        }
        let said_lately = self
            .said_at
            .is_some_and(|said_at| now.duration_since(said_at) < QUIET);
        if said_lately {
            self.untold += 1;
            return Saying::Nothing;
        }
        self.said_at = Some(now);
        self.is_said_to_fail = true;
        Saying::Fails {
            untold: std::mem::take(&mut self.untold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_once_a_minute_and_its_end_at_once() {
        let start = Instant::now();
        let mut report = Report::default();
        let mut judge =
            |is_sent, second| report.judge(is_sent, start + Duration::from_secs(second));
        assert_eq!(Saying::Nothing, judge(true, 0));
        assert_eq!(Saying::Fails { untold: 0 }, judge(false, 1));
        assert_eq!(Saying::Nothing, judge(false, 30));
        assert_eq!(Saying::Nothing, judge(false, 60));
        assert_eq!(Saying::Fails { untold: 2 }, judge(false, 61));
        assert_eq!(Saying::Nothing, judge(false, 62));
        assert_eq!(Saying::Works { untold: 1 }, judge(true, 63));
        assert_eq!(Saying::Nothing, judge(true, 64));
        // Nor does a receiver that comes and goes fill the log.
        assert_eq!(Saying::Nothing, judge(false, 70));
        assert_eq!(Saying::Nothing, judge(true, 71));
        assert_eq!(Saying::Fails { untold: 1 }, judge(false, 121));
    }
}
