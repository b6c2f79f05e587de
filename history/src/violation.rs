//! The rules that a history is checked against, and the report of those that were broken.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// So many cases of one rule are told: one lost segment breaks it thousands of times.
const CASES_MAX: usize = 10;

/// A promise of the server, or of whoever recorded the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The record itself must be usable: no two identities share store and product.
    Recording,
    /// Offsets of the feed are dense.
    Dense,
    /// Versions of a product grow by 1, also across delete and re-create.
    Versions,
    /// A quantity is the one before plus the delta, and never below zero.
    Stock,
    /// Only what exists is changed or deleted, only what does not is created.
    Existence,
    /// Events of one product are never stamped out of order.
    Stamps,
    /// What was acknowledged, or read in the feed, is there at the end.
    Lost,
    /// What was acknowledged is in the feed exactly as it was asked for and answered.
    Altered,
    /// Every event was asked for, and by an operation that was not refused.
    Unasked,
    /// An identity takes effect at most once within its time.
    Twice,
    /// A repeat within its time gets the first answer.
    Forgotten,
    /// A refusal has a reason in the state that it shows.
    Groundless,
    /// A state that was shown was a state of that product.
    NeverHeld,
    /// One order fits all: what was answered before another began comes before it in the feed, and a state that was
    /// shown was current at some moment of its request.
    RealTime,
    /// Watch: a page's events are in order.
    Ordered,
    /// Watch: no event is delivered twice.
    Unique,
    /// Watch: no event is left out, and a page that says it is the last is.
    Reliable,
    /// Watch: an event is the same whole event whenever it is read.
    Atomic,
    /// Watch: a page begins with the offset that was asked for.
    Resumable,
    /// The final listing is the initial state with the feed folded into it.
    Listing,
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: Rule,
    /// How it was broken, for a person.
    pub sentence: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.sentence)
    }
}

/// The violations found so far.
#[derive(Default)]
pub(crate) struct Report {
    found: Vec<Violation>,
    cases: BTreeMap<Rule, usize>,
}

impl Report {
    pub(crate) fn add(&mut self, rule: Rule, sentence: impl FnOnce() -> String) {
        let cases = self.cases.entry(rule).or_default();
        *cases += 1;
        if *cases <= CASES_MAX {
            let sentence = sentence();
            self.found.push(Violation { rule, sentence });
        }
    }

    pub(crate) fn stop_if_broken(&mut self) -> Result<(), Vec<Violation>> {
        if self.found.is_empty() {
            return Ok(());
        }
        for (rule, cases) in &self.cases {
            if *cases > CASES_MAX {
                let sentence = format!("and {} more of this rule", cases - CASES_MAX);
                self.found.push(Violation {
                    rule: *rule,
                    sentence,
                });
            }
        }
        Err(std::mem::take(&mut self.found))
    }
}
