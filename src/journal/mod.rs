//! The system of record: what its lines are, how they reach the disk, and how they are read back: by a start, and for
//! stores that are far behind.

mod canonical;
pub mod directory;
pub mod format;
pub mod history;
pub mod line;
pub mod lines;
pub mod recover;
pub mod segments;
pub mod snapshot;
