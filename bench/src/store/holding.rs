//! What a store holds of the server, and what must be true of what it is brought.

use super::Message;

/// Something that the feed keeps current: all products, or only the place in the feed.
pub trait Holding: Sized {
    /// As a snapshot has it.
    ///
    /// # Errors
    /// If it is none.
    fn from_snapshot(json: &[u8]) -> Result<Self, FeedError>;

    /// The first offset that is not in it.
    fn next_offset(&self) -> u64;

    /// Takes a page of all events from [`Holding::next_offset`] on. Returns how many it had.
    ///
    /// # Errors
    /// If it does not go on where this ends; what came before the fault may be in it.
    fn take_page(&mut self, json: &[u8]) -> Result<u64, FeedError>;

    /// Takes an event as a stream brings it.
    ///
    /// # Errors
    /// As [`Holding::take_page`].
    fn take_message(&mut self, message: &Message<'_>) -> Result<(), FeedError>;
}

/// What the feed must never do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// What came is not what the server sends.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Offsets are dense.
    #[error("the event with offset {expected} is missing: {found} came")]
    OffsetSkipped {
        /// The offset that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// Versions of a product grow by 1.
    #[error("product {product} went from version {held} to {found}")]
    VersionSkipped {
        /// The product.
        product: String,
        /// The version before.
        held: u64,
        /// The one that came.
        found: u64,
    },
}

impl FeedError {
    /// # Errors
    /// If offset `found` came where `expected` is next.
    pub fn unless_next(expected: u64, found: u64) -> Result<(), FeedError> {
        match expected == found {
            true => Ok(()),
            false => Err(FeedError::OffsetSkipped { expected, found }),
        }
    }
}
