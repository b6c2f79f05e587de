//! Questions that wait for events: those about all events, which the next group answers, and those about some, which
//! are found by product.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::messages::{FeedReplyTo, Poll};
use crate::sequencer::filter::Subject;

/// A question, how far its answer is known to be empty, and how long it may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The question.
    pub poll: Poll,
    /// No event before this offset is an answer.
    pub from: u64,
    /// Until when it waits; none if it does not, or no longer.
    pub deadline_ms: Option<u64>,
}

impl Waiter {
    /// Whether both are answered with the same page.
    pub fn asks_as(&self, other: &Waiter) -> bool {
        let question = |waiter: &Waiter| (waiter.from, waiter.poll.limit, waiter.poll.form);
        question(self) == question(other) && self.poll.filter == other.poll.filter
    }
}

/// By deadline, and in the order in which they came.
pub type Place = (u64, u64);
/// Questions in the order in which their time is over.
pub type Queue = BTreeMap<Place, Waiter>;

/// Questions that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    about_all: Queue,
    about_some: Queue,
    /// Where those about some stand, by each product they name; those that name none are with [`NO_PRODUCT`].
    by_product: HashMap<Box<[u8]>, BTreeSet<Place>>,
    places_about_all: HashMap<FeedReplyTo, Place>,
    places_about_some: HashMap<FeedReplyTo, Place>,
    count: u64,
}

/// No product is called so: others have quotes.
const NO_PRODUCT: &[u8] = b"";

/// How far the questions about some events have been compared with one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    is_past_product: bool,
    latest: Option<Place>,
}

impl Waiting {
    /// How many.
    pub fn len(&self) -> usize {
        self.about_all.len() + self.about_some.len()
    }

    /// Whether any waits for some events only.
    pub fn has_filters(&self) -> bool {
        !self.about_some.is_empty()
    }

    /// Lets `waiter` wait.
    pub fn park(&mut self, waiter: Waiter) {
        self.count += 1;
        let deadline_ms = waiter.deadline_ms.expect("who waits does so until then");
        let place = (deadline_ms, self.count);
        if waiter.poll.filter.is_none() {
            self.places_about_all.insert(waiter.poll.to, place);
            self.about_all.insert(place, waiter);
            return;
        }
        self.places_about_some.insert(waiter.poll.to, place);
        for product in named(&waiter) {
            match self.by_product.get_mut(product) {
                Some(places) => places.insert(place),
                None => self
                    .by_product
                    .insert(product.into(), BTreeSet::from([place]))
                    .is_none(),
            };
        }
        self.about_some.insert(place, waiter);
    }

    /// All that are about all events. Takes no longer for many than for few.
    pub fn take_about_all(&mut self) -> Queue {
        self.places_about_all.clear();
        std::mem::take(&mut self.about_all)
    }

    /// The next one after `progress` that is about the event at `offset`, which has that `subject`: its answer begins
    /// there. None if all have been compared.
    pub fn take_next_about(
        &mut self,
        offset: u64,
        subject: Subject<'_>,
        progress: &mut Progress,
    ) -> Option<Waiter> {
        loop {
            let product = match progress.is_past_product {
                false => subject.product,
                true => NO_PRODUCT,
            };
            let after = progress.latest.map_or(Bound::Unbounded, Bound::Excluded);
            let places = self.by_product.get(product);
            let next = places.and_then(|places| places.range((after, Bound::Unbounded)).next());
            match (next.copied(), progress.is_past_product) {
                (Some(place), _) => {
                    progress.latest = Some(place);
                    let waiter = &self.about_some[&place];
                    let filter = waiter.poll.filter.as_ref();
                    // One that came later has looked at this event itself.
                    if waiter.from <= offset && filter.is_none_or(|f| f.matches(subject)) {
                        let waiter = self.take_about_some(place)?;
                        return Some(Waiter {
                            from: offset,
                            ..waiter
                        });
                    }
                }
                (None, true) => return None,
                (None, false) => {
                    *progress = Progress {
                        is_past_product: true,
                        latest: None,
                    }
                }
            }
        }
    }

    /// All that are about some events.
    pub fn take_about_some_all(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        self.by_product.clear();
        self.places_about_some.clear();
        std::mem::take(&mut self.about_some).into_values()
    }

    /// The first whose time is over.
    pub fn take_expired(&mut self, now_ms: u64) -> Option<Waiter> {
        let is_over = |place: &Place| place.0 <= now_ms;
        let first = |queue: &Queue| queue.keys().next().copied().filter(is_over);
        match first(&self.about_all) {
            Some(place) => self.take_about_all_at(place),
            None => first(&self.about_some).and_then(|place| self.take_about_some(place)),
        }
    }

    /// The one that `to` waits for.
    pub fn take_of(&mut self, to: FeedReplyTo) -> Option<Waiter> {
        match self.places_about_all.get(&to) {
            Some(place) => self.take_about_all_at(*place),
            None => self.take_about_some(*self.places_about_some.get(&to)?),
        }
    }

    fn take_about_all_at(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.about_all.remove(&place)?;
        self.places_about_all.remove(&waiter.poll.to);
        Some(waiter)
    }

    fn take_about_some(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.about_some.remove(&place)?;
        self.places_about_some.remove(&waiter.poll.to);
        for product in named(&waiter) {
            let places = self.by_product.get_mut(product);
            let places = places.expect("it stands with every product that it names");
            places.remove(&place);
            if places.is_empty() {
                self.by_product.remove(product);
            }
        }
        Some(waiter)
    }
}

/// What it stands with in the index.
fn named(waiter: &Waiter) -> impl Iterator<Item = &[u8]> {
    let filter = waiter.poll.filter.as_ref();
    let products = filter.map_or(&[][..], |filter| filter.products());
    let none = products.is_empty().then_some(NO_PRODUCT);
    products.iter().map(AsRef::as_ref).chain(none)
}
