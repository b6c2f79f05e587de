//! The rate limiter: how much of its budget each client, and all together, have spent. One for the server, shared by
//! all acceptors, so that a budget of N lets N requests through however many acceptors there are.
//!
//! `window` and `table` are pure; this is the shell around them: a clock, locks, and what an operator is told. Called by
//! `api::limits` for every request below `/v1/`, and by `api::rate_limit_status`.
//!
//! Clients live in partitions, each behind a lock of its own; what all have spent together is behind one more. A lock
//! is held for a decision: some 100 ns, up to 1 us where a client is new and another has to go. Where both are needed the partition's comes first, so nobody
//! waits in a circle. A request is counted on all of its budgets or on none.

mod busiest;
mod table;
#[cfg(test)]
mod tests;
mod window;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;

use crate::config::{RateLimit, RateLimitKind};
use crate::runtime::clock::Uptime;
pub use busiest::{Busiest, BusyClient};
use table::{Address, Table};
use window::{Slot, Span, Window};

/// The most clients of one partition: the status looks at all of them under one lock, some 50 us. Smaller ones would be
/// full more unevenly.
const PARTITION_CLIENTS: usize = 256;
/// The least time between two reports to the log.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Whose budget a request spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// That of the regular endpoints.
    Regular,
    /// That of the admin endpoints.
    Admin,
}

impl Class {
    /// Both, in the order of their numbers.
    pub const ALL: [Class; 2] = [Class::Regular, Class::Admin];
}

/// The requests that a window may admit; none where there is no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Of one client.
    pub client: Option<u64>,
    /// Of all clients together.
    pub global: Option<u64>,
}

/// Who shares a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nobody: it is that of one client.
    Client,
    /// All clients.
    Global,
}

/// How a budget stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What may still be spent.
    pub remaining: u64,
    /// When it next grows, on the limiter's clock; 0 if it is whole.
    pub grows_at_ms: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on. If not, it was not counted.
    pub admitted: bool,
    /// Its client's budget, if that is limited.
    pub client: Option<Standing>,
    /// The budget of all, if that is limited.
    pub global: Option<Standing>,
}

impl Decision {
    /// The budget with less left; of two equal ones, the one that takes longer to grow. When that one has grown, a
    /// request that was refused is admitted.
    pub fn tightest(&self) -> (Scope, Standing) {
        let client = self.client.map(|standing| (Scope::Client, standing));
        let global = self.global.map(|standing| (Scope::Global, standing));
        let standings = [client, global].into_iter().flatten();
        let tightest = standings
            .min_by_key(|(_, standing)| (standing.remaining, Reverse(standing.grows_at_ms)));
        tightest.expect("every kind limits clients, or all, or both")
    }
}

/// What was refused, and who was forgotten, since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Regular requests that were refused.
    pub refused: u64,
    /// Admin requests that were refused.
    pub refused_admin: u64,
    /// Clients that were forgotten before their time because the table was full: they have their budgets anew.
    pub forgotten: u64,
}

/// What all clients together have spent.
#[derive(Default)]
struct Global {
    windows: [Window; Class::ALL.len()],
    latest: Slot,
}

impl Global {
    fn window(&mut self, class: Class, now: Slot) -> (&mut Window, Slot) {
        self.latest = self.latest.max(now);
        let window = &mut self.windows[class as usize];
        window.advance(self.latest);
        (window, self.latest)
    }
}

/// On cache lines of its own: another core has its neighbour.
#[repr(align(128))]
struct Apart<T>(T);

/// Shared by all acceptors.
pub struct Limiter {
    clock: Uptime,
    span: Span,
    budgets: [Budgets; Class::ALL.len()],
    hasher: RandomState,
    /// As many as a power of two, so that the hash of an address chooses with its low bits.
    partitions: Box<[Apart<Mutex<Table>>]>,
    /// None where nothing is limited for all together: then no lock is shared by all.
    global: Option<Apart<Mutex<Global>>>,
    tallies: Apart<Tallies>,
}

