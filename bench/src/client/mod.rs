//! A store's end of the connection: requests in bytes, over a socket on the executor, and what comes back.

mod answer;
mod connection;
mod request;

pub use answer::{Answer, UpdateAnswer, UpdateError};
pub use connection::Connection;
pub use request::{Requests, product_id};
