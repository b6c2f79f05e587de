//! What an operator sees: the log, and the metrics with the port where they are asked for and the export that sends them.

pub mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod port;
