//! central-inventory: the server that a fleet of stores trusts as the single source of truth for stock.
//!
//! ```text
//!  store ──HTTP──▶ acceptor i ──lane──▶ shard j ──lane──▶ sequencer ──▶ journal (disk)
//!    ▲               │   ▲                 │                  │  │
//!    └───response────┘   └──── reply ──────┴── (durable) ─────┘  └─▶ feed ──▶ acceptor ──▶ store
//! ```
//!
//! Modules in the order a start, and then a request, meets them. `docs/ARCHITECTURE.md` tells the whole story.

// What the operator meets.
pub mod cli;
pub mod config;
pub mod observe;
// How roles are spread over the machine and started.
pub mod lifecycle;
pub mod plan;
pub mod runtime;
pub mod server;
// The way of a request.
pub mod acceptor;
pub mod api;
pub mod limiter;
pub mod messages;
pub mod shard;
// The order of changes, and their record.
pub mod journal;
pub mod sequencer;
// What several of them share.
pub mod encoding;
pub mod faults;
#[cfg(fuzzing)]
pub use api::fuzzing;
pub mod rules;
