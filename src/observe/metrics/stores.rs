//! Applied updates by store. Stores are named by clients, so only so many have a count of their own: those that are met
//! first; the rest share one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ahash::RandomState;

/// The label of the stores that have no count of their own.
pub const OTHER: &str = "other";

/// Which stores have a count of their own, over all acceptors.
#[derive(Debug)]
pub struct Stores {
    stores_max: usize,
    /// In the order in which they were met.
    names: Mutex<Vec<Box<str>>>,
}

/// Where an acceptor counts a store, without asking the others each time.
pub struct StorePlaces {
    stores: Arc<Stores>,
    known: RefCell<HashMap<Box<str>, usize, RandomState>>,
}

impl Stores {
    /// So many stores have a count of their own.
    pub fn new(stores_max: usize) -> Arc<Stores> {
        Arc::new(Stores {
            stores_max,
            names: Mutex::default(),
        })
    }

    /// How many places there are: one per store, and the last for the rest.
    pub fn places(&self) -> usize {
        self.stores_max + 1
    }

    /// The label of each place that is taken, and of the last.
    pub fn labels(&self) -> Vec<(usize, String)> {
        let names = self.names.lock().expect("no holder panics");
        let named = names.iter().map(|name| name.to_string()).enumerate();
        named.chain([(self.stores_max, OTHER.to_owned())]).collect()
    }

    /// The place of `store`, which takes one if there is one left. The lock is taken for a store's first update at an
    /// acceptor, and no more once every place is taken.
    fn place_of(&self, store: &str) -> usize {
        let mut names = self.names.lock().expect("no holder panics");
        let known = names.iter().position(|name| **name == *store);
        known.unwrap_or_else(|| {
            if names.len() < self.stores_max {
                names.push(store.into());
                return names.len() - 1;
            }
            self.stores_max
        })
    }
}

impl StorePlaces {
    /// Of an acceptor. `hasher` should be seeded at random, since stores are named by clients.
    pub fn new(stores: Arc<Stores>, hasher: RandomState) -> StorePlaces {
        StorePlaces {
            stores,
            known: RefCell::new(HashMap::with_hasher(hasher)),
        }
    }

    /// The place where `store` is counted.
    pub fn of(&self, store: &str) -> usize {
        if let Some(place) = self.known.borrow().get(store) {
            return *place;
        }
        let mut known = self.known.borrow_mut();
        // All that have a place of their own are known here: this one has none.
        if known.len() == self.stores.stores_max {
            return self.stores.stores_max;
        }
        let place = self.stores.place_of(store);
        if place < self.stores.stores_max {
            known.insert(store.into(), place);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stores_have_a_place_each_and_the_rest_share_one() {
        let stores = Stores::new(2);
        let (one, other) = (
            StorePlaces::new(stores.clone(), RandomState::new()),
            StorePlaces::new(stores.clone(), RandomState::new()),
        );
        assert_eq!((0, 1, 2), (one.of("a"), other.of("b"), one.of("c")));
        assert_eq!((1, 0, 2), (one.of("b"), other.of("a"), other.of("d")));
        let labels = stores.labels();
        let labels: Vec<(usize, &str)> = labels.iter().map(|(n, l)| (*n, &**l)).collect();
        assert_eq!(vec![(0, "a"), (1, "b"), (2, OTHER)], labels);
    }

    #[test]
    fn without_places_all_are_counted_together() {
        let places = StorePlaces::new(Stores::new(0), RandomState::new());
        assert_eq!(0, places.of("a"));
    }
}
