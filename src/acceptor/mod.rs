//! An acceptor's executor: its listener, its connections, and the way of a request to the shards and back.

pub mod admission;
pub mod auth;
pub mod bodies;
pub mod client_address;
pub mod connection;
pub mod exchange;
pub mod framing;

use std::cell::Cell;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use slog::{Logger, warn};

use crate::api;
use crate::api::events::Asked;
use crate::api::limits::Limits;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::limiter::Limiter;
use crate::messages::{
    FeedAnswer, FeedReply, FeedReplyTo, FeedRequest, Outcome, Poll, Reply, ReplyTo, ShardRequest,
};
use crate::observe::log::requests::RequestLog;
use crate::observe::metrics::Metrics;
use crate::observe::metrics::stores::StorePlaces;
use crate::observe::metrics::traffic::{AcceptorMetrics, Deadline};
use crate::runtime::clock::Uptime;
use crate::runtime::executor;
use crate::runtime::lane::{Doorbell, Receiver, Sender};
use crate::runtime::reloadable::{Follower, Reloadable};
use crate::runtime::tcp::{self, Listener, Stream};
use crate::runtime::tls::Tls;
use crate::runtime::turns::Turns;
use crate::shard::router::Router;
use admission::{Admission, Full};
use auth::Keys;
use bodies::BodyMemory;
use connection::Connections;
use exchange::{Exchange, Exchanges};

/// Answers taken off one lane before the connections they belong to get their turn.
const TURN: usize = 256;
/// Answers of the feed taken before the executor sees its I/O: an event goes to thousands of stores, and an update that
/// comes meanwhile, or its sync, waits for no more than that.
const FEED_TURN: usize = 16;
/// The same while a request to a shard is under way: its way leads through two operations of the disk, each of which waits
/// for a turn.
const FEED_TURN_BESIDE_REQUESTS: usize = 4;
/// Slices of the stock that are made or waited for at a time, however many stores ask for all of it: some 70 us each, and
/// updates are seen in between.
const SLICES_AT_ONCE: usize = 4;
/// How long accepting pauses after an error, such as too many open files.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
/// How many connections over a bound are told so at a time; any more are closed without a word.
const REFUSING_MAX: usize = 256;
/// How long connections have to end by themselves when the server stops; what is left is closed.
const DRAIN: Duration = Duration::from_secs(7);

/// What an acceptor is wired to.
pub struct Wiring {
    /// Which acceptor this is.
    pub index: u16,
    /// Its own doorbell.
    pub bell: Arc<Doorbell>,
    /// Its listening socket.
    pub socket: OwnedFd,
    /// To each shard.
    pub requests: Vec<Sender<ShardRequest>>,
    /// From each shard, and from the sequencer.
    pub replies: Vec<Receiver<Reply>>,
    /// To the sequencer.
    pub feed_requests: Sender<FeedRequest>,
    /// From the sequencer.
    pub feed_replies: Receiver<FeedReply>,
    /// How many requests to one shard may be in flight. The reply lanes are sized for it.
    pub shard_window: u32,
    /// How many questions to the feed may be in flight. The feed lanes are sized for it.
    pub feed_window: u32,
    /// Which shard owns a product.
    pub router: Router,
    /// Who may ask.
    pub keys: Arc<Reloadable<Keys>>,
    /// How many may be connected.
    pub admission: Arc<Admission>,
    /// What connections are secured with; none speaks in clear.
    pub tls: Option<Arc<Reloadable<Tls>>>,
    /// How much of this acceptor's memory bodies may take, in bytes.
    pub body_bytes_max: usize,
    /// The configuration.
    pub config: Arc<Config>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// For what an operator must know.
    pub log: Logger,
    /// What all acceptors count requests with, if they are limited.
    pub limiter: Option<Arc<Limiter>>,
    /// What all roles count, and it.
    pub metrics: Arc<Metrics>,
    /// For tables whose keys are named by clients.
    pub hasher: RandomState,
    /// Where request ids of this acceptor begin.
    pub request_id_seed: u128,
}

