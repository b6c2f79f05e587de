//! Plays a history to a shard with the model beside it, and records what a journal would.

use std::borrow::Cow;

use ahash::RandomState;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use shards::{
    AdminAnswer, Creation, Identity, Limits, Price, Product, Receipt, ReplayError, Replayed,
    Setting, Shard, Ticket, Timestamp, Update, UpdateAnswer, Verdict,
};

use crate::history::{Act, History, Op, Script, Start, Step};
use crate::naive::{Expected, Naive};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Update(UpdateAnswer),
    Admin(AdminAnswer),
    Expired,
}

impl Answer {
    /// The receipt of an update that took effect just now.
    pub fn applied(self) -> Option<Receipt> {
        match self {
            Answer::Update(UpdateAnswer::Applied(receipt)) => Some(receipt),
            _ => None,
        }
    }

    pub fn is_change(self) -> bool {
        self.changed_at().is_some()
    }

    /// When the change took effect, if it is one.
    pub fn changed_at(self) -> Option<Timestamp> {
        match self {
            Answer::Admin(AdminAnswer::Done { at, .. }) => Some(at),
            _ => self.applied().map(|receipt| receipt.at),
        }
    }
}

/// A [`Verdict`] that owns what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub answer: Answer,
    pub after: Ticket,
    pub changed: Option<Product>,
}

/// One step, just played.
pub struct Moment<'a> {
    pub at: Timestamp,
    pub op: Op,
    pub outcome: Outcome,
    pub expected: Expected,
    /// The product of the operation as it was before.
    pub before: Option<Product>,
    pub ticket_before: Ticket,
    pub entries_before: usize,
    pub shard: &'a Shard,
    pub naive: &'a Naive,
}

/// What the journal keeps of a change.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub at: Timestamp,
    pub product: Product,
    pub gone: bool,
    pub update: Option<(Identity, i64, Receipt)>,
}

pub struct Play {
    pub shard: Shard,
    pub naive: Naive,
    pub script: Script,
    pub record: Vec<Recorded>,
}

impl Play {
    pub fn new(history: &History) -> Play {
        Play {
            shard: start(history.limits, history.hasher(0), &history.start),
            naive: Naive::new(history.limits, &history.start),
            script: Script::new(),
            record: Vec::new(),
        }
    }

    pub fn step(&mut self, step: &Step) -> Moment<'_> {
        let (at, op) = self.script.next(step, &self.naive);
        let before = op.id().and_then(|id| self.shard.read(id).answer.cloned());
        let ticket_before = self.shard.ticket();
        let entries_before = self.shard.idempotency_entry_count();
        let outcome = ask(&mut self.shard, at, &op);
        let expected = self.naive.ask(at, &op);
        self.record.extend(recorded(&op, &outcome));
        Moment {
            at,
            op,
            outcome,
            expected,
            before,
            ticket_before,
            entries_before,
            shard: &self.shard,
            naive: &self.naive,
        }
    }

    pub fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }
}

/// Plays the whole history with a check after every step.
pub fn follow(
    history: &History,
    mut check: impl FnMut(&Moment) -> TestCaseResult,
) -> TestCaseResult {
    let mut play = Play::new(history);
    for (number, step) in history.steps.iter().enumerate() {
        let moment = play.step(step);
        check(&moment).map_err(|error| told_of(error, number, moment.at, &moment.op))?;
    }
    Ok(())
}

/// Adds which step it was.
pub fn told_of(error: TestCaseError, step: usize, at: Timestamp, op: &Op) -> TestCaseError {
    match error {
        TestCaseError::Fail(reason) => {
            TestCaseError::fail(format!("step {step}, {op:?} at {}: {reason}", at.0))
        }
        reject => reject,
    }
}

/// A shard that starts from a snapshot.
pub fn start(limits: Limits, hasher: RandomState, snapshot: &[Start]) -> Shard {
    let mut shard = Shard::new(limits, hasher);
    for Start { product, deleted } in snapshot.iter().cloned() {
        if deleted {
            shard.restore_tombstone(product.id, product.version);
        } else {
            shard.restore_product(product);
        }
    }
    shard
}

pub fn ask(shard: &mut Shard, at: Timestamp, op: &Op) -> Outcome {
    match *op {
        Act::Update([store, id, key], delta, expected_version) => {
            let update = Update {
                identity: Identity::new(store, id, key),
                delta,
                expected_version,
            };
            owned(shard.update(at, &update), Answer::Update)
        }
        Act::Create(id, name, available, price) => {
            let creation = Creation {
                id: id.into(),
                name: name.into(),
                available,
                price: Price::new(price),
            };
            owned(shard.create(at, creation), Answer::Admin)
        }
        Act::Set(id, name, available, price, expected_version) => {
            let setting = Setting {
                id: id.into(),
                name: name.map(Into::into),
                available,
                price: price.map(Price::new),
                expected_version,
            };
            owned(shard.set(at, setting), Answer::Admin)
        }
        Act::Delete(id) => owned(shard.delete(at, id), Answer::Admin),
        Act::Expire(limit) => expire(shard, at, limit),
    }
}

fn expire(shard: &mut Shard, at: Timestamp, limit: usize) -> Outcome {
    let entries_before = shard.idempotency_entry_count();
    let forgotten = shard.expire(at, limit);
    assert_eq!(entries_before - forgotten, shard.idempotency_entry_count());
    Outcome {
        answer: Answer::Expired,
        after: Ticket(0),
        changed: None,
    }
}

fn owned<A>(verdict: Verdict<'_, A>, kind: impl Fn(A) -> Answer) -> Outcome {
    Outcome {
        answer: kind(verdict.answer),
        after: verdict.after,
        changed: verdict.changed.map(Cow::into_owned),
    }
}

fn recorded(op: &Op, outcome: &Outcome) -> Option<Recorded> {
    let product = without_ticket(outcome.changed.clone()?);
    let update = match (op, outcome.answer.applied()) {
        (&Act::Update([store, id, key], delta, _), Some(receipt)) => {
            Some((Identity::new(store, id, key), delta, receipt))
        }
        _ => None,
    };
    Some(Recorded {
        at: outcome.answer.changed_at()?,
        product,
        gone: op.is_deletion(),
        update,
    })
}

impl Recorded {
    /// Lets the shard take it back.
    pub fn restore_change(&self, shard: &mut Shard) -> Result<(), ReplayError> {
        let product = self.product.view();
        let change = match self.gone {
            true => Replayed::Gone(product),
            false => Replayed::Stands(product),
        };
        shard.restore_change(self.at, change)
    }

    pub fn restore_identity(&self, shard: &mut Shard, now: Timestamp) {
        if let Some((identity, delta, receipt)) = self.update.clone() {
            shard.restore_identity(now, || identity, delta, receipt);
        }
    }
}

pub fn without_ticket(mut product: Product) -> Product {
    product.ticket = Ticket(0);
    product
}
