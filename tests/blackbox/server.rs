//! Starts the real binary on ports and in a directory of its own, and stops it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::http::Connection;

/// A start recovers the journal first; a busy machine may make that slow.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// What the server promises for a stop by signal.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A command that should end by itself is given up after this.
const RUN_LIMIT: Duration = Duration::from_secs(30);
const PORT_TRIES: usize = 10;

/// A server to be started: its environment and its directory.
#[derive(Clone)]
pub struct Builder {
    environment: BTreeMap<String, String>,
    directory: Arc<TempDir>,
    /// A program and its arguments that end with running what follows, as `taskset -c 1` does.
    wrapper: Vec<String>,
}

impl Builder {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Self {
            environment: BTreeMap::new(),
            directory: Arc::new(directory),
            wrapper: Vec::new(),
        }
    }

    /// Is run by `wrapper`, a program that becomes what it runs.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn shards(self, count: usize) -> Self {
        self.env("INVENTORY_WORKER_COUNT", count)
    }

    pub fn acceptors(self, count: usize) -> Self {
        self.env("INVENTORY_ACCEPTOR_COUNT", count)
    }

    /// Goes on in the directory of an earlier server.
    pub fn in_directory_of(mut self, earlier: &Self) -> Self {
        self.directory = Arc::clone(&earlier.directory);
        self
    }

    /// The directory that holds what the server keeps; it goes away with the last of its servers.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn data_path(&self) -> PathBuf {
        self.directory().join("inventory.json")
    }

    pub fn events_path(&self) -> PathBuf {
        self.directory().join("events.json")
    }

    /// Starts the server and returns when it answers `GET /health` with 200.
    #[track_caller]
    pub fn start(&self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(status) => panic!("the server stopped at its start: {status}"),
        }
    }

    /// As `start`; returns how the server ended where it refused to start.
    #[track_caller]
    pub fn try_start(&self) -> Result<Server, ExitStatus> {
        for _ in 0..PORT_TRIES {
            let mut server = self.spawn();
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(Early::PortTaken) => continue,
                Err(Early::Stopped(status)) => return Err(status),
                Err(Early::Silent) => panic!("the server was not ready within {READY_LIMIT:?}"),
            }
        }
        panic!("no free port in {PORT_TRIES} tries");
    }

    /// Runs the binary with arguments until it ends by itself.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let (port, metrics_port) = (free_port(), free_port());
        let (stdout, stderr) = (self.log_path("stdout"), self.log_path("stderr"));
        let mut process = self
            .command(port, metrics_port, &stdout, &stderr)
            .args(arguments)
            .spawn()
            .expect("the binary can be started");
        let status = wait_for_exit(&mut process, RUN_LIMIT);
        if status.is_none() {
            process.kill().expect("a running child can be killed");
            process.wait().expect("a killed child can be reaped");
        }
        let finished = Finished {
            code: status.and_then(|status| status.code()),
            stdout: read_log(&stdout),
            stderr: read_log(&stderr),
        };
        assert!(
            status.is_some(),
            "still running after {RUN_LIMIT:?}: {finished:?}"
        );
        finished
    }

    /// Starts the binary with arguments, its standard input and output in the caller's hands.
    pub fn piped(&self, arguments: &[&str]) -> Child {
        self.prepare(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary can be started")
    }

    /// The binary with arguments, to be started by the caller.
    pub fn prepare(&self, arguments: &[&str]) -> Command {
        let (stdout, stderr) = (self.log_path("stdout"), self.log_path("stderr"));
        let mut command = self.command(free_port(), free_port(), &stdout, &stderr);
        command.args(arguments);
        command
    }

    /// Starts the server without waiting for it.
    pub fn spawn(&self) -> Server {
        let (port, metrics_port) = (free_port(), free_port());
        let (stdout, stderr) = (self.log_path("stdout"), self.log_path("stderr"));
        let process = self
            .command(port, metrics_port, &stdout, &stderr)
            .spawn()
            .expect("the binary can be started");
        Server {
            process,
            builder: self.clone(),
            address: SocketAddr::new(self.ip(), port),
            metrics_address: SocketAddr::new(self.ip(), metrics_port),
            stdout,
            stderr,
        }
    }

    /// The address that the server listens on.
    fn ip(&self) -> IpAddr {
        let address = self.environment.get("BIND_ADDRESS");
        let parsed = address.and_then(|address| address.parse().ok());
        parsed.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    fn command(&self, port: u16, metrics_port: u16, stdout: &Path, stderr: &Path) -> Command {
        let mut words = self.wrapper.iter().map(String::as_str);
        let binary = env!("CARGO_BIN_EXE_central-inventory");
        let mut command = Command::new(words.next().unwrap_or(binary));
        if !self.wrapper.is_empty() {
            command.args(words).arg(binary);
        }
        command
            .current_dir(self.directory())
            .env_clear()
            .env("PORT", port.to_string())
            .env("METRICS_PORT", metrics_port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_PATH", self.data_path())
            .env("EVENTS_FILE_PATH", self.events_path())
            .env("JOURNAL_SEGMENT_MIB", "1")
            .env("RATE_LIMIT_ENABLED", "false")
            .env("ENVIRONMENT", "development")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(File::create(stdout).expect("a log file can be made"))
            .stderr(File::create(stderr).expect("a log file can be made"));
        command
    }

    fn log_path(&self, stream: &str) -> PathBuf {
        self.directory()
            .join(format!("{stream}.{:016x}.log", entropy()))
    }
}

/// What a finished run left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Asserts a failure that `stderr` explains, and returns that explanation.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_ne!(self.code, Some(0), "it should have failed: {self:?}");
        assert!(self.code.is_some(), "it died of a signal: {self:?}");
        self.stderr
    }

    /// Asserts success and returns what was printed.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "it should have succeeded: {self:?}");
        self.stdout
    }
}

