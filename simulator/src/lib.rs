//! The whole system behind the HTTP edge in one thread, from one seed: the real shards, sequencer, journal and recovery on
//! a simulated executor, disk and clock. Everything that can go wrong does, in an order that the seed decides, and every
//! promise is checked on the way and at the end.
//!
//! ```text
//!   seed ─▶ random ─▶ world: one step at a time ─▶ a task runs │ the disk completes │ a client asks │ time │ a crash
//!                       │                                                     ▲
//!                       ├─ host: tasks, timers, clocks ──▶ shard::run, sequencer::run, journal::*
//!                       ├─ disk: durable, visible, and what is between
//!                       ├─ front, clients, answers: in place of acceptors and stores
//!                       └─ ledger, starts, finish: what must be so ──▶ history::check
//! ```
//!
//! **Invariant: nothing here reads a clock, an address or a random number of the machine.** The same seed gives the same
//! run, byte for byte; `Verdict::hash` tells two runs apart that differ in anything.

pub mod run;
pub mod shrink;
// The choices, and the record of what they led to.
mod profile;
mod random;
mod trace;
// The machine.
mod disk;
mod host;
// The server, and who uses it.
mod answers;
mod book;
mod clients;
mod front;
mod server;
// What happens, and what must be so.
mod finish;
mod ledger;
mod starts;
mod world;

pub use profile::Kind;
pub use world::Over;
