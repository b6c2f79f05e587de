//! The seam to the machine: executors, lanes between them, sockets, files, time. No other module names glommio.

pub mod clock;
pub mod executor;
pub mod file;
pub mod lane;
pub mod preflight;
pub mod tcp;
