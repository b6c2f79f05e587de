//! An acceptor by itself: real connections over loopback, and at the other end of its lanes a shard that looks nothing up and
//! has every change on disk at once. Who asks and who answers for the shard share the driver's CPU.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use central_inventory::acceptor::admission::Admission;
use central_inventory::acceptor::auth::Keys;
use central_inventory::acceptor::{self, Wiring};
use central_inventory::api;
use central_inventory::config::Config;
use central_inventory::lifecycle::Lifecycle;
use central_inventory::messages::{FoundProduct, Outcome, Reply, ShardRequest};
use central_inventory::observe::metrics::Metrics;
use central_inventory::plan::{ExecutorPlan, Machine, Plan};
use central_inventory::runtime::executor::{self, Executor};
use central_inventory::runtime::lane::Doorbell;
use central_inventory::runtime::reloadable::Reloadable;
use central_inventory::runtime::tcp;
use central_inventory::server::lanes::{self, AcceptorEnds, Bells, ShardEnds, Sizes};
use central_inventory::shard::router::Router;
use inventory_bench::client::{Connection, Requests, sockets};
use shards::{Receipt, UpdateAnswer};
use slog::{Discard, Logger, o};

use crate::bed::{Bed, Cpus};
use crate::figures::Round;
use crate::make;

/// As many as keep it busy.
const CONNECTIONS: usize = 64;
const PRODUCTS: usize = 1_000;
const KEY: &str = "demo";
/// A round that takes longer hangs.
const ROUND_LIMIT: Duration = Duration::from_secs(120);
/// What a product looks like to who reads it.
const PRODUCT: &[u8] = br#"{"productId":"PROD-0000001","name":"A product of a benchmark","available":1000000,"version":7,"lastUpdated":"2024-01-15T10:30:00.000Z","price":9.99}"#;

/// What it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Single updates, with a version.
    Updates,
    /// Single products.
    Reads,
}

/// Asks it `count` things.
pub fn round(cpus: Cpus, count: usize, asks: Asks) -> Result<Round, String> {
    let described = |error: std::io::Error| error.to_string();
    let config = config()?;
    let (socket, address) = listen()?;
    let bells = Bells::new(1, 1);
    let lifecycle = Arc::new(Lifecycle::new(1, 1));
    lifecycle.recovered();
    api::prepare();
    let sizes = Sizes::new(config.lane_slots, config.waiters_max, 1);
    let (mut acceptors, mut shards, sequencer) = lanes::lay(sizes, &bells);
    let ends = acceptors.pop().expect("there is one");
    let shard = shards.pop().expect("there is one");
    let wiring = wiring(config, socket, ends, sizes, &bells, &lifecycle)?;
    let bell = bells.shards[0].clone();
    let role = Bed::start(cpus.role, bells.clone(), move || acceptor::run(wiring))?;
    let is_over = lifecycle.clone();
    let stand_in = Bed::start(cpus.driver, bells, move || answer(shard, bell, is_over))?;

    let before = role.times()?;
    let (say, said) = mpsc::channel();
    let driver = Executor::start(&driver(cpus.driver), false, move || async move {
        // The main thread waits for it.
        let _ = say.send(ask_all(address, count, asks).await);
    });
    let driver = driver.map_err(described)?;
    let asked = said.recv_timeout(ROUND_LIMIT);
    let elapsed = asked.map_err(|error| error.to_string())??;
    let after = role.times()?;
    driver.join().map_err(described)?;
    lifecycle.drain();
    role.join()?;
    stand_in.join()?;
    // Its end of the feed's lanes, which nobody uses.
    drop(sequencer);
    Ok(Round {
        count,
        elapsed,
        cpu: after.cpu - before.cpu,
        waited: after.waited - before.waited,
        groups: 0,
    })
}

/// That of the server, without limits on requests, for this is about their cost.
fn config() -> Result<Arc<Config>, String> {
    let lookup = |name: &str| (name == "RATE_LIMIT_ENABLED").then(|| "false".to_owned());
    let config = Config::from_lookup(lookup).map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

fn listen() -> Result<(OwnedFd, SocketAddr), String> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sockets = tcp::bind_listeners(any, 1).map_err(|error| error.to_string())?;
    let socket = sockets.into_iter().next().expect("one was asked for");
    let address = rustix::net::getsockname(&socket).map_err(|error| error.to_string())?;
    let address = SocketAddr::try_from(address).map_err(|error| error.to_string())?;
    Ok((socket, address))
}