/// A running server. Dropping it kills the process; its directory goes when nothing holds it any more.
pub struct Server {
    process: Child,
    builder: Builder,
    address: SocketAddr,
    metrics_address: SocketAddr,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// Why a start came to nothing.
enum Early {
    PortTaken,
    Stopped(ExitStatus),
    Silent,
}

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        Builder::new().start()
    }

    /// A server that also holds one product, `item`, at version 1.
    #[track_caller]
    pub fn with_item(available: u64) -> (Self, Client) {
        let server = Self::start();
        let mut client = server.client();
        client.create(&[("item", available)]);
        (server, client)
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the server accepts connections")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    pub fn stderr(&self) -> String {
        read_log(&self.stderr)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server is there to be signalled");
    }

    /// SIGTERM, then `wait`.
    #[track_caller]
    pub fn stop(self) -> Builder {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end of a server that was told to stop: status 0, in time.
    #[track_caller]
    pub fn wait(self) -> Builder {
        self.wait_for_status(0)
    }

    /// Waits for the end of a server that was told to stop: this status, in time.
    #[track_caller]
    pub fn wait_for_status(mut self, expected: i32) -> Builder {
        let status = wait_for_exit(&mut self.process, STOP_LIMIT);
        let status =
            status.unwrap_or_else(|| panic!("still running {STOP_LIMIT:?} after the signal"));
        assert_eq!(
            status.code(),
            Some(expected),
            "a stop by signal ends with status {expected}, not {status}"
        );
        self.builder.clone()
    }

    /// SIGKILL: what the server had not made durable is lost.
    pub fn kill(mut self) -> Builder {
        self.process.kill().expect("a running child can be killed");
        self.process.wait().expect("a killed child can be reaped");
        self.builder.clone()
    }

    /// Asserts that the server still answers and still takes updates.
    #[track_caller]
    pub fn assert_working(&self) {
        let mut client = self.client();
        client.get("/health").expect(200);
        let id = unique("still-working");
        client.create(&[(&id, 1)]);
        client.update_any(&id, -1, &unique("key")).applied(0, 2);
    }

    fn wait_until_ready(&mut self) -> Result<(), Early> {
        let start = Instant::now();
        while start.elapsed() < READY_LIMIT {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                let said = self.stderr().to_lowercase();
                let taken = said.contains("in use") || said.contains("eaddrinuse");
                return Err(if taken {
                    Early::PortTaken
                } else {
                    self.failed_with(status)
                });
            }
            if matches!(self.client().try_get("/health"), Ok(reply) if reply.status == 200) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.print_logs();
        Err(Early::Silent)
    }

    fn failed_with(&self, status: ExitStatus) -> Early {
        self.print_logs();
        Early::Stopped(status)
    }

    fn print_logs(&self) {
        eprintln!(
            "--- stderr of {} ---\n{}",
            self.address,
            tail(&read_log(&self.stderr))
        );
        eprintln!(
            "--- stdout of {} ---\n{}",
            self.address,
            tail(&read_log(&self.stdout))
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_logs();
        }
        // Both fail only where the process has been reaped already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks again and again until the answer is there.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Some(found) = attempt() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it never happened that {what}");
}

/// Sets its flag when it goes out of scope, also when a check has failed: whoever works until the flag is set ends
/// either way, and the test with them.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A name that no other call returns.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", entropy())
}

/// Small, seeded, and good enough to choose products and deltas (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded differently in each run.
    pub fn from_chance() -> Self {
        Self::new(entropy())
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A port below the ephemeral range, given out once in this process. The server's listeners share ports
/// (`SO_REUSEPORT`), so two servers on one port would not be noticed: never hand the same one out twice.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = 10_000 + (entropy() % 21_001) as u16;
        let fresh = GIVEN.lock().expect("no holder panics").insert(port);
        if fresh && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn wait_for_exit(process: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_log(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
