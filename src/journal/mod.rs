//! The system of record: what its lines are, how they reach the disk, and how a start reads them back.

pub mod directory;
pub mod format;
pub mod recover;
pub mod segments;
pub mod snapshot;
