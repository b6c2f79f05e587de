//! A disk for tests: it forgets what was not synced when its power fails, and it fails and fills on command.
//!
//! A killed process proves nothing about syncing, since the page cache outlives it. Here a program runs on a mounted
//! file system (FUSE) whose memory is this process: what was synced is kept apart from what was not. At any moment the
//! disk can be frozen, its power cut, and its power restored; then every write and every change of a name that was
//! not synced has a fate drawn from a seed.
//!
//! ```text
//!   program ──system calls──▶ kernel ──/dev/fuse──▶ mount ──▶ shared ──▶ volume ──▶ names, file
//!                                                           ▲
//!   test ───────── freeze, cut, restore, arm, count ──▶ disk
//! ```
//!
//! `file` and `names` hold the rules of what survives, `volume` joins them to a file system, all without I/O.
//! `shared` decides for each operation whether it happens, hangs or fails; `mount` speaks FUSE; `disk` is what a test
//! holds.

mod disk;
mod fate;
mod fault;
mod file;
mod mount;
mod names;
mod random;
mod shared;
mod volume;

pub use disk::Disk;
pub use fate::Fates;
pub use fault::{Fault, Operation};
