//! The clients of one partition: who was seen within the last window, and what each has spent. Pure; time comes in as
//! a slot.
//!
//! Bounded: where there is no room for one more client, the one that was seen least recently is forgotten. Memory
//! follows the clients of the last window: each look at the table forgets a few whose time is over.

use std::net::{IpAddr, Ipv6Addr};

use ahash::RandomState;
use lru::LruCache;

use super::Class;
use super::window::{Slot, Window};

/// Expired clients that are forgotten with each request. Each request adds one at most, so they never pile up.
const EXPIRED_PER_REQUEST: usize = 2;

/// An IP address in one form: an IPv4 address is its IPv4-mapped IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Ipv6Addr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Address {
        Address(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        })
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> IpAddr {
        address.0.to_canonical()
    }
}

/// What a client has spent. Few clients are administrators, so that window is made when it is needed.
#[derive(Debug, Default)]
struct Client {
    regular: Window,
    admin: Option<Box<Window>>,
    /// When it last asked, in vain too: the order in which clients are forgotten.
    seen: Slot,
}

impl Client {
    fn advance(&mut self, now: Slot) {
        self.regular.advance(now);
        if let Some(admin) = &mut self.admin {
            admin.advance(now);
        }
    }

    fn spent(&self) -> Spent {
        let admin = self.admin.as_deref();
        let oldest = [self.regular.oldest(), admin.and_then(Window::oldest)];
        Spent {
            regular: self.regular.counted(),
            admin: admin.map_or(0, Window::counted),
            oldest: oldest.into_iter().flatten().min(),
        }
    }

    /// Counts a request, and returns when the oldest leaves.
    fn count(&mut self, class: Class, now: Slot) -> Slot {
        self.seen = now;
        let window = match class {
            Class::Regular => &mut self.regular,
            Class::Admin => self.admin.get_or_insert_default(),
        };
        window.advance(now);
        window.count(now);
        window.grows_at().expect("one was counted")
    }
}

/// The requests of a client in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// On the regular endpoints.
    pub regular: u64,
    /// On the admin endpoints.
    pub admin: u64,
    /// The oldest slot with one of them in it.
    pub oldest: Option<Slot>,
}

/// The clients of one partition.
pub struct Table {
    clients: LruCache<Address, Client, RandomState>,
    clients_max: usize,
    /// The latest moment that was seen: executors read the clock before they wait for the lock, and time must not run
    /// backwards here.
    latest: Slot,
}

impl Table {
    /// An empty one, for at most so many clients. It allocates as clients come.
    pub fn new(clients_max: usize, hasher: RandomState) -> Table {
        Table {
            clients: LruCache::unbounded_with_hasher(hasher),
            clients_max,
            latest: Slot::default(),
        }
    }

    /// It is `now`, or later. Comes before all else. Forgets a few clients whose time is over.
    pub fn advance(&mut self, now: Slot) -> Slot {
        self.latest = self.latest.max(now);
        for _ in 0..EXPIRED_PER_REQUEST {
            if !self.forget_if_expired() {
                break;
            }
        }
        self.latest
    }

    fn forget_if_expired(&mut self) -> bool {
        let oldest = self.clients.peek_lru();
        let is_expired = oldest.is_some_and(|(_, client)| client.seen.has_left(self.latest));
        is_expired && self.clients.pop_lru().is_some()
    }

    /// What of the budgets of `class` the client has spent; it counts as seen. One that is not known has spent
    /// nothing.
    pub fn see(&mut self, address: &Address, class: Class) -> (u64, Option<Slot>) {
        let Some(client) = self.clients.get_mut(address) else {
            return (0, None);
        };
        client.seen = self.latest;
        let window = match (class, &mut client.admin) {
            (Class::Regular, _) => &mut client.regular,
            (Class::Admin, Some(admin)) => admin,
            (Class::Admin, None) => return (0, None),
        };
        window.advance(self.latest);
        (window.counted(), window.grows_at())
    }

    /// Counts a request of the client. Returns when its oldest request leaves, and whether another client had to be
    /// forgotten for it.
    pub fn count(&mut self, address: &Address, class: Class) -> (Slot, bool) {
        let now = self.latest;
        if let Some(client) = self.clients.peek_mut(address) {
            return (client.count(class, now), false);
        }
        let is_full = self.clients.len() >= self.clients_max;
        let forgotten = is_full && self.clients.pop_lru().is_some();
        let client = self.clients.get_or_insert_mut(*address, Client::default);
        (client.count(class, now), forgotten)
    }

    /// What each client has spent, at `now`; at most as many as there is room for.
    pub fn spent(&mut self, now: Slot) -> impl Iterator<Item = (Address, Spent)> {
        let now = self.advance(now);
        self.clients
            .iter_mut()
            .filter_map(move |(address, client)| {
                client.advance(now);
                let spent = client.spent();
                spent.oldest.is_some().then_some((*address, spent))
            })
    }

    /// How many clients are known, those included whose time is over and who are not forgotten yet.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.clients.len()
    }
}
