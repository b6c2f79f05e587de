//! How fast a start replays the journal: writes one of so many updates, recovers from it again and again, and prints
//! events per second of one core, by the clock and by the time that the core spent on it.
//!
//! ```console
//! $ cargo run --release --example replay -- 2000000 10000 5
//! ```
//! Arguments: events, products, rounds.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use ahash::RandomState;
use central_inventory::journal::directory::Files;
use central_inventory::journal::format::{Change, Changes, EventKind, Group};
use central_inventory::journal::recover::{FirstStart, Settings, Target, recover};
use central_inventory::journal::snapshot::{self, Coverage, Snapshot};
use central_inventory::sequencer::feed::Feed;
use central_inventory::shard::router::Router;
use rustix::time::{ClockId, clock_gettime};
use shards::{Creation, Identity, Limits, Price, Shard, Timestamp, Update};

// As the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2024-01-15T10:30:00Z
const BEGINNING: u64 = 1_705_314_600_000;
const SEGMENT_BYTES: usize = 64 << 20;
const GROUP_EVENTS: usize = 32;
const LIMITS: Limits = Limits {
    idempotency_ttl_ms: 120_000,
    idempotency_entries_max: 1 << 24,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (events, products, rounds) = (number(2_000_000)?, number(10_000)?, number(5)?);
    let directory = tempfile::tempdir()?;
    let bytes = write_journal(directory.path(), events, products)?;
    println!(
        "{events} events of {products} products, {} MiB",
        bytes >> 20
    );
    // Long after the last of them, as after a night, and right after it, when every update is still remembered.
    for (what, now) in [("expired", BEGINNING * 2), ("remembered", BEGINNING)] {
        for _ in 0..rounds {
            let (clock, core) = replay(directory.path(), Timestamp(now), events)?;
            let rate = |seconds: f64| events as f64 / seconds / 1e6;
            println!(
                "{what}: {clock:.3} s, {:.2} M events/s; of the core {core:.3} s, {:.2} M events/s",
                rate(clock),
                rate(core)
            );
        }
    }
    Ok(())
}

fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

fn files(directory: &Path) -> Files {
    Files::new(
        directory.join("inventory.json"),
        directory.join("events.json"),
    )
}

/// Writes a snapshot of the products and a journal of updates spread over them. Returns the journal's bytes.
fn write_journal(directory: &Path, events: u64, products: u64) -> Result<u64, Box<dyn Error>> {
    let mut shard = Shard::new(LIMITS, hasher());
    for n in 0..products {
        let creation = Creation {
            id: id(n).into(),
            name: format!("Product number {n}").into(),
            available: 1_000_000,
            price: Price::new("19.99"),
        };
        shard.create(Timestamp(BEGINNING), creation);
    }
    let start = Snapshot {
        products: shard.products_after(None).cloned().collect(),
        tombstones: Vec::new(),
        coverage: Coverage::default(),
    };
    let files = files(directory);
    snapshot::write(&files, &start)?;
    let (mut segment, mut first_offset, mut bytes) = (Vec::new(), 0, 0);
    let mut offset = 0;
    while offset < events {
        let mut changes = Changes::default();
        for n in offset..events.min(offset + GROUP_EVENTS as u64) {
            push_update(&mut shard, n, products, &mut changes);
        }
        let mut group = Group::new(offset, offset);
        for (served, private) in changes.iter() {
            group.push(changes.latest_at(), served, private);
        }
        let group = group.seal();
        if segment.len() + group.blocks.len() > SEGMENT_BYTES {
            std::fs::write(files.full(first_offset), &segment)?;
            segment.clear();
            first_offset = offset;
        }
        bytes += group.blocks.len() as u64;
        segment.extend_from_slice(&group.blocks);
        offset = group.end_offset;
    }
    std::fs::write(&files.active, &segment)?;
    Ok(bytes)
}

fn id(n: u64) -> String {
    format!("PROD-{n:06}")
}

fn push_update(shard: &mut Shard, n: u64, products: u64, changes: &mut Changes) {
    // Neither in the order of the catalogue nor the same product twice in a row.
    let product_id = id(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % products);
    let store = format!("store-s{}", n % 50);
    let update = Update {
        identity: Identity::new(&store, &product_id, &format!("{store}-order-{n}")),
        delta: -1,
        expected_version: None,
    };
    let verdict = shard.update(Timestamp(BEGINNING), &update);
    let product = verdict.changed.expect("there is stock enough");
    changes.push(&Change {
        kind: EventKind::InventoryUpdated,
        at: product.updated_at,
        product: &product,
        update: verdict.remembered.map(|identity| (identity, -1)),
    });
}

/// Seconds by the clock, and of the core.
fn replay(directory: &Path, now: Timestamp, events: u64) -> Result<(f64, f64), Box<dyn Error>> {
    const SHARDS: u16 = 4;
    let router = Router::new(hasher(), SHARDS);
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(LIMITS, hasher())).collect();
    let mut feed = Feed::new(10_000, 1);
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES as u64,
        first_start: FirstStart::Empty,
        now,
        idempotency_ttl_ms: LIMITS.idempotency_ttl_ms,
        events_in_memory: 10_000,
    };
    let target = Target {
        router: &router,
        shards: &mut shards,
        feed: &mut feed,
    };
    let (started, core_before) = (Instant::now(), core_seconds());
    let recovered = recover(&files(directory), &settings, target, &mut |_| {
        ControlFlow::Continue(())
    })?;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(events, recovered.next_offset);
    Ok((seconds, core_seconds() - core_before))
}

/// The time that this thread has had a core, in the kernel too.
fn core_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
