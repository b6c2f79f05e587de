//! The roles of a server, each made ready with what it holds and moved to the executor that the plan gives it.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use shards::Shard;
use slog::{Logger, o};

use super::lanes::{self, AcceptorEnds, Bells, Sizes};
use super::state::Parts;
use crate::acceptor::{self, auth::Keys};
use crate::config::Config;
use crate::journal::directory::Paths;
use crate::journal::recover::Tail;
use crate::journal::segments::Segments;
use crate::lifecycle::Lifecycle;
use crate::plan::{ExecutorPlan, Plan, Role};
use crate::runtime::executor::{self, Executor, HEARTBEAT};
use crate::sequencer::feed::Feed;
use crate::sequencer::order::Order;
use crate::sequencer::{self, Journal};
use crate::shard;
use crate::shard::router::Router;

/// Beats between rings of the doorbells while nothing happens: an idle shard wakes to forget what has expired.
const BEATS_PER_RING: u32 = 100;

/// What all roles of a server share.
#[derive(Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// For what an operator must know.
    pub log: Logger,
}

/// Every role, until it is started.
pub struct Roles {
    acceptors: Vec<Option<acceptor::Wiring>>,
    shards: Vec<Option<(Shard, shard::Wiring)>>,
    sequencer: Option<SequencerMain>,
    lifecycle: Arc<Lifecycle>,
    bells: Bells,
}

struct SequencerMain {
    order: Order,
    feed: Feed,
    tail: Option<(Paths, Tail)>,
    config: Arc<Config>,
    wiring: sequencer::Wiring,
}

impl Roles {
    /// Makes every role of `plan` ready with its part of the recovered state.
    pub fn new(
        shared: &Shared,
        plan: &Plan,
        sockets: Vec<OwnedFd>,
        parts: Parts,
    ) -> io::Result<Roles> {
        let bells = Bells::new(plan.acceptor_count.into(), plan.shard_count.into());
        let config = &shared.config;
        let sizes = Sizes::new(config.lane_slots, config.waiters_max, sockets.len());
        let (acceptor_ends, shard_ends, sequencer_ends) = lanes::lay(sizes, &bells);
        let acceptors = acceptors(shared, sizes, &bells, sockets, acceptor_ends, &parts.router)?;
        let mut shards = Vec::new();
        for (index, (shard, ends)) in parts.shards.into_iter().zip(shard_ends).enumerate() {
            let wiring = shard::Wiring {
                index: index as u16,
                bell: bells.shards[index].clone(),
                requests: ends.requests,
                replies: ends.replies,
                decisions: ends.decisions,
                lifecycle: shared.lifecycle.clone(),
                spin: plan.lane_spin,
                cleanup_interval: config.idempotency_cleanup_interval,
            };
            shards.push(Some((shard, wiring)));
        }
        let sequencer = SequencerMain {
            order: parts.order,
            feed: parts.feed,
            tail: parts.tail,
            config: config.clone(),
            wiring: sequencer::Wiring {
                bell: bells.sequencer.clone(),
                decisions: sequencer_ends.decisions,
                feed_requests: sequencer_ends.feed_requests,
                replies: sequencer_ends.replies,
                feed_replies: sequencer_ends.feed_replies,
                lifecycle: shared.lifecycle.clone(),
                log: shared.log.clone(),
            },
        };
        Ok(Roles {
            acceptors,
            shards,
            sequencer: Some(sequencer),
            lifecycle: shared.lifecycle.clone(),
            bells,
        })
    }

    /// Starts every executor of `plan` with its roles.
    pub fn start(mut self, plan: &Plan) -> io::Result<Vec<Executor>> {
        plan.executors
            .iter()
            .map(|executor| self.start_one(executor))
            .collect()
    }

    fn start_one(&mut self, plan: &ExecutorPlan) -> io::Result<Executor> {
        let mains: Vec<Main> = plan.roles.iter().map(|role| self.take(*role)).collect();
        let writes_files = plan.roles.contains(&Role::Sequencer);
        let (lifecycle, bells) = (self.lifecycle.clone(), self.bells.clone());
        Executor::start(plan, writes_files, move || run(mains, lifecycle, bells))
    }

