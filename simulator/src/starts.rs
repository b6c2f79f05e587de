//! What a start must find: judged before anything runs on it.

use std::collections::BTreeSet;

use central_inventory::encoding;
use central_inventory::shard::router::Router;
use history::EventKind;
use shards::{Known, Shard};

use crate::disk::SimulatedDisk;
use crate::ledger::{self, Ledger};
use crate::server::Started;

/// What is known before a start.
pub struct Expected {
    /// The start must find at least what is below.
    pub at_least: u64,
    /// How long an identity is remembered.
    pub ttl_ms: u64,
    /// Whether the clock never went back, so that what is remembered is known exactly.
    pub clock_is_steady: bool,
    /// The offset of a line with a wrong bit.
    pub rotten: Option<u64>,
}

/// Checks what was found against the ledger.
pub fn check(
    started: &Started,
    expected: &Expected,
    ledger: &Ledger,
    disk: &SimulatedDisk,
) -> Result<(), String> {
    let end = started.recovered.next_offset;
    if end < expected.at_least {
        return Err(format!(
            "Lost: the start found events up to {end}, and those up to {} were on disk",
            expected.at_least
        ));
    }
    if end > ledger.end() {
        return Err(format!(
            "Invented: the start found events up to {end}, and only {} were ever written",
            ledger.end()
        ));
    }
    check_products(&started.shards, &started.router, ledger, end)?;
    if expected.clock_is_steady {
        check_identities(started, expected, ledger, end)?;
    }
    check_kept(started, ledger, end, disk, expected.rotten)
}

/// The first offset of the journal that is kept.
pub fn oldest(started: &Started) -> u64 {
    let recovered = &started.recovered;
    let full = recovered.full.first();
    full.map_or(recovered.tail.first_offset, |segment| segment.first_offset)
}

/// Whether the start had no need to read the event with `offset`.
pub fn was_skipped(started: &Started, offset: u64) -> bool {
    let recovered = &started.recovered;
    let skipped = recovered.report.segments_skipped;
    let read_from = recovered.full.get(skipped);
    let read_from = read_from.map_or(recovered.tail.first_offset, |s| s.first_offset);
    offset < read_from
}

/// The state is the fold of all events: every product byte for byte, and the last version of every other.
fn check_products(
    shards: &[Shard],
    router: &Router,
    ledger: &Ledger,
    end: u64,
) -> Result<(), String> {
    let mut expected = ledger.fold(end);
    for (index, shard) in shards.iter().enumerate() {
        for known in shard.known_after(None) {
            let id = known.id();
            if router.shard_of(id) != index {
                return Err(format!("Owner: {id} is in shard {index}"));
            }
            let mut json = Vec::new();
            let found = match known {
                Known::Stands(product) => {
                    encoding::product(&mut json, product);
                    (product.version, true)
                }
                Known::Gone(_, version) => (version, false),
            };
            let Some((state, product_json)) = expected.remove(id) else {
                return Err(format!("Replay: {id} is known, and no event tells of it"));
            };
            let is_there = state.quantity.is_some();
            let is_same = !is_there || product_json.as_bytes() == json;
            if (state.version, is_there) != found || !is_same {
                let json = String::from_utf8_lossy(&json);
                return Err(format!(
                    "Replay: {id} is {found:?} {json} after a start, and by its events it is {state:?} {product_json}"
                ));
            }
        }
    }
    match expected.first_key_value() {
        None => Ok(()),
        Some((id, (state, _))) => Err(format!(
            "Replay: {id} is unknown after a start, and by its events it is {state:?}"
        )),
    }
}

/// Every identity that is remembered is one whose time is not over, and all of those are.
fn check_identities(
    started: &Started,
    expected: &Expected,
    ledger: &Ledger,
    end: u64,
) -> Result<(), String> {
    let is_live = |at_ms: u64| started.now_ms < at_ms + expected.ttl_ms;
    let live = ledger.before(end).iter().filter(|entry| {
        entry.event.kind == EventKind::InventoryUpdated && is_live(entry.event.at_ms)
    });
    let live = live.count();
    let remembered = started.shards.iter().map(Shard::idempotency_entry_count);
    let remembered: usize = remembered.sum();
    match remembered == live {
        true => Ok(()),
        false => Err(format!(
            "Forgotten: {remembered} updates are remembered after a start, and the time of {live} is not over"
        )),
    }
}

/// What is going to be served is on the disk for good: under names and in bytes that a power loss leaves.
fn check_kept(
    started: &Started,
    ledger: &Ledger,
    end: u64,
    disk: &SimulatedDisk,
    rotten: Option<u64>,
) -> Result<(), String> {
    let mut kept = BTreeSet::new();
    for (path, bytes) in disk.durable_files() {
        let is_spare = path.to_string_lossy().contains("spare");
        if is_spare || !path.to_string_lossy().contains("events") {
            continue;
        }
        for line in ledger::lines(&bytes) {
            let entry = ledger::offset_of(line).and_then(|offset| ledger.get(offset));
            if let Some(entry) = entry
                && line.starts_with(&entry.served[..entry.served.len() - 1])
            {
                kept.insert(entry.event.offset);
            }
        }
    }
    for offset in oldest(started)..end {
        if !kept.contains(&offset) && rotten != Some(offset) {
            return Err(format!(
                "Undurable: after a start, a power loss could take the event with offset {offset} of {end}"
            ));
        }
    }
    Ok(())
}
