//! A shard's executor: takes requests off the acceptors' lanes, lets the `shards` crate decide, and sends what was
//! decided to the sequencer, or straight back where nothing has to reach the disk first.

pub mod router;

use std::sync::Arc;
use std::time::Duration;

use shards::{AdminAnswer, Known, Product, Shard, Ticket, Timestamp, UpdateAnswer, Verdict};

use crate::encoding;
use crate::faults::{self, Fault};
use crate::journal::format::{Change, Changes, EventKind};
use crate::journal::snapshot::Part;
use crate::lifecycle::Lifecycle;
use crate::messages::{
    Decision, FoundProduct, ListedProduct, Ordered, Outcome, PageAfter, Reply, ReplyTo,
    ShardRequest, Slice, SnapshotPart, SnapshotRequest,
};
use crate::observe::metrics::roles::ShardMetrics;
use crate::runtime::clock::{self, Uptime};
use crate::runtime::executor;
use crate::runtime::lane::{Doorbell, Receiver, Sender};

/// Requests taken off one lane before the next gets its turn.
const TURN: usize = 64;
/// How long a shard waits while the sequencer's lane is full. Its own lanes fill meanwhile, and the edge
/// answers 503.
const STALL: Duration = Duration::from_millis(1);
/// Idempotency entries forgotten at a time, so that no request waits for a long sweep.
const EXPIRE_SLICE: usize = 1024;

/// Ids in a part of a snapshot: some 30 KB, so that no request waits long.
const SNAPSHOT_PART_IDS: usize = 200;

/// What a shard is wired to.
pub struct Wiring {
    /// Which shard this is.
    pub index: u16,
    /// Its own doorbell.
    pub bell: Arc<Doorbell>,
    /// From each acceptor.
    pub requests: Vec<Receiver<ShardRequest>>,
    /// From the sequencer.
    pub snapshot_requests: Receiver<SnapshotRequest>,
    /// To each acceptor.
    pub replies: Vec<Sender<Reply>>,
    /// To the sequencer.
    pub decisions: Sender<Decision>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// What it counts.
    pub metrics: Arc<ShardMetrics>,
    /// How long to spin before it parks.
    pub spin: Duration,
    /// How often it forgets what has expired.
    pub cleanup_interval: Duration,
}

/// Runs until every acceptor is done, every request is answered and the last snapshot is made.
pub async fn run(shard: Shard, wiring: Wiring) {
    let mut role = Role {
        shard,
        now: clock::wall_now(),
        wiring,
        uptime: Uptime::start(),
        next_cleanup_ms: 0,
        taken: Vec::with_capacity(TURN),
    };
    role.wiring.metrics.is_active.set(1);
    while role.turn().await {}
    role.wiring.metrics.is_active.set(0);
    role.wiring.lifecycle.shard_done();
}

struct Role {
    shard: Shard,
    /// The time of this turn.
    now: Timestamp,
    wiring: Wiring,
    uptime: Uptime,
    next_cleanup_ms: u64,
    /// What was taken off a lane; empty between turns.
    taken: Vec<ShardRequest>,
}

impl Role {
    async fn turn(&mut self) -> bool {
        let lifecycle = &self.wiring.lifecycle;
        let is_last = lifecycle.acceptors_are_done() && lifecycle.snapshots_are_done();
        self.now = clock::wall_now();
        let taken = self.drain() + self.serve_snapshot();
        let expiring = self.cleanup();
        self.publish_levels();
        if taken > 0 || expiring {
            self.wiring.decisions.ring();
            self.wiring.replies.iter().for_each(Sender::ring);
            executor::yield_now().await;
        } else if self.has_mail() {
            executor::sleep(STALL).await;
        } else if is_last {
            return false;
        } else {
            let wiring = &self.wiring;
            wiring.bell.wait(wiring.spin, || self.has_mail()).await;
        }
        true
    }

    fn publish_levels(&self) {
        let metrics = &self.wiring.metrics;
        metrics.products.set(self.shard.product_count() as u64);
        let entries = self.shard.idempotency_entry_count();
        metrics.idempotency_entries.set(entries as u64);
    }

    fn has_mail(&self) -> bool {
        self.wiring.requests.iter().any(|lane| !lane.is_empty())
            || !self.wiring.snapshot_requests.is_empty()
    }

