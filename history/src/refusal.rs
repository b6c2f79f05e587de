//! Answers that show a state: it was one of the product's, and where it comes with a refusal it is the reason for it.

use crate::record::{Call, History, Operation, Outcome};
use crate::timeline::{Place, Timeline};
use crate::violation::{Report, Rule};

/// The largest quantity: 2^53 - 1.
const QUANTITY_MAX: u64 = (1 << 53) - 1;

pub(crate) fn check(history: &History, timeline: &Timeline, report: &mut Report) {
    for operation in &history.operations {
        let Some(Outcome::Shown { version, quantity }) = operation.outcome() else {
            continue;
        };
        if !was_held(timeline, operation.call.product(), version, quantity) {
            report.add(Rule::NeverHeld, || {
                format!("{operation} showed a state that never was")
            });
        }
        if !is_grounded(operation, version, quantity) {
            report.add(Rule::Groundless, || {
                format!("{operation} should have been applied")
            });
        }
    }
}

fn was_held(timeline: &Timeline, product: &str, version: u64, quantity: Option<u64>) -> bool {
    let step = match timeline.place(product, version) {
        Place::Forgone => return true,
        Place::Nowhere => return false,
        Place::Step(step) => step,
    };
    let held = timeline
        .chain(product)
        .and_then(|chain| chain.state(step).quantity);
    held.is_some_and(|held| quantity.is_none_or(|quantity| quantity == held))
}

fn is_grounded(operation: &Operation, shown: u64, quantity: Option<u64>) -> bool {
    let Call::Update { delta, version, .. } = operation.call else {
        return true;
    };
    let stale = version.is_some_and(|version| version != shown);
    let possible = |quantity: u64| {
        quantity
            .checked_add_signed(delta)
            .is_some_and(|sum| sum <= QUANTITY_MAX)
    };
    stale || quantity.is_none_or(|quantity| !possible(quantity))
}
