//! A report as a run might make it, for tests: two phases in three rounds, every kind, and a sweep.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use hdrhistogram::Histogram;

use super::*;

/// Seconds of each phase.
const SECONDS: u64 = 20;

/// Two phases in three rounds.
pub fn report() -> Report {
    let rates = [61_200.0, 60_400.0, 62_900.0];
    let phases = (1..=3).flat_map(|round| {
        let rate = rates[round - 1];
        [
            phase("saturation", round, Pacing::Closed, rate, 1_050.0),
            phase(
                "half of saturation",
                round,
                Pacing::Open { rate: rate / 2.0 },
                rate / 2.0,
                260.0,
            ),
        ]
    });
    let phases: Vec<Phase> = phases.collect();
    let headline = (0..3).map(|round| Headline {
        updates_per_second: rates[round],
        p99_at_half_us: phases[2 * round + 1].kinds["update"].latency.p99_us,
    });
    Report {
        schema: SCHEMA,
        preset: "canonical".into(),
        started: "2026-02-03T04:05:06Z".into(),
        command: "inventory-bench --rounds 3 --seconds 20 --key 'a<b>&c'".into(),
        commit: Some("840d652f1c2a-dirty".into()),
        bench_version: "0.1.0".into(),
        server: ServerFacts {
            version: "0.1.0".into(),
            is_debug_build: Some(false),
            is_durable: Some(true),
        },
        machine: machine(),
        setup: setup(),
        warnings: vec![
            "The load generator's busiest thread was 93 % busy at saturation: the rate may be its limit, not the server's.".into(),
        ],
        headline: headline.collect(),
        phases,
        verification: Verification::Passed { checked: checked() },
    }
}

/// With a sweep after the rounds: it keeps up to 90 % and then falls behind.
pub fn sweep() -> Report {
    let mut report = report();
    let points = [
        (20, 190.0),
        (40, 230.0),
        (60, 310.0),
        (80, 560.0),
        (90, 1_100.0),
        (100, 5_200.0),
        (110, 48_000.0),
    ];
    for (percent, p50) in points {
        let offered = 612.0 * f64::from(percent);
        let pacing = Pacing::Open { rate: offered };
        let name = format!("sweep {percent} %");
        report
            .phases
            .push(phase(&name, 1, pacing, offered.min(60_100.0), p50));
    }
    report
}

/// With nothing in it that could be left out.
pub fn empty() -> Report {
    Report {
        phases: Vec::new(),
        headline: Vec::new(),
        warnings: Vec::new(),
        commit: None,
        server: ServerFacts::default(),
        machine: Machine::default(),
        setup: Setup::default(),
        verification: Verification::Off,
        ..report()
    }
}

/// Everything in it that a broken clock or a division by nothing could leave.
pub fn odd() -> Report {
    let mut report = sweep();
    for (index, phase) in report.phases.iter_mut().enumerate() {
        phase.seconds = [0.0, f64::NAN, -1.0][index % 3];
        phase.server.cpu_seconds = Some(f64::NAN);
        phase.client.busiest_thread = f64::INFINITY;
        phase.server.metrics.insert("empty".into(), Vec::new());
        phase.server.metrics.insert(
            "odd".into(),
            vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (2.0, -3.0)],
        );
        for kind in phase.kinds.values_mut() {
            kind.latency.quantiles.truncate(index % 2);
            kind.latency
                .quantiles
                .extend([(f64::NAN, 3), (2.0, u64::MAX), (1.0, 0)]);
            kind.latency.p50_us = 0;
            kind.latency.max_us = u64::MAX;
        }
        phase.series.truncate(index % 3);
        for second in &mut phase.series {
            (second.at, second.p50_us, second.max_us) = (f64::NAN, 0, u64::MAX);
        }
    }
    report.phases.push(Phase {
        kinds: BTreeMap::new(),
        series: Vec::new(),
        ..report.phases[0].clone()
    });
    report.phases[0].pacing = Pacing::Open { rate: f64::NAN };
    report.headline[0].updates_per_second = f64::NAN;
    report
}

/// One phase. Two runs with the same arguments are the same.
pub fn phase(name: &str, round: usize, pacing: Pacing, rate: f64, p50_us: f64) -> Phase {
    let mut dice = Dice(round as u64 * 7_919 + name.len() as u64 * 104_729 + rate as u64);
    let counted = rate * SECONDS as f64;
    let kinds = [
        ("update", 0.78, 1.0),
        ("read", 0.17, 0.55),
        ("batch", 0.02, 1.9),
        ("replay", 0.03, 0.9),
        ("delivery", 0.9, 2.4),
    ];
    let kinds = kinds.map(|(kind, share, slower)| {
        (kind.to_owned(), dice.kind(counted * share, p50_us * slower))
    });
    Phase {
        name: name.into(),
        round,
        pacing,
        seconds: SECONDS as f64,
        kinds: kinds.into(),
        outcomes: outcomes(counted),
        series: (0..SECONDS)
            .map(|at| dice.second(at as f64, rate, p50_us))
            .collect(),
        client: ClientSide {
            cpu_seconds: 0.8 * SECONDS as f64 * rate / 62_000.0,
            busiest_thread: 0.93 * rate / 62_900.0,
            late_p99_us: 45,
        },
        server: ServerSide {
            cpu_seconds: Some(0.99 * SECONDS as f64 * rate / 62_900.0),
            resident_bytes: Some(188_743_680 + round as u64 * 4_194_304),
            metrics: metrics(&mut dice, rate),
        },
    }
}

