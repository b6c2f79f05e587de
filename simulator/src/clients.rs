//! What clients ask: few products, so that they collide; identities that come again; versions that are stale.

use std::collections::BTreeMap;

use central_inventory::messages::{FeedRequest, Form, PageAfter, Poll, ShardRequest};
use central_inventory::shard::router::Router;
use history::Call;
use shards::{Creation, Identity, Price, Setting, Update};

use crate::book::{Book, OperationId};
use crate::front::{FeedQuestion, Front, Question, Range};
use crate::profile::{Kind, Profile};
use crate::random::Random;

/// Identities that may come again: the latest so many.
const RECENT: usize = 40;
/// The key of every identity: stores tell them apart.
const KEY: &str = "k";

/// All clients together.
#[derive(Debug, Default)]
pub struct Clients {
    recent: Vec<Wish>,
    stores: u64,
    /// What they believe of products: the latest version they were told; none for one that they think is gone.
    beliefs: BTreeMap<String, Option<u64>>,
    /// Changes that have no answer yet.
    pub changes_in_flight: usize,
}

/// A change of stock that somebody wants.
#[derive(Clone, Debug)]
struct Wish {
    store: String,
    product: String,
    delta: i64,
    version: Option<u64>,
}

/// What a client needs to ask.
pub struct Desk<'a> {
    /// The choices.
    pub random: &'a mut Random,
    /// Where it is written down.
    pub book: &'a mut Book,
    /// What the run is like.
    pub profile: &'a Profile,
    /// What is left out.
    pub without: &'a [Kind],
    /// Which shard owns a product.
    pub router: &'a Router,
    /// The step.
    pub step: u64,
    /// The offset behind the last that was written.
    pub end: u64,
    /// How many reads have failed.
    pub reads_failed: u64,
}

impl Desk<'_> {
    fn leaves_out(&self, kind: Kind) -> bool {
        self.without.contains(&kind)
    }

    fn product(&mut self) -> String {
        format!("p{}", self.random.below(self.profile.products))
    }

    fn quantity(&mut self) -> u64 {
        self.random.below(30)
    }
}

/// What can be asked.
#[derive(Clone, Copy)]
enum Wanted {
    Update,
    Batch,
    Create,
    Set,
    Delete,
    Read,
    Range,
    Poll,
    Forget,
    End,
}

const WANTED: [(Wanted, u32); 10] = [
    (Wanted::Update, 30),
    (Wanted::Batch, 6),
    (Wanted::Create, 4),
    (Wanted::Set, 4),
    (Wanted::Delete, 3),
    (Wanted::Read, 14),
    (Wanted::Range, 5),
    (Wanted::Poll, 16),
    (Wanted::Forget, 3),
    (Wanted::End, 3),
];

impl Clients {
    /// Some client asks something at `front`, if there is room for it.
    pub fn ask(&mut self, front: &mut Front, desk: &mut Desk<'_>) {
        let weights = WANTED.map(|(_, weight)| weight);
        let (wanted, _) = WANTED[desk.random.weighted(&weights)];
        let is_left_out = match wanted {
            Wanted::Batch => desk.leaves_out(Kind::Batch),
            Wanted::Create | Wanted::Set | Wanted::Delete => desk.leaves_out(Kind::Admin),
            Wanted::Read | Wanted::Range => desk.leaves_out(Kind::Read),
            Wanted::Poll | Wanted::Forget | Wanted::End => desk.leaves_out(Kind::Poll),
            Wanted::Update => false,
        };
        if is_left_out {
            return;
        }
        match wanted {
            Wanted::Update => self.update(front, desk),
            Wanted::Batch => self.batch(front, desk),
            Wanted::Create => {
                let product = desk.product();
                self.create(front, desk, product);
            }
            Wanted::Set => self.set(front, desk),
            Wanted::Delete => self.delete(front, desk),
            Wanted::Read => read(front, desk),
            Wanted::Range => range(front, desk),
            Wanted::Poll => poll(front, desk),
            Wanted::Forget => {
                let choice = desk.random.index(3);
                front.forget(choice);
            }
            Wanted::End => end(front, desk),
        }
    }

