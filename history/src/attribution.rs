//! Which operation made which event: an acknowledged one by its version, an unanswered one by what it asked for.

use std::collections::BTreeMap;

use crate::record::{Call, Event, EventKind, History, Operation, Outcome};
use crate::timeline::Timeline;
use crate::violation::{Report, Rule};

/// For each event, the operations that have to do with it (by their place in the history).
pub(crate) struct Attribution {
    pub(crate) events: Vec<Makers>,
}

/// The operations behind one event.
#[derive(Default)]
pub(crate) struct Makers {
    /// The operation that was told that it made the event.
    pub(crate) claimed: Option<usize>,
    /// Operations that were told that an earlier one of their identity made it.
    pub(crate) repeated: Vec<usize>,
    /// Without a claim: the unanswered operations that may have made it.
    pub(crate) possible: Vec<usize>,
}

/// What a call asks for and what an event tells, in the same terms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Effect<'a> {
    kind: EventKind,
    product: &'a str,
    store: Option<&'a str>,
    /// The delta, or the quantity that was set.
    amount: i128,
}

impl Attribution {
    pub(crate) fn of(history: &History, timeline: &Timeline, report: &mut Report) -> Self {
        let mut events: Vec<Makers> = history.feed.iter().map(|_| Makers::default()).collect();
        for number in 0..history.operations.len() {
            attribute_answer(history, timeline, number, &mut events, report);
        }
        attribute_unanswered(history, &mut events, report);
        Self { events }
    }

    pub(crate) fn made_without_an_answer(&self) -> usize {
        self.events
            .iter()
            .filter(|makers| makers.claimed.is_none())
            .count()
    }
}

impl<'a> Effect<'a> {
    fn asked(call: &'a Call) -> Option<Self> {
        let (kind, store, amount) = match call {
            Call::Update { store, delta, .. } => (
                EventKind::InventoryUpdated,
                Some(store.as_str()),
                i128::from(*delta),
            ),
            Call::Create { available, .. } => {
                (EventKind::ProductCreated, None, i128::from(*available))
            }
            Call::Set { available, .. } => {
                (EventKind::ProductModified, None, i128::from(*available))
            }
            Call::Delete { .. } => (EventKind::ProductDeleted, None, 0),
            Call::Read { .. } => return None,
        };
        let product = call.product();
        Some(Self {
            kind,
            product,
            store,
            amount,
        })
    }

    fn told(event: &'a Event) -> Self {
        let amount = match event.kind {
            EventKind::InventoryUpdated => i128::from(event.delta.unwrap_or_default()),
            EventKind::ProductCreated | EventKind::ProductModified => i128::from(event.quantity),
            EventKind::ProductDeleted => 0,
        };
        Self {
            kind: event.kind,
            product: &event.product,
            store: event.store.as_deref(),
            amount,
        }
    }
}

/// Finds the event of an acknowledged operation, and compares them.
fn attribute_answer(
    history: &History,
    timeline: &Timeline,
    number: usize,
    events: &mut [Makers],
    report: &mut Report,
) {
    let operation = &history.operations[number];
    let Some(Outcome::Changed {
        version,
        quantity,
        replayed,
    }) = operation.outcome()
    else {
        return;
    };
    let product = operation.call.product();
    let Some(position) = timeline.event(product, version) else {
        if !timeline.is_forgone(product, version) {
            report.add(Rule::Lost, || format!("{operation} is not in the feed"));
        }
        return;
    };
    let event = &history.feed[position];
    let same = Effect::asked(&operation.call) == Some(Effect::told(event))
        && quantity.is_none_or(|quantity| quantity == event.quantity)
        && (replayed || fits_version(operation, event));
    if !same {
        report.add(Rule::Altered, || {
            format!("{operation} is in the feed as {event}")
        });
    } else if replayed {
        events[position].repeated.push(number);
    } else if let Some(other) = events[position].claimed.replace(number) {
        let other = &history.operations[other];
        report.add(Rule::Twice, || {
            format!("{operation} and {other} were both told that they made {event}")
        });
    }
}

/// Gives each event that nobody claimed to the unanswered operations that asked for it.
fn attribute_unanswered(history: &History, events: &mut [Makers], report: &mut Report) {
    let mut asked = unanswered(history);
    for (event, makers) in history.feed.iter().zip(events) {
        if makers.claimed.is_some() {
            continue;
        }
        let effect = Effect::told(event);
        let (candidates, spent) = asked.entry(effect).or_default();
        makers.possible = candidates.clone();
        makers
            .possible
            .retain(|number| fits_version(&history.operations[*number], event));
        // Each operation makes one event at most, whichever made which.
        *spent += 1;
        if makers.possible.is_empty() || *spent > candidates.len() {
            report.add(Rule::Unasked, || {
                format!("{event} was made by no operation that can have made it")
            });
        }
    }
}

/// The unanswered operations by what they asked for, none of them spent.
fn unanswered(history: &History) -> BTreeMap<Effect<'_>, (Vec<usize>, usize)> {
    let mut asked: BTreeMap<Effect, (Vec<usize>, usize)> = BTreeMap::new();
    for (number, operation) in history.operations.iter().enumerate() {
        if operation.ended.is_some() {
            continue;
        }
        if let Some(effect) = Effect::asked(&operation.call) {
            asked.entry(effect).or_default().0.push(number);
        }
    }
    asked
}

/// Whether an operation that names a version can have made this event.
fn fits_version(operation: &Operation, event: &Event) -> bool {
    match operation.call {
        Call::Update {
            version: Some(version),
            ..
        } => version + 1 == event.version,
        _ => true,
    }
}
