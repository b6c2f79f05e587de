//! What a decision of the rate limiter costs, and what a client costs: nanoseconds and bytes, printed.
//!
//! ```console
//! $ cargo run --release --example limiter -- 5
//! ```
//! Argument: rounds.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use ahash::RandomState;
use central_inventory::config::{RateLimit, RateLimitKind};
use central_inventory::limiter::{Busiest, Class, Limiter};
use rustix::time::{ClockId, clock_gettime};

// As the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u32 = 3_000_000;
const CLIENTS: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    // Before anything else has taken and given back memory.
    memory()?;
    for _ in 0..rounds {
        for kind in [RateLimitKind::Ip, RateLimitKind::Both] {
            println!(
                "{kind:?}: one client          {:>5.0} ns",
                decisions(kind, 1, 1)
            );
            println!(
                "{kind:?}: 1,000 clients       {:>5.0} ns",
                decisions(kind, 1_000, 1)
            );
            println!(
                "{kind:?}: 50,000 clients      {:>5.0} ns",
                decisions(kind, 50_000, 1)
            );
            println!(
                "{kind:?}: a new client each   {:>5.0} ns",
                decisions(kind, u32::MAX, 1)
            );
            println!(
                "{kind:?}: one client, 2 cores {:>5.0} ns",
                decisions(kind, 1, 2)
            );
            println!(
                "{kind:?}: 1,000, 2 cores      {:>5.0} ns",
                decisions(kind, 1_000, 2)
            );
        }
        println!("refused: one client      {:>5.0} ns", refusals());
        println!("status: one partition    {:>5.0} ns", status());
    }
    Ok(())
}

fn limiter(kind: RateLimitKind, requests_per_minute: u32, clients_max: usize) -> Limiter {
    let config = RateLimit {
        enabled: true,
        kind,
        requests_per_minute,
        global_requests_per_minute: requests_per_minute,
        admin_requests_per_minute: 50,
        window_minutes: 1,
        clients_max,
    };
    let seeded = |seed| RandomState::with_seeds(seed, 2, 3, 4);
    Limiter::new(&config, seeded(1), seeded(5))
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// Nanoseconds that a core spends on a decision, the reading of the clock included; `clients` take turns, on each of
/// `cores` threads.
fn decisions(kind: RateLimitKind, clients: u32, cores: u32) -> f64 {
    let limiter = limiter(kind, 1_000_000_000, 65_536);
    let limiter = &limiter;
    let of_core = |core: u32| {
        let started = core_time();
        for number in 0..REQUESTS {
            // Spread, as addresses are.
            let client = match clients {
                1 => address(1),
                _ => address((number % clients).wrapping_mul(0x9e37_79b1) + core),
            };
            let decision = limiter.decide(client, Class::Regular, limiter.now_ms());
            assert!(decision.admitted);
        }
        (core_time() - started).as_nanos() as f64
    };
    let total: f64 = thread::scope(|scope| {
        let started: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || of_core(core)))
            .collect();
        let ended = started
            .into_iter()
            .map(|thread| thread.join().expect("it asserts what is true"));
        ended.sum()
    });
    total / f64::from(REQUESTS * cores)
}

fn refusals() -> f64 {
    let limiter = limiter(RateLimitKind::Both, 1, 65_536);
    let started = core_time();
    for _ in 0..REQUESTS {
        limiter.decide(address(1), Class::Regular, limiter.now_ms());
    }
    (core_time() - started).as_nanos() as f64 / f64::from(REQUESTS)
}

/// What the status spends under one lock, with a full table: the median partition, in nanoseconds.
fn status() -> f64 {
    let limiter = limiter(RateLimitKind::Ip, 100, 65_536);
    for number in 0..CLIENTS {
        limiter.decide(address(number), Class::Regular, 0);
    }
    let mut busiest = Busiest::new(100);
    let mut partition = |partition| {
        let started = core_time();
        limiter.collect(partition, &mut busiest, 0);
        (core_time() - started).as_nanos()
    };
    let mut times: Vec<u128> = (0..limiter.partition_count()).map(&mut partition).collect();
    times.sort_unstable();
    times[times.len() / 2] as f64
}

/// What this thread has had of its core: others may use the machine.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn memory() -> Result<(), Box<dyn Error>> {
    let before = resident_bytes()?;
    let limiter = limiter(RateLimitKind::Ip, 100, 1 << 21);
    let empty = resident_bytes()?;
    for number in 0..CLIENTS {
        limiter.decide(address(number), Class::Regular, 0);
    }
    let regular = resident_bytes()?;
    for number in 0..CLIENTS {
        limiter.decide(address(number), Class::Admin, 0);
    }
    let both = resident_bytes()?;
    let each = |bytes: u64| bytes / u64::from(CLIENTS);
    println!(
        "an empty limiter of 2^21 clients: {} KiB",
        (empty - before) >> 10
    );
    println!(
        "a client:                         {} bytes",
        each(regular - empty)
    );
    println!(
        "its admin window:                 {} bytes",
        each(both - regular)
    );
    Ok(())
}

fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no resident size")?.trim().parse::<u64>()? << 10)
}