    /// Somebody was told that `product` has `version`, or is not there.
    pub fn believe(&mut self, product: &str, version: Option<u64>) {
        self.beliefs.insert(product.to_owned(), version);
    }

    /// The server is gone, and all that had no answer.
    pub fn forget_in_flight(&mut self) {
        self.changes_in_flight = 0;
    }

    fn has_room(&self, desk: &Desk<'_>, changes: usize) -> bool {
        self.changes_in_flight + changes <= desk.profile.changes_in_flight_max
    }

    fn update(&mut self, front: &mut Front, desk: &mut Desk<'_>) {
        let wish = self.wish(desk);
        let believed = self.beliefs.get(&wish.product).copied().flatten();
        if believed.is_none() && desk.random.chance(600_000) {
            return self.create(front, desk, wish.product);
        }
        let shard = desk.router.shard_of(&wish.product);
        if !front.has_room(shard) || !self.has_room(desk, 1) {
            return;
        }
        self.remember(&wish);
        let id = desk.book.ask(desk.step, wish.call());
        let update = wish.update();
        self.changes_in_flight += 1;
        front.ask(shard, Question::Update(id), |to| {
            ShardRequest::Update(to, update)
        });
    }

    fn batch(&mut self, front: &mut Front, desk: &mut Desk<'_>) {
        let count = desk.random.within(1, 5) as usize;
        let wishes: Vec<Wish> = (0..count).map(|_| self.wish(desk)).collect();
        let shard = desk.router.shard_of(&wishes[0].product);
        if !front.has_room(shard) || !self.has_room(desk, count) {
            return;
        }
        let (mut updates, mut ids) = (Vec::new(), Vec::new());
        for wish in wishes {
            if desk.router.shard_of(&wish.product) == shard {
                self.remember(&wish);
                updates.push((ids.len() as u32, wish.update()));
                ids.push(desk.book.ask(desk.step, wish.call()));
            }
        }
        self.ask_items(front, shard, ids, |to| ShardRequest::Updates(to, updates));
    }

    fn ask_items(
        &mut self,
        front: &mut Front,
        shard: usize,
        ids: Vec<OperationId>,
        request: impl FnOnce(central_inventory::messages::ReplyTo) -> ShardRequest,
    ) {
        self.changes_in_flight += ids.len();
        front.ask(shard, Question::Items(ids), request);
    }

    fn create(&mut self, front: &mut Front, desk: &mut Desk<'_>, product: String) {
        let shard = desk.router.shard_of(&product);
        if !front.has_room(shard) || !self.has_room(desk, 1) {
            return;
        }
        let available = desk.quantity();
        let creation = Creation {
            id: product.as_str().into(),
            name: "A name that is not short".into(),
            available,
            price: Price::new("10.50"),
        };
        let call = Call::Create { product, available };
        let ids = vec![desk.book.ask(desk.step, call)];
        self.ask_items(front, shard, ids, |to| {
            ShardRequest::Create(to, vec![(0, creation)])
        });
    }

    fn set(&mut self, front: &mut Front, desk: &mut Desk<'_>) {
        let product = desk.product();
        let shard = desk.router.shard_of(&product);
        if !front.has_room(shard) || !self.has_room(desk, 1) {
            return;
        }
        let available = desk.quantity();
        let believed = self.beliefs.get(&product).copied().flatten();
        let setting = Setting {
            id: product.as_str().into(),
            name: desk.random.coin().then(|| "Another name".into()),
            available: Some(available),
            price: desk.random.coin().then(|| Price::new("0.99")),
            expected_version: believed.filter(|_| desk.random.coin()),
        };
        let call = Call::Set { product, available };
        let ids = vec![desk.book.ask(desk.step, call)];
        self.ask_items(front, shard, ids, |to| {
            ShardRequest::Set(to, vec![(0, setting)])
        });
    }

    fn delete(&mut self, front: &mut Front, desk: &mut Desk<'_>) {
        let product = desk.product();
        let shard = desk.router.shard_of(&product);
        if !front.has_room(shard) || !self.has_room(desk, 1) {
            return;
        }
        let id: Box<str> = product.as_str().into();
        let ids = vec![desk.book.ask(desk.step, Call::Delete { product })];
        self.ask_items(front, shard, ids, |to| {
            ShardRequest::Delete(to, vec![(0, id)])
        });
    }

