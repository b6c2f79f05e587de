//! Servers that run while a test does.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::binaries::server;

/// A busy machine may be slow.
const LIMIT: Duration = Duration::from_secs(120);
/// Somebody else may take a port between its choice and its use.
const PORT_TRIES: usize = 10;

/// A server of the test's own.
pub struct Server {
    pub process: Child,
    pub url: String,
    /// Where its metrics are. Not every test asks for them.
    #[allow(dead_code)]
    pub metrics: String,
    _directory: TempDir,
}

impl Server {
    pub fn start(environment: &[(&str, &str)]) -> Server {
        let mut tries = (0..PORT_TRIES).filter_map(|_| Server::try_start(environment));
        tries.next().expect("a server that does not end at once")
    }

    /// None if it ends before it is ready.
    fn try_start(environment: &[(&str, &str)]) -> Option<Server> {
        let free_port = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("bound").port()
        };
        let directory = tempfile::tempdir().expect("a directory");
        let (port, metrics_port) = (free_port(), free_port());
        let process = Command::new(server())
            .current_dir(directory.path())
            .env("PORT", port.to_string())
            .env("METRICS_PORT", metrics_port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("JOURNAL_SEGMENT_MIB", "1")
            .envs(environment.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut server = Server {
            process,
            url: format!("http://127.0.0.1:{port}"),
            metrics: format!("127.0.0.1:{metrics_port}"),
            _directory: directory,
        };
        let started = Instant::now();
        while ureq::get(format!("{}/health", server.url)).call().is_err() {
            let ended = server.process.try_wait();
            if ended.expect("it is ours").is_some() {
                return None;
            }
            assert!(started.elapsed() < LIMIT, "it is not ready");
            thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
