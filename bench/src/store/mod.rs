//! A store that follows the server: what every real store has to do, in as few words as possible.
//!
//! ```text
//!   snapshot ──▶ Replica { products, nextOffset } ◀── events from nextOffset on, by poll or as a stream
//!                   │    ▲
//!                 save  from_snapshot              410: what it asks for is gone, so begin with the snapshot again
//! ```
//!
//! [`Replica`] is pure: bytes in, state out. [`Follower`] keeps one up to date over a connection.

mod follower;
mod messages;
mod replica;

pub use follower::{FollowError, Follower, Turn, Way};
pub use messages::{Message, Messages};
pub use replica::{Product, Replica, ReplicaError};
