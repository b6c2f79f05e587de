//! Real time: is there one moment for every event, in the order of the feed, that fits what every client saw?
//!
//! Each answer bounds moments. A change happened between its call and its answer. Who was shown a state saw the event
//! that made it before the answer, and the event that ended it not
//! before the call. A page's last event was there
//! before the answer; a page that says it is the last was asked for before the next event.
//!
//! ```text
//!   feed:      e1 ─────── e2 ─────── e3          a moment for each, never going back
//!   not before 10         40         20          the greatest so far is the earliest moment
//!   not after  30         60         35          e3 is asked for too late or seen too early: 40 > 35
//! ```
//!
//! With every bound gathered, such moments exist exactly if no event's upper bound is below a lower bound of its own or of
//! an earlier event. That is linearizability of every product, and strict order across products.

use crate::attribution::{Attribution, Makers};
use crate::record::{History, Operation, Outcome, Poll};
use crate::timeline::{Chain, Place, Timeline};
use crate::violation::{Report, Rule};

/// The bounds of each event's moment, with the feed's order taken into account.
pub(crate) struct Order {
    earliest: Vec<u64>,
    latest: Vec<u64>,
}

/// One bound, and who knows it.
#[derive(Clone, Copy)]
struct Bound {
    time: u64,
    witness: Witness,
}

#[derive(Clone, Copy)]
enum Witness {
    Nobody,
    Operation(usize),
    Poll(usize),
}

struct Bounds {
    not_before: Vec<Bound>,
    not_after: Vec<Bound>,
}

pub(crate) fn check(
    history: &History,
    timeline: &Timeline,
    attribution: &Attribution,
    report: &mut Report,
) -> Order {
    let bounds = Bounds::gather(history, timeline, attribution);
    bounds.check(history, report);
    let order = bounds.order();
    for operation in &history.operations {
        check_existence(timeline, &order, operation, report);
    }
    order
}

impl Order {
    /// No event took effect before this.
    pub(crate) fn earliest(&self, position: usize) -> u64 {
        self.earliest[position]
    }

    /// The event had taken effect by then.
    pub(crate) fn latest(&self, position: usize) -> u64 {
        self.latest[position]
    }

    /// The steps of a product that may have been current at some moment from `invoked` to `returned`.
    fn steps_within(
        &self,
        chain: &Chain,
        invoked: u64,
        returned: u64,
    ) -> impl Iterator<Item = usize> {
        let begun = |position: &usize| self.earliest[*position] <= returned;
        let over = |position: &usize| self.latest[*position] < invoked;
        chain.events.partition_point(over)..=chain.events.partition_point(begun)
    }
}

impl Bounds {
    fn gather(history: &History, timeline: &Timeline, attribution: &Attribution) -> Self {
        let nothing = |time| Bound {
            time,
            witness: Witness::Nobody,
        };
        let mut bounds = Self {
            not_before: vec![nothing(0); history.feed.len()],
            not_after: vec![nothing(u64::MAX); history.feed.len()],
        };
        let mut crashes = history.crashes.clone();
        crashes.sort_unstable();
        for (position, makers) in attribution.events.iter().enumerate() {
            bounds.add_makers(history, &crashes, position, makers);
        }
        for (number, operation) in history.operations.iter().enumerate() {
            bounds.add_shown(timeline, number, operation);
        }
        for (number, poll) in history.polls.iter().enumerate() {
            bounds.add_poll(history, number, poll);
        }
        bounds
    }

    fn after(&mut self, position: usize, time: u64, witness: Witness) {
        let bound = &mut self.not_before[position];
        if time > bound.time {
            *bound = Bound { time, witness };
        }
    }

    fn before(&mut self, position: usize, time: u64, witness: Witness) {
        let bound = &mut self.not_after[position];
        if time < bound.time {
            *bound = Bound { time, witness };
        }
    }

    /// An event lies in the window of the operation that made it; where several may have, in the window of all.
    fn add_makers(&mut self, history: &History, crashes: &[u64], position: usize, makers: &Makers) {
        let may_have: Vec<usize> = makers
            .claimed
            .map_or(makers.possible.clone(), |number| vec![number]);
        let invoked = |number: &usize| history.operations[*number].invoked;
        let gone = |number: &usize| last_moment(&history.operations[*number], crashes);
        if let Some(first) = may_have.iter().min_by_key(|number| invoked(number)) {
            self.after(position, invoked(first), Witness::Operation(*first));
        }
        if let Some(last) = may_have.iter().max_by_key(|number| gone(number)) {
            self.before(position, gone(last), Witness::Operation(*last));
        }
        for number in &makers.repeated {
            let told = last_moment(&history.operations[*number], crashes);
            self.before(position, told, Witness::Operation(*number));
        }
    }

