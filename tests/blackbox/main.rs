//! Black-box tests: the real server binary, over HTTP, as a store or an administrator meets it.
//!
//! `server` starts and stops the binary, `http` moves the bytes, `expect` knows the shapes of answers, `client` sends
//! what a store or an administrator sends, `described` judges answers by what the API says of itself, `mirror` is a store that keeps a copy of the catalogue, `load` is many
//! stores at once, `recorder` and `workload` keep a record of everything said, for `history` to judge. The other modules are tests, by behaviour. Each test has a server, ports and a directory of its own.

mod client;
mod described;
mod expect;
mod http;
mod load;
mod log;
mod metrics;
mod mirror;
mod recorder;
mod server;
mod workload;

mod backup;
mod bad_input;
mod conservation;
mod cors;
mod crash;
mod documentation;
mod errors;
mod event_stream;
mod events;
mod faults;
mod filters;
mod hostile;
mod idempotency;
mod keys;
mod kill_loop;
mod lifecycle;
mod limits;
mod machine;
#[cfg(feature = "otlp")]
mod otlp;
mod products;
mod rate_limits;
mod recovering;
mod semantics;
mod service_manager;
mod snapshots;
mod tls;
mod tools;
mod top;
mod topologies;
mod updates;
