//! The fan-out driver against the real server: what it reports, and that it notices what is wrong.

mod binaries;
mod running;

use std::process::{Command, Output};

use serde_json::Value;

use running::Server;

const FOLLOWERS: u64 = 30;
/// The least that may be set.
const WAITERS_TOO_FEW: &str = "16";

/// Measures `server` for a second with 20 updates, 10 of them to warm up.
fn measure(server: &Server, subject: &str, followers: u64) -> Output {
    let address = server.url.trim_start_matches("http://");
    Command::new(env!("CARGO_BIN_EXE_fan_out"))
        .args(["--subject", subject, "--address", address])
        .args(["--status", &server.metrics])
        .args(["--server-pid", &server.process.id().to_string()])
        .args(["--followers", &followers.to_string()])
        .args(["--rate", "10", "--duration", "1s", "--drain", "60s"])
        .output()
        .expect("it runs")
}

fn figures(output: &Output) -> Value {
    let figures = serde_json::from_slice(&output.stdout);
    figures.unwrap_or_else(|error| panic!("no figures: {error}: {output:?}"))
}

fn server(environment: &[(&str, &str)]) -> Server {
    Server::start(&[&[("RATE_LIMIT_ENABLED", "false")], environment].concat())
}

fn each_follower_has_every_update(subject: &str) {
    let output = measure(&server(&[]), subject, FOLLOWERS);
    let figures = figures(&output);
    assert!(output.status.success(), "{figures}");
    assert_eq!(true, figures["is_complete"], "{figures}");
    let taken = figures["updates_taken"].as_u64().expect("a number");
    let sent_and_not = taken + figures["updates_not_sent"].as_u64().expect("a number");
    assert!(taken > 0 && sent_and_not == 10, "{figures}");
    assert_eq!(taken, figures["updates_received_by_all"], "{figures}");
    assert!(
        figures["last_receipt_p99_ms"].as_f64().is_some(),
        "{figures}"
    );
}

#[test]
fn every_poll_receives_every_update_once() {
    each_follower_has_every_update("inventory-poll");
}

#[test]
fn every_stream_receives_every_update_once() {
    each_follower_has_every_update("inventory-stream");
}

#[test]
fn without_followers_updates_are_measured_alone() {
    let output = measure(&server(&[]), "inventory-poll", 0);
    let figures = figures(&output);
    assert!(output.status.success(), "{figures}");
    assert_eq!(
        (Some(0), true),
        (
            figures["deliveries"].as_u64(),
            figures["update_p50_ms"].is_f64()
        ),
        "{figures}"
    );
}

#[test]
fn a_follower_that_is_turned_away_ends_the_measurement() {
    let server = server(&[("MAX_WAITERS", WAITERS_TOO_FEW)]);
    let output = measure(&server, "inventory-poll", FOLLOWERS);
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("status 503"), "{said}");
}
