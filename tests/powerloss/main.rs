//! The real server on a disk that fails: it loses power, refuses writes and syncs, or fills up.
//!
//! `on_disk` puts a server on a disk, `stock` is a client that can tell whether anything is missing. The other modules
//! are tests, by what happens to the disk. How a server is started, asked and judged is shared with the black-box
//! tests, which use more of it.
//!
//! These tests mount file systems: they need /dev/fuse, and root or the program fusermount3.

#[allow(dead_code)]
#[path = "../blackbox/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../blackbox/described.rs"]
mod described;
#[allow(dead_code)]
#[path = "../blackbox/expect.rs"]
mod expect;
#[allow(dead_code)]
#[path = "../blackbox/http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../blackbox/mirror.rs"]
mod mirror;
#[allow(dead_code)]
#[path = "../blackbox/recorder.rs"]
mod recorder;
#[allow(dead_code)]
#[path = "../blackbox/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../blackbox/workload.rs"]
mod workload;

mod on_disk;
mod stock;

mod buffered_disk;
mod failing_disk;
mod full_disk;
mod power;
mod snapshots;
mod stalled_disk;
mod written_through;
