//! Sends at an even rate over some connections, on a thread of its own, whatever the answers do: a request that is due while
//! its connection still waits counts from when it was due.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use central_inventory::runtime::executor::{self, Executor};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::{Server, new_store, plan};
use crate::client::{Answer, Connection, Requests, sockets};

/// An answer that takes longer never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const UNAVAILABLE: u16 = 503;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Single updates.
    Updates,
    /// Batches of so many updates.
    Batches(usize),
    /// Updates and reads in turns.
    UpdatesAndReads,
}

/// How it is sent.
#[derive(Clone, Debug)]
pub struct Load {
    /// To whom.
    pub server: Server,
    /// What the thread and the store are called.
    pub name: &'static str,
    /// What.
    pub ask: Ask,
    /// Requests a second, over all connections.
    pub rate: f64,
    /// Connections.
    pub connections: usize,
    /// It ends after so many requests.
    pub requests: Option<u64>,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// When it was due, from the beginning.
    pub due: Duration,
    /// When it went out; later than it was due where the one before was still waited for.
    pub sent: Duration,
    /// When its answer was there.
    pub answered: Duration,
}

impl Took {
    /// From when it was due.
    pub fn latency(&self) -> Duration {
        self.answered - self.due
    }
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Sent {
    /// Every request that was answered, in the order of the answers.
    pub took: Vec<Took>,
    /// Updates that took effect.
    pub applied: u64,
    /// Requests, or items of batches, that the server refused with 503.
    pub refused: u64,
    /// What should not be.
    pub problem: Option<String>,
}

/// A load that goes on.
pub struct Sender {
    executor: Executor,
    brought: mpsc::Receiver<Sent>,
    is_over: Arc<AtomicBool>,
    began: Instant,
}

impl Sender {
    /// Begins.
    pub fn start(load: Load) -> Result<Sender, String> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (sender, brought) = mpsc::channel();
        let (shared_over, began) = (is_over.clone(), Instant::now());
        let executor = Executor::start(&plan(load.name), false, move || async move {
            // Nobody listens any more if the main thread has failed.
            let _ = sender.send(send_all(load, began, shared_over).await);
        });
        Ok(Sender {
            executor: executor.map_err(|error| error.to_string())?,
            brought,
            is_over,
            began,
        })
    }

    /// How long it has gone on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Ends it.
    pub fn stop(self) -> Result<Sent, String> {
        self.is_over.store(true, Ordering::SeqCst);
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(self) -> Result<Sent, String> {
        let sent = self.brought.recv().map_err(|error| error.to_string())?;
        self.executor.join().map_err(|error| error.to_string())?;
        match &sent.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(sent),
        }
    }
}

/// What the connections of a load share.
struct Shared {
    load: Load,
    began: Instant,
    is_over: Arc<AtomicBool>,
    /// Requests that were begun.
    begun: Cell<u64>,
    running: Cell<usize>,
    sent: RefCell<Sent>,
}

async fn send_all(load: Load, began: Instant, is_over: Arc<AtomicBool>) -> Sent {
    let connections = load.connections;
    let shared = Rc::new(Shared {
        load,
        began,
        is_over,
        begun: Cell::new(0),
        running: Cell::new(connections),
        sent: RefCell::default(),
    });
    let store = new_store(shared.load.name);
    for number in 0..connections {
        let (shared, store) = (shared.clone(), format!("{store}-{number}"));
        executor::spawn(async move {
            if let Err(error) = send_on(&shared, number, store).await {
                let problem = format!("connection {number}: {error}");
                shared.sent.borrow_mut().problem.get_or_insert(problem);
                shared.is_over.store(true, Ordering::SeqCst);
            }
            shared.running.set(shared.running.get() - 1);
        });
    }
    if let Err(error) = sockets::drive(|| shared.running.get() > 0).await {
        shared.sent.borrow_mut().problem = Some(error.to_string());
    }
    shared.sent.take()
}

impl Shared {
    /// Whether one more request is to be sent.
    fn begin(&self) -> bool {
        let begun = self.begun.get();
        if self.is_over.load(Ordering::SeqCst)
            || self.load.requests.is_some_and(|most| begun >= most)
        {
            return false;
        }
        self.begun.set(begun + 1);
        true
    }
}

