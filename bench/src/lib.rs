//! The load generator of central-inventory, as a library: what a run is made of, and what is made of it.

pub mod report;
