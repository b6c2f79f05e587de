//! The load generator against the real server: what it reports, and that it notices what is wrong.

mod binaries;
mod running;

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use binaries::server;
use running::Server;

/// A busy machine may be slow.
const LIMIT: Duration = Duration::from_secs(120);

fn bench() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-bench"));
    // One that is there is not built anew.
    command.env_remove("CARGO");
    command
}

/// Runs a short load with `arguments` and returns its report.
fn report(arguments: &[&str]) -> (Output, Value) {
    let output = bench()
        .arg("--server")
        .arg(server())
        .args(["--duration", "1s", "--warm-up", "200ms", "--json", "-"])
        .args(arguments)
        .output()
        .expect("it runs");
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("no report: {error}: {output:?}"));
    (output, report)
}

#[test]
fn the_canonical_load_is_answered_rightly_and_reported() {
    let (output, report) = report(&[
        "--products",
        "500",
        "--followers",
        "5",
        "--connections",
        "8",
    ]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!("passed", report["verification"]["state"], "{report}");
    let checked = &report["verification"]["checked"];
    assert_eq!(
        (500, 5),
        (
            checked["products"].as_u64().unwrap(),
            checked["followers"].as_u64().unwrap()
        )
    );
    let updates = checked["updates"].as_u64().unwrap();
    assert!(
        updates > 0 && checked["events"] == updates + 500,
        "{checked}"
    );
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<_> = phases
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(vec!["saturation", "half of saturation"], names);
    for phase in phases {
        for kind in ["update", "read", "delivery"] {
            assert!(
                phase["kinds"][kind]["count"]
                    .as_u64()
                    .is_some_and(|count| count > 0),
                "{kind}: {phase}"
            );
        }
        assert!(
            phase["server"]["cpu_seconds"]
                .as_f64()
                .is_some_and(|cpu| cpu > 0.0)
        );
        assert!(phase["server"]["metrics"]["inventory_events_published_total"].is_array());
    }
    assert!(
        report["headline"][0]["updates_per_second"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    );
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("debug build"), "{warnings}");
}

#[test]
fn a_fleet_that_streams_is_delivered_to_and_complete() {
    let (output, report) = report(&[
        "--preset",
        "fleet",
        "--followers",
        "7",
        "--follow-by",
        "stream",
        "--rate",
        "50",
        "--products",
        "100",
    ]);
    assert!(output.status.success(), "{output:?}");
    let phase = &report["phases"][0];
    assert_eq!(
        7, report["verification"]["checked"]["followers"],
        "{report}"
    );
    let delivered = phase["outcomes"]["delivered"].as_u64();
    let applied = phase["outcomes"]["applied"].as_u64();
    assert!(delivered.is_some_and(|delivered| delivered > 0), "{phase}");
    assert!(applied.is_some_and(|applied| applied > 0), "{phase}");
    assert!(
        phase["kinds"]["delivery"]["count"].as_u64() > Some(0),
        "{phase}"
    );
}

#[test]
fn an_open_loop_keeps_its_rate_whatever_the_answers_do() {
    let (_, report) = report(&[
        "--preset",
        "reads",
        "--rate",
        "200",
        "--arrivals",
        "even",
        "--connections",
        "4",
    ]);
    let phase = &report["phases"][0];
    assert_eq!(200.0, phase["pacing"]["open"]["rate"]);
    let reads = phase["kinds"]["read"]["count"].as_u64().unwrap();
    assert_eq!(
        200, reads,
        "each that was due was sent, however late: {phase}"
    );
}

#[test]
fn conflicts_are_retried_and_counted() {
    let (output, report) = report(&["--preset", "hot-item", "--closed", "--connections", "8"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        report["phases"][0]["outcomes"]["conflicts"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{report}"
    );
    assert_eq!("passed", report["verification"]["state"]);
}

#[test]
fn without_verification_the_report_says_so() {
    let (output, report) = report(&[
        "--preset",
        "any-version",
        "--closed",
        "--no-verify",
        "--connections",
        "2",
    ]);
    assert!(output.status.success());
    assert_eq!("off", report["verification"]["state"]);
    assert!(report["warnings"].to_string().contains("--no-verify"));
}

/// A server that stands still for 100 ms in each second: a tenth of the requests that were due meet it. A closed loop sends nothing
/// meanwhile, and hardly notices.
#[test]
fn an_open_loop_shows_a_stall_that_a_closed_loop_hides() {
    let server = Server::start(&[("RATE_LIMIT_ENABLED", "false")]);
    let p99_ms = |how: &[&str]| {
        let output = bench()
            .args([
                "--url",
                &server.url,
                "--preset",
                "reads",
                "--connections",
                "4",
                "--duration",
                "4s",
            ])
            .args(["--warm-up", "500ms", "--products", "100", "--json", "-"])
            .args(how)
            .output()
            .expect("it runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let p99 = report["phases"][0]["kinds"]["read"]["latency"]["p99_us"].as_u64();
        p99.expect("reads") / 1000
    };
    let is_over = AtomicBool::new(false);
    let (open, closed) = thread::scope(|scope| {
        scope.spawn(|| {
            let pid = Pid::from_raw(server.process.id().cast_signed()).expect("a process");
            while !is_over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(900));
                kill_process(pid, Signal::STOP).expect("it runs");
                thread::sleep(Duration::from_millis(100));
                kill_process(pid, Signal::CONT).expect("it is there");
            }
        });
        let open = p99_ms(&["--rate", "200", "--arrivals", "even"]);
        let closed = p99_ms(&["--closed"]);
        is_over.store(true, Ordering::SeqCst);
        (open, closed)
    });
    println!("p99: {open} ms in an open loop, {closed} ms in a closed one");
    assert!(open >= 60, "the stall is not seen: {open} ms");
    assert!(closed <= open, "{closed} ms in a closed loop");
}

/// The proof that verification can fail: somebody else changes a product of the run.
#[test]
fn a_change_that_nobody_acknowledged_is_found() {
    let server = Server::start(&[("RATE_LIMIT_ENABLED", "false")]);
    let mut running = bench()
        .args([
            "--url",
            &server.url,
            "--preset",
            "any-version",
            "--closed",
            "--products",
            "3",
            "--connections",
            "2",
        ])
        .args(["--duration", "3s", "--json", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let product = wait_for_product(&server.url);
    let body = serde_json::json!({"storeId": "a stranger", "productId": product, "delta": -1, "anyVersion": true,
        "idempotencyKey": "k"});
    let sold = ureq::post(format!("{}/v1/inventory/updates", server.url))
        .header("X-API-Key", "demo")
        .content_type("application/json")
        .send(body.to_string());
    assert_eq!(200, sold.expect("it is sold").status());
    let output = running.wait_with_output_within();
    assert!(!output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let problems = report["verification"]["problems"].to_string();
    assert!(
        problems.contains(&product) && problems.contains("the listing says"),
        "{problems}"
    );
}

/// A product of the load generator's, as soon as there is one.
fn wait_for_product(url: &str) -> String {
    let started = Instant::now();
    loop {
        let mut answer = ureq::get(format!("{url}/v1/inventory/snapshot"))
            .header("X-API-Key", "demo")
            .call()
            .expect("it answers");
        let text = answer.body_mut().read_to_string().expect("text");
        let snapshot: Value = serde_json::from_str(&text).expect("JSON");
        let products = snapshot["products"].as_array().expect("products");
        let mut ids = products.iter().filter_map(|it| it["productId"].as_str());
        // Those of the sample begin otherwise.
        if let Some(id) = ids.find(|id| id.starts_with('b')) {
            return id.to_owned();
        }
        assert!(started.elapsed() < LIMIT, "no product is created");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_limits_rates_cannot_be_measured_and_that_is_said() {
    let server = Server::start(&[("RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE", "1")]);
    let run = || {
        bench()
            .args([
                "--url",
                &server.url,
                "--duration",
                "200ms",
                "--products",
                "1500",
            ])
            .output()
            .expect("it runs")
    };
    let output = run();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("RATE_LIMIT_ENABLED=false"), "{said}");
}

#[test]
fn what_cannot_be_reached_or_started_is_told_in_a_sentence() {
    let refused = |arguments: &[&str], words: &str| {
        let output = bench().args(arguments).output().expect("it runs");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{said}");
    };
    refused(&["--url", "127.0.0.1:1"], "/health");
    refused(
        &["--server", "/nowhere/server"],
        "/nowhere/server cannot be started",
    );
    refused(&["--server", "/bin/false"], "ended with exit status: 1");
}

trait Within {
    fn wait_with_output_within(&mut self) -> Output;
}

impl Within for Child {
    /// Reads all that it says; it is ended if it does not end by itself.
    fn wait_with_output_within(&mut self) -> Output {
        let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut stream) = stream {
                    let _ = stream.read_to_end(&mut bytes);
                }
                bytes
            })
        };
        let stdout = read(self.stdout.take().map(|it| Box::new(it) as _));
        let stderr = read(self.stderr.take().map(|it| Box::new(it) as _));
        let started = Instant::now();
        let status = loop {
            match self.try_wait().expect("it is a child") {
                Some(status) => break status,
                None if started.elapsed() > LIMIT => self.kill().expect("it can be killed"),
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        Output {
            status,
            stdout: stdout.join().expect("no panic"),
            stderr: stderr.join().expect("no panic"),
        }
    }
}