/// A lane, or a window, is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// What every request of this acceptor shares.
pub struct Acceptor {
    index: u16,
    requests: Vec<Sender<ShardRequest>>,
    in_flight: Vec<Cell<u32>>,
    shard_window: u32,
    outcomes: Exchanges<Outcome>,
    feed_requests: Sender<FeedRequest>,
    feed_in_flight: Cell<u32>,
    feed_window: u32,
    feed_answers: Exchanges<FeedAnswer>,
    connections: Connections,
    admission: Arc<Admission>,
    refusing: Cell<usize>,
    tls: Option<Follower<Tls>>,
    /// The memory of request bodies.
    pub bodies: Rc<BodyMemory>,
    /// Who may ask for the next slice of the stock.
    pub slices: Turns,
    uptime: Uptime,
    now_ms: Cell<u64>,
    next_request_id: Cell<u128>,
    /// Which shard owns a product.
    pub router: Router,
    /// Who may ask, as of the last heartbeat.
    pub keys: Follower<Keys>,
    /// The configuration.
    pub config: Arc<Config>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// The rate limits, if there are any.
    pub limits: Option<Limits>,
    /// What it counts.
    pub metrics: Arc<AcceptorMetrics>,
    /// What all roles count.
    pub server_metrics: Arc<Metrics>,
    store_places: StorePlaces,
    /// The lines of its requests.
    pub requests_log: RequestLog,
    log: Logger,
}

/// Runs until the server stops and the last connection has ended.
pub async fn run(wiring: Wiring) {
    let uptime = Uptime::start();
    let requests_log = RequestLog::new(
        wiring.log.clone(),
        wiring.config.log_level,
        log_budget(&wiring.config, wiring.metrics.acceptors.len()),
        wiring.metrics.log.clone(),
    );
    let acceptor = Rc::new(Acceptor {
        index: wiring.index,
        in_flight: wiring.requests.iter().map(|_| Cell::new(0)).collect(),
        requests: wiring.requests,
        shard_window: wiring.shard_window,
        outcomes: Exchanges::default(),
        feed_requests: wiring.feed_requests,
        feed_in_flight: Cell::new(0),
        feed_window: wiring.feed_window,
        feed_answers: Exchanges::default(),
        connections: Connections::default(),
        admission: wiring.admission,
        refusing: Cell::new(0),
        tls: wiring.tls.map(|tls| tls.follow()),
        bodies: Rc::new(BodyMemory::new(wiring.body_bytes_max)),
        slices: Turns::new(SLICES_AT_ONCE),
        now_ms: Cell::new(uptime.now_ms()),
        uptime,
        next_request_id: Cell::new(wiring.request_id_seed),
        router: wiring.router,
        keys: wiring.keys.follow(),
        config: wiring.config,
        lifecycle: wiring.lifecycle,
        limits: wiring.limiter.map(Limits::new),
        metrics: wiring.metrics.acceptors[wiring.index as usize].clone(),
        store_places: StorePlaces::new(wiring.metrics.stores.clone(), wiring.hasher),
        requests_log,
        server_metrics: wiring.metrics,
        log: wiring.log,
    });
    let listener = Listener::new(wiring.socket).expect("a thread may watch its listener");
    let listener_descriptor = listener.descriptor();
    executor::spawn(accept(acceptor.clone(), listener));
    executor::spawn(inbox(
        acceptor.clone(),
        wiring.bell,
        wiring.replies,
        wiring.feed_replies,
    ));
    while !acceptor.is_draining() {
        executor::beat().await;
        acceptor.beat();
    }
    tcp::stop_listening(listener_descriptor);
    acceptor.connections.wake_all();
    let drained_by_ms = acceptor.now_ms() + DRAIN.as_millis() as u64;
    while acceptor.connections.count() > 0 && acceptor.now_ms() < drained_by_ms {
        executor::beat().await;
        acceptor.beat();
    }
    acceptor.requests_log.tell_suppressed(acceptor.now_ms());
    acceptor.lifecycle.acceptor_done();
}

/// An acceptor's share of the lines of requests: one at least, unless there are none.
fn log_budget(config: &Config, acceptors: usize) -> u64 {
    let budget = config.log_requests_per_second;
    (budget / acceptors as u64).max(budget.min(1))
}

