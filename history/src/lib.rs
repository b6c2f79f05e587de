//! A history of what clients asked of a server and were told, and the check that the server kept its promises in it:
//! nothing acknowledged is lost, nothing happens twice, nothing is shown that was not so at that time.
//!
//! Tests that end a server in the worst moment record a [`History`] and call [`check`]. Because every answer names a
//! product and a version, and the feed is one order of all changes, the check needs no search: it takes
//! O(n log n), also for a million operations, and is both sound and complete for whatever the answers determine.
//!
//! ```text
//!  operations, polls ──┐     feed ── timeline: what each product was, version by version
//!  crashes             ├──▶         ── attribution: which operation made which event
//!  final feed, listing ┘            ── real time: one order that fits every answer's window
//!                                   ── identity, watch, listing
//! ```
//!
//! **Invariant: this crate is pure.** No I/O, clock or randomness; the same history gives the same report.
#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter};

mod attribution;
mod identity;
mod listing;
mod real_time;
mod record;
mod refusal;
mod timeline;
mod violation;
mod watch;

pub use record::{Call, Event, EventKind, History, Operation, Outcome, Poll, State};
pub use violation::{Rule, Violation};

use attribution::Attribution;
use timeline::Timeline;
use violation::Report;

/// What a history that kept every promise consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All operations, reads included.
    pub operations: usize,
    /// Operations that were told that they changed something, repeats included.
    pub acknowledged: usize,
    /// Operations that never got an answer.
    pub unknown: usize,
    /// Events that only an operation without an answer can have made.
    pub unknown_took_effect: usize,
    /// Events of the feed.
    pub events: usize,
    /// Polls that were answered.
    pub polls: usize,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            operations,
            acknowledged,
            unknown,
            unknown_took_effect,
            events,
            polls,
        } = self;
        write!(
            f,
            "{operations} operations ({acknowledged} acknowledged, {unknown} unanswered, of which {unknown_took_effect} \
             took effect), {events} events, {polls} polls"
        )
    }
}

/// Checks a history against every [`Rule`]. Fails with what was broken, the first cases of each rule.
pub fn check(history: &History) -> Result<Summary, Vec<Violation>> {
    let mut report = Report::default();
    let timeline = Timeline::replay(history, &mut report);
    // Without versions that follow each other, a version says nothing about a place in the feed.
    report.stop_if_broken()?;
    let attribution = Attribution::of(history, &timeline, &mut report);
    watch::check(history, &mut report);
    refusal::check(history, &timeline, &mut report);
    let order = real_time::check(history, &timeline, &attribution, &mut report);
    identity::check(history, &timeline, &order, &mut report);
    listing::check(history, &timeline, &mut report);
    report.stop_if_broken()?;
    Ok(summary(history, &attribution))
}

fn summary(history: &History, attribution: &Attribution) -> Summary {
    let changed =
        |operation: &&Operation| matches!(operation.outcome(), Some(Outcome::Changed { .. }));
    let unanswered = |operation: &&Operation| operation.ended.is_none();
    Summary {
        operations: history.operations.len(),
        acknowledged: history.operations.iter().filter(changed).count(),
        unknown: history.operations.iter().filter(unanswered).count(),
        unknown_took_effect: attribution.made_without_an_answer(),
        events: history.feed.len(),
        polls: history.polls.len(),
    }
}

#[cfg(test)]
mod tests;
