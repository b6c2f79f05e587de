//! A store's end of the connection: requests in bytes, over a socket, and what comes back.

mod answer;
mod buffers;
mod chunks;
mod connection;
mod request;
pub mod sockets;

pub use answer::{Answer, UpdateAnswer, UpdateError, last_timestamp, page_end};
pub use connection::{Connection, Streamed};
pub use request::{Requests, product_id};