async fn accept(acceptor: Rc<Acceptor>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(_) if acceptor.is_draining() => {}
            Ok(stream) => {
                begin(&acceptor, stream);
            }
            // The listener was stopped. It is kept open, so that its descriptor means nothing else.
            Err(_) if acceptor.is_draining() => std::future::pending().await,
            Err(error) => {
                warn!(acceptor.log, "A connection could not be accepted"; "error" => %error);
                executor::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Serves the connection beside the others, or tells it that there are too many.
fn begin(acceptor: &Rc<Acceptor>, stream: Stream) {
    let address = stream.peer();
    let acceptor = acceptor.clone();
    match acceptor.admission.admit(acceptor.counted_address(address)) {
        Ok(admitted) => executor::spawn(async move {
            let metrics = acceptor.metrics.clone();
            metrics.accepted.increment();
            metrics.connections.increment();
            connection::serve(acceptor, stream).await;
            metrics.connections.decrement();
            drop(admitted);
        }),
        Err(full) => turn_away(acceptor, stream, full),
    }
}

/// Tells the connection that there are too many.
fn turn_away(acceptor: Rc<Acceptor>, stream: Stream, full: Full) {
    match full {
        Full::Server => acceptor.metrics.refused_by_server.increment(),
        Full::Address => acceptor.metrics.refused_by_address.increment(),
    }
    // Through TLS the answer would cost a handshake; beyond this many at a time even the plain one costs too much.
    if acceptor.tls().is_some() || acceptor.refusing.get() >= REFUSING_MAX {
        return;
    }
    executor::spawn(async move {
        acceptor.refusing.set(acceptor.refusing.get() + 1);
        let answer = api::connection_refusal(&acceptor, full);
        connection::refuse(acceptor.clone(), stream, &answer).await;
        acceptor.refusing.set(acceptor.refusing.get() - 1);
    });
}

async fn inbox(
    acceptor: Rc<Acceptor>,
    bell: Arc<Doorbell>,
    replies: Vec<Receiver<Reply>>,
    feed_replies: Receiver<FeedReply>,
) {
    loop {
        let mut taken = 0;
        for lane in &replies {
            taken += acceptor.take_replies(lane);
        }
        taken += acceptor.take_feed_replies(&feed_replies);
        if !feed_replies.is_empty() {
            executor::let_io_run().await;
        } else if taken > 0 {
            executor::yield_now().await;
        } else {
            let has_mail =
                || !feed_replies.is_empty() || replies.iter().any(|lane| !lane.is_empty());
            bell.wait(Duration::ZERO, has_mail).await;
        }
    }
}

impl Acceptor {
    fn take_replies(&self, lane: &Receiver<Reply>) -> usize {
        for taken in 0..TURN {
            let Some(reply) = lane.pop() else {
                return taken;
            };
            let in_flight = &self.in_flight[reply.to.shard as usize];
            in_flight.set(in_flight.get() - 1);
            self.outcomes.complete(reply.to.exchange, reply.outcome);
        }
        TURN
    }

    fn take_feed_replies(&self, lane: &Receiver<FeedReply>) -> usize {
        let turn = match self.in_flight.iter().all(|in_flight| in_flight.get() == 0) {
            true => FEED_TURN,
            false => FEED_TURN_BESIDE_REQUESTS,
        };
        for taken in 0..turn {
            let Some(reply) = lane.pop() else {
                return taken;
            };
            self.feed_in_flight.set(self.feed_in_flight.get() - 1);
            self.feed_answers.complete(reply.to.exchange, reply.answer);
        }
        turn
    }

    fn beat(&self) {
        self.now_ms.set(self.uptime.now_ms());
        self.keys.refresh();
        if let Some(tls) = &self.tls {
            tls.refresh();
        }
        let body_bytes = self.bodies.used() as u64;
        self.metrics.body_bytes.set(body_bytes);
        let ended = |deadline: Deadline| self.metrics.timed_out[deadline as usize].increment();
        self.connections.sweep(self.now_ms(), &self.config, ended);
        self.requests_log.beat(self.now_ms());
        self.report_limits();
    }

    /// Tells the operator what the rate limiter did, never more often than it allows.
    fn report_limits(&self) {
        let limiter = self.limits.as_ref().map(Limits::limiter);
        let Some(report) = limiter.and_then(|limiter| limiter.report(limiter.now_ms())) else {
            return;
        };
        if report.refused + report.refused_admin > 0 {
            warn!(self.log, "Requests were refused by the rate limits";
                "regular" => report.refused, "admin" => report.refused_admin);
        }
        if report.forgotten > 0 {
            warn!(self.log, "More clients than RATE_LIMIT_MAX_CLIENTS: those seen least recently have their budgets anew";
                "clients" => report.forgotten);
        }
    }

    /// The time that deadlines are counted in, as of the last heartbeat.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// What connections are secured with; none speaks in clear.
    fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.as_ref().map(Follower::current)
    }

    /// The address whose connections are counted: all clients of a trusted proxy come from one.
    fn counted_address(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let is_proxy = |peer: &IpAddr| {
            let mut proxies = self.config.trusted_proxies.iter();
            proxies.any(|network| network.contains(*peer))
        };
        peer.filter(|peer| !is_proxy(peer))
    }

    /// Whether the server stops.
    pub fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// A number that no other request of this process has.
    pub fn next_request_id(&self) -> u128 {
        let id = self.next_request_id.get();
        self.next_request_id.set(id.wrapping_add(1));
        id
    }

    /// Counts applied updates of `store`.
    pub fn count_applied(&self, store: &str, updates: u64) {
        self.metrics.applied[self.store_places.of(store)].add(updates);
    }

    /// Begins an exchange with shards.
    pub fn exchange(&self) -> Exchange<Outcome> {
        self.outcomes.begin()
    }

    /// Sends what `request` makes to `shard`; its answer belongs to `exchange`.
    pub fn send(
        &self,
        exchange: &Exchange<Outcome>,
        shard: usize,
        request: impl FnOnce(ReplyTo) -> ShardRequest,
    ) -> Result<(), Overloaded> {
        let in_flight = &self.in_flight[shard];
        if in_flight.get() >= self.shard_window {
            return Err(Overloaded);
        }
        let to = ReplyTo {
            exchange: exchange.key(),
            acceptor: self.index,
            shard: shard as u16,
        };
        self.requests[shard]
            .send(request(to))
            .map_err(|_full| Overloaded)?;
        in_flight.set(in_flight.get() + 1);
        exchange.expect_one_more();
        Ok(())
    }

    /// Asks one shard one thing.
    pub async fn ask(
        &self,
        shard: usize,
        request: impl FnOnce(ReplyTo) -> ShardRequest,
    ) -> Result<Outcome, Overloaded> {
        let exchange = self.exchange();
        self.send(&exchange, shard, request)?;
        Ok(exchange.one().await)
    }

    /// Asks the feed for events. If this future is dropped, the sequencer is told to forget the poll.
    pub async fn poll_feed(&self, asked: &Asked) -> Result<FeedAnswer, Overloaded> {
        let mut question = self.ask_feed(|to| {
            FeedRequest::Poll(Poll {
                to,
                offset: asked.offset,
                limit: asked.limit,
                wait_ms: asked.wait_ms,
                form: asked.form,
                filter: asked.filter.clone(),
            })
        })?;
        Ok(question.answer().await)
    }

    /// Whether as many polls waited as may, within the last heartbeat of the sequencer.
    pub fn feed_is_full(&self) -> bool {
        self.server_metrics.sequencer.waiters.get() >= self.config.waiters_max as u64
    }

    /// Asks where the feed ends.
    pub async fn feed_end(&self) -> Result<FeedAnswer, Overloaded> {
        let mut question = self.ask_feed(FeedRequest::End)?;
        Ok(question.answer().await)
    }

    fn ask_feed(
        &self,
        request: impl FnOnce(FeedReplyTo) -> FeedRequest,
    ) -> Result<FeedQuestion<'_>, Overloaded> {
        if self.feed_in_flight.get() >= self.feed_window {
            return Err(Overloaded);
        }
        let exchange = self.feed_answers.begin();
        let to = FeedReplyTo {
            exchange: exchange.key(),
            acceptor: self.index,
        };
        self.feed_requests
            .send(request(to))
            .map_err(|_full| Overloaded)?;
        self.feed_in_flight.set(self.feed_in_flight.get() + 1);
        exchange.expect_one_more();
        Ok(FeedQuestion {
            acceptor: self,
            exchange,
            to,
            answered: false,
        })
    }
}

/// A question to the feed that is forgotten there if it is dropped here.
struct FeedQuestion<'a> {
    acceptor: &'a Acceptor,
    exchange: Exchange<FeedAnswer>,
    to: FeedReplyTo,
    answered: bool,
}

impl FeedQuestion<'_> {
    async fn answer(&mut self) -> FeedAnswer {
        let answer = self.exchange.one().await;
        self.answered = true;
        answer
    }
}

impl Drop for FeedQuestion<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let forget = FeedRequest::Forget(self.to);
            self.acceptor
                .feed_requests
                .send(forget)
                .expect("the lane is sized for it");
        }
    }
}
