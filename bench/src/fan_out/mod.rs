//! One update to tens of thousands of followers: who received it when, and what that cost the server.
//!
//! ```text
//!  options ─▶ measure ─▶ followers (a thread: connections, subject's requests) ─▶ ledger ─┐
//!                 │                                                                       ├─▶ report
//!                 └────▶ publisher (a thread: an open loop) ─▶ updates ───────────────────┘
//! ```
//!
//! A program of its own beside `inventory-bench`, since it speaks to nginx with nchan as well.

mod followers;
mod ledger;
mod options;
mod publisher;
mod report;
mod scanner;
mod subject;
mod usage;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use central_inventory::plan::ExecutorPlan;
use rustix::thread::sched_getaffinity;

use followers::{Followers, Progress};
pub use options::Options;
use publisher::{Published, Publisher};
pub use report::Report;
use report::{Counted, Figures};
use subject::Feed;
pub use subject::Subject;
use usage::Usage;

/// For all followers to connect and wait.
const WAITING_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The server is asked how many wait so often.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// From when all wait, or nobody has to, to the first update.
const SETTLING: Duration = Duration::from_millis(500);
/// After all have everything: what comes twice would come now.
const GRACE: Duration = Duration::from_millis(200);

/// Takes one measurement.
///
/// # Errors
/// If it could not be taken. What was wrong with a server that could be measured is in the report.
pub fn measure(options: &Options) -> Result<Report, String> {
    let cpu = own_cpu()?;
    let feed = Feed::prepare(options)?;
    let born = Instant::now();
    let updates = options.updates() as usize;
    let resident_before = usage::resident_bytes(&options.server_pids);
    let followers = Followers::start(&feed, options.followers, updates, born, cpu)
        .map_err(|error| error.to_string())?;
    if let Err(problem) = wait_until_all_wait(&feed, options.followers, followers.progress()) {
        let received = followers.finish().map_err(|error| error.to_string())?;
        return Err([vec![problem], received.problems].concat().join("; "));
    }
    let waiting = born.elapsed();
    let resident_waiting = usage::resident_bytes(&options.server_pids);

    let start = Instant::now() + SETTLING;
    let publisher = Publisher::start(&feed, options, born, start, cpu);
    let publisher = publisher.map_err(|error| error.to_string())?;
    let window_start = start + options.warm_up;
    let window = window(options, followers.progress(), window_start);
    let published = publisher.finish(options.drain);
    let published = published.map_err(|error| error.to_string())?;
    let drained = drain(options, followers.progress(), &published);
    let received = followers.finish().map_err(|error| error.to_string())?;
    Ok(Figures {
        options,
        waiting,
        resident_before,
        resident_waiting,
        window_start_ns: nanoseconds(window_start - born),
        window,
        drained,
        published,
        received,
    }
    .report())
}

/// The executor of one of the threads. The kernel shares the CPU among them.
fn plan(name: &str, cpu: usize) -> ExecutorPlan {
    ExecutorPlan {
        name: name.to_owned(),
        cpus: vec![cpu],
        pinned: true,
        roles: Vec::new(),
    }
}

/// The first CPU that this program may use.
fn own_cpu() -> Result<usize, String> {
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let mut cpus = 0..rustix::thread::CpuSet::MAX_CPU;
    cpus.find(|cpu| allowed.is_set(*cpu))
        .ok_or_else(|| "there is no CPU to run on".to_owned())
}

fn wait_until_all_wait(feed: &Feed, count: usize, progress: &Progress) -> Result<(), String> {
    let started = Instant::now();
    let mut waiting = 0;
    while waiting < count {
        if progress.failed.load(Ordering::SeqCst) > 0 {
            return Err("a follower failed before the first update".to_owned());
        }
        if started.elapsed() > WAITING_LIMIT {
            return Err(format!(
                "{waiting} of {count} followers wait after {WAITING_LIMIT:?}"
            ));
        }
        thread::sleep(ASK_EVERY);
        // Without an answer, the server is busy with who connects.
        waiting = feed.waiting().unwrap_or(waiting);
    }
    Ok(())
}

/// From the first update that counts to when the last one is due: what was received, and what it cost.
fn window(options: &Options, progress: &Progress, start: Instant) -> Counted {
    let look = || {
        let usage = Usage::now(&options.server_pids);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (
            usage,
            count(&progress.deliveries),
            count(&progress.responses),
        )
    };
    thread::sleep(start.saturating_duration_since(Instant::now()));
    let (usage, deliveries, responses) = look();
    thread::sleep((start + options.duration).saturating_duration_since(Instant::now()));
    let (usage_after, deliveries_after, responses_after) = look();
    Counted {
        usage: usage_after.since(&usage),
        deliveries: deliveries_after - deliveries,
        responses: responses_after - responses,
    }
}

/// Waits until all followers have every update that was taken. Says how long that was, if they have.
fn drain(options: &Options, progress: &Progress, published: &Published) -> Option<Duration> {
    let started = Instant::now();
    let taken = published.updates.iter().filter(|update| update.is_taken);
    let taken = taken.count();
    let is_drained =
        || options.followers == 0 || progress.received_by_all.load(Ordering::Relaxed) >= taken;
    while !is_drained() {
        let has_failed = progress.failed.load(Ordering::SeqCst) > 0;
        if has_failed || started.elapsed() > options.drain {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
    let drained = started.elapsed();
    thread::sleep(GRACE);
    Some(drained)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a measurement is shorter than centuries")
}
