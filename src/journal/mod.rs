//! The system of record: what its lines are, how they reach the disk, and how they are read back: by a start, and for
//! stores that are far behind, and for an operator.

pub(crate) mod canonical;
pub mod copy;
pub mod directory;
pub mod dump;
pub mod foreign;
pub mod format;
pub mod history;
pub mod line;
pub mod lines;
mod quicker;
pub mod recover;
pub mod scene;
pub mod segments;
pub mod snapshot;
mod tear;
#[cfg(test)]
mod test_journal;
pub mod verify;
