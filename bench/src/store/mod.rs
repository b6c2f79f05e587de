//! A store that follows the server: what every real store has to do, in as few words as possible.
//!
//! ```text
//!   snapshot ──▶ Replica { products, nextOffset } ◀── events from nextOffset on, by poll or as a stream
//!                   │    ▲
//!                 save  from_snapshot              410: what it asks for is gone, so begin with the snapshot again
//! ```
//!
//! [`Replica`] is pure: bytes in, state out; [`Place`] is one that keeps nothing but where it is. [`Follower`] keeps either
//! up to date over a connection.

mod follower;
mod holding;
mod messages;
mod place;
mod replica;

pub use follower::{FollowError, Follower, News, Turn, Way};
pub use holding::{FeedError, Holding};
pub use messages::{Message, Messages};
pub use place::Place;
pub use replica::{Product, Replica};