async fn send_on(shared: &Shared, number: usize, store: String) -> io::Result<()> {
    let Load {
        server,
        ask,
        rate,
        connections,
        ..
    } = &shared.load;
    let every = Duration::from_secs_f64(*connections as f64 / rate);
    let mut random = SmallRng::seed_from_u64(server.seed.wrapping_mul(1_000) + number as u64);
    let authority = server.url.to_string();
    let mut requests = Requests::new(&authority, &server.key, store, server.prefix.clone());
    let mut connection = Connection::open(server.url).await?;
    let mut changes = Vec::new();
    // Evenly spread over the connections.
    let mut due = shared.began.elapsed() + every.mul_f64(number as f64 / *connections as f64);
    for key in 0_u64.. {
        sockets::sleep_until(shared.began + due).await;
        if !shared.begin() {
            break;
        }
        let product = random.random_range(0..server.products);
        let request = match ask {
            Ask::Updates => requests.update(product, 1, None, key),
            Ask::UpdatesAndReads if key % 2 == 0 => requests.update(product, 1, None, key),
            Ask::UpdatesAndReads => requests.read(product),
            Ask::Batches(size) => {
                let first = key * *size as u64;
                let items = first..first + *size as u64;
                changes.clear();
                changes.extend(items.map(|key| (random.random_range(0..server.products), 1, key)));
                requests.batch(&changes)
            }
        };
        let is_read = *ask == Ask::UpdatesAndReads && key % 2 == 1;
        let sent_at = shared.began.elapsed();
        let answer = answered(connection.ask(request)).await?;
        let took = Took {
            due,
            sent: sent_at,
            answered: shared.began.elapsed(),
        };
        let (applied, refused) = judge(*ask, is_read, &answer)?;
        let mut sent = shared.sent.borrow_mut();
        sent.took.push(took);
        sent.applied += applied;
        sent.refused += refused;
        due += every;
    }
    Ok(())
}

/// With a limit: a server that never answers must not be waited for without end.
async fn answered<T>(answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_late = async {
        sockets::sleep(ANSWER_LIMIT).await;
        Err(io::Error::from(io::ErrorKind::TimedOut))
    };
    futures_lite::future::or(answer, too_late).await
}

/// How many changes took effect, and how many were refused for want of room.
fn judge(ask: Ask, is_read: bool, answer: &Answer<'_>) -> io::Result<(u64, u64)> {
    let items = match ask {
        Ask::Batches(size) => size as u64,
        _ => 1,
    };
    match (answer.status, ask) {
        (UNAVAILABLE, _) => Ok((0, items)),
        (200, Ask::Batches(_)) => {
            let results = answer.batch().ok_or_else(|| wrong(answer))?;
            let applied = results.iter().filter(|result| result.applied).count() as u64;
            Ok((applied, items - applied))
        }
        (200, _) => Ok((u64::from(!is_read), 0)),
        _ => Err(wrong(answer)),
    }
}

fn wrong(answer: &Answer<'_>) -> io::Error {
    let body = String::from_utf8_lossy(answer.body);
    io::Error::other(format!("status {}: {}", answer.status, body.trim_end()))
}

/// Quantiles of latency in milliseconds, with the maximum; `null` where there was none.
pub fn latency_ms<'a>(took: impl Iterator<Item = &'a Took>) -> Value {
    let mut latencies: Vec<Duration> = took.map(Took::latency).collect();
    latencies.sort_unstable();
    let Some(last) = latencies.len().checked_sub(1) else {
        return Value::Null;
    };
    let at = |quantile: f64| {
        let latency = latencies[(last as f64 * quantile).round() as usize];
        milliseconds(latency)
    };
    json!({"count": latencies.len(), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0)})
}

/// Second by second, for a plot: how many were answered in it, the middle and the longest latency.
pub fn series(took: &[Took]) -> Value {
    let mut seconds: Vec<Vec<Duration>> = Vec::new();
    for took in took {
        let second = took.answered.as_secs() as usize;
        if seconds.len() <= second {
            seconds.resize_with(second + 1, Vec::new);
        }
        seconds[second].push(took.latency());
    }
    let described = |(second, latencies): (usize, &mut Vec<Duration>)| {
        latencies.sort_unstable();
        let middle = latencies.get(latencies.len() / 2).copied();
        let longest = latencies.last().copied();
        json!({"second": second, "answered": latencies.len(),
            "p50Ms": milliseconds(middle.unwrap_or_default()), "maxMs": milliseconds(longest.unwrap_or_default())})
    };
    seconds.iter_mut().enumerate().map(described).collect()
}

/// With three digits behind the point.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(due_ms: u64, answered_ms: u64) -> Took {
        Took {
            due: Duration::from_millis(due_ms),
            sent: Duration::from_millis(due_ms),
            answered: Duration::from_millis(answered_ms),
        }
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let took: Vec<Took> = (1..=101).map(|ms| took(500, 500 + ms)).collect();
        let latency = latency_ms(took.iter());
        assert_eq!(51.0, latency["p50"]);
        assert_eq!(101.0, latency["max"]);
        assert_eq!(Value::Null, latency_ms([].iter()));
    }

    #[test]
    fn a_series_has_every_second() {
        let series = series(&[took(0, 10), took(0, 40), took(0, 20), took(2_100, 2_101)]);
        let expected = json!([
            {"second": 0, "answered": 3, "p50Ms": 20.0, "maxMs": 40.0},
            {"second": 1, "answered": 0, "p50Ms": 0.0, "maxMs": 0.0},
            {"second": 2, "answered": 1, "p50Ms": 1.0, "maxMs": 1.0},
        ]);
        assert_eq!(expected, series);
    }
}