/// What is to be reported. Touched by refusals only, and looked at by heartbeats.
#[derive(Default)]
struct Tallies {
    /// Refused requests of each class, and clients that were forgotten.
    counts: [AtomicU64; Class::ALL.len() + 1],
    /// What of it was reported.
    reported: [AtomicU64; Class::ALL.len() + 1],
    report_due_ms: AtomicU64,
}

/// The place of the forgotten among the counts of [`Tallies`].
const FORGOTTEN: usize = Class::ALL.len();

const NO_PANIC: &str = "no holder panics";

impl Limiter {
    /// As the configuration says. The hashers' seeds come from outside, since addresses do: `partition_hasher` chooses
    /// the partition, `table_hasher` the place in it.
    pub fn new(
        config: &RateLimit,
        partition_hasher: RandomState,
        table_hasher: RandomState,
    ) -> Limiter {
        let partitions = config
            .clients_max
            .div_ceil(PARTITION_CLIENTS)
            .next_power_of_two();
        let clients_max = config.clients_max / partitions;
        let table = || Apart(Mutex::new(Table::new(clients_max, table_hasher.clone())));
        let budgets = Class::ALL.map(|class| budgets(config, class));
        let limits_all = budgets.iter().any(|budgets| budgets.global.is_some());
        Limiter {
            clock: Uptime::start(),
            span: Span::minutes(config.window_minutes),
            budgets,
            hasher: partition_hasher,
            partitions: (0..partitions).map(|_| table()).collect(),
            global: limits_all.then(|| Apart(Mutex::default())),
            tallies: Apart(Tallies::default()),
        }
    }

    /// Milliseconds on the limiter's clock: one for all acceptors, and read anew for each request, since a stamp that
    /// lags would let requests leave the window early.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// What may be spent in a window.
    pub fn budgets(&self, class: Class) -> Budgets {
        self.budgets[class as usize]
    }

    /// The length of the window.
    pub fn window_ms(&self) -> u64 {
        self.span.length_ms()
    }

    /// Decides a request of `client` at `now_ms`, and counts it if it is admitted.
    pub fn decide(&self, client: IpAddr, class: Class, now_ms: u64) -> Decision {
        let (address, slot) = (Address::from(client), self.span.slot(now_ms));
        let budgets = self.budgets(class);
        let mut table = self.partition(&address).lock().expect(NO_PANIC);
        let now = table.advance(slot);
        let own = table.see(&address, class);
        let mut global = self
            .global
            .as_ref()
            .map(|global| global.0.lock().expect(NO_PANIC));
        let mut all = global.as_mut().map(|global| global.window(class, now));
        let all_spent = all.as_ref().map_or(0, |(window, _)| window.counted());
        let has_room = |budget: Option<u64>, spent| budget.is_none_or(|budget| spent < budget);
        let admitted = has_room(budgets.client, own.0) && has_room(budgets.global, all_spent);
        let own = match admitted {
            true => {
                if let Some((window, now)) = &mut all {
                    window.count(*now);
                }
                let (grows_at, forgotten) = table.count(&address, class);
                if forgotten {
                    self.tallies.0.counts[FORGOTTEN].fetch_add(1, Ordering::Relaxed);
                }
                (own.0 + 1, Some(grows_at))
            }
            false => own,
        };
        let all = all.map_or((0, None), |(window, _)| {
            (window.counted(), window.grows_at())
        });
        drop((global, table));
        if !admitted {
            self.tallies.0.counts[class as usize].fetch_add(1, Ordering::Relaxed);
        }
        Decision {
            admitted,
            client: budgets.client.map(|budget| self.standing(budget, own)),
            global: budgets.global.map(|budget| self.standing(budget, all)),
        }
    }

