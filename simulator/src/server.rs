//! One server process: the real recovery, the real roles, on the simulated host and disk.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use central_inventory::config::JournalSync;
use central_inventory::journal::directory::Files;
use central_inventory::journal::recover::{
    self, FirstStart, RecoverError, Recovered, Settings, Target,
};
use central_inventory::journal::segments::{Extent, Segments};
use central_inventory::lifecycle::Lifecycle;
use central_inventory::runtime::executor::{self, HEARTBEAT};
use central_inventory::sequencer::feed::Feed;
use central_inventory::sequencer::order::Order;
use central_inventory::sequencer::snapshots::Policy;
use central_inventory::sequencer::{self, Archive, Journal};
use central_inventory::server::lanes::{self, Bells, SequencerEnds, ShardEnds, Sizes};
use central_inventory::shard;
use central_inventory::shard::router::Router;
use shards::{Limits, Shard, Timestamp};
use slog::{Discard, Logger, o};

use crate::disk::SimulatedDisk;
use crate::front::Front;
use crate::profile::Profile;
use crate::random::Random;

/// Beats between rings of the doorbells while nothing happens, as in the real server.
const BEATS_PER_RING: u32 = 100;

/// A process that runs.
pub struct Server {
    /// The acceptors' places.
    pub fronts: Vec<Front>,
    /// Shared by its roles.
    pub lifecycle: Arc<Lifecycle>,
    /// Which shard owns a product.
    pub router: Router,
    /// Whether the sequencer has come to its end.
    pub has_ended: Rc<Cell<bool>>,
    /// Where the journal ended when it was seen to have failed.
    pub failed_at: Option<u64>,
}

/// What a start came to, before anything runs.
pub struct Started {
    /// What was found.
    pub recovered: Recovered,
    /// With what was found.
    pub shards: Vec<Shard>,
    /// With the latest events.
    pub feed: Feed,
    /// Which shard owns a product.
    pub router: Router,
    /// The time that it went by.
    pub now_ms: u64,
}

/// The files of every server.
pub fn files(disk: &SimulatedDisk) -> Files {
    Files {
        disk: Arc::new(disk.clone()),
        snapshot: PathBuf::from("/data/inventory.json"),
        active: PathBuf::from("/data/events.json"),
    }
}

/// Reads what is on `disk` into as many shards as `random` says.
pub fn recover(
    disk: &SimulatedDisk,
    profile: &Profile,
    random: &mut Random,
    now_ms: u64,
) -> Result<Started, RecoverError> {
    let shard_count = random.within(1, 3);
    let router = Router::new(hasher(random), shard_count as u16);
    let limits = Limits {
        idempotency_ttl_ms: profile.ttl_ms,
        idempotency_entries_max: profile.identities_max,
    };
    let mut shards: Vec<Shard> = (0..shard_count)
        .map(|_| Shard::new(limits, hasher(random)))
        .collect();
    let mut feed = Feed::new(profile.events_in_memory, profile.waiters_max);
    let settings = Settings {
        segment_bytes: profile.segment_bytes,
        first_start: FirstStart::Empty,
        now: Timestamp(now_ms),
        idempotency_ttl_ms: profile.ttl_ms,
        events_in_memory: profile.events_in_memory,
    };
    let target = Target {
        router: &router,
        shards: &mut shards,
        feed: &mut feed,
    };
    let mut watch = |_| ControlFlow::Continue(());
    let recovered = recover::recover(&files(disk), &settings, target, &mut watch)?;
    feed.begin_at(recovered.next_offset);
    Ok(Started {
        recovered,
        shards,
        feed,
        router,
        now_ms,
    })
}

fn hasher(random: &mut Random) -> RandomState {
    let mut seed = || random.number();
    RandomState::with_seeds(seed(), seed(), seed(), seed())
}

