//! The sequencer by itself: decisions that were made beforehand come through the lanes of four shards, replies leave through
//! that of an acceptor.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use central_inventory::config::JournalSync;
use central_inventory::journal::directory::Files;
use central_inventory::journal::format::{Change, Changes, EventKind};
use central_inventory::journal::recover::{FirstStart, Settings, Target, recover};
use central_inventory::journal::segments::{Extent, Segments, Tail};
use central_inventory::lifecycle::Lifecycle;
use central_inventory::messages::{Decision, Ordered, Outcome, Reply};
use central_inventory::observe::metrics::roles::SequencerMetrics;
use central_inventory::sequencer::feed::Feed;
use central_inventory::sequencer::order::Order;
use central_inventory::sequencer::{self, Journal};
use central_inventory::server::lanes::{self, Bells, SequencerEnds, Sizes};
use central_inventory::shard::router::Router;
use shards::Timestamp;
use slog::{Discard, Logger, o};

use crate::bed::{self, Bed, Cpus};
use crate::figures::Round;
use crate::make;
use crate::null_disk::NullDisk;

const SHARDS: usize = 4;
const PRODUCTS: usize = 10_000;
/// As the server has them by default.
const LANE_SLOTS: usize = 500;
const EVENTS_IN_MEMORY: usize = 10_000;
const WAITERS: usize = 64;
const SEGMENT_BYTES: u64 = 64 << 20;

/// How it is fed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The most changes that are on their way at a time.
    pub window: usize,
    /// Changes of a decision.
    pub changes: usize,
    /// The real journal on a real disk; else one that takes everything at once.
    pub is_on_disk: bool,
}

/// Sends `count` changes through it.
pub fn round(cpus: Cpus, count: usize, setup: Setup) -> Result<Round, String> {
    let mut made = decisions(count, setup.changes);
    let count: usize = made.iter().map(VecDeque::len).sum::<usize>() * setup.changes;
    let bells = Bells::new(1, SHARDS);
    let lifecycle = Arc::new(Lifecycle::new(1, SHARDS));
    lifecycle.recovered();
    let sizes = Sizes::new(LANE_SLOTS, WAITERS, 1);
    let (acceptors, shards, ends) = lanes::lay(sizes, &bells);
    let metrics = Arc::new(SequencerMetrics::default());
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let files = match setup.is_on_disk {
        true => Files::new(
            directory.path().join("inventory.json"),
            directory.path().join("events.json"),
        ),
        false => Files {
            disk: Arc::new(NullDisk),
            snapshot: PathBuf::from("/null/inventory.json"),
            active: PathBuf::from("/null/events.json"),
        },
    };
    let tail = match setup.is_on_disk {
        true => first_start(&files)?,
        false => Tail {
            first_offset: 0,
            position: 0,
            size: SEGMENT_BYTES,
            latest_at: Timestamp(0),
        },
    };
    let wiring = wiring(ends, &bells, &lifecycle, &metrics);
    let role = Bed::start(cpus.role, bells, {
        let metrics = metrics.clone();
        move || run(files, tail, metrics, wiring)
    })?;

    let (released, before) = (&acceptors[0].replies[0], role.times()?);
    let (mut on_their_way, mut done) = (0, 0);
    let elapsed = bed::drive(|| {
        for (lane, made) in shards.iter().map(|ends| &ends.decisions).zip(&mut made) {
            let room = (setup.window.saturating_sub(on_their_way) / setup.changes)
                .min(lane.room())
                .min(made.len());
            for decision in made.drain(..room) {
                lane.push(decision).expect("there was room");
            }
            on_their_way += room * setup.changes;
            lane.ring();
        }
        while released.pop().is_some() {
            on_their_way -= setup.changes;
            done += setup.changes;
        }
        done == count
    })?;
    let after = role.times()?;
    (0..SHARDS).for_each(|_| lifecycle.shard_done());
    role.join()?;
    Ok(Round {
        count,
        elapsed,
        cpu: after.cpu - before.cpu,
        waited: after.waited - before.waited,
        groups: metrics.group_events.count(),
    })
}

