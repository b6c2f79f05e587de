//! The feed, replayed: what each product was after each of its events. Everything else is looked up here.

use std::collections::BTreeMap;

use crate::record::{Event, EventKind, History, State};
use crate::violation::{Report, Rule};

/// Every product's states, in order.
pub(crate) struct Timeline<'a> {
    chains: BTreeMap<&'a str, Chain>,
    truncated: bool,
}

/// One product's states: the initial one is step 0, and each event makes the next.
#[derive(Default)]
pub(crate) struct Chain {
    initial: State,
    /// Positions in the feed; `events[k]` ends step k and begins step k + 1.
    pub(crate) events: Vec<usize>,
    states: Vec<State>,
}

/// Where an answer's version belongs.
pub(crate) enum Place {
    /// A step of the product's chain.
    Step(usize),
    /// Older than the feed that can still be read.
    Forgone,
    /// Nowhere.
    Nowhere,
}

impl<'a> Timeline<'a> {
    pub(crate) fn replay(history: &'a History, report: &mut Report) -> Self {
        let mut chains = BTreeMap::new();
        for (product, state) in &history.initial {
            chains.insert(product.as_str(), Chain::from(*state));
        }
        for (position, event) in history.feed.iter().enumerate() {
            let expected = history.first_offset + position as u64;
            if event.offset != expected {
                report.add(Rule::Dense, || {
                    format!("{event} stands where offset {expected} should")
                });
            }
            let chain: &mut Chain = chains.entry(event.product.as_str()).or_default();
            check_stamp(chain, history, event, report);
            check_step(chain.last(), event, report);
            chain.push(position, event);
        }
        Self {
            chains,
            truncated: history.first_offset > 0,
        }
    }

    pub(crate) fn chain(&self, product: &str) -> Option<&Chain> {
        self.chains.get(product)
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = (&'a str, &Chain)> {
        self.chains.iter().map(|(product, chain)| (*product, chain))
    }

    /// Whether the feed once had events before its first.
    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// The step at which a product had this version.
    pub(crate) fn place(&self, product: &str, version: u64) -> Place {
        let Some(chain) = self.chain(product) else {
            return Place::Nowhere;
        };
        match version.checked_sub(chain.initial.version) {
            Some(step) if step as usize <= chain.events.len() => Place::Step(step as usize),
            None if self.truncated => Place::Forgone,
            _ => Place::Nowhere,
        }
    }

    /// The position in the feed of the event that made this version.
    pub(crate) fn event(&self, product: &str, version: u64) -> Option<usize> {
        match self.place(product, version) {
            Place::Step(step) => self.chain(product)?.made_by(step),
            _ => None,
        }
    }

    /// Whether the version is as old as what was there before the feed that can still be read.
    pub(crate) fn is_forgone(&self, product: &str, version: u64) -> bool {
        match self.place(product, version) {
            Place::Forgone => true,
            Place::Step(0) => self.truncated,
            _ => false,
        }
    }
}

impl Chain {
    fn from(initial: State) -> Self {
        Self {
            initial,
            ..Self::default()
        }
    }

    fn push(&mut self, position: usize, event: &Event) {
        self.events.push(position);
        self.states.push(after(event));
    }

    pub(crate) fn state(&self, step: usize) -> State {
        match step {
            0 => self.initial,
            _ => self.states[step - 1],
        }
    }

    pub(crate) fn last(&self) -> State {
        self.state(self.events.len())
    }

    /// The position of the event that began this step.
    pub(crate) fn made_by(&self, step: usize) -> Option<usize> {
        self.events.get(step.checked_sub(1)?).copied()
    }

    /// The position of the event that ended this step.
    pub(crate) fn ended_by(&self, step: usize) -> Option<usize> {
        self.events.get(step).copied()
    }
}

fn after(event: &Event) -> State {
    let present = event.kind != EventKind::ProductDeleted;
    State {
        version: event.version,
        quantity: present.then_some(event.quantity),
    }
}

fn check_stamp(chain: &Chain, history: &History, event: &Event, report: &mut Report) {
    if let Some(position) = chain.events.last() {
        let before = &history.feed[*position];
        if before.at_ms > event.at_ms {
            report.add(Rule::Stamps, || {
                format!(
                    "{event} is stamped {} and {before} {}",
                    event.at_ms, before.at_ms
                )
            });
        }
    }
}

fn check_step(before: State, event: &Event, report: &mut Report) {
    if event.version != before.version + 1 {
        report.add(Rule::Versions, || {
            format!("{event} follows version {}", before.version)
        });
    }
    let creates = event.kind == EventKind::ProductCreated;
    let Some(quantity) = before.quantity else {
        if !creates {
            report.add(Rule::Existence, || {
                format!("{event} while there is no such product")
            });
        }
        return;
    };
    if creates {
        report.add(Rule::Existence, || {
            format!("{event} while the product exists")
        });
    } else if !follows(quantity, event) {
        report.add(Rule::Stock, || {
            format!("{event} follows quantity {quantity}")
        });
    }
}

/// Whether the event's quantity is what its kind makes of the one before.
fn follows(quantity: u64, event: &Event) -> bool {
    match (event.kind, event.delta) {
        (EventKind::InventoryUpdated, Some(delta)) => {
            quantity.checked_add_signed(delta) == Some(event.quantity)
        }
        (EventKind::InventoryUpdated, None) => false,
        (EventKind::ProductDeleted, _) => quantity == event.quantity,
        (EventKind::ProductCreated | EventKind::ProductModified, _) => true,
    }
}
