//! The state machine of one shard: it owns the products whose id hashes to it, decides every change to them
//! under optimistic concurrency, and remembers what it applied so that a repeat has no second effect.
//!
//! **Invariant: this crate is pure.** No I/O, clock, randomness, async, atomics, locks or unsafe: time and hash
//! seeds come in as arguments, answers and changes go out as values. Executors and the simulator wrap it.
//!
//! ```text
//!  update/create/set/delete ──▶ Shard ──▶ Verdict { answer, after, changed }
//!                                 ▲                    │       │
//!        journal, at start ── restore_* ◀── journal ◀──┘       └─ the ticket whose change must be on disk
//!                                                                 before the answer may be shown
//! ```
#![forbid(unsafe_code)]

mod idempotency;
mod identity;
mod product;
mod request;
mod shard;

pub use identity::Identity;
pub use product::{Price, Product, ProductView, QUANTITY_MAX, Ticket, Timestamp, VERSION_MAX};
pub use request::{
    AdminAnswer, Creation, Receipt, Setting, Standing, Update, UpdateAnswer, Verdict,
};
pub use shard::{Known, Limits, ReplayError, Replayed, Shard};
