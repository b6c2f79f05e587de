//! What hostile clients do with sockets, and what the server's process looks like from outside.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

use crate::server::{Server, eventually};

/// Open files that the test itself needs besides its many connections, other tests in this process included.
const OTHER_FILES: u64 = 2_000;

/// Lets this process have so many connections.
#[track_caller]
pub fn allow_connections(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    let needed = count + OTHER_FILES;
    if limit.current.is_some_and(|current| current < needed) {
        assert!(
            limit.maximum.is_none_or(|maximum| maximum >= needed),
            "the limit of open files must allow {needed}: ulimit -n"
        );
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised).expect("the limit may be raised so far");
    }
}

/// Ends the connection with a reset in place of an orderly end.
pub fn reset(stream: TcpStream) {
    let lingers_not = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    lingers_not.expect("a socket can be told so");
}

/// Writes `bytes` one by one, one each `pause`, to all of `streams`; returns when the server has ended the last of them,
/// with the time that each was open.
#[track_caller]
pub fn drip(streams: Vec<TcpStream>, bytes: &[u8], pause: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let mut open: Vec<TcpStream> = streams;
    let mut ended = Vec::new();
    for byte in bytes {
        open.retain_mut(|stream| {
            let is_open = stream.write_all(&[*byte]).is_ok() && !has_ended(stream);
            if !is_open {
                ended.push(begun.elapsed());
            }
            is_open
        });
        if open.is_empty() {
            return ended;
        }
        thread::sleep(pause);
    }
    panic!("{} connections outlived {} bytes", open.len(), bytes.len());
}

/// Whether the server has ended the connection, without waiting.
pub fn has_ended(stream: &mut TcpStream) -> bool {
    stream
        .set_nonblocking(true)
        .expect("a socket can be told so");
    let read = stream.read(&mut [0; 4096]);
    stream
        .set_nonblocking(false)
        .expect("a socket can be told so");
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Waits until the server has ended the connection, whatever it said before.
#[track_caller]
pub fn wait_for_end(stream: &mut TcpStream, limit: Duration) {
    let begun = Instant::now();
    let mut chunk = [0; 4096];
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        assert!(!left.is_zero(), "still open after {limit:?}");
        stream.set_read_timeout(Some(left)).expect("above zero");
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}

impl Server {
    /// The files and sockets that the server has open.
    #[track_caller]
    pub fn open_files(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.pid().as_raw_nonzero());
        fs::read_dir(directory).expect("the server runs").count()
    }

    /// The same once nothing more is opened or closed for the start itself: the log says that the server is ready before its
    /// segments are.
    #[track_caller]
    pub fn settled_open_files(&self) -> usize {
        const STEADY: usize = 30;
        let mut counts = Vec::new();
        eventually("the server's start comes to rest", || {
            counts.push(self.open_files());
            let latest = &counts[counts.len().saturating_sub(STEADY)..];
            let is_steady = latest.iter().all(|count| *count == latest[0]);
            (is_steady && latest.len() == STEADY).then_some(latest[0])
        })
    }

    /// The memory that the server has in use, in bytes.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        let kibibytes = kibibytes.and_then(|number| number.parse::<u64>().ok());
        kibibytes.expect("the kernel says how much") << 10
    }

    /// Waits until the server has no more open than so many files and sockets.
    #[track_caller]
    pub fn wait_for_open_files(&self, at_most: usize) {
        eventually("the server closes what it had open", || {
            (self.open_files() <= at_most).then_some(())
        });
    }
}
