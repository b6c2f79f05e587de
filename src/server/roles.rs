//! The roles of a server, each made ready with what it holds and moved to the executor that the plan gives it.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use shards::Shard;
use slog::{Logger, o};

use super::lanes::{self, AcceptorEnds, Bells, SequencerEnds, ShardEnds, Sizes};
use super::state::{self, OnDisk, State};
use crate::acceptor::{self, admission::Admission, auth::Keys};
use crate::api::BODY_BYTES_MAX;
use crate::config::Config;
use crate::journal::segments::{Extent, Segments};
use crate::lifecycle::Lifecycle;
use crate::limiter::Limiter;
use crate::observe::metrics::roles::ExecutorMetrics;
use crate::observe::metrics::{Metrics, Wired};
use crate::plan::{ExecutorPlan, Plan, Role};
use crate::runtime::clock::Uptime;
use crate::runtime::executor::{self, Executor, HEARTBEAT};
use crate::runtime::reloadable::Reloadable;
use crate::runtime::tls::Tls;
use crate::sequencer::feed::Feed;
use crate::sequencer::order::Order;
use crate::sequencer::snapshots::Policy;
use crate::sequencer::{self, Archive, Journal};
use crate::shard;
use crate::shard::router::Router;

/// Beats between rings of the doorbells while nothing happens: an idle shard wakes to forget what has expired.
const BEATS_PER_RING: u32 = 100;

/// What all roles of a server share.
#[derive(Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// Who may ask.
    pub keys: Arc<Reloadable<Keys>>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// For what an operator must know.
    pub log: Logger,
    /// What the roles count.
    pub metrics: Arc<Metrics>,
    /// What connections are secured with; none speaks in clear.
    pub tls: Option<Arc<Reloadable<Tls>>>,
}

/// Every role, until it is started. Acceptors start at once, so that health can be asked for while the state is read
/// from disk; those that need the state are handed over with it.
pub struct Roles {
    acceptors: Vec<Option<acceptor::Wiring>>,
    shards: Vec<Option<(Shard, shard::Wiring)>>,
    sequencer: Option<SequencerMain>,
    unwired: Option<Unwired>,
    shared: Shared,
    bells: Bells,
}

/// The lanes of the roles that wait for the state.
struct Unwired {
    shards: Vec<ShardEnds>,
    sequencer: SequencerEnds,
}

struct SequencerMain {
    order: Order,
    feed: Feed,
    on_disk: Option<OnDisk>,
    config: Arc<Config>,
    wiring: sequencer::Wiring,
}

/// Executors that run their acceptors and wait for their other roles.
pub struct Started {
    roles: Roles,
    executors: Vec<Executor>,
    /// Where each executor looks for its other roles.
    inboxes: Vec<Inbox>,
}

type Inbox = Arc<Mutex<Option<Vec<Main>>>>;

impl Roles {
    /// Lays the lanes between all roles of `plan`, and makes the acceptors ready. Returns, too, what may be watched.
    pub fn new(
        shared: &Shared,
        plan: &Plan,
        sockets: Vec<OwnedFd>,
        router: &Router,
    ) -> io::Result<(Roles, Wired)> {
        let bells = Bells::new(plan.acceptor_count.into(), plan.shard_count.into());
        let config = &shared.config;
        let sizes = Sizes::new(config.lane_slots, config.waiters_max, sockets.len());
        let (acceptor_ends, shard_ends, sequencer_ends) = lanes::lay(sizes, &bells);
        let wired = Wired {
            lanes: lanes::watch(&acceptor_ends, &shard_ends, &sequencer_ends),
            limiter: limiter(config)?,
            directory: state::files(config).map(|files| files.directory().to_owned()),
        };
        let limiter = wired.limiter.clone();
        let acceptors = acceptors(
            shared,
            sizes,
            &bells,
            sockets,
            acceptor_ends,
            router,
            limiter,
        )?;
        let roles = Roles {
            acceptors,
            shards: Vec::new(),
            sequencer: None,
            unwired: Some(Unwired {
                shards: shard_ends,
                sequencer: sequencer_ends,
            }),
            shared: shared.clone(),
            bells,
        };
        Ok((roles, wired))
    }

