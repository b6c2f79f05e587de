//! A shard by itself: requests that were made beforehand come through the lane of an acceptor; what it decides is dropped, as
//! if it were durable at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use central_inventory::lifecycle::Lifecycle;
use central_inventory::messages::{Decision, Ordered, ShardRequest};
use central_inventory::server::lanes::{self, Bells, Sizes};
use central_inventory::shard;

use crate::bed::{self, Bed, Cpus};
use crate::figures::Round;
use crate::make;

/// As the server has them by default.
const LANE_SLOTS: usize = 500;
const WAITERS: usize = 64;
const CLEANUP: Duration = Duration::from_secs(30);

/// What it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Updates, so many in a request.
    Updates(usize),
    /// Reads.
    Reads,
}

/// How it is fed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Products that it has.
    pub products: usize,
    /// What it is asked.
    pub asks: Asks,
}

/// Asks it `count` things.
pub fn round(cpus: Cpus, count: usize, setup: Setup) -> Result<Round, String> {
    let mut made = requests(count, setup);
    let asked = made.len();
    let shard = make::shard(setup.products);
    let bells = Bells::new(1, 1);
    let lifecycle = Arc::new(Lifecycle::new(1, 1));
    lifecycle.recovered();
    // The products were decided by it, and are on disk.
    lifecycle.add_durable(0, shard.ticket().0);
    let sizes = Sizes::new(LANE_SLOTS, WAITERS, 1);
    let (mut acceptors, mut shards, mut sequencer) = lanes::lay(sizes, &bells);
    let acceptor = acceptors.pop().expect("there is one");
    let ends = shards.pop().expect("there is one");
    let decided = sequencer.decisions.pop().expect("there is one");
    let wiring = shard::Wiring {
        index: 0,
        bell: bells.shards[0].clone(),
        requests: ends.requests,
        snapshot_requests: ends.snapshot_requests,
        replies: ends.replies,
        decisions: ends.decisions,
        lifecycle: lifecycle.clone(),
        metrics: Arc::default(),
        spin: Duration::ZERO,
        cleanup_interval: CLEANUP,
    };
    let role = Bed::start(cpus.role, bells, move || shard::run(shard, wiring))?;

    let (lane, replies, before) = (&acceptor.requests[0], &acceptor.replies[1], role.times()?);
    let (mut on_their_way, mut done) = (0, 0);
    let elapsed = bed::drive(|| {
        let room = (sizes.shard_window - on_their_way)
            .min(lane.room())
            .min(made.len());
        for request in made.drain(..room) {
            lane.push(request).expect("there was room");
        }
        on_their_way += room;
        lane.ring();
        let mut answered = 0;
        while let Some(decision) = decided.pop() {
            if let Decision::Ordered(Ordered::Changes(changes, _)) = decision {
                lifecycle.add_durable(0, changes.count().into());
            }
            answered += 1;
        }
        while replies.pop().is_some() {
            answered += 1;
        }
        on_their_way -= answered;
        done += answered;
        done == asked
    })?;
    let after = role.times()?;
    lifecycle.acceptor_done();
    lifecycle.snapshots_done();
    role.join()?;
    Ok(Round {
        count: asked * items(setup.asks),
        elapsed,
        cpu: after.cpu - before.cpu,
        waited: after.waited - before.waited,
        groups: 0,
    })
}

fn items(asks: Asks) -> usize {
    match asks {
        Asks::Updates(items) => items,
        Asks::Reads => 1,
    }
}

fn requests(count: usize, setup: Setup) -> VecDeque<ShardRequest> {
    let update = |number| make::update(number, setup.products);
    let request = |number: usize| {
        let to = make::reply_to(number, 0);
        match setup.asks {
            Asks::Updates(1) => ShardRequest::Update(to, update(number)),
            Asks::Updates(items) => {
                let updates = (0..items).map(|item| (item as u32, update(number * items + item)));
                ShardRequest::Updates(to, updates.collect())
            }
            Asks::Reads => {
                let id = make::product_id(make::chosen(number, setup.products));
                ShardRequest::Read(to, id.into())
            }
        }
    };
    (0..count / items(setup.asks)).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_asked_is_answered() {
        let cpus = Cpus { role: 0, driver: 0 };
        for asks in [Asks::Updates(1), Asks::Updates(25), Asks::Reads] {
            let setup = Setup {
                products: 100,
                asks,
            };
            assert_eq!(2_000, round(cpus, 2_000, setup).unwrap().count);
        }
    }
}
