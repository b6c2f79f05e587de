//! Random histories. A step is written relative to how things stand ("take one more than there is"), so that it keeps
//! its meaning while a failing history shrinks; a [`Script`] turns it into the operation to ask.

use ahash::RandomState;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Select, select};
use shards::{Limits, Price, Product, QUANTITY_MAX, Ticket, Timestamp, VERSION_MAX};

use crate::naive::Naive;

/// Joined to the stores and keys below, several of these give the same text.
pub const IDS: [&str; 5] = ["a", "aa", "b", "Z", "é"];
const STORES: [&str; 2] = ["a", "aa"];
const KEYS: [&str; 3] = ["a", "aa", "k"];
const NAMES: [&str; 2] = ["Milk", "Bread"];
const PRICES: [&str; 3] = ["0", "1.50", "1.5e0"];

const STEPS_MAX: usize = 200;
const TTL_MS_MAX: u64 = 40;
const CLOCK_AT_START: u64 = 1_000;

#[derive(Clone, Debug)]
pub struct History {
    pub hash_seed: u64,
    pub limits: Limits,
    pub start: Vec<Start>,
    pub steps: Vec<Step>,
}

/// What a snapshot holds of one id.
#[derive(Clone, Debug)]
pub struct Start {
    pub product: Product,
    pub deleted: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    clock: Clock,
    ask: Ask,
}

#[derive(Clone, Copy, Debug)]
pub enum Clock {
    Still,
    Forward(u64),
    Back(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    New(Act<Delta, Version>),
    /// The update applied that many updates ago once more, as it was or with another delta.
    Repeat {
        ago: usize,
        other_delta: Option<Delta>,
        version: Version,
    },
}

/// What a shard can be asked, with deltas and versions said in one way or another.
#[derive(Clone, Copy, Debug)]
pub enum Act<D, V> {
    /// Store, product and key; how much; at which version.
    Update([Text; 3], D, V),
    /// Id, name, available, price.
    Create(Text, Text, u64, Text),
    /// Id; name, available and price where they are set; at which version.
    Set(Text, Option<Text>, Option<u64>, Option<Text>, V),
    /// Id.
    Delete(Text),
    /// How many to forget at most.
    Expire(usize),
}

pub type Text = &'static str;

/// An act ready to be asked.
pub type Op = Act<i64, Option<u64>>;

#[derive(Clone, Copy, Debug)]
enum Delta {
    Of(i64),
    /// Takes all there is, and that much more.
    TakeAllAnd(i64),
    /// Fills up to the greatest quantity, and that much more.
    FillUpAnd(i64),
}

#[derive(Clone, Copy, Debug)]
enum Version {
    Any,
    /// The current one (of what is gone: its last), plus this.
    CurrentPlus(i64),
}

impl Op {
    /// The product it is about.
    pub fn id(&self) -> Option<Text> {
        match *self {
            Act::Update([_, id, _], ..) | Act::Create(id, ..) | Act::Set(id, ..) => Some(id),
            Act::Delete(id) => Some(id),
            Act::Expire(_) => None,
        }
    }

    pub fn is_deletion(&self) -> bool {
        matches!(self, Act::Delete(_))
    }
}

impl History {
    /// Another one for each start of the shard.
    pub fn hasher(&self, start: u64) -> RandomState {
        RandomState::with_seeds(self.hash_seed, start, 2, 3)
    }
}

/// Turns steps into operations.
pub struct Script {
    clock: u64,
}

impl Script {
    pub fn new() -> Script {
        Script {
            clock: CLOCK_AT_START,
        }
    }

    pub fn next(&mut self, step: &Step, naive: &Naive) -> (Timestamp, Op) {
        let op = match step.ask {
            Ask::New(act) => act.ready(naive),
            Ask::Repeat {
                ago,
                other_delta,
                version,
            } => repeat(ago, other_delta, version, naive),
        };
        (self.pass(step.clock), op)
    }