    /// Sends the part of the snapshot that is asked for, if one is.
    fn serve_snapshot(&mut self) -> usize {
        if self.wiring.decisions.room() == 0 {
            return 0;
        }
        let Some(request) = self.wiring.snapshot_requests.pop() else {
            return 0;
        };
        let part = snapshot_part(&self.shard, request.after.as_deref());
        let lane = &self.wiring.decisions;
        lane.push(Decision::SnapshotPart(Box::new(part)))
            .expect("room was there before the request was taken");
        1
    }

    fn drain(&mut self) -> usize {
        let mut taken = 0;
        for acceptor in 0..self.wiring.requests.len() {
            // Every request makes at most one decision, so that with room for it none is ever lost.
            let turn = TURN.min(self.wiring.decisions.room());
            let mut requests = std::mem::take(&mut self.taken);
            while requests.len() < turn
                && let Some(request) = self.wiring.requests[acceptor].pop()
            {
                requests.push(request);
            }
            taken += requests.len();
            // Not while they are taken: that would make each wait for the one before.
            self.shard.look_ahead(requests.iter().flat_map(updates));
            requests.drain(..).for_each(|request| self.serve(request));
            self.taken = requests;
        }
        taken
    }

    /// Forgets a slice of what has expired when it is time. Returns whether there is more.
    fn cleanup(&mut self) -> bool {
        let now_ms = self.uptime.now_ms();
        if now_ms < self.next_cleanup_ms {
            return false;
        }
        if self.shard.expire(self.now, EXPIRE_SLICE) == EXPIRE_SLICE {
            return true;
        }
        self.next_cleanup_ms = now_ms + self.wiring.cleanup_interval.as_millis() as u64;
        false
    }

    fn serve(&mut self, request: ShardRequest) {
        let (shard, now, metrics) = (&mut self.shard, self.now, &*self.wiring.metrics);
        // Decisions that could never be acknowledged would only make more products unreadable.
        let storage_failed = self.wiring.lifecycle.has_failed_journal();
        let mut work = Work::default();
        let (to, outcome) = match request {
            ShardRequest::Read(to, id) => (to, work.read(shard, &id)),
            ShardRequest::List(to, page) => (to, work.list(shard, &page)),
            ShardRequest::Slice(to, page) => (to, work.slice(shard, &page)),
            ShardRequest::Update(to, _)
            | ShardRequest::Updates(to, _)
            | ShardRequest::Create(to, _)
            | ShardRequest::Set(to, _)
            | ShardRequest::Delete(to, _)
                if storage_failed =>
            {
                (to, Outcome::StorageFailed)
            }
            ShardRequest::Update(to, update) => (
                to,
                Outcome::Update(work.update(shard, metrics, now, update)),
            ),
            ShardRequest::Updates(to, updates) => {
                work.changes.reserve(updates.len());
                let mut decide =
                    |(index, update)| (index, work.update(shard, metrics, now, update));
                (
                    to,
                    Outcome::Updates(updates.into_iter().map(&mut decide).collect()),
                )
            }
            ShardRequest::Create(to, creations) => {
                let mut decide = |(index, creation)| {
                    (
                        index,
                        work.admin(
                            metrics,
                            EventKind::ProductCreated,
                            shard.create(now, creation),
                        ),
                    )
                };
                (
                    to,
                    Outcome::Admin(creations.into_iter().map(&mut decide).collect()),
                )
            }
            ShardRequest::Set(to, settings) => {
                let mut decide = |(index, setting)| {
                    (
                        index,
                        work.admin(metrics, EventKind::ProductModified, shard.set(now, setting)),
                    )
                };
                (
                    to,
                    Outcome::Admin(settings.into_iter().map(&mut decide).collect()),
                )
            }
            ShardRequest::Delete(to, ids) => {
                let mut decide = |(index, id): (u32, Box<str>)| {
                    (
                        index,
                        work.admin(metrics, EventKind::ProductDeleted, shard.delete(now, &id)),
                    )
                };
                (
                    to,
                    Outcome::Admin(ids.into_iter().map(&mut decide).collect()),
                )
            }
        };
        self.answer(to, outcome, work);
    }

