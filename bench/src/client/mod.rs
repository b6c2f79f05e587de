//! A store's end of the connection: requests in bytes, over a socket, and what comes back.

mod answer;
mod connection;
mod request;
pub mod sockets;

pub use answer::{Answer, UpdateAnswer, UpdateError};
pub use connection::Connection;
pub use request::{Requests, product_id};
