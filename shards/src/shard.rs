//! The shard itself: decides, in the order asked, and answers at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::idempotency::{Effect, Memory};
use crate::{
    AdminAnswer, Creation, Identity, Product, ProductView, QUANTITY_MAX, Receipt, Setting,
    Standing, Ticket, Timestamp, Update, UpdateAnswer, VERSION_MAX, Verdict,
};

/// The bounds a shard keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an applied update is remembered, in milliseconds from its effect.
    pub idempotency_ttl_ms: u64,
    /// How many applied updates are remembered at most; beyond it updates are refused.
    pub idempotency_entries_max: usize,
}

/// A product that was deleted: its version lives on, so that a reborn product continues above it.
#[derive(Clone, Copy, Debug)]
struct Tombstone {
    version: u64,
    ticket: Ticket,
}

type Tombstones = BTreeMap<Box<str>, Tombstone>;

/// What a shard knows of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// The product exists.
    Stands(&'a Product),
    /// It was deleted, and had this version last.
    Gone(&'a str, u64),
}

impl<'a> Known<'a> {
    /// The id.
    pub fn id(&self) -> &'a str {
        match self {
            Known::Stands(product) => &product.id,
            Known::Gone(id, _) => id,
        }
    }
}

/// One shard. Keeps invariants 1 (one owner), 2 (versions grow by 1, across delete and re-create), 3 (stock is
/// never below 0) and 7 (at most once within the TTL).
#[derive(Debug)]
pub struct Shard {
    hasher: RandomState,
    products: HashTable<Product>,
    order: BTreeSet<Box<str>>,
    tombstones: Tombstones,
    memory: Memory,
    ticket: Ticket,
    /// The latest time seen: time never runs backwards within a shard.
    now: Timestamp,
}

impl Shard {
    /// An empty shard. `hasher` should be seeded at random, since ids come from outside.
    pub fn new(limits: Limits, hasher: RandomState) -> Shard {
        Shard {
            products: HashTable::new(),
            order: BTreeSet::new(),
            tombstones: Tombstones::new(),
            memory: Memory::new(
                limits.idempotency_ttl_ms,
                limits.idempotency_entries_max,
                hasher.clone(),
            ),
            hasher,
            ticket: Ticket(0),
            now: Timestamp(0),
        }
    }

    /// The number of changes decided so far: what an answer about the whole shard depends on.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// How many products exist.
    pub fn product_count(&self) -> usize {
        self.products.len()
    }

    /// How many applied updates are remembered.
    pub fn idempotency_entry_count(&self) -> usize {
        self.memory.len()
    }

