//! The parts of `inventory-bench soak`, in small, and that what they are to find is found.

mod binaries;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use central_inventory::plan::{CpuList, Machine};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A busy machine may be slow.
const LIMIT: Duration = Duration::from_secs(120);

/// A server with products `soak-0000000` and so on.
struct Server {
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Server {
    fn start(products: usize) -> Server {
        let free_port = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            listener.local_addr().expect("it is bound").port()
        };
        let (port, metrics_port) = (free_port(), free_port());
        let directory = TempDir::new().expect("a directory");
        let catalogue: Value = (0..products)
            .map(|number| {
                let id = format!("soak-{number:07}");
                let product = json!({"productId": id, "name": "A", "available": 1000, "version": 1,
                    "lastUpdated": "2026-01-01T00:00:00.000Z", "price": 9.99});
                (id, product)
            })
            .collect();
        let path = directory.path().join("inventory.json");
        std::fs::write(&path, json!({"products": catalogue}).to_string()).expect("a catalogue");
        let process = Command::new(binaries::server())
            .env("PORT", port.to_string())
            .env("METRICS_PORT", metrics_port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_PATH", path)
            .env("EVENTS_FILE_PATH", directory.path().join("events.json"))
            .env("JOURNAL_SEGMENT_MIB", "4")
            .env("RATE_LIMIT_ENABLED", "false")
            .stderr(File::create(directory.path().join("log")).expect("a log"))
            .spawn()
            .expect("the server starts");
        let server = Server {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            directory,
        };
        let begun = Instant::now();
        let ready = format!("http://{}/health/ready", server.address);
        while ureq::get(&ready).call().is_err() {
            assert!(begun.elapsed() < LIMIT, "the server is not ready");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn soak(&self, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_inventory-bench"))
            .arg("soak")
            .arg(words[0])
            .args(["--url", &self.address.to_string()])
            .args(&words[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), signal).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn came_of(soak: Child) -> Value {
    let Output {
        status,
        stdout,
        stderr,
    } = soak.wait_with_output().expect("it ends");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).expect("it prints JSON")
}

#[test]
fn a_store_that_begins_while_updates_go_on_ends_equal_to_the_listing() {
    let server = Server::start(1_234);
    let words = "bootstrap --products 1234 --rate 200 --seconds 0.5";
    let came = came_of(server.soak(&words.split(' ').collect::<Vec<_>>()));
    assert_eq!(true, came["replicaEqualsListing"]);
    assert_eq!(1_234, came["products"]);
    assert!(came["updates"].as_u64() > Some(0));
    assert_eq!(came["updates"], came["endOffset"]);
}

#[test]
fn as_many_events_come_about_as_were_asked_for() {
    let server = Server::start(100);
    let words = "events --products 100 --events 3000 --rate 3000";
    let came = came_of(server.soak(&words.split(' ').collect::<Vec<_>>()));
    assert_eq!(
        (&json!(3_000), &json!(0)),
        (&came["events"], &came["refused"])
    );
    assert_eq!(300, came["singleMs"]["count"]);
    assert_eq!(27, came["batchMs"]["count"]);
}

#[test]
fn a_server_that_stands_still_is_not_taken_for_the_machine() {
    let server = Server::start(10);
    let cpus = CpuList(&Machine::read().cpus).to_string();
    let disk = server.directory.path().to_string_lossy().into_owned();
    let words = "steady --products 10 --seconds 4 --limit-ms 300 --watch-cpus";
    let words: Vec<&str> = words
        .split(' ')
        .chain([cpus.as_str(), "--watch-disk", &disk])
        .collect();
    let soak = server.soak(&words);
    thread::sleep(Duration::from_millis(1_500));
    server.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(1_000));
    server.signal(Signal::CONT);
    let came = came_of(soak);
    assert!(came["stalledByServer"].as_u64() > Some(0), "{came}");
    assert!(came["latencyMs"]["max"].as_f64() > Some(300.0), "{came}");
    assert_eq!(
        Some(Machine::read().cpus.len() + 1),
        came["machine"].as_array().map(Vec::len)
    );
}
