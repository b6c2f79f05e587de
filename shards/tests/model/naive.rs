//! The model: the last change of every id in a map and every applied update in a list, read from end to end for each
//! answer. It is written from the contract, not from the shard, and is slow and plain on purpose.

use std::collections::BTreeMap;

use shards::{
    AdminAnswer, Limits, Price, Product, QUANTITY_MAX, Receipt, Ticket, Timestamp, UpdateAnswer,
    VERSION_MAX,
};

use crate::history::{Act, Op, Start, Text};
use crate::play::Answer;

pub struct Naive {
    limits: Limits,
    now: Timestamp,
    ticket: Ticket,
    latest: BTreeMap<Vec<u8>, Change>,
    effects: Vec<Effect>,
}

/// The last thing that happened to an id.
struct Change {
    product: Product,
    deleted: bool,
}

/// An update that was applied.
struct Effect {
    identity: [Text; 3],
    delta: i64,
    receipt: Receipt,
    ticket: Ticket,
}

/// What the shard should say.
pub struct Expected {
    pub answer: Answer,
    /// The last change that the answer tells of.
    pub shows: Ticket,
    pub changed: Option<Product>,
}

impl Naive {
    pub fn new(limits: Limits, start: &[Start]) -> Naive {
        let mut naive = Naive {
            limits,
            now: Timestamp(0),
            ticket: Ticket(0),
            latest: BTreeMap::new(),
            effects: Vec::new(),
        };
        for start in start {
            naive.put(start.product.clone(), start.deleted);
        }
        naive
    }