    /// Brings near what deciding `updates` reads first: the memory of updates is large and read all over, and one that came
    /// unprepared would wait for its place in it. Worth while before the first of some is decided.
    pub fn look_ahead<'u>(&self, updates: impl Iterator<Item = &'u Update>) {
        self.memory
            .look_ahead(updates.map(|update| update.identity.view()));
    }

    /// Decides a change of stock.
    pub fn update<'a>(
        &'a mut self,
        now: Timestamp,
        update: &'a Update,
    ) -> Verdict<'a, UpdateAnswer> {
        let now = self.advance(now);
        let identity = update.identity.view();
        let identity_hash = self.memory.hash_of(identity);
        if let Some((answer, after)) = self.repeat(now, update, identity_hash) {
            return Verdict::unchanged(answer, after);
        }
        let id = update.identity.product_id();
        let hash = self.hasher.hash_one(id);
        let Some(product) = self.products.find_mut(hash, |product| *product.id == *id) else {
            let after = ticket_of_absence(&self.tombstones, id);
            return Verdict::unchanged(UpdateAnswer::NotFound, after);
        };
        let standing = standing(product);
        if update
            .expected_version
            .is_some_and(|v| v != product.version)
        {
            return Verdict::unchanged(UpdateAnswer::VersionConflict(standing), product.ticket);
        }
        let quantity = match add(product.available, update.delta) {
            Sum::BelowZero => {
                return Verdict::unchanged(UpdateAnswer::Insufficient(standing), product.ticket);
            }
            Sum::AboveMax => {
                return Verdict::unchanged(UpdateAnswer::OutOfRange(standing), product.ticket);
            }
            Sum::Fits(_) if product.version >= VERSION_MAX => {
                return Verdict::unchanged(UpdateAnswer::OutOfRange(standing), product.ticket);
            }
            Sum::Fits(quantity) => quantity,
        };
        if !self.memory.make_room(now) {
            return Verdict::unchanged(UpdateAnswer::MemoryFull, Ticket(0));
        }

        self.ticket.0 += 1;
        product.available = quantity;
        touch(product, now, self.ticket);
        let receipt = self::standing(product);
        let effect = Effect {
            delta: update.delta,
            receipt,
            ticket: self.ticket,
        };
        self.memory.remember(identity, identity_hash, effect);
        Verdict {
            remembered: Some(&update.identity),
            ..Verdict::changed(
                UpdateAnswer::Applied(receipt),
                self.ticket,
                Cow::Borrowed(product),
            )
        }
    }

    /// The answer if `update` is a repeat, or if its key was used for something else.
    fn repeat(&self, now: Timestamp, update: &Update, hash: u64) -> Option<(UpdateAnswer, Ticket)> {
        let effect = self.memory.find(update.identity.view(), hash, now)?;
        if effect.delta == update.delta {
            return Some((UpdateAnswer::Replayed(effect.receipt), effect.ticket));
        }
        let id = update.identity.product_id();
        let product = self.get(id);
        let ticket = product.map_or_else(|| ticket_of_absence(&self.tombstones, id), |p| p.ticket);
        let answer = UpdateAnswer::KeyReused(product.map(standing));
        // What it led to is older than, or the same as, the product's latest change.
        assert!(effect.ticket <= ticket);
        Some((answer, ticket))
    }

    /// Decides a creation.
    pub fn create(&mut self, now: Timestamp, creation: Creation) -> Verdict<'_, AdminAnswer> {
        let now = self.advance(now);
        if let Some(product) = self.get(&creation.id) {
            return Verdict::unchanged(AdminAnswer::AlreadyExists, product.ticket);
        }
        let last_version = self.tombstones.get(&creation.id).map_or(0, |t| t.version);
        if last_version >= VERSION_MAX {
            return Verdict::unchanged(AdminAnswer::OutOfRange, self.ticket);
        }
        self.tombstones.remove(&creation.id);
        self.ticket.0 += 1;
        let version = last_version + 1;
        let product = self.insert(Product {
            id: creation.id,
            name: creation.name,
            price: creation.price,
            available: creation.available,
            version,
            updated_at: now,
            ticket: self.ticket,
        });
        let answer = AdminAnswer::Done { version, at: now };
        Verdict::changed(answer, product.ticket, Cow::Borrowed(product))
    }

    /// Decides a change of properties.
    pub fn set(&mut self, now: Timestamp, setting: Setting) -> Verdict<'_, AdminAnswer> {
        let now = self.advance(now);
        let hash = self.hasher.hash_one(&*setting.id);
        let Some(product) = self.products.find_mut(hash, |p| p.id == setting.id) else {
            let after = ticket_of_absence(&self.tombstones, &setting.id);
            return Verdict::unchanged(AdminAnswer::NotFound, after);
        };
        if setting
            .expected_version
            .is_some_and(|v| v != product.version)
        {
            let current = product.version;
            return Verdict::unchanged(AdminAnswer::VersionConflict { current }, product.ticket);
        }
        if product.version >= VERSION_MAX {
            return Verdict::unchanged(AdminAnswer::OutOfRange, product.ticket);
        }
        self.ticket.0 += 1;
        if let Some(name) = setting.name {
            product.name = name;
        }
        if let Some(available) = setting.available {
            assert!(available <= QUANTITY_MAX, "the edge bounds `available`");
            product.available = available;
        }
        if let Some(price) = setting.price {
            product.price = price;
        }
        touch(product, now, self.ticket);
        let answer = AdminAnswer::Done {
            version: product.version,
            at: now,
        };
        Verdict::changed(answer, self.ticket, Cow::Borrowed(product))
    }

    /// Decides a deletion.
    pub fn delete(&mut self, now: Timestamp, id: &str) -> Verdict<'_, AdminAnswer> {
        let now = self.advance(now);
        let Some(product) = self.get(id) else {
            return Verdict::unchanged(
                AdminAnswer::NotFound,
                ticket_of_absence(&self.tombstones, id),
            );
        };
        if product.version >= VERSION_MAX {
            return Verdict::unchanged(AdminAnswer::OutOfRange, product.ticket);
        }
        self.ticket.0 += 1;
        let mut product = self.remove(id).expect("it was just found");
        product.version += 1;
        product.ticket = self.ticket;
        self.bury(&product);
        let answer = AdminAnswer::Done {
            version: product.version,
            at: now,
        };
        Verdict::changed(answer, self.ticket, Cow::Owned(product))
    }

    /// Reads a product.
    pub fn read(&self, id: &str) -> Verdict<'_, Option<&Product>> {
        let product = self.get(id);
        let after = product.map_or_else(|| ticket_of_absence(&self.tombstones, id), |p| p.ticket);
        Verdict::unchanged(product, after)
    }

    /// The products above `after`, in byte order of their ids. What it shows, absence included, depends on
    /// [`Shard::ticket`].
    pub fn products_after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Product> + use<'a> {
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order
            .range::<str, _>((lower, Bound::Unbounded))
            .map(|id| self.get(id).expect("the order lists what exists"))
    }

    /// The ids and last versions of deleted products, in byte order of the ids.
    pub fn tombstones(&self) -> impl Iterator<Item = (&str, u64)> {
        self.tombstones.iter().map(|(id, t)| (&**id, t.version))
    }

    /// All that is known of the ids above `after`, in byte order: products that exist and products that are gone.
    /// In one walk, so that no id slips from the one to the other behind it.
    pub fn known_after<'a>(&'a self, after: Option<&str>) -> impl Iterator<Item = Known<'a>> {
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (lower, Bound::Unbounded);
        let mut gone = self.tombstones.range::<str, _>(range).peekable();
        let mut standing = self.products_after(after).peekable();
        std::iter::from_fn(move || {
            let gone_is_next = match (gone.peek(), standing.peek()) {
                (Some((id, _)), Some(product)) => **id < product.id,
                (gone, _) => gone.is_some(),
            };
            match gone_is_next {
                true => gone.next().map(|(id, t)| Known::Gone(id, t.version)),
                false => standing.next().map(Known::Stands),
            }
        })
    }

    /// The version that the product `id` has, or had last; 0 if it never was.
    pub fn last_version(&self, id: &str) -> u64 {
        match self.get(id) {
            Some(product) => product.version,
            None => self.tombstones.get(id).map_or(0, |t| t.version),
        }
    }

    /// Forgets up to `limit` applied updates whose TTL is over. Returns how many.
    pub fn expire(&mut self, now: Timestamp, limit: usize) -> usize {
        let now = self.advance(now);
        self.memory.expire(now, limit)
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    fn get(&self, id: &str) -> Option<&Product> {
        let hash = self.hasher.hash_one(id);
        self.products.find(hash, |product| *product.id == *id)
    }

    fn insert(&mut self, product: Product) -> &Product {
        assert!(product.available <= QUANTITY_MAX && product.version <= VERSION_MAX);
        let newly_listed = self.order.insert(product.id.clone());
        assert!(newly_listed, "a product exists once");
        let hash = self.hasher.hash_one(&*product.id);
        let hasher = &self.hasher;
        self.products
            .insert_unique(hash, product, |product| hasher.hash_one(&*product.id))
            .into_mut()
    }

    fn remove(&mut self, id: &str) -> Option<Product> {
        let hash = self.hasher.hash_one(id);
        let found = self
            .products
            .find_entry(hash, |product| *product.id == *id)
            .ok()?;
        let was_listed = self.order.remove(id);
        assert!(was_listed, "the order lists what exists");
        Some(found.remove().0)
    }

    fn bury(&mut self, product: &Product) {
        let tombstone = Tombstone {
            version: product.version,
            ticket: product.ticket,
        };
        self.tombstones.insert(product.id.clone(), tombstone);
    }
}

