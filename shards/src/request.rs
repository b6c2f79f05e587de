//! What a shard is asked and what it answers.

use std::borrow::Cow;

use crate::{Identity, Price, Product, Ticket, Timestamp};

/// A change of stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Who, on what, under which key.
    pub identity: Identity,
    /// Units to add; negative to take. Not 0, and within ±[`crate::QUANTITY_MAX`].
    pub delta: i64,
    /// The version the store saw; `None` applies to whatever version is current (`anyVersion`).
    pub expected_version: Option<u64>,
}

/// A product to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// `productId`
    pub id: Box<str>,
    /// `name`
    pub name: Box<str>,
    /// `available`
    pub available: u64,
    /// `price`
    pub price: Price,
}

/// Properties to set on a product; `None` leaves one as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `productId`
    pub id: Box<str>,
    /// `name`
    pub name: Option<Box<str>>,
    /// `available`
    pub available: Option<u64>,
    /// `price`
    pub price: Option<Price>,
    /// The version that must be current, if any.
    pub expected_version: Option<u64>,
}

/// What an applied update led to. The whole of its answer follows from this, so a repeat can be given the
/// same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// `newQuantity`
    pub quantity: u64,
    /// `newVersion`
    pub version: u64,
    /// `lastUpdated`
    pub at: Timestamp,
}

/// Where a product stands, for a refusal: a caller can retry from it without reading first.
pub type Standing = Receipt;

/// The answer to an [`Update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateAnswer {
    /// It took effect.
    Applied(Receipt),
    /// It took effect earlier; this is what was answered then.
    Replayed(Receipt),
    /// The expected version is not the current one.
    VersionConflict(Standing),
    /// The stock would fall below 0.
    Insufficient(Standing),
    /// The stock would exceed [`crate::QUANTITY_MAX`], or the version [`crate::VERSION_MAX`].
    OutOfRange(Standing),
    /// The key was used for another delta. No standing where the product is gone.
    KeyReused(Option<Standing>),
    /// There is no such product.
    NotFound,
    /// The idempotency memory is full of entries that have not expired.
    MemoryFull,
}

/// The answer to a [`Creation`], a [`Setting`] or a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAnswer {
    /// It took effect.
    Done {
        /// `newVersion`
        version: u64,
        /// `lastUpdated`
        at: Timestamp,
    },
    /// A product with that id exists.
    AlreadyExists,
    /// There is no such product.
    NotFound,
    /// The expected version is not the current one.
    VersionConflict {
        /// The current version.
        current: u64,
    },
    /// The version cannot grow beyond [`crate::VERSION_MAX`].
    OutOfRange,
}

/// What the shard decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict<'a, Answer> {
    /// What to tell the caller.
    pub answer: Answer,
    /// The answer shows the effect of this change, so it may be told once the change is on disk. For a change
    /// it is the change's own ticket.
    pub after: Ticket,
    /// The product after the change, if there was one; for a deletion, as it last was with the version of the
    /// deletion.
    pub changed: Option<Cow<'a, Product>>,
    /// The identity that is remembered now, if an update was applied.
    pub remembered: Option<&'a Identity>,
}

impl<'a, Answer> Verdict<'a, Answer> {
    pub(crate) fn unchanged(answer: Answer, after: Ticket) -> Verdict<'a, Answer> {
        Verdict {
            answer,
            after,
            changed: None,
            remembered: None,
        }
    }

    pub(crate) fn changed(answer: Answer, after: Ticket, product: Cow<'a, Product>) -> Self {
        Verdict {
            answer,
            after,
            changed: Some(product),
            remembered: None,
        }
    }
}
