//! A server from start to stop: check, lock, recover, lay the lanes, start the executors, wait, drain.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shards::{Limits, Shard};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use slog::{Logger, info, o, warn};

use crate::acceptor::auth::Keys;
use crate::acceptor::{self};
use crate::config::{Config, Environment, JournalSync};
use crate::journal::directory::{self, Lock, Paths};
use crate::journal::recover::{self, FirstStart, Recovered, Tail};
use crate::journal::segments::Segments;
use crate::lifecycle::Lifecycle;
use crate::messages::{Decision, FeedReply, FeedRequest, Reply, ShardRequest};
use crate::observe::log;
use crate::plan::{ExecutorPlan, Machine, Plan, Role};
use crate::runtime::executor::{self, Executor, HEARTBEAT};
use crate::runtime::lane::{Doorbell, Receiver, Sender, lane};
use crate::runtime::{clock, preflight, tcp};
use crate::sequencer::feed::Feed;
use crate::sequencer::order::Order;
use crate::sequencer::{self, Journal};
use crate::shard::router::Router;
use crate::shard::{self};

/// How many times the slots of a request lane may be in flight between an acceptor and a shard: what stands in the
/// lane, what waits for the sequencer, what is on its way to disk, and the answers not yet read.
const WINDOW_LANES: usize = 4;
/// Beats between rings of the shards' doorbells while nothing happens: an idle shard wakes to forget what has expired.
const BEATS_PER_RING: u32 = 100;