    fn take(&mut self, role: Role) -> Main {
        const ONCE: &str = "the plan has every role once";
        match role {
            Role::Acceptor(index) => {
                let wiring = self.acceptors[index as usize].take().expect(ONCE);
                Main::Acceptor(Box::new(wiring))
            }
            Role::Shard(index) => {
                let (shard, wiring) = self.shards[index as usize].take().expect(ONCE);
                Main::Shard(Box::new(shard), Box::new(wiring))
            }
            Role::Sequencer => Main::Sequencer(Box::new(self.sequencer.take().expect(ONCE))),
        }
    }
}

fn acceptors(
    shared: &Shared,
    sizes: Sizes,
    bells: &Bells,
    sockets: Vec<OwnedFd>,
    ends: Vec<AcceptorEnds>,
    router: &Router,
) -> io::Result<Vec<Option<acceptor::Wiring>>> {
    let config = &shared.config;
    let keys = Arc::new(Keys::new(
        config.api_keys.clone(),
        config.admin_api_keys.clone(),
    ));
    let mut acceptors = Vec::new();
    for (index, (socket, ends)) in sockets.into_iter().zip(ends).enumerate() {
        acceptors.push(Some(acceptor::Wiring {
            index: index as u16,
            bell: bells.acceptors[index].clone(),
            socket,
            requests: ends.requests,
            replies: ends.replies,
            feed_requests: ends.feed_requests,
            feed_replies: ends.feed_replies,
            shard_window: sizes.shard_window as u32,
            feed_window: sizes.feed_window as u32,
            router: router.clone(),
            keys: keys.clone(),
            config: config.clone(),
            lifecycle: shared.lifecycle.clone(),
            log: shared.log.new(o!("acceptor" => index)),
            request_id_seed: request_id_seed()?,
        }));
    }
    Ok(acceptors)
}

/// Where the request ids of one acceptor begin: the random part of a ULID, with its upper bit free so that counting
/// up never carries out of it.
fn request_id_seed() -> io::Result<u128> {
    const RANDOM_BITS: u32 = 79;
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("no random seed: {error}")))?;
    Ok(u128::from_le_bytes(bytes) >> (u128::BITS - RANDOM_BITS))
}

/// A role on its executor.
enum Main {
    Acceptor(Box<acceptor::Wiring>),
    Shard(Box<Shard>, Box<shard::Wiring>),
    Sequencer(Box<SequencerMain>),
}

/// The main task of an executor: runs its roles, and is its heartbeat until the last has ended.
async fn run(mains: Vec<Main>, lifecycle: Arc<Lifecycle>, bells: Bells) {
    let running = Rc::new(Cell::new(mains.len()));
    for main in mains {
        let running = running.clone();
        executor::spawn(async move {
            match main {
                Main::Acceptor(wiring) => acceptor::run(*wiring).await,
                Main::Shard(shard, wiring) => shard::run(*shard, *wiring).await,
                Main::Sequencer(main) => run_sequencer(*main).await,
            }
            running.set(running.get() - 1);
        });
    }
    let mut beats: u32 = 0;
    while running.get() > 0 {
        executor::sleep(HEARTBEAT).await;
        beats = beats.wrapping_add(1);
        // A role that waits for mail would not notice that nobody is left to send any.
        if lifecycle.is_draining() || beats.is_multiple_of(BEATS_PER_RING) {
            bells.ring_all();
        }
    }
}

async fn run_sequencer(main: SequencerMain) {
    let journal = match main.tail {
        None => Journal::Memory,
        Some((paths, tail)) => {
            let config = &main.config;
            let opened = Segments::open(
                paths,
                tail,
                config.journal_segment_bytes,
                config.journal_sync,
            );
            let segments = opened
                .await
                .expect("recovery has just read or made this file");
            Journal::Disk(Box::new(segments))
        }
    };
    sequencer::run(main.order, main.feed, journal, main.wiring).await;
}