    /// Starts every executor of `plan` with its acceptors.
    pub fn start(mut self, plan: &Plan) -> io::Result<Started> {
        let (mut executors, mut inboxes) = (Vec::new(), Vec::new());
        let metrics = self.shared.metrics.clone();
        for (executor, metrics) in plan.executors.iter().zip(&metrics.executors) {
            let inbox = Inbox::default();
            executors.push(self.start_one(executor, inbox.clone(), metrics.clone())?);
            inboxes.push(inbox);
        }
        Ok(Started {
            roles: self,
            executors,
            inboxes,
        })
    }

    fn start_one(
        &mut self,
        plan: &ExecutorPlan,
        inbox: Inbox,
        metrics: Arc<ExecutorMetrics>,
    ) -> io::Result<Executor> {
        let acceptors = plan.roles.iter().filter(|role| is_acceptor(role));
        let mains: Vec<Main> = acceptors.map(|role| self.take(*role)).collect();
        let writes_files = plan.roles.contains(&Role::Sequencer);
        let (lifecycle, bells) = (self.shared.lifecycle.clone(), self.bells.clone());
        Executor::start(plan, writes_files, move || {
            metrics.started();
            run(mains, inbox, lifecycle, bells, metrics)
        })
    }

    /// Makes shards and sequencer ready with their parts of `state`.
    fn wire(&mut self, plan: &Plan, state: State) {
        let (shared, bells) = (&self.shared, &self.bells);
        let unwired = self.unwired.take().expect("the state is handed over once");
        for (index, (shard, ends)) in state.shards.into_iter().zip(unwired.shards).enumerate() {
            let wiring = shard::Wiring {
                index: index as u16,
                bell: bells.shards[index].clone(),
                requests: ends.requests,
                snapshot_requests: ends.snapshot_requests,
                replies: ends.replies,
                decisions: ends.decisions,
                lifecycle: shared.lifecycle.clone(),
                metrics: shared.metrics.shards[index].clone(),
                spin: plan.lane_spin,
                cleanup_interval: shared.config.idempotency_cleanup_interval,
            };
            self.shards.push(Some((shard, wiring)));
        }
        let ends = unwired.sequencer;
        self.sequencer = Some(SequencerMain {
            order: state.order,
            feed: state.feed,
            on_disk: state.on_disk,
            config: shared.config.clone(),
            wiring: sequencer::Wiring {
                bell: bells.sequencer.clone(),
                decisions: ends.decisions,
                snapshot_requests: ends.snapshot_requests,
                feed_requests: ends.feed_requests,
                replies: ends.replies,
                feed_replies: ends.feed_replies,
                lifecycle: shared.lifecycle.clone(),
                metrics: shared.metrics.sequencer.clone(),
                log: shared.log.clone(),
            },
        });
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

fn is_acceptor(role: &Role) -> bool {
    matches!(role, Role::Acceptor(_))
}

impl Started {
    /// Hands shards and sequencer over to their executors, each with its part of `state`. From now on everything is
    /// served.
    pub fn hand_over(mut self, plan: &Plan, state: State) -> Vec<Executor> {
        self.roles.wire(plan, state);
        for (executor, inbox) in plan.executors.iter().zip(&self.inboxes) {
            let others = executor.roles.iter().filter(|role| !is_acceptor(role));
            let mains = others.map(|role| self.roles.take(*role)).collect();
            *inbox.lock().expect("no holder panics") = Some(mains);
        }
        self.roles.shared.lifecycle.recovered();
        self.executors
    }
}

fn acceptors(
    shared: &Shared,
    sizes: Sizes,
    bells: &Bells,
    sockets: Vec<OwnedFd>,
    ends: Vec<AcceptorEnds>,
    router: &Router,
    limiter: Option<Arc<Limiter>>,
) -> io::Result<Vec<Option<acceptor::Wiring>>> {
    let config = &shared.config;
    let admission = Arc::new(Admission::new(
        config.connections_max,
        config.connections_per_ip_max,
    ));
    let body_bytes_max = config.body_memory_bytes_max as usize / sockets.len();
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
            keys: shared.keys.clone(),
            admission: admission.clone(),
            tls: shared.tls.clone(),
            // Each takes one body at least.
            body_bytes_max: body_bytes_max.max(BODY_BYTES_MAX),
            config: config.clone(),
            lifecycle: shared.lifecycle.clone(),
            log: shared.log.new(o!("acceptor" => index)),
            limiter: limiter.clone(),
            metrics: shared.metrics.clone(),
            hasher: state::random_state()?,
            request_id_seed: request_id_seed()?,
        }));
    }
    Ok(acceptors)
}