fn machine() -> Machine {
    Machine {
        cpu: "AMD EPYC 7B13".into(),
        cpus: 2,
        kernel: "6.1.0-25-cloud-amd64".into(),
        memory_mib: 24_046,
        load_average: 0.31,
    }
}

fn setup() -> Setup {
    Setup {
        url: "http://127.0.0.1:8081".into(),
        is_managed: true,
        server_cpus: Some("0".into()),
        client_cpus: "1".into(),
        threads: 1,
        connections: 64,
        followers: 4,
        followed_by: "poll".into(),
        products: 10_000,
        popularity: "zipf 0.99".into(),
        seed: 42,
    }
}

fn checked() -> Checked {
    Checked {
        products: 10_000,
        updates: 5_537_211,
        unknown: 3,
        replays: 110_418,
        events: 5_537_213,
        followers: 4,
    }
}

fn outcomes(counted: f64) -> BTreeMap<String, u64> {
    let shares = [
        ("applied", 0.91),
        ("conflicts", 0.021),
        ("refused", 0.003),
        ("replayed", 0.03),
        ("throttled", 0.0),
        ("overloaded", 0.000_02),
        ("errors", 0.0),
        ("delivered", 0.9),
    ];
    shares
        .map(|(name, share)| (name.to_owned(), (counted * share) as u64))
        .into()
}

fn metrics(dice: &mut Dice, rate: f64) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut series = |value: &mut dyn FnMut(f64, f64) -> f64| -> Vec<(f64, f64)> {
        (0..SECONDS)
            .map(|at| (at as f64, value(at as f64, dice.unit())))
            .collect()
    };
    BTreeMap::from([
        (
            "inventory_updates_total".into(),
            series(&mut |at, noise| rate * 0.9 * (at + 0.02 * noise)),
        ),
        (
            "inventory_journal_syncs_total".into(),
            series(&mut |at, noise| 2_100.0 * (at + 0.05 * noise)),
        ),
        ("inventory_connections".into(), series(&mut |_, _| 68.0)),
        (
            "inventory_lane_depth".into(),
            series(&mut |_, noise| (40.0 * noise).floor()),
        ),
        (
            "process_resident_memory_bytes".into(),
            series(&mut |at, _| 180e6 + at * 2e5),
        ),
    ])
}

/// A small generator (xorshift), so that a sample is always the same.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around 0, as the normal distribution has it.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    fn kind(&mut self, counted: f64, p50_us: f64) -> Kind {
        let mut histogram =
            Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound");
        const DRAWN: u64 = 4_000;
        for _ in 0..DRAWN {
            let stall = if self.unit() > 0.998 { 6.0 } else { 1.0 };
            let us = p50_us * stall * (0.35 * self.normal()).exp();
            histogram.saturating_record_n(us as u64, (counted as u64 / DRAWN).max(1));
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        let steps = histogram.iter_quantiles(5);
        Kind {
            count: histogram.len(),
            latency: Latency {
                mean_us: histogram.mean(),
                p50_us: at(0.5),
                p90_us: at(0.9),
                p99_us: at(0.99),
                p999_us: at(0.999),
                max_us: histogram.max(),
                quantiles: steps
                    .map(|step| (step.quantile_iterated_to(), step.value_iterated_to()))
                    .collect(),
            },
        }
    }

    fn second(&mut self, at: f64, rate: f64, p50_us: f64) -> Second {
        let stall = if self.unit() > 0.9 { 3.0 } else { 1.0 };
        let operations = rate * (1.0 - 0.05 * self.unit());
        Second {
            at,
            operations: operations as u64,
            applied: (operations * 0.91) as u64,
            conflicts: (operations * 0.021 * (0.8 + 0.4 * self.unit())) as u64,
            failures: if stall > 1.0 { 7 } else { 0 },
            p50_us: (p50_us * (0.95 + 0.1 * self.unit())) as u64,
            p99_us: (p50_us * 2.3 * stall * (0.9 + 0.2 * self.unit())) as u64,
            max_us: (p50_us * 6.0 * stall * (0.8 + 0.9 * self.unit())) as u64,
        }
    }
}