fn wiring(
    config: Arc<Config>,
    socket: OwnedFd,
    ends: AcceptorEnds,
    sizes: Sizes,
    bells: &Bells,
    lifecycle: &Arc<Lifecycle>,
) -> Result<Wiring, String> {
    let plan = Plan::new(&Machine::read(), 1, Some(1), None, None);
    let plan = plan.map_err(|error| error.to_string())?;
    let metrics = Metrics::new(config.clone(), lifecycle.clone(), &plan, Arc::default());
    Ok(Wiring {
        index: 0,
        bell: bells.acceptors[0].clone(),
        socket,
        requests: ends.requests,
        replies: ends.replies,
        feed_requests: ends.feed_requests,
        feed_replies: ends.feed_replies,
        shard_window: sizes.shard_window as u32,
        feed_window: sizes.feed_window as u32,
        router: Router::new(make::hasher(), 1),
        keys: Arc::new(Reloadable::new(Keys::new(config.keys.clone()))),
        admission: Arc::new(Admission::new(
            config.connections_max,
            config.connections_per_ip_max,
        )),
        tls: None,
        body_bytes_max: config.body_memory_bytes_max as usize,
        config,
        lifecycle: lifecycle.clone(),
        log: Logger::root(Discard, o!()),
        limiter: None,
        metrics: Arc::new(metrics),
        hasher: make::hasher(),
        request_id_seed: 0,
    })
}

fn driver(cpu: usize) -> ExecutorPlan {
    ExecutorPlan {
        name: "driver".to_owned(),
        cpus: vec![cpu],
        pinned: true,
        roles: Vec::new(),
    }
}

/// The shard's place: every update is applied, and every product looks the same.
async fn answer(shard: ShardEnds, bell: Arc<Doorbell>, lifecycle: Arc<Lifecycle>) {
    let (requests, replies) = (&shard.requests[0], &shard.replies[0]);
    let mut version = 1;
    while !lifecycle.acceptors_are_done() {
        while let Some(request) = requests.pop() {
            version += 1;
            let reply = match request {
                ShardRequest::Update(to, update) => {
                    drop(update);
                    let receipt = Receipt {
                        quantity: 1_000_000,
                        version,
                        at: make::BEGINNING,
                    };
                    let outcome = Outcome::Update(UpdateAnswer::Applied(receipt));
                    Reply { to, outcome }
                }
                ShardRequest::Read(to, _) => {
                    let json = PRODUCT.to_vec();
                    let outcome = Outcome::Product(Some(FoundProduct { version: 7, json }));
                    Reply { to, outcome }
                }
                _ => unreachable!("nothing else is asked"),
            };
            let pushed = replies.push(reply);
            pushed.expect("a reply lane holds all that may be in flight");
        }
        replies.ring();
        bell.wait(Duration::ZERO, || !requests.is_empty()).await;
    }
}

/// Asks `count` times over all connections. Returns how long it took, connecting included.
async fn ask_all(address: SocketAddr, count: usize, asks: Asks) -> Result<Duration, String> {
    let (left, done) = (Rc::new(Cell::new(count)), Rc::new(Cell::new(0)));
    let problem = Rc::new(Cell::new(None));
    let begun = Instant::now();
    for store in 0..CONNECTIONS {
        let (left, done, problem) = (left.clone(), done.clone(), problem.clone());
        executor::spawn(async move {
            if let Err(error) = ask(address, store, asks, &left, &done).await {
                problem.set(Some(error));
            }
        });
    }
    let mut failed = None;
    let goes_on = || {
        failed = failed.take().or_else(|| problem.take());
        failed.is_none() && done.get() < count && begun.elapsed() < ROUND_LIMIT
    };
    let driven = sockets::drive(goes_on).await;
    driven.map_err(|error| error.to_string())?;
    match failed {
        Some(error) => Err(error),
        None if done.get() < count => Err(format!("a round is not over after {ROUND_LIMIT:?}")),
        None => Ok(begun.elapsed()),
    }
}

/// One connection: asks as long as something is left to be asked.
async fn ask(
    address: SocketAddr,
    store: usize,
    asks: Asks,
    left: &Cell<usize>,
    done: &Cell<usize>,
) -> Result<(), String> {
    let described = |error: std::io::Error| error.to_string();
    let name = format!("store-{store:04}");
    let mut requests = Requests::new(&address.to_string(), KEY, name, "PROD".to_owned());
    let mut connection = Connection::open(address).await.map_err(described)?;
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        let product = make::chosen(rest, PRODUCTS);
        let request = match asks {
            Asks::Updates => requests.update(product, 1, Some(1), rest as u64),
            Asks::Reads => requests.read(product),
        };
        let answer = connection.ask(request).await.map_err(described)?;
        if answer.status != 200 {
            let body = String::from_utf8_lossy(answer.body);
            return Err(format!("status {}: {body}", answer.status));
        }
        done.set(done.get() + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_asked_is_answered() {
        let cpus = Cpus { role: 0, driver: 0 };
        for asks in [Asks::Updates, Asks::Reads] {
            let round = round(cpus, 1_000, asks).unwrap();
            assert_eq!(1_000, round.count);
            assert!(round.cpu > Duration::ZERO);
        }
    }
}