    /// Moves the clock and reads it.
    pub fn pass(&mut self, clock: Clock) -> Timestamp {
        self.clock = match clock {
            Clock::Still => self.clock,
            Clock::Forward(ms) => self.clock + ms,
            Clock::Back(ms) => self.clock.saturating_sub(ms),
        };
        Timestamp(self.clock)
    }
}

/// An applied update once more; where there is none, nothing that matters.
fn repeat(ago: usize, other_delta: Option<Delta>, version: Version, naive: &Naive) -> Op {
    let Some((identity, delta)) = naive.applied().rev().cycle().nth(ago) else {
        return Act::Expire(0);
    };
    let id = identity[1];
    let delta = other_delta.map_or(delta, |other| other.of(id, naive));
    Act::Update(identity, delta, version.of(id, naive))
}

impl Act<Delta, Version> {
    fn ready(self, naive: &Naive) -> Op {
        match self {
            Act::Update(identity, delta, version) => {
                let id = identity[1];
                Act::Update(identity, delta.of(id, naive), version.of(id, naive))
            }
            Act::Create(id, name, available, price) => Act::Create(id, name, available, price),
            Act::Set(id, name, available, price, version) => {
                Act::Set(id, name, available, price, version.of(id, naive))
            }
            Act::Delete(id) => Act::Delete(id),
            Act::Expire(limit) => Act::Expire(limit),
        }
    }
}

impl Delta {
    /// Never 0, and within what the edge lets through.
    fn of(self, id: &str, naive: &Naive) -> i64 {
        let available = naive.product(id).map_or(1, |product| product.available);
        let (available, max) = (available as i64, QUANTITY_MAX as i64);
        let delta = match self {
            Delta::Of(delta) => delta,
            Delta::TakeAllAnd(more) => -available - more,
            Delta::FillUpAnd(more) => max - available + more,
        };
        match delta.clamp(-max, max) {
            0 => 1,
            delta => delta,
        }
    }
}

impl Version {
    fn of(self, id: &str, naive: &Naive) -> Option<u64> {
        match self {
            Version::Any => None,
            Version::CurrentPlus(more) => {
                let version = naive.last_version(id).saturating_add_signed(more);
                Some(version.min(VERSION_MAX))
            }
        }
    }
}

pub fn histories() -> impl Strategy<Value = History> {
    let limits = (1..=TTL_MS_MAX, entries_max()).prop_map(|(ttl_ms, entries_max)| Limits {
        idempotency_ttl_ms: ttl_ms,
        idempotency_entries_max: entries_max,
    });
    let steps = vec(steps(), 0..=STEPS_MAX);
    (any::<u64>(), limits, starts(), steps).prop_map(|(hash_seed, limits, start, steps)| History {
        hash_seed,
        limits,
        start,
        steps,
    })
}

/// Mostly so few that the memory is full within some steps.
fn entries_max() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..=6usize, 1 => Just(1_000)]
}

fn starts() -> impl Strategy<Value = Vec<Start>> {
    let deleted = prop::bool::weighted(0.2);
    let start = (versions_at_start(), quantities(), 990..=1_010u64, deleted);
    vec(option::weighted(0.7, start), IDS.len()).prop_map(|starts| {
        let of_ids = IDS.into_iter().zip(starts);
        let held = of_ids.filter_map(|(id, start)| Some(started(id, start?)));
        held.collect()
    })
}

fn started(id: &str, (version, available, at, deleted): (u64, u64, u64, bool)) -> Start {
    let product = Product {
        id: id.into(),
        name: NAMES[0].into(),
        price: Price::new(PRICES[0]),
        available,
        version,
        updated_at: Timestamp(at),
        ticket: Ticket(0),
    };
    Start { product, deleted }
}

fn versions_at_start() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 1..=3u64, 1 => VERSION_MAX - 5..=VERSION_MAX]
}

fn steps() -> impl Strategy<Value = Step> {
    (clocks(), asks()).prop_map(|(clock, ask)| Step { clock, ask })
}

pub fn clocks() -> impl Strategy<Value = Clock> {
    prop_oneof![
        4 => Just(Clock::Still),
        8 => (1..=4u64).prop_map(Clock::Forward),
        2 => (1..=TTL_MS_MAX + 1).prop_map(Clock::Forward),
        1 => (1..=TTL_MS_MAX + 1).prop_map(Clock::Back),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let repeat = (agos(), option::weighted(0.3, deltas()), versions());
    let repeat = repeat.prop_map(|(ago, other_delta, version)| Ask::Repeat {
        ago,
        other_delta,
        version,
    });
    prop_oneof![3 => acts().prop_map(Ask::New), 1 => repeat]
}

fn acts() -> impl Strategy<Value = Act<Delta, Version>> {
    let identity = [select(&STORES[..]), ids(), select(&KEYS[..])];
    let update = (identity, deltas(), versions());
    let create = (ids(), names(), quantities(), prices());
    let set = (
        ids(),
        option::of(names()),
        option::of(quantities()),
        option::of(prices()),
        versions(),
    );
    prop_oneof![
        20 => update.prop_map(|(identity, delta, version)| Act::Update(identity, delta, version)),
        8 => create.prop_map(|(id, name, available, price)| Act::Create(id, name, available, price)),
        4 => set.prop_map(|(id, name, available, price, version)| Act::Set(id, name, available, price, version)),
        2 => ids().prop_map(Act::Delete),
        2 => (0..=5usize).prop_map(Act::Expire),
    ]
}

fn ids() -> Select<Text> {
    select(&IDS[..])
}

fn names() -> impl Strategy<Value = Text> {
    select(&NAMES[..])
}

fn prices() -> impl Strategy<Value = Text> {
    select(&PRICES[..])
}

fn quantities() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..=10u64, 1 => QUANTITY_MAX - 1..=QUANTITY_MAX]
}

fn deltas() -> impl Strategy<Value = Delta> {
    const MAX: i64 = QUANTITY_MAX as i64;
    prop_oneof![
        4 => (1..=4i64).prop_map(Delta::Of),
        4 => (-4..=-1i64).prop_map(Delta::Of),
        1 => select(vec![MAX, -MAX]).prop_map(Delta::Of),
        1 => (0..=1i64).prop_map(Delta::TakeAllAnd),
        1 => (0..=1i64).prop_map(Delta::FillUpAnd),
    ]
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![
        3 => Just(Version::Any),
        4 => Just(Version::CurrentPlus(0)),
        1 => (-2..=1i64).prop_map(Version::CurrentPlus),
    ]
}

fn agos() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 0..=6usize, 1 => 0..=STEPS_MAX]
}
