//! All the lanes of a server, and how large each must be.
//!
//! ```text
//!   acceptor i ──requests (lane_slots)──▶ shard j          for every i and j
//!   acceptor i ◀──replies (shard_window)── shard j         for every i and j
//!   shard j ──decisions (lane_slots)──▶ sequencer          for every j
//!   shard j ◀──snapshot requests (1)── sequencer           for every j
//!   acceptor i ◀──replies (shard_window * shards)── sequencer ──feed replies (feed_window)──▶ acceptor i
//!   acceptor i ──feed requests (3 * feed_window)──▶ sequencer
//! ```
//!
//! A request lane that is full is a 503. A reply lane cannot be full: an acceptor has at most `shard_window` requests
//! at a shard, and at most `feed_window` questions to the feed, each with one answer. The lane of feed requests holds
//! as many questions, the words that they are forgotten, and the same words for as many earlier questions whose
//! answers crossed them on the way.

use std::sync::Arc;

use crate::messages::{Decision, FeedReply, FeedRequest, Reply, ShardRequest, SnapshotRequest};
use crate::observe::metrics::{REQUESTS, WatchedLane};
use crate::runtime::lane::{Doorbell, Receiver, Sender, lane};

/// How many times the slots of a request lane may be in flight between an acceptor and a shard: what stands in the
/// lane, what waits for the sequencer, what is on its way to disk, and the answers not yet read.
const WINDOW_LANES: usize = 4;
/// How many times the questions in flight the lane of feed requests must hold: see above.
const FEED_REQUEST_WINDOWS: usize = 3;
/// The fewest questions to the feed that an acceptor may have in flight, however few may wait.
const FEED_WINDOW_MIN: usize = 64;

/// The sizes that follow from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Slots of a lane of requests or decisions.
    pub lane_slots: usize,
    /// Requests in flight between one acceptor and one shard.
    pub shard_window: usize,
    /// Questions in flight between one acceptor and the feed.
    pub feed_window: usize,
}

impl Sizes {
    /// Of a server with `acceptor_count` acceptors. Each has its share of `waiters_max` twice over, since the kernel
    /// does not spread connections evenly.
    pub fn new(lane_slots: usize, waiters_max: usize, acceptor_count: usize) -> Sizes {
        let share = (2 * waiters_max).div_ceil(acceptor_count);
        Sizes {
            lane_slots,
            shard_window: lane_slots * WINDOW_LANES,
            feed_window: share.min(waiters_max).max(FEED_WINDOW_MIN),
        }
    }
}

/// The doorbells, one per role.
#[derive(Clone)]
pub struct Bells {
    /// Of each acceptor.
    pub acceptors: Vec<Arc<Doorbell>>,
    /// Of each shard.
    pub shards: Vec<Arc<Doorbell>>,
    /// Of the sequencer.
    pub sequencer: Arc<Doorbell>,
}

impl Bells {
    /// For so many acceptors and shards.
    pub fn new(acceptor_count: usize, shard_count: usize) -> Bells {
        let bells = |count: usize| (0..count).map(|_| Arc::default()).collect();
        Bells {
            acceptors: bells(acceptor_count),
            shards: bells(shard_count),
            sequencer: Arc::default(),
        }
    }

    /// Rings all of them.
    pub fn ring_all(&self) {
        let all = self.acceptors.iter().chain(&self.shards);
        all.for_each(|bell| bell.ring());
        self.sequencer.ring();
    }
}

/// The ends that an acceptor holds.
pub struct AcceptorEnds {
    /// To each shard.
    pub requests: Vec<Sender<ShardRequest>>,
    /// From the sequencer, and from each shard.
    pub replies: Vec<Receiver<Reply>>,
    /// To the sequencer.
    pub feed_requests: Sender<FeedRequest>,
    /// From the sequencer.
    pub feed_replies: Receiver<FeedReply>,
}

