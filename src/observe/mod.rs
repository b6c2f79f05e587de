//! What an operator sees. For now the log; metrics come beside it.

pub mod log;