fn wiring(
    ends: SequencerEnds,
    bells: &Bells,
    lifecycle: &Arc<Lifecycle>,
    metrics: &Arc<SequencerMetrics>,
) -> sequencer::Wiring {
    sequencer::Wiring {
        bell: bells.sequencer.clone(),
        decisions: ends.decisions,
        snapshot_requests: ends.snapshot_requests,
        feed_requests: ends.feed_requests,
        replies: ends.replies,
        feed_replies: ends.feed_replies,
        lifecycle: lifecycle.clone(),
        metrics: metrics.clone(),
        log: Logger::root(Discard, o!()),
    }
}

async fn run(files: Files, tail: Tail, metrics: Arc<SequencerMetrics>, wiring: sequencer::Wiring) {
    let extent = Rc::new(Extent::new(Vec::new(), tail.first_offset, tail.latest_at));
    let opened = Segments::open(
        files,
        tail,
        extent,
        SEGMENT_BYTES,
        JournalSync::Always,
        metrics,
    );
    let segments = opened.await.expect("the file was just made");
    let journal = Journal::Disk(Box::new(segments));
    let feed = Feed::new(EVENTS_IN_MEMORY, WAITERS);
    sequencer::run(Order::new(0, true), feed, journal, None, wiring).await;
}

/// Makes the files of a journal without events.
fn first_start(files: &Files) -> Result<Tail, String> {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        first_start: FirstStart::Empty,
        now: make::BEGINNING,
        idempotency_ttl_ms: 120_000,
        events_in_memory: EVENTS_IN_MEMORY,
    };
    let router = Router::new(ahash::RandomState::with_seeds(1, 2, 3, 4), 1);
    let mut feed = Feed::new(EVENTS_IN_MEMORY, WAITERS);
    let target = Target {
        router: &router,
        shards: &mut [make::shard(0)],
        feed: &mut feed,
    };
    let mut watch = |_| ControlFlow::Continue(());
    let recovered = recover(files, &settings, target, &mut watch);
    recovered
        .map(|recovered| recovered.tail)
        .map_err(|error| error.to_string())
}

/// What each shard decided, in order.
fn decisions(count: usize, changes: usize) -> Vec<VecDeque<Decision>> {
    let mut made = Vec::new();
    for index in 0..SHARDS {
        let mut shard = make::shard(PRODUCTS);
        let mut decided = VecDeque::new();
        for number in 0..count / SHARDS / changes {
            let mut encoded = Changes::default();
            let mut answers = Vec::new();
            for item in 0..changes {
                let update = make::update(number * changes + item, PRODUCTS);
                let delta = update.delta;
                let verdict = shard.update(make::BEGINNING, &update);
                let product = verdict.changed.expect("every update is applied");
                encoded.push(&Change {
                    kind: EventKind::InventoryUpdated,
                    at: product.updated_at,
                    product: &product,
                    update: verdict.remembered.map(|identity| (identity, delta)),
                });
                answers.push((item as u32, verdict.answer));
            }
            let outcome = match changes {
                1 => Outcome::Update(answers[0].1),
                _ => Outcome::Updates(answers),
            };
            let to = make::reply_to(number, index);
            let ordered = Ordered::Changes(encoded, Reply { to, outcome });
            decided.push_back(Decision::Ordered(ordered));
        }
        made.push(decided);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_goes_through_it() {
        let cpus = Cpus { role: 0, driver: 0 };
        for (changes, is_on_disk) in [(1, false), (25, false), (1, true)] {
            let setup = Setup {
                window: 400,
                changes,
                is_on_disk,
            };
            let round = round(cpus, 2_000, setup).unwrap();
            assert_eq!(2_000, round.count);
            assert!(round.groups > 0 && round.groups <= 2_000);
        }
    }
}
