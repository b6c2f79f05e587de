//! Clients that mean harm, or are broken as if they did: one module per kind, each beside a well-behaved client that
//! must not notice (`beside`). docs/SECURITY.md has the table of what happens to them.

mod beside;
mod sockets;

mod churn;
mod cut_short;
mod framing;
mod half_closed;
mod idle;
mod limits;
mod nesting;
mod never_reads;
mod open_files;
mod pipelining;
mod slow;
