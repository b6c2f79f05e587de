//! What an operator sees: the log, and the metrics with the port where they are asked for and the export that sends them;
//! and what a service manager hears.

pub mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod port;
pub mod service_manager;
