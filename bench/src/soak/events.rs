//! Many events, most of them in batches, as overnight imports and tills make them together.

use serde_json::{Value, json};

use super::sender::{Ask, Load, Sender, latency_ms};
use super::{Server, unix_ms};

/// Changes in a batch.
const BATCH: usize = 100;
/// Connections that send batches.
const BATCH_CONNECTIONS: usize = 4;
/// Connections that send single updates.
const SINGLE_CONNECTIONS: usize = 64;

/// Sends `events` at `rate` a second, `single_percent` of a hundred by single updates.
pub fn run(server: &Server, events: u64, rate: f64, single_percent: u64) -> Result<Value, String> {
    let singles = events * single_percent / 100;
    let batches = (events - singles).div_ceil(BATCH as u64);
    let seconds = events as f64 / rate;
    let start = |name, ask, requests: u64, connections: usize| -> Result<Option<Sender>, String> {
        let load = Load {
            server: server.clone(),
            name,
            ask,
            rate: requests as f64 / seconds,
            connections,
            requests: Some(requests),
        };
        (requests > 0).then(|| Sender::start(load)).transpose()
    };
    let began = unix_ms();
    let in_batches = start(
        "soak-batches",
        Ask::Batches(BATCH),
        batches,
        BATCH_CONNECTIONS,
    )?;
    let alone = start("soak-single", Ask::Updates, singles, SINGLE_CONNECTIONS)?;
    let finish = |sender: Option<Sender>| sender.map(Sender::finish).transpose();
    let (in_batches, alone) = (
        finish(in_batches)?.unwrap_or_default(),
        finish(alone)?.unwrap_or_default(),
    );
    let ended = unix_ms();
    let applied = in_batches.applied + alone.applied;
    Ok(json!({
        "beganMs": began,
        "endedMs": ended,
        "events": applied,
        "refused": in_batches.refused + alone.refused,
        "eventsPerSecond": applied as f64 * 1e3 / (ended - began).max(1) as f64,
        "batchMs": latency_ms(in_batches.took.iter()),
        "singleMs": latency_ms(alone.took.iter()),
    }))
}
