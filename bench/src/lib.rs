//! The load generator of central-inventory, as a library: what a run is made of, and what is made of it.
//!
//! ```text
//!  options ─▶ run ─▶ server (starts one)   control (products, listing, feed)
//!              │
//!              ├──▶ engine: a thread per CPU ─▶ workers ─▶ client ─▶ the server
//!              │            followers ───────────────────┘
//!              ├──▶ verify: books against listing against feed
//!              └──▶ report ─▶ table, JSON, page, picture;  compare
//!
//!  store: a store that keeps a replica, over client      soak: loads that go on for long, over client and store
//!  fan_out: one event to tens of thousands of stores, of this server or of nchan, over client; a program of its own
//! ```

pub mod books;
pub mod client;
pub mod compare;
pub mod control;
pub mod engine;
pub mod fan_out;
pub mod machine;
pub mod options;
pub mod report;
pub mod run;
pub mod scrape;
pub mod server;
pub mod soak;
pub mod store;
pub mod verify;
pub mod workload;