    /// The latest time it was told of.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub fn product(&self, id: &str) -> Option<&Product> {
        let change = self.latest.get(id.as_bytes())?;
        (!change.deleted).then_some(&change.product)
    }

    /// The version of the last change of `id`, deletion included.
    pub fn last_version(&self, id: &str) -> u64 {
        self.last_product(id).map_or(0, |product| product.version)
    }

    /// The ticket of the last change of `id`, deletion included.
    pub fn last_ticket(&self, id: &str) -> Ticket {
        self.last_product(id)
            .map_or(Ticket(0), |product| product.ticket)
    }

    /// What exists, in byte order of the ids.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        let existing = self.latest.values().filter(|change| !change.deleted);
        existing.map(|change| &change.product)
    }

    /// What was deleted and is still gone, with the version of the deletion, in byte order of the ids.
    pub fn gone(&self) -> impl Iterator<Item = (&str, u64)> {
        let gone = self.latest.values().filter(|change| change.deleted);
        gone.map(|change| (&*change.product.id, change.product.version))
    }

    /// How many applied updates must be remembered.
    pub fn remembered(&self) -> usize {
        self.unexpired().count()
    }

    /// Identity and delta of every update that was applied, in that order.
    pub fn applied(&self) -> impl DoubleEndedIterator<Item = ([Text; 3], i64)> + Clone {
        let effects = self.effects.iter();
        effects.map(|effect| (effect.identity, effect.delta))
    }

    pub fn ask(&mut self, at: Timestamp, op: &Op) -> Expected {
        self.now = self.now.max(at);
        match *op {
            Act::Update(identity, delta, version) => self.update(identity, delta, version),
            Act::Create(id, name, available, price) => self.create(id, name, available, price),
            Act::Set(id, name, available, price, version) => {
                self.set(id, name, available, price, version)
            }
            Act::Delete(id) => self.delete(id),
            Act::Expire(_) => Expected {
                answer: Answer::Expired,
                shows: Ticket(0),
                changed: None,
            },
        }
    }

    fn update(&mut self, identity: [Text; 3], delta: i64, version: Option<u64>) -> Expected {
        let id = identity[1];
        let first = self.unexpired().find(|effect| effect.identity == identity);
        if let Some(first) = first {
            return if first.delta == delta {
                refuse_update(UpdateAnswer::Replayed(first.receipt), first.ticket)
            } else {
                let shows = self.last_ticket(id).max(first.ticket);
                refuse_update(UpdateAnswer::KeyReused(self.standing(id)), shows)
            };
        }
        let shows = self.last_ticket(id);
        let Some(mut product) = self.product(id).cloned() else {
            return refuse_update(UpdateAnswer::NotFound, shows);
        };
        let standing = self.standing(id).expect("it exists");
        let sum = i128::from(product.available) + i128::from(delta);
        if version.is_some_and(|version| version != product.version) {
            return refuse_update(UpdateAnswer::VersionConflict(standing), shows);
        }
        if sum < 0 {
            return refuse_update(UpdateAnswer::Insufficient(standing), shows);
        }
        if sum > i128::from(QUANTITY_MAX) || product.version == VERSION_MAX {
            return refuse_update(UpdateAnswer::OutOfRange(standing), shows);
        }
        if self.remembered() >= self.limits.idempotency_entries_max {
            return refuse_update(UpdateAnswer::MemoryFull, Ticket(0));
        }

        product.available = sum as u64;
        product.updated_at = self.now;
        let changed = self.change(product, false);
        let receipt = self.standing(id).expect("it exists");
        self.effects.push(Effect {
            identity,
            delta,
            receipt,
            ticket: self.ticket,
        });
        Expected {
            answer: Answer::Update(UpdateAnswer::Applied(receipt)),
            shows: self.ticket,
            changed: Some(changed),
        }
    }

    fn create(&mut self, id: &str, name: &str, available: u64, price: &str) -> Expected {
        if self.product(id).is_some() {
            return self.refuse_admin(AdminAnswer::AlreadyExists, id);
        }
        if self.last_version(id) == VERSION_MAX {
            return self.refuse_admin(AdminAnswer::OutOfRange, id);
        }
        self.done(
            Product {
                id: id.into(),
                name: name.into(),
                price: Price::new(price),
                available,
                version: self.last_version(id),
                updated_at: self.now,
                ticket: Ticket(0),
            },
            false,
        )
    }

    fn set(
        &mut self,
        id: &str,
        name: Option<&str>,
        available: Option<u64>,
        price: Option<&str>,
        version: Option<u64>,
    ) -> Expected {
        let Some(mut product) = self.product(id).cloned() else {
            return self.refuse_admin(AdminAnswer::NotFound, id);
        };
        let current = product.version;
        if version.is_some_and(|version| version != current) {
            return self.refuse_admin(AdminAnswer::VersionConflict { current }, id);
        }
        if current == VERSION_MAX {
            return self.refuse_admin(AdminAnswer::OutOfRange, id);
        }
        product.name = name.map_or(product.name, Into::into);
        product.available = available.unwrap_or(product.available);
        product.price = price.map_or(product.price, Price::new);
        product.updated_at = self.now;
        self.done(product, false)
    }

    fn delete(&mut self, id: &str) -> Expected {
        match self.product(id).cloned() {
            None => self.refuse_admin(AdminAnswer::NotFound, id),
            Some(product) if product.version == VERSION_MAX => {
                self.refuse_admin(AdminAnswer::OutOfRange, id)
            }
            Some(product) => self.done(product, true),
        }
    }

    fn done(&mut self, product: Product, deleted: bool) -> Expected {
        let changed = self.change(product, deleted);
        Expected {
            answer: Answer::Admin(AdminAnswer::Done {
                version: changed.version,
                at: self.now,
            }),
            shows: self.ticket,
            changed: Some(changed),
        }
    }

    fn refuse_admin(&self, answer: AdminAnswer, id: &str) -> Expected {
        Expected {
            answer: Answer::Admin(answer),
            shows: self.last_ticket(id),
            changed: None,
        }
    }

    /// Gives `product` the next version and ticket and makes it the last of its id.
    fn change(&mut self, mut product: Product, deleted: bool) -> Product {
        self.ticket.0 += 1;
        product.version += 1;
        product.ticket = self.ticket;
        self.put(product.clone(), deleted);
        product
    }

    fn put(&mut self, product: Product, deleted: bool) {
        let id = product.id.as_bytes().to_vec();
        self.latest.insert(id, Change { product, deleted });
    }

    fn last_product(&self, id: &str) -> Option<&Product> {
        self.latest.get(id.as_bytes()).map(|change| &change.product)
    }

    fn standing(&self, id: &str) -> Option<Receipt> {
        self.product(id).map(|product| Receipt {
            quantity: product.available,
            version: product.version,
            at: product.updated_at,
        })
    }

    fn unexpired(&self) -> impl Iterator<Item = &Effect> {
        self.effects
            .iter()
            .filter(|effect| self.now.0 - effect.receipt.at.0 < self.limits.idempotency_ttl_ms)
    }
}

fn refuse_update(answer: UpdateAnswer, shows: Ticket) -> Expected {
    Expected {
        answer: Answer::Update(answer),
        shows,
        changed: None,
    }
}
