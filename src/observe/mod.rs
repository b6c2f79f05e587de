//! What an operator sees: the log, and the metrics with the port where they are asked for.

pub mod log;
pub mod metrics;
pub mod port;