    fn add_shown(&mut self, timeline: &Timeline, number: usize, operation: &Operation) {
        let Some((returned, Outcome::Shown { version, .. })) = operation.ended else {
            return;
        };
        let product = operation.call.product();
        let (Place::Step(step), Some(chain)) =
            (timeline.place(product, version), timeline.chain(product))
        else {
            return;
        };
        let witness = Witness::Operation(number);
        if let Some(position) = chain.made_by(step) {
            self.before(position, returned, witness);
        }
        if let Some(position) = chain.ended_by(step) {
            self.after(position, operation.invoked, witness);
        }
    }

    fn add_poll(&mut self, history: &History, number: usize, poll: &Poll) {
        let witness = Witness::Poll(number);
        let place = |offset: u64| {
            let position = offset.checked_sub(history.first_offset)? as usize;
            (position < history.feed.len()).then_some(position)
        };
        let last = poll
            .next()
            .checked_sub(1)
            .filter(|_| !poll.events.is_empty());
        if let Some(position) = last.and_then(place) {
            self.before(position, poll.returned, witness);
        }
        match place(poll.next()) {
            Some(position) if poll.more => self.before(position, poll.returned, witness),
            Some(position) => self.after(position, poll.invoked, witness),
            None => {}
        }
    }

    fn check(&self, history: &History, report: &mut Report) {
        let mut greatest = 0;
        for position in 0..self.not_before.len() {
            if self.not_before[position].time > self.not_before[greatest].time {
                greatest = position;
            }
            let (low, high) = (self.not_before[greatest], self.not_after[position]);
            if low.time > high.time {
                report.add(Rule::RealTime, || {
                    format!(
                        "{} was not there before {} ({}), but {} was by {} ({})",
                        history.feed[greatest],
                        low.time,
                        low.witness.describe(history),
                        history.feed[position],
                        high.time,
                        high.witness.describe(history),
                    )
                });
            }
        }
    }

    fn order(&self) -> Order {
        let mut greatest = 0;
        let earliest = self.not_before.iter().map(|bound| {
            greatest = greatest.max(bound.time);
            greatest
        });
        let earliest = earliest.collect();
        let mut least = u64::MAX;
        let latest = self.not_after.iter().rev().map(|bound| {
            least = least.min(bound.time);
            least
        });
        let mut latest: Vec<u64> = latest.collect();
        latest.reverse();
        Order { earliest, latest }
    }
}

impl Witness {
    fn describe(self, history: &History) -> String {
        match self {
            Self::Nobody => "by nobody's word".to_owned(),
            Self::Operation(number) => history.operations[number].to_string(),
            Self::Poll(number) => {
                let Poll {
                    offset,
                    invoked,
                    returned,
                    events,
                    ..
                } = &history.polls[number];
                format!(
                    "poll for offset {offset} [{invoked} to {returned}: {} events]",
                    events.len()
                )
            }
        }
    }
}

/// When an operation can at the latest have taken effect.
fn last_moment(operation: &Operation, crashes: &[u64]) -> u64 {
    if let Some((returned, _)) = operation.ended {
        return returned;
    }
    let next = crashes.partition_point(|crash| *crash < operation.invoked);
    crashes.get(next).copied().unwrap_or(u64::MAX)
}

/// Who was told that a product is absent, or that it exists, was told so of some moment of the request.
fn check_existence(timeline: &Timeline, order: &Order, operation: &Operation, report: &mut Report) {
    let (returned, present) = match operation.ended {
        Some((returned, Outcome::Absent)) => (returned, false),
        Some((returned, Outcome::Exists)) => (returned, true),
        _ => return,
    };
    if timeline.truncated() {
        // It may have been told of a time that the feed no longer tells of.
        return;
    }
    let nothing = Chain::default();
    let chain = timeline.chain(operation.call.product()).unwrap_or(&nothing);
    let could_be = order
        .steps_within(chain, operation.invoked, returned)
        .any(|step| chain.state(step).quantity.is_some() == present);
    if !could_be {
        report.add(Rule::RealTime, || {
            format!("{operation} cannot have been told so at any moment of its request")
        });
    }
}