/// Serves until SIGTERM or SIGINT. Says on standard error what keeps it from starting.
pub fn serve() -> ExitCode {
    die_on_panic();
    let config = match Config::from_env() {
        Ok(config) => Arc::new(config),
        Err(errors) => {
            eprintln!("central-inventory cannot start:\n{errors}");
            return ExitCode::FAILURE;
        }
    };
    let (log, _flushed_at_the_end) = log::start(config.log_level);
    match start_and_wait(&config, &log) {
        Ok(code) => code,
        Err(error) => {
            drop(_flushed_at_the_end);
            eprintln!("central-inventory cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A broken invariant ends the process, on whichever thread it is found: better no answer than a wrong one.
fn die_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn start_and_wait(
    config: &Arc<Config>,
    log: &Logger,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    for check in preflight::run() {
        check.outcome?;
    }
    raise_open_files();
    // Before any thread is pinned: afterwards only the pinned CPU would be seen.
    let machine = Machine::read();
    let plan = Plan::new(
        &machine,
        config.shard_count,
        config.acceptor_count,
        config.cpu_plan.as_ref(),
        config.lane_spin,
    )?;
    // Before anything is started, so that a signal is never missed.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let state = State::recover(config, log)?;
    let address = SocketAddr::new(config.bind_address, config.port);
    let sockets = tcp::bind_listeners(address, plan.acceptor_count.into()).map_err(|error| {
        directory::describe(
            error,
            format!("cannot listen on {address}: is the port in use?"),
        )
    })?;
    let lifecycle = Arc::new(Lifecycle::new(
        plan.acceptor_count.into(),
        plan.shard_count.into(),
    ));
    let _lock = state.lock;
    let mains = Mains::wire(config, &plan, &lifecycle, log, sockets, state.parts)?;
    let executors = mains.start(&plan)?;
    info!(log, "Listening"; "address" => %address, "acceptors" => plan.acceptor_count,
        "shards" => plan.shard_count, "version" => env!("CARGO_PKG_VERSION"));

    signals.forever().next();
    info!(log, "Stopping: finishing what is in flight");
    lifecycle.drain();
    for executor in executors {
        executor.join()?;
    }
    info!(log, "Stopped"; "uptime_seconds" => lifecycle.uptime().as_secs());
    Ok(match lifecycle.has_failed_journal() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// A connection is a file: take as many as we may have.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused only where the limit cannot be raised; then accepting meets it, and says so.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// What a start finds on disk.
struct State {
    lock: Option<Lock>,
    parts: Parts,
}

/// What the roles take over.
struct Parts {
    router: Router,
    shards: Vec<Shard>,
    order: Order,
    feed: Feed,
    /// None runs in memory.
    tail: Option<(Paths, Tail)>,
}

impl State {
    fn recover(config: &Config, log: &Logger) -> Result<State, Box<dyn std::error::Error>> {
        let router = Router::new(random_state()?, config.shard_count);
        let limits = Limits {
            idempotency_ttl_ms: config.idempotency_ttl.as_millis() as u64,
            idempotency_entries_max: entries_per_shard(config),
        };
        let mut shards = Vec::new();
        for _ in 0..config.shard_count {
            shards.push(Shard::new(limits, random_state()?));
        }
        let mut feed = Feed::new(config.events_in_memory_max, config.waiters_max);
        let sync_per_group = config.journal_sync == JournalSync::Always || !config.persistence;
        if !config.persistence {
            warn!(
                log,
                "ENABLE_JSON_PERSISTENCE=false: everything is kept in memory only and lost at the end"
            );
            if config.environment == Environment::Development {
                recover::restore_snapshot(recover::sample(), &router, &mut shards);
            }
            let parts = Parts {
                router,
                shards,
                order: Order::new(0, sync_per_group),
                feed,
                tail: None,
            };
            return Ok(State { lock: None, parts });
        }
        if config.journal_sync != JournalSync::Always {
            warn!(
                log,
                "JOURNAL_SYNC is not `always`: acknowledged changes can be lost when the machine fails"
            );
        }
        let paths = Paths {
            snapshot: config.data_path.clone(),
            active: config.events_path.clone(),
        };
        let lock = directory::lock(&paths)?;
        let first_start = match config.environment {
            Environment::Development => FirstStart::Sample,
            Environment::Staging | Environment::Production => FirstStart::Empty,
        };
        let recovered = recover::recover(
            &paths,
            config.journal_segment_bytes,
            first_start,
            &router,
            &mut shards,
            &mut feed,
            clock::wall_now(),
        )?;
        report(&recovered, &shards, log);
        feed.begin_at(recovered.next_offset);
        let parts = Parts {
            router,
            shards,
            order: Order::new(recovered.next_offset, sync_per_group),
            feed,
            tail: Some((paths, recovered.tail)),
        };
        let lock = Some(lock);
        Ok(State { lock, parts })
    }
}

fn report(recovered: &Recovered, shards: &[Shard], log: &Logger) {
    let report = &recovered.report;
    let products: usize = shards.iter().map(Shard::product_count).sum();
    let remembered: usize = shards.iter().map(Shard::idempotency_entry_count).sum();
    info!(log, "Recovered"; "products" => products, "next_offset" => recovered.next_offset,
        "events_replayed" => report.events, "segments" => report.segments,
        "snapshot_products" => report.snapshot_products, "idempotency_entries" => remembered);
    if report.torn_bytes > 0 {
        warn!(log, "A torn tail was cut off the journal: writes that a crash interrupted before they were \
            acknowledged"; "bytes" => report.torn_bytes);
    }
}

/// The bound is over all shards; each gets its share, rounded up.
fn entries_per_shard(config: &Config) -> usize {
    let share = config
        .idempotency_entries_max
        .div_ceil(u64::from(config.shard_count));
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// Seeds from the system: ids come from outside, and must not be able to aim at one bucket or one shard.
fn random_state() -> io::Result<RandomState> {
    let seed = || -> io::Result<u64> {
        getrandom::u64().map_err(|error| io::Error::other(format!("no random seed: {error}")))
    };
    Ok(RandomState::with_seeds(seed()?, seed()?, seed()?, seed()?))
}

/// What each role runs with, ready to be moved to its executor.
struct Mains {
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

#[derive(Clone)]
struct Bells {
    acceptors: Vec<Arc<Doorbell>>,
    shards: Vec<Arc<Doorbell>>,
    sequencer: Arc<Doorbell>,
}

/// `count` lanes, both ends in order.
fn lanes<T>(
    slots: usize,
    bells: impl Iterator<Item = Arc<Doorbell>>,
) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    bells.map(|bell| lane(slots, &bell)).unzip()
}

impl Mains {
    fn wire(
        config: &Arc<Config>,
        plan: &Plan,
        lifecycle: &Arc<Lifecycle>,
        log: &Logger,
        sockets: Vec<std::os::fd::OwnedFd>,
        parts: Parts,
    ) -> io::Result<Mains> {
        let (acceptor_count, shard_count) = (plan.acceptor_count.into(), plan.shard_count.into());
        let new_bells = |count: usize| (0..count).map(|_| Arc::default()).collect::<Vec<_>>();
        let bells = Bells {
            acceptors: new_bells(acceptor_count),
            shards: new_bells(shard_count),
            sequencer: Arc::default(),
        };
        let to_sequencer = |count: usize| std::iter::repeat_n(bells.sequencer.clone(), count);
        let shard_window = config.lane_slots * WINDOW_LANES;
        let feed_window = feed_window(config.waiters_max, acceptor_count);

        let (decision_senders, decisions) =
            lanes::<Decision>(config.lane_slots, to_sequencer(shard_count));
        let (feed_senders, feed_requests) =
            lanes::<FeedRequest>(2 * feed_window, to_sequencer(acceptor_count));
        let (feed_reply_senders, feed_replies) =
            lanes::<FeedReply>(feed_window, bells.acceptors.iter().cloned());
        let (released_senders, released) =
            lanes::<Reply>(shard_window * shard_count, bells.acceptors.iter().cloned());

        // By shard: what it receives from, and answers to, each acceptor.
        let mut shard_requests: Vec<Vec<Receiver<ShardRequest>>> = Vec::new();
        let mut shard_replies: Vec<Vec<Sender<Reply>>> = Vec::new();
        // By acceptor: the other ends.
        let mut acceptor_requests: Vec<Vec<Sender<ShardRequest>>> =
            (0..acceptor_count).map(|_| Vec::new()).collect();
        let mut acceptor_replies: Vec<Vec<Receiver<Reply>>> =
            released.into_iter().map(|lane| vec![lane]).collect();
        for shard_bell in &bells.shards {
            let to_shard = std::iter::repeat_n(shard_bell.clone(), acceptor_count);
            let (senders, receivers) = lanes::<ShardRequest>(config.lane_slots, to_shard);
            shard_requests.push(receivers);
            acceptor_requests
                .iter_mut()
                .zip(senders)
                .for_each(|(all, one)| all.push(one));
            let (senders, receivers) =
                lanes::<Reply>(shard_window, bells.acceptors.iter().cloned());
            shard_replies.push(senders);
            acceptor_replies
                .iter_mut()
                .zip(receivers)
                .for_each(|(all, one)| all.push(one));
        }

        let keys = Arc::new(Keys::new(
            config.api_keys.clone(),
            config.admin_api_keys.clone(),
        ));
        let mut acceptors = Vec::new();
        let ends = sockets
            .into_iter()
            .zip(acceptor_requests)
            .zip(acceptor_replies);
        let feed_ends = feed_senders.into_iter().zip(feed_replies);
        for (index, (((socket, requests), replies), (feed_sender, feed_replies))) in
            ends.zip(feed_ends).enumerate()
        {
            acceptors.push(Some(acceptor::Wiring {
                index: index as u16,
                bell: bells.acceptors[index].clone(),
                socket,
                requests,
                replies,
                feed_requests: feed_sender,
                feed_replies,
                shard_window: shard_window as u32,
                feed_window: feed_window as u32,
                router: parts.router.clone(),
                keys: keys.clone(),
                config: config.clone(),
                lifecycle: lifecycle.clone(),
                log: log.new(o!("acceptor" => index)),
                request_id_seed: random_u128()?,
            }));
        }
        let mut shards = Vec::new();
        let ends = shard_requests
            .into_iter()
            .zip(shard_replies)
            .zip(decision_senders);
        for (index, (shard, ((requests, replies), decisions))) in
            parts.shards.into_iter().zip(ends).enumerate()
        {
            let wiring = shard::Wiring {
                index: index as u16,
                bell: bells.shards[index].clone(),
                requests,
                replies,
                decisions,
                lifecycle: lifecycle.clone(),
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
                decisions,
                feed_requests,
                replies: released_senders,
                feed_replies: feed_reply_senders,
                lifecycle: lifecycle.clone(),
                log: log.clone(),
            },
        };
        Ok(Mains {
            acceptors,
            shards,
            sequencer: Some(sequencer),
            lifecycle: lifecycle.clone(),
            bells,
        })
    }

    /// Starts every executor of the plan with its roles.
    fn start(mut self, plan: &Plan) -> io::Result<Vec<Executor>> {
        plan.executors
            .iter()
            .map(|executor| self.start_one(executor))
            .collect()
    }

    fn start_one(&mut self, plan: &ExecutorPlan) -> io::Result<Executor> {
        let mut roles = Vec::new();
        for role in &plan.roles {
            roles.push(match *role {
                Role::Acceptor(index) => {
                    RoleMain::Acceptor(take(&mut self.acceptors[index as usize]))
                }
                Role::Shard(index) => RoleMain::Shard(take(&mut self.shards[index as usize])),
                Role::Sequencer => RoleMain::Sequencer(take(&mut self.sequencer)),
            });
        }
        let writes_files = plan.roles.contains(&Role::Sequencer);
        let (lifecycle, bells) = (self.lifecycle.clone(), self.bells.clone());
        Executor::start(plan, writes_files, move || {
            run_roles(roles, lifecycle, bells)
        })
    }
}

fn take<T>(role: &mut Option<T>) -> T {
    role.take().expect("the plan has every role once")
}

/// How many questions to the feed one acceptor may have in flight: its share of all waiters twice over, since the
/// kernel does not spread connections evenly.
fn feed_window(waiters_max: usize, acceptor_count: usize) -> usize {
    (2 * waiters_max)
        .div_ceil(acceptor_count)
        .clamp(64, waiters_max.max(64))
}

fn random_u128() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("no random seed: {error}")))?;
    // The lower part of a ULID has 80 bits; leave room to count.
    Ok(u128::from_le_bytes(bytes) >> 49)
}

enum RoleMain {
    Acceptor(acceptor::Wiring),
    Shard((Shard, shard::Wiring)),
    Sequencer(SequencerMain),
}

/// The main task of an executor: runs its roles, and is its heartbeat until the last has ended.
async fn run_roles(roles: Vec<RoleMain>, lifecycle: Arc<Lifecycle>, bells: Bells) {
    let running = Rc::new(Cell::new(roles.len()));
    for role in roles {
        let running = running.clone();
        executor::spawn(async move {
            match role {
                RoleMain::Acceptor(wiring) => acceptor::run(wiring).await,
                RoleMain::Shard((shard, wiring)) => shard::run(shard, wiring).await,
                RoleMain::Sequencer(main) => run_sequencer(main).await,
            }
            running.set(running.get() - 1);
        });
    }
    let mut beats: u32 = 0;
    while running.get() > 0 {
        executor::sleep(HEARTBEAT).await;
        beats = beats.wrapping_add(1);
        if lifecycle.is_draining() || beats.is_multiple_of(BEATS_PER_RING) {
            bells.shards.iter().for_each(|bell| bell.ring());
            bells.acceptors.iter().for_each(|bell| bell.ring());
            bells.sequencer.ring();
        }
    }
}

async fn run_sequencer(main: SequencerMain) {
    let journal = match main.tail {
        None => Journal::Memory,
        Some((paths, tail)) => {
            let opened = Segments::open(
                paths,
                tail,
                main.config.journal_segment_bytes,
                main.config.journal_sync,
            );
            let segments = opened.await.expect("recovery has just written this file");
            Journal::Disk(Box::new(segments))
        }
    };
    sequencer::run(main.order, main.feed, journal, main.wiring).await;
}