    /// Sends the answer the way that keeps invariant 4: a change, or what shows one that is not on disk yet,
    /// through the sequencer; all else straight back.
    fn answer(&mut self, to: ReplyTo, outcome: Outcome, work: Work) {
        let reply = Reply { to, outcome };
        let durable = Ticket(self.wiring.lifecycle.durable(self.wiring.index.into()));
        let is_shown_at_once =
            work.after <= durable || faults::is_planted(Fault::ServeUnsyncedReads);
        if work.changes.count() == 0 && is_shown_at_once {
            let lane = &self.wiring.replies[to.acceptor as usize];
            lane.push(reply)
                .expect("a reply lane holds all that may be in flight");
            return;
        }
        let decision = match work.changes.count() {
            0 => Ordered::Held(reply),
            _ => Ordered::Changes(work.changes, reply),
        };
        let lane = &self.wiring.decisions;
        lane.push(Decision::Ordered(decision))
            .expect("room was there before the request was taken");
    }
}

/// The updates that `request` asks for.
fn updates(request: &ShardRequest) -> impl Iterator<Item = &shards::Update> {
    let (one, many) = match request {
        ShardRequest::Update(_, update) => (Some(update), &[][..]),
        ShardRequest::Updates(_, updates) => (None, &updates[..]),
        _ => (None, &[][..]),
    };
    one.into_iter().chain(many.iter().map(|(_, update)| update))
}

/// What one request leads to besides its answer.
#[derive(Default)]
struct Work {
    changes: Changes,
    after: Ticket,
}

impl Work {
    fn update(
        &mut self,
        shard: &mut Shard,
        metrics: &ShardMetrics,
        now: Timestamp,
        update: shards::Update,
    ) -> UpdateAnswer {
        let delta = update.delta;
        let verdict = shard.update(now, &update);
        metrics.update(&verdict.answer);
        self.after = self.after.max(verdict.after);
        if let Some(product) = &verdict.changed {
            self.changes.push(&Change {
                kind: EventKind::InventoryUpdated,
                at: product.updated_at,
                product,
                update: verdict.remembered.map(|identity| (identity, delta)),
            });
        }
        verdict.answer
    }

    fn admin(
        &mut self,
        metrics: &ShardMetrics,
        kind: EventKind,
        verdict: Verdict<'_, AdminAnswer>,
    ) -> AdminAnswer {
        metrics.admin(kind, &verdict.answer);
        self.after = self.after.max(verdict.after);
        if let (Some(product), AdminAnswer::Done { at, .. }) = (&verdict.changed, verdict.answer) {
            self.changes.push(&Change {
                kind,
                at,
                product,
                update: None,
            });
        }
        verdict.answer
    }

    fn read(&mut self, shard: &Shard, id: &str) -> Outcome {
        let verdict = shard.read(id);
        self.after = verdict.after;
        Outcome::Product(verdict.answer.map(|product| FoundProduct {
            version: product.version,
            json: json_of(product),
        }))
    }

    fn list(&mut self, shard: &Shard, page: &PageAfter) -> Outcome {
        self.after = shard.ticket();
        let products = shard.products_after(page.after.as_deref());
        let listed = products
            .take(page.limit as usize)
            .map(|product| ListedProduct {
                id: product.id.clone(),
                json: json_of(product),
            });
        Outcome::List(listed.collect())
    }

    fn slice(&mut self, shard: &Shard, page: &PageAfter) -> Outcome {
        self.after = shard.ticket();
        let mut slice = Slice {
            json: Vec::new(),
            count: 0,
            more_after: None,
        };
        for product in shard
            .products_after(page.after.as_deref())
            .take(page.limit as usize)
        {
            if slice.count > 0 {
                slice.json.push(b',');
            }
            encoding::product(&mut slice.json, product);
            slice.count += 1;
            if slice.count == page.limit {
                slice.more_after = Some(product.id.clone());
            }
        }
        Outcome::Slice(slice)
    }
}

fn snapshot_part(shard: &Shard, after: Option<&str>) -> SnapshotPart {
    let mut part = Part::default();
    let (mut count, mut last) = (0, None);
    for known in shard.known_after(after).take(SNAPSHOT_PART_IDS) {
        match known {
            Known::Stands(product) => part.push_product(product),
            Known::Gone(id, version) => part.push_tombstone(id, version),
        }
        count += 1;
        last = Some(known.id());
    }
    let is_full = count == SNAPSHOT_PART_IDS;
    SnapshotPart {
        part,
        more_after: last.filter(|_| is_full).map(Into::into),
    }
}

fn json_of(product: &Product) -> Vec<u8> {
    let mut json = Vec::with_capacity(192);
    encoding::product(&mut json, product);
    json
}