    /// Something new, or something that was asked before.
    fn wish(&mut self, desk: &mut Desk<'_>) -> Wish {
        let repeats = !self.recent.is_empty() && !desk.leaves_out(Kind::Repeat);
        if repeats && desk.random.chance(250_000) {
            let mut wish = self.recent[desk.random.index(self.recent.len())].clone();
            if desk.random.chance(30_000) {
                wish.delta += 100;
            }
            return wish;
        }
        let product = desk.product();
        let believed = self.beliefs.get(&product).copied().flatten();
        let version = match (desk.random.below(10), believed) {
            (0..4, _) | (_, None) => None,
            (4..9, Some(version)) => Some(version),
            (_, Some(version)) => Some(version.saturating_sub(1).max(1)),
        };
        let size = desk.random.within(1, 9) as i64;
        let delta = if desk.random.coin() { size } else { -size };
        self.stores += 1;
        Wish {
            store: format!("s{}", self.stores),
            product,
            delta,
            version,
        }
    }

    fn remember(&mut self, wish: &Wish) {
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push(wish.clone());
    }
}

impl Wish {
    fn call(&self) -> Call {
        Call::Update {
            store: self.store.clone(),
            product: self.product.clone(),
            key: KEY.to_owned(),
            delta: self.delta,
            version: self.version,
        }
    }

    fn update(&self) -> Update {
        Update {
            identity: Identity::new(&self.store, &self.product, KEY),
            delta: self.delta,
            expected_version: self.version,
        }
    }
}

fn read(front: &mut Front, desk: &mut Desk<'_>) {
    let product = desk.product();
    let shard = desk.router.shard_of(&product);
    if !front.has_room(shard) {
        return;
    }
    let id: Box<str> = product.as_str().into();
    let question = Question::Read(desk.book.ask(desk.step, Call::Read { product }));
    front.ask(shard, question, |to| ShardRequest::Read(to, id));
}

fn range(front: &mut Front, desk: &mut Desk<'_>) {
    let shard = desk.random.index(desk.router.shard_count());
    if !front.has_room(shard) {
        return;
    }
    let after = desk.random.coin().then(|| desk.product());
    let limit = desk.random.within(1, 4) as u32;
    let page = PageAfter {
        after: after.as_deref().map(Into::into),
        limit,
    };
    let question = Question::Range(Range {
        shard,
        after,
        limit,
        invoked: desk.step,
    });
    match desk.random.coin() {
        true => front.ask(shard, question, |to| ShardRequest::List(to, page)),
        false => front.ask(shard, question, |to| ShardRequest::Slice(to, page)),
    }
}

fn poll(front: &mut Front, desk: &mut Desk<'_>) {
    if !front.has_feed_room() {
        return;
    }
    let offset = match desk.random.below(10) {
        0..5 => desk.end,
        5..7 => desk.end.saturating_sub(desk.random.below(10)),
        7..9 => desk.random.below(desk.end + 1),
        _ => desk.end + desk.random.below(3),
    };
    let limit = desk.random.pick(&[1, 3, 1_000]);
    let wait_ms = desk.random.pick(&[0, 5, 200, 3_000]);
    ask_poll(front, desk, offset, limit, wait_ms);
}

/// Asks for events.
pub fn ask_poll(front: &mut Front, desk: &Desk<'_>, offset: u64, limit: u32, wait_ms: u32) {
    let question = FeedQuestion {
        offset: Some(offset),
        limit,
        waits: wait_ms > 0,
        is_forgotten: false,
        invoked: desk.step,
        reads_failed: desk.reads_failed,
    };
    front.ask_feed(question, |to| {
        FeedRequest::Poll(Poll {
            to,
            offset,
            limit,
            wait_ms,
            form: Form::Page,
            filter: None,
        })
    });
}

fn end(front: &mut Front, desk: &mut Desk<'_>) {
    if !front.has_feed_room() {
        return;
    }
    let question = FeedQuestion {
        offset: None,
        limit: 0,
        waits: false,
        is_forgotten: false,
        invoked: desk.step,
        reads_failed: desk.reads_failed,
    };
    front.ask_feed(question, FeedRequest::End);
}
