//! Idempotency: an identity takes effect once within its time, and its repeats are told so.

use std::collections::BTreeMap;

use crate::real_time::Order;
use crate::record::{Call, EventKind, History, Operation, Outcome};
use crate::timeline::Timeline;
use crate::violation::{Report, Rule};

pub(crate) fn check(history: &History, timeline: &Timeline, order: &Order, report: &mut Report) {
    check_stores(history, report);
    let effects = effects(history);
    check_at_most_once(history, &effects, report);
    for operation in &history.operations {
        check_remembered(history, timeline, order, &effects, operation, report);
    }
}

/// The positions of the events of each store and product, and so of each identity.
type Effects<'a> = BTreeMap<(&'a str, &'a str), Vec<usize>>;

fn effects(history: &History) -> Effects<'_> {
    let mut effects = Effects::new();
    for (position, event) in history.feed.iter().enumerate() {
        if let (EventKind::InventoryUpdated, Some(store)) = (event.kind, &event.store) {
            let identity = (store.as_str(), event.product.as_str());
            effects.entry(identity).or_default().push(position);
        }
    }
    effects
}

fn check_stores(history: &History, report: &mut Report) {
    let mut identities = BTreeMap::new();
    for operation in &history.operations {
        if let Call::Update {
            store,
            product,
            key,
            ..
        } = &operation.call
        {
            let known = identities.entry((store, product)).or_insert(key);
            if *known != key {
                report.add(Rule::Recording, || {
                    format!("{operation} has an identity of its own, and an earlier one has that store and product")
                });
            }
        }
    }
}

fn check_at_most_once(history: &History, effects: &Effects, report: &mut Report) {
    for positions in effects.values() {
        for pair in positions.windows(2) {
            let (first, second) = (&history.feed[pair[0]], &history.feed[pair[1]]);
            let apart = second.at_ms.saturating_sub(first.at_ms);
            if apart < history.ttl_ms {
                report.add(Rule::Twice, || {
                    format!("{first} took effect again as {second}, {apart} ms later")
                });
            }
        }
    }
}

/// An operation that began after its identity was known to have taken effect, and that was judged afresh all the same,
/// must have come after the identity's time. A later event of the product gives the time by which it was judged; that is
/// true as long as no restart finds the clock further back than the identity's time is long.
fn check_remembered(
    history: &History,
    timeline: &Timeline,
    order: &Order,
    effects: &Effects,
    operation: &Operation,
    report: &mut Report,
) {
    let (Call::Update { store, .. }, Some((returned, outcome))) =
        (&operation.call, &operation.ended)
    else {
        return;
    };
    let afresh = matches!(outcome, Outcome::Shown { .. } | Outcome::Absent);
    let positions = effects
        .get(&(store.as_str(), operation.call.product()))
        .filter(|_| afresh);
    let earlier = positions.and_then(|positions| {
        positions
            .iter()
            .rev()
            .find(|position| order.latest(**position) < operation.invoked)
    });
    let Some(chain) = timeline.chain(operation.call.product()) else {
        return;
    };
    let later = chain
        .events
        .partition_point(|position| order.earliest(*position) <= *returned);
    let (Some(earlier), Some(later)) = (earlier, chain.events.get(later)) else {
        return;
    };
    let (first, witness) = (&history.feed[*earlier], &history.feed[*later]);
    if witness.at_ms.saturating_sub(first.at_ms) < history.ttl_ms {
        report.add(Rule::Forgotten, || {
            format!("{operation} was judged afresh although {first} was its effect")
        });
    }
}