/// What all acceptors count requests with; none where nothing is limited.
fn limiter(config: &Config) -> io::Result<Option<Arc<Limiter>>> {
    let limits = &config.rate_limit;
    if !limits.enabled {
        return Ok(None);
    }
    let (partition_hasher, table_hasher) = (state::random_state()?, state::random_state()?);
    let limiter = Limiter::new(limits, partition_hasher, table_hasher);
    Ok(Some(Arc::new(limiter)))
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

/// The main task of an executor: runs its roles, those too that come later, and is its heartbeat until the last has
/// ended.
async fn run(
    mains: Vec<Main>,
    inbox: Inbox,
    lifecycle: Arc<Lifecycle>,
    bells: Bells,
    metrics: Arc<ExecutorMetrics>,
) {
    let running = Rc::new(Cell::new(0));
    mains.into_iter().for_each(|main| spawn(main, &running));
    let mut is_complete = false;
    let mut beats: u32 = 0;
    while !is_complete || running.get() > 0 {
        let asleep = Uptime::start();
        executor::beat().await;
        let delay = asleep.elapsed().saturating_sub(HEARTBEAT);
        metrics.heartbeat_delay.observe_duration(delay);
        if !is_complete && let Some(others) = inbox.lock().expect("no holder panics").take() {
            others.into_iter().for_each(|main| spawn(main, &running));
            is_complete = true;
        }
        beats = beats.wrapping_add(1);
        // A role that waits for mail would not notice that nobody is left to send any.
        if lifecycle.is_draining() || beats.is_multiple_of(BEATS_PER_RING) {
            bells.ring_all();
        }
    }
}

fn spawn(main: Main, running: &Rc<Cell<usize>>) {
    running.set(running.get() + 1);
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

async fn run_sequencer(main: SequencerMain) {
    let config = &main.config;
    let (journal, archive) = match main.on_disk {
        None => (Journal::Memory, None),
        Some(OnDisk { files, recovered }) => {
            let (full, first_offset) = (recovered.full, recovered.tail.first_offset);
            let extent = Rc::new(Extent::new(full, first_offset, recovered.latest_at));
            let opened = Segments::open(
                files.clone(),
                recovered.tail,
                extent.clone(),
                config.journal_segment_bytes,
                config.journal_sync,
                main.wiring.metrics.clone(),
            );
            let segments = opened
                .await
                .expect("recovery has just read or made this file");
            let archive = Archive {
                files,
                extent,
                covered_to: recovered.covered_to,
                policy: policy(config),
            };
            (Journal::Disk(Box::new(segments)), Some(archive))
        }
    };
    sequencer::run(main.order, main.feed, journal, archive, main.wiring).await;
}

fn policy(config: &Config) -> Policy {
    Policy {
        journal_bytes: config.snapshot_journal_bytes,
        retention_ms: config.events_retention.as_millis() as u64,
        idempotency_ttl_ms: config.idempotency_ttl.as_millis() as u64,
        events_in_memory: config.events_in_memory_max as u64,
    }
}