/// A change as it stands in the journal.
#[derive(Clone, Copy, Debug)]
pub enum Replayed<'a> {
    /// The product was created, updated or modified, and is now this.
    Stands(ProductView<'a>),
    /// The product was deleted; this is as it last was, with the version of the deletion.
    Gone(ProductView<'a>),
}

/// A journal that does not fit what the shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayError {
    /// The version that the next change of this product must have.
    pub expected_version: u64,
    /// The version it has.
    pub found_version: u64,
}

/// Recovery: a snapshot's products and tombstones, then the journal's changes in order of offset.
impl Shard {
    /// Takes a product from the snapshot. Its time does not become the shard's: a catalogue may come from a machine
    /// whose clock is ahead, and would stop this one's.
    pub fn restore_product(&mut self, product: Product) {
        self.insert(product);
    }

    /// Takes a tombstone from the snapshot.
    pub fn restore_tombstone(&mut self, id: Box<str>, version: u64) {
        let ticket = Ticket(0);
        self.tombstones.insert(id, Tombstone { version, ticket });
    }

    /// Applies a change from the journal that took effect at `at`. Versions must continue without a gap. After an
    /// error the shard is of no use any more: the journal is not its own.
    pub fn restore_change(
        &mut self,
        at: Timestamp,
        change: Replayed<'_>,
    ) -> Result<(), ReplayError> {
        self.advance(at);
        match change {
            Replayed::Stands(view) => self.restore_standing(&view),
            Replayed::Gone(view) => {
                follows(self.last_version(view.id), &view)?;
                self.remove(view.id);
                self.bury(&view.to_product());
                Ok(())
            }
        }
    }