    fn partition(&self, address: &Address) -> &Mutex<Table> {
        let hash = self.hasher.hash_one(address) as usize;
        &self.partitions[hash & (self.partitions.len() - 1)].0
    }

    fn standing(&self, budget: u64, (spent, grows_at): (u64, Option<Slot>)) -> Standing {
        Standing {
            remaining: budget.saturating_sub(spent),
            grows_at_ms: grows_at.map_or(0, |slot| self.span.begin_ms(slot)),
        }
    }

    /// How many partitions the clients are spread over.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Looks at every client of a partition, for the list of the busiest. Keeps requests of these clients waiting
    /// meanwhile.
    pub fn collect(&self, partition: usize, busiest: &mut Busiest, now_ms: u64) {
        busiest.make_room_for(PARTITION_CLIENTS);
        let mut table = self.partitions[partition].0.lock().expect(NO_PANIC);
        for (address, spent) in table.spent(self.span.slot(now_ms)) {
            let since_ms = spent.oldest.map_or(now_ms, |slot| self.span.begin_ms(slot));
            busiest.add(BusyClient {
                address: address.into(),
                requests: spent.regular,
                admin_requests: spent.admin,
                since_ms,
            });
        }
        drop(table);
        busiest.keep_the_busiest();
    }

    /// What all clients together have spent on regular and on admin endpoints, if that is limited.
    pub fn spent_by_all(&self, now_ms: u64) -> Option<[u64; Class::ALL.len()]> {
        let now = self.span.slot(now_ms);
        let mut global = self.global.as_ref()?.0.lock().expect(NO_PANIC);
        Some(Class::ALL.map(|class| global.window(class, now).0.counted()))
    }

    /// Clients that were forgotten before their time, since the start.
    pub fn clients_forgotten(&self) -> u64 {
        self.tallies.0.counts[FORGOTTEN].load(Ordering::Relaxed)
    }

    /// What an operator should know and was not told yet; at most every ten seconds, to one of those who ask.
    pub fn report(&self, now_ms: u64) -> Option<Report> {
        let tallies = &self.tallies.0;
        let order = Ordering::Relaxed;
        let due_ms = tallies.report_due_ms.load(order);
        let pairs = || tallies.counts.iter().zip(&tallies.reported);
        let is_quiet = pairs().all(|(count, reported)| count.load(order) == reported.load(order));
        if now_ms < due_ms || is_quiet {
            return None;
        }
        let next_ms = now_ms + REPORT_INTERVAL.as_millis() as u64;
        let is_ours = tallies
            .report_due_ms
            .compare_exchange(due_ms, next_ms, order, order);
        is_ours.ok()?;
        let mut news = pairs().map(|(count, reported)| {
            let now = count.load(order);
            now - reported.swap(now, order)
        });
        let mut next = || news.next().unwrap_or_default();
        Some(Report {
            refused: next(),
            refused_admin: next(),
            forgotten: next(),
        })
    }

    /// How many clients are known.
    #[cfg(test)]
    fn client_count(&self) -> usize {
        let lock = |table: &Apart<Mutex<Table>>| table.0.lock().expect(NO_PANIC).len();
        self.partitions.iter().map(lock).sum()
    }
}

fn budgets(config: &RateLimit, class: Class) -> Budgets {
    let (client, global) = match class {
        Class::Regular => (
            config.requests_per_minute,
            config.global_requests_per_minute,
        ),
        Class::Admin => (
            config.admin_requests_per_minute,
            config.admin_requests_per_minute,
        ),
    };
    let of_window = |per_minute: u32| u64::from(per_minute) * u64::from(config.window_minutes);
    let limits = |kinds: [RateLimitKind; 2]| kinds.contains(&config.kind);
    Budgets {
        client: limits([RateLimitKind::Ip, RateLimitKind::Both]).then(|| of_window(client)),
        global: limits([RateLimitKind::Global, RateLimitKind::Both]).then(|| of_window(global)),
    }
}
