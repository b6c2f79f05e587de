//! Black-box tests: the real server binary, over HTTP, as a store or an administrator meets it.
//!
//! `server` starts and stops the binary, `http` moves the bytes, `expect` knows the shapes of answers, `client` sends
//! what a store or an administrator sends, `mirror` is a store that keeps a copy of the catalogue, `load` is many
//! stores at once. The other modules are tests, by behaviour. Each test has a server, ports and a directory of its own.

mod client;
mod expect;
mod http;
mod load;
mod mirror;
mod server;

mod bad_input;
mod conservation;
mod crash;
mod errors;
mod events;
mod idempotency;
mod lifecycle;
mod products;
mod snapshots;
mod topologies;
mod updates;