    fn restore_standing(&mut self, view: &ProductView<'_>) -> Result<(), ReplayError> {
        let hash = self.hasher.hash_one(view.id);
        match self.products.find_mut(hash, |p| *p.id == *view.id) {
            Some(product) => {
                follows(product.version, view)?;
                product.become_as(view);
            }
            None => {
                let tombstone = self.tombstones.get(view.id);
                follows(tombstone.map_or(0, |t| t.version), view)?;
                self.tombstones.remove(view.id);
                self.insert(view.to_product());
            }
        }
        Ok(())
    }

    /// A change took effect at `at`: no later one is stamped earlier.
    pub fn restore_time(&mut self, at: Timestamp) {
        self.advance(at);
    }

    /// Remembers an applied update from the journal, unless its TTL is over at `now`.
    pub fn restore_identity(
        &mut self,
        now: Timestamp,
        identity: impl FnOnce() -> Identity,
        delta: i64,
        receipt: Receipt,
    ) {
        self.advance(receipt.at);
        if self.memory.is_live(receipt.at, now) {
            let effect = Effect {
                delta,
                receipt,
                ticket: Ticket(0),
            };
            self.memory.restore(identity().view(), effect);
        }
    }
}

/// What the answer "there is no such product" depends on.
fn ticket_of_absence(tombstones: &Tombstones, id: &str) -> Ticket {
    tombstones.get(id).map_or(Ticket(0), |t| t.ticket)
}

fn follows(last_version: u64, view: &ProductView<'_>) -> Result<(), ReplayError> {
    let expected_version = last_version + 1;
    match view.version == expected_version {
        true => Ok(()),
        false => Err(ReplayError {
            expected_version,
            found_version: view.version,
        }),
    }
}

fn standing(product: &Product) -> Standing {
    Receipt {
        quantity: product.available,
        version: product.version,
        at: product.updated_at,
    }
}

fn touch(product: &mut Product, now: Timestamp, ticket: Ticket) {
    product.version += 1;
    product.updated_at = now;
    product.ticket = ticket;
}

enum Sum {
    Fits(u64),
    BelowZero,
    AboveMax,
}

fn add(available: u64, delta: i64) -> Sum {
    match available.checked_add_signed(delta) {
        Some(quantity) if quantity <= QUANTITY_MAX => Sum::Fits(quantity),
        None if delta < 0 => Sum::BelowZero,
        _ => Sum::AboveMax,
    }
}
