//! A report for tests.

use super::*;

/// Of three rounds; every rate is `factor` times, every time 1 / `factor` of the same.
pub fn report(factor: f64) -> Report {
    let rounds = [1.0, 1.02, 0.97].map(|noise| noise * factor);
    let phases = rounds.iter().enumerate().flat_map(|(number, factor)| {
        let phase = move |name: &str, pacing| phase(name, number + 1, pacing, *factor);
        [
            phase("saturation", Pacing::Closed),
            phase("half of saturation", Pacing::Open { rate: 5000.0 }),
        ]
    });
    Report {
        schema: SCHEMA,
        preset: "canonical".to_owned(),
        started: "2026-01-01T00:00:00.000Z".to_owned(),
        command: "inventory-bench".to_owned(),
        commit: None,
        bench_version: "0.1.0".to_owned(),
        server: ServerFacts::default(),
        machine: Machine::default(),
        setup: Setup::default(),
        warnings: vec!["other work".to_owned()],
        phases: phases.collect(),
        headline: rounds
            .iter()
            .map(|factor| Headline {
                updates_per_second: 10_000.0 * factor,
                p99_at_half_us: (5_000.0 / factor) as u64,
            })
            .collect(),
        verification: Verification::Passed {
            checked: Checked::default(),
        },
    }
}

fn phase(name: &str, round: usize, pacing: Pacing, factor: f64) -> Phase {
    let us = |time: f64| (time / factor) as u64;
    let latency = Latency {
        mean_us: 1_000.0 / factor,
        p50_us: us(900.0),
        p90_us: us(1_500.0),
        p99_us: us(4_000.0),
        p999_us: us(9_000.0),
        max_us: us(20_000.0),
        quantiles: vec![
            (0.0, us(100.0)),
            (0.5, us(900.0)),
            (0.99, us(4_000.0)),
            (1.0, us(20_000.0)),
        ],
    };
    let count = (100_000.0 * factor) as u64;
    let second = |at| Second {
        at,
        operations: count / 10,
        applied: count / 12,
        p50_us: us(900.0),
        p99_us: us(4_000.0),
        max_us: us(20_000.0),
        ..Second::default()
    };
    Phase {
        name: name.to_owned(),
        round,
        pacing,
        seconds: 10.0,
        kinds: BTreeMap::from([("update".to_owned(), Kind { count, latency })]),
        outcomes: BTreeMap::from([("applied".to_owned(), count)]),
        series: (0..10).map(|at| second(f64::from(at))).collect(),
        client: ClientSide::default(),
        server: ServerSide {
            cpu_seconds: Some(5.0),
            resident_bytes: Some(100 << 20),
            metrics: BTreeMap::from([(
                "inventory_events_published_total".to_owned(),
                vec![(0.0, 0.0), (1.0, 10.0)],
            )]),
        },
    }
}