/// The ends that a shard holds.
pub struct ShardEnds {
    /// From each acceptor.
    pub requests: Vec<Receiver<ShardRequest>>,
    /// From the sequencer.
    pub snapshot_requests: Receiver<SnapshotRequest>,
    /// To each acceptor.
    pub replies: Vec<Sender<Reply>>,
    /// To the sequencer.
    pub decisions: Sender<Decision>,
}

/// The ends that the sequencer holds.
#[derive(Default)]
pub struct SequencerEnds {
    /// From each shard.
    pub decisions: Vec<Receiver<Decision>>,
    /// To each shard.
    pub snapshot_requests: Vec<Sender<SnapshotRequest>>,
    /// From each acceptor.
    pub feed_requests: Vec<Receiver<FeedRequest>>,
    /// To each acceptor.
    pub replies: Vec<Sender<Reply>>,
    /// To each acceptor.
    pub feed_replies: Vec<Sender<FeedReply>>,
}

/// Every lane that ends in these ends, for whoever watches how full they are.
pub fn watch(
    acceptors: &[AcceptorEnds],
    shards: &[ShardEnds],
    sequencer: &SequencerEnds,
) -> Vec<WatchedLane> {
    let mut lanes = Vec::new();
    let mut add = |kind, receiver: String, depth| {
        lanes.push(WatchedLane {
            kind,
            receiver,
            depth,
        });
    };
    for (index, shard) in shards.iter().enumerate() {
        for lane in &shard.requests {
            add(REQUESTS, format!("shard-{index}"), lane.depth());
        }
    }
    for lane in &sequencer.decisions {
        add("decisions", "sequencer".to_owned(), lane.depth());
    }
    for lane in &sequencer.feed_requests {
        add("feed_requests", "sequencer".to_owned(), lane.depth());
    }
    for (index, acceptor) in acceptors.iter().enumerate() {
        let receiver = || format!("acceptor-{index}");
        let (released, replies) = acceptor
            .replies
            .split_first()
            .expect("the sequencer's lane is the first");
        add("released", receiver(), released.depth());
        for lane in replies {
            add("replies", receiver(), lane.depth());
        }
        add("feed_replies", receiver(), acceptor.feed_replies.depth());
    }
    lanes
}

/// Lays every lane between the roles that listen to `bells`.
pub fn lay(sizes: Sizes, bells: &Bells) -> (Vec<AcceptorEnds>, Vec<ShardEnds>, SequencerEnds) {
    let mut sequencer = SequencerEnds::default();
    let mut acceptors: Vec<AcceptorEnds> = Vec::new();
    for bell in &bells.acceptors {
        let (released, replies) = lane(sizes.shard_window * bells.shards.len(), bell);
        let (feed_requests, asked) =
            lane(FEED_REQUEST_WINDOWS * sizes.feed_window, &bells.sequencer);
        let (answered, feed_replies) = lane(sizes.feed_window, bell);
        sequencer.replies.push(released);
        sequencer.feed_requests.push(asked);
        sequencer.feed_replies.push(answered);
        acceptors.push(AcceptorEnds {
            requests: Vec::new(),
            replies: vec![replies],
            feed_requests,
            feed_replies,
        });
    }
    let mut shards = Vec::new();
    for shard_bell in &bells.shards {
        let (decisions, decided) = lane(sizes.lane_slots, &bells.sequencer);
        sequencer.decisions.push(decided);
        let (snapshot_requests, asked) = lane(1, shard_bell);
        sequencer.snapshot_requests.push(snapshot_requests);
        let mut shard = ShardEnds {
            requests: Vec::new(),
            snapshot_requests: asked,
            replies: Vec::new(),
            decisions,
        };
        for (acceptor, acceptor_bell) in acceptors.iter_mut().zip(&bells.acceptors) {
            let (requests, asked) = lane(sizes.lane_slots, shard_bell);
            let (answered, replies) = lane(sizes.shard_window, acceptor_bell);
            acceptor.requests.push(requests);
            acceptor.replies.push(replies);
            shard.requests.push(asked);
            shard.replies.push(answered);
        }
        shards.push(shard);
    }
    (acceptors, shards, sequencer)
}