impl Started {
    /// Spawns the roles on the host of this thread.
    pub fn run(self, disk: &SimulatedDisk, profile: &Profile, random: &mut Random) -> Server {
        let acceptor_count = random.within(1, 2) as usize;
        let shard_count = self.shards.len();
        let lifecycle = Arc::new(Lifecycle::new(acceptor_count, shard_count));
        lifecycle.recovered();
        let bells = Bells::new(acceptor_count, shard_count);
        let sizes = Sizes::new(profile.lane_slots, profile.waiters_max, acceptor_count);
        let (acceptors, shard_ends, sequencer_ends) = lanes::lay(sizes, &bells);
        let has_ended = Rc::<Cell<bool>>::default();
        for (index, (shard, ends)) in self.shards.into_iter().zip(shard_ends).enumerate() {
            let wiring = shard_wiring(index, ends, &bells, &lifecycle);
            executor::spawn(shard::run(shard, wiring));
        }
        let order = Order::new(
            self.recovered.next_offset,
            profile.sync == JournalSync::Always,
        );
        let main = SequencerMain {
            order,
            feed: self.feed,
            recovered: self.recovered,
            files: files(disk),
            profile: profile.clone(),
            wiring: sequencer_wiring(sequencer_ends, &bells, &lifecycle),
        };
        executor::spawn(main.run(has_ended.clone()));
        executor::spawn(beat(lifecycle.clone(), bells));
        let fronts = acceptors.into_iter().enumerate();
        let fronts = fronts.map(|(index, ends)| Front::new(index as u16, ends, sizes));
        Server {
            fronts: fronts.collect(),
            lifecycle,
            router: self.router,
            has_ended,
            failed_at: None,
        }
    }
}

fn shard_wiring(
    index: usize,
    ends: ShardEnds,
    bells: &Bells,
    lifecycle: &Arc<Lifecycle>,
) -> shard::Wiring {
    shard::Wiring {
        index: index as u16,
        bell: bells.shards[index].clone(),
        requests: ends.requests,
        snapshot_requests: ends.snapshot_requests,
        replies: ends.replies,
        decisions: ends.decisions,
        lifecycle: lifecycle.clone(),
        metrics: Arc::default(),
        spin: Duration::ZERO,
        cleanup_interval: Duration::from_millis(100),
    }
}

fn sequencer_wiring(
    ends: SequencerEnds,
    bells: &Bells,
    lifecycle: &Arc<Lifecycle>,
) -> sequencer::Wiring {
    sequencer::Wiring {
        bell: bells.sequencer.clone(),
        decisions: ends.decisions,
        snapshot_requests: ends.snapshot_requests,
        feed_requests: ends.feed_requests,
        replies: ends.replies,
        feed_replies: ends.feed_replies,
        lifecycle: lifecycle.clone(),
        metrics: Arc::default(),
        log: Logger::root(Discard, o!()),
    }
}

struct SequencerMain {
    order: Order,
    feed: Feed,
    recovered: Recovered,
    files: Files,
    profile: Profile,
    wiring: sequencer::Wiring,
}

impl SequencerMain {
    async fn run(self, has_ended: Rc<Cell<bool>>) {
        let profile = &self.profile;
        let (full, first_offset) = (self.recovered.full, self.recovered.tail.first_offset);
        let latest_at = self.recovered.latest_at;
        let extent = Rc::new(Extent::new(full, first_offset, latest_at));
        let opened = Segments::open(
            self.files.clone(),
            self.recovered.tail,
            extent.clone(),
            profile.segment_bytes,
            profile.sync,
            self.wiring.metrics.clone(),
        );
        // It fails only where the crash has come.
        let Ok(segments) = opened.await else { return };
        let archive = Archive {
            files: self.files,
            extent,
            covered_to: self.recovered.covered_to,
            policy: Policy {
                journal_bytes: profile.snapshot_journal_bytes,
                retention_ms: profile.retention_ms,
                idempotency_ttl_ms: profile.ttl_ms,
                events_in_memory: profile.events_in_memory as u64,
            },
        };
        let journal = Journal::Disk(Box::new(segments));
        sequencer::run(self.order, self.feed, journal, Some(archive), self.wiring).await;
        has_ended.set(true);
    }
}

/// The heartbeat of an executor's main task.
async fn beat(lifecycle: Arc<Lifecycle>, bells: Bells) {
    let mut beats: u32 = 0;
    loop {
        executor::sleep(HEARTBEAT).await;
        beats = beats.wrapping_add(1);
        if lifecycle.is_draining() || beats.is_multiple_of(BEATS_PER_RING) {
            bells.ring_all();
        }
    }
}
