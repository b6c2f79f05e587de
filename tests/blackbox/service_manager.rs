//! What a service manager hears: a socket in its place, as systemd's notify protocol has it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::server::{Builder, eventually};

/// A busy machine may be slow.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    /// Waits for a message that has `line`, and returns it whole.
    #[track_caller]
    fn hear(&self, line: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let count = self.socket.recv(&mut bytes);
            let count = count.unwrap_or_else(|error| panic!("{line} was not heard: {error}"));
            let message = String::from_utf8(bytes[..count].to_vec()).expect("text");
            if message.lines().any(|it| it == line) {
                return message;
            }
        }
    }
}

fn managed(builder: Builder) -> (Manager, Builder) {
    let path = builder.directory().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    socket
        .set_read_timeout(Some(HEARD_WITHIN))
        .expect("above zero");
    let builder = builder.env("NOTIFY_SOCKET", path.display());
    (Manager { socket }, builder)
}

#[test]
fn it_hears_that_the_server_is_ready_alive_reloading_and_stopping() {
    let (manager, builder) = managed(Builder::new().env("WATCHDOG_USEC", 10_000_000));
    let server = builder.start();
    manager.hear("READY=1");
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");
    server.signal(Signal::HUP);
    let reloading = manager.hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.hear("READY=1");
    server.signal(Signal::TERM);
    manager.hear("STOPPING=1");
    server.wait();
}

#[test]
fn one_that_does_not_watch_hears_nothing_of_it_and_a_wrong_socket_is_told() {
    let (manager, builder) = managed(Builder::new());
    let server = builder.start();
    manager.hear("READY=1");
    // Two samples of the executors at least.
    std::thread::sleep(Duration::from_millis(2500));
    manager.socket.set_nonblocking(true).expect("a socket");
    let mut bytes = [0; 4096];
    assert!(manager.socket.recv(&mut bytes).is_err());
    fs::remove_file(builder.directory().join("notify")).expect("it is there");
    server.signal(Signal::HUP);
    eventually("it is told", || {
        server.stderr().contains("NOTIFY_SOCKET").then_some(())
    });
    server.stop();
}
