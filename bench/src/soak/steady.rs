//! A low, even load for minutes, on which nothing should ever have to wait long.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::sender::{Ask, Load, Sender, Took, latency_ms, milliseconds, series};
use super::stalls::{Seen, Stall, Watchers, What, unexplained};
use super::{Server, unix_ms};

/// The slowest requests are told apart, at most so many.
const SLOWEST: usize = 20;

/// How requests are sent.
pub struct Pace {
    /// Requests a second.
    pub rate: f64,
    /// Connections.
    pub connections: usize,
    /// How long.
    pub seconds: f64,
    /// No reads.
    pub updates_only: bool,
}

/// Sends as `pace` says. A request is the server's fault that took longer than `limit_ms` even without the times in which one
/// of what is `watched` stood still: the server, or this program, may have been about to run there, or the journal to be synced.
pub fn run(
    server: &Server,
    pace: &Pace,
    watched: Vec<What>,
    limit_ms: f64,
) -> Result<Value, String> {
    let ask = match pace.updates_only {
        true => Ask::Updates,
        false => Ask::UpdatesAndReads,
    };
    let began = unix_ms();
    let sender = Sender::start(Load {
        server: server.clone(),
        name: "soak-steady",
        ask,
        rate: pace.rate,
        connections: pace.connections,
        requests: None,
    })?;
    let watchers = Watchers::start(watched, sender.began());
    thread::sleep(Duration::from_secs_f64(pace.seconds));
    let sent = sender.stop()?;
    let seen = watchers.stop()?;

    let limit = Duration::from_secs_f64(limit_ms / 1e3);
    let waited = |took: &&Took| took.answered - took.sent > limit;
    let too_long: Vec<&Took> = sent.took.iter().filter(waited).collect();
    let is_stalled = |took: &&&Took| unexplained(took.sent, took.answered, &seen) > limit;
    let stalled = too_long.iter().filter(is_stalled).count();
    let mut slowest: Vec<&Took> = sent.took.iter().collect();
    slowest.sort_by_key(|took| std::cmp::Reverse(took.answered - took.sent));
    slowest.truncate(SLOWEST);
    let slowest: Vec<Value> = slowest
        .iter()
        .map(|took| {
            json!({
                "sentAtMs": milliseconds(took.sent),
                "waitedMs": milliseconds(took.answered - took.sent),
                "withoutMachineMs": milliseconds(unexplained(took.sent, took.answered, &seen)),
            })
        })
        .collect();
    let machine: Vec<Value> = seen.iter().map(machine).collect();
    Ok(json!({
        "beganMs": began,
        "endedMs": unix_ms(),
        "requests": sent.took.len(),
        "refused": sent.refused,
        "latencyMs": latency_ms(sent.took.iter()),
        "limitMs": limit_ms,
        "longerThanLimit": too_long.len(),
        "stalledByServer": stalled,
        "slowest": slowest,
        "machine": machine,
        "series": series(&sent.took),
    }))
}

fn machine(seen: &Seen) -> Value {
    let what = match &seen.what {
        What::Cpu(cpu) => format!("CPU {cpu}"),
        What::Disk(_) => "disk".to_owned(),
    };
    let longest = seen.stalls.iter().map(Stall::length).max();
    let all: Duration = seen.stalls.iter().map(Stall::length).sum();
    json!({"what": what, "stalls": seen.stalls.len(), "longestMs": milliseconds(longest.unwrap_or_default()),
        "allMs": milliseconds(all)})
}
