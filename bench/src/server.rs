//! The server that is measured: one that runs already, or one that is started here and stopped at the end.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use central_inventory::plan::CpuList;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::options::RunOptions;

/// A start recovers nothing; a busy machine may make it slow.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// What a server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The server that is measured.
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its metrics port, where it is known.
    pub metrics: Option<SocketAddr>,
    managed: Option<Managed>,
}

struct Managed {
    process: Child,
    directory: TempDir,
    cpus: Vec<usize>,
}

impl Target {
    /// The one of `options`; a server that is started here gets `cpus`.
    pub fn of(options: &RunOptions, cpus: &[usize]) -> Result<Target, String> {
        if let Some(address) = options.url {
            return Ok(Target {
                address,
                metrics: options.metrics_url,
                managed: None,
            });
        }
        let binary = match &options.server {
            Some(path) => path.clone(),
            None => find_binary()?,
        };
        let directory = match &options.data {
            Some(parent) => tempfile::Builder::new()
                .prefix("inventory-bench-")
                .tempdir_in(parent),
            None => tempfile::Builder::new()
                .prefix("inventory-bench-")
                .tempdir(),
        };
        let directory =
            directory.map_err(|error| format!("no directory for the server's data: {error}"))?;
        Managed::start(&binary, directory, cpus, options)
    }

    /// The process, if it was started here.
    pub fn pid(&self) -> Option<u32> {
        self.managed.as_ref().map(|managed| managed.process.id())
    }

    /// Its CPUs, if they were chosen here.
    pub fn cpus(&self) -> Option<String> {
        self.managed
            .as_ref()
            .map(|managed| CpuList(&managed.cpus).to_string())
    }

    /// Ends it, if it was started here, and removes its data.
    pub fn stop(self) -> Result<(), String> {
        let Some(mut managed) = self.managed else {
            return Ok(());
        };
        managed.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            match managed.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(format!(
                        "the server ended with {status}{}",
                        managed.last_words()
                    ));
                }
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("the server did not stop within {STOP_LIMIT:?}"))
    }
}

impl Managed {
    fn start(
        binary: &Path,
        directory: TempDir,
        cpus: &[usize],
        options: &RunOptions,
    ) -> Result<Target, String> {
        let free_port = || -> io::Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            Ok(listener.local_addr()?.port())
        };
        let described = |error: io::Error| {
            format!("the server {} cannot be started: {error}", binary.display())
        };
        let (port, metrics_port) = (
            free_port().map_err(described)?,
            free_port().map_err(described)?,
        );
        let log = File::create(directory.path().join("log")).map_err(described)?;
        let mut command = Command::new(binary);
        command
            .env("PORT", port.to_string())
            .env("METRICS_PORT", metrics_port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_PATH", directory.path().join("inventory.json"))
            .env("EVENTS_FILE_PATH", directory.path().join("events.json"))
            .env("API_KEYS", &options.key)
            .env("ADMIN_API_KEYS", &options.admin_key)
            .env("RATE_LIMIT_ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = on_cpus(cpus, || command.spawn()).map_err(described)?;
        let mut managed = Managed {
            process,
            directory,
            cpus: cpus.to_vec(),
        };
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        managed.wait_until_ready(local(port))?;
        Ok(Target {
            address: local(port),
            metrics: Some(local(metrics_port)),
            managed: Some(managed),
        })
    }

    fn wait_until_ready(&mut self, address: SocketAddr) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < READY_LIMIT {
            if ureq::get(format!("http://{address}/health")).call().is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!(
                    "the server ended with {status}{}",
                    self.last_words()
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "the server was not ready within {READY_LIMIT:?}{}",
            self.last_words()
        ))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let last = log.lines().next_back();
        last.map_or_else(String::new, |line| format!(": {line}"))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
        {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // Whatever happened here, no server stays behind. After an orderly stop there is nothing to do.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Runs `spawn` so that what it starts may only use `cpus`.
fn on_cpus<T>(cpus: &[usize], spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    cpus.iter().for_each(|cpu| chosen.set(*cpu));
    sched_setaffinity(None, &chosen)?;
    let spawned = spawn();
    sched_setaffinity(None, &before)?;
    spawned
}

/// Beside this program; under cargo it is built first, so that what is measured is what is there.
fn find_binary() -> Result<PathBuf, String> {
    const NAME: &str = "central-inventory";
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let beside = own.with_file_name(NAME);
    if let Some(cargo) = env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--package", NAME, "--bin", NAME]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let status = command.status();
        let built =
            status.map_err(|error| format!("cargo cannot be run to build the server: {error}"))?;
        if !built.success() {
            return Err("the server cannot be built: see above".to_owned());
        }
    }
    match beside.is_file() {
        true => Ok(beside),
        false => Err(format!(
            "there is no server at {}: build it (cargo build --release), or name one by --server or --url",
            beside.display()
        )),
    }
}
