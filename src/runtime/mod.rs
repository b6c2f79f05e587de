//! The seam to the machine: executors, lanes between them, sockets, files, time. No other module names glommio.

pub mod clock;
pub mod disk;
pub mod executor;
pub mod file;
pub mod lane;
pub mod preflight;
pub mod reloadable;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod sockets;
pub mod tcp;
pub mod tls;
pub mod turns;
