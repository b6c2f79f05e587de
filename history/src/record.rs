//! What is recorded: calls, their outcomes, polls, and what the server held at the end.
//!
//! Times are readings of any one clock that never goes back: nanoseconds since the test began, or steps of a
//! simulator. Equal times count as overlapping.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A change of stock. Its identity is (`store`, `product`, `key`). No two identities may share both store and product:
    /// the feed does not show the key, and only so does an event tell which identity it belongs to.
    Update {
        /// The store's id.
        store: String,
        /// The product's id.
        product: String,
        /// The idempotency key.
        key: String,
        /// The change of quantity.
        delta: i64,
        /// The version that the caller expects; `None` takes whatever is current.
        version: Option<u64>,
    },
    /// A new product.
    Create {
        /// The product's id.
        product: String,
        /// Its first quantity.
        available: u64,
    },
    /// An administrator's change of quantity.
    Set {
        /// The product's id.
        product: String,
        /// The new quantity.
        available: u64,
    },
    /// The end of a product.
    Delete {
        /// The product's id.
        product: String,
    },
    /// A question for the product.
    Read {
        /// The product's id.
        product: String,
    },
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made, now or (`replayed`) by an earlier operation of the same identity.
    Changed {
        /// The version that the change made.
        version: u64,
        /// The quantity after the change, where the answer tells it.
        quantity: Option<u64>,
        /// Whether the answer says that it is a repeat.
        replayed: bool,
    },
    /// Nothing was changed, and the product is this: the answer to a read, or a refusal for the version or the quantity.
    Shown {
        /// The current version.
        version: u64,
        /// The current quantity, where the answer tells it.
        quantity: Option<u64>,
    },
    /// Nothing was changed: the product exists already.
    Exists,
    /// Nothing was changed: there is no such product.
    Absent,
    /// Nothing was changed and nothing is shown: overloaded, draining, a key used for another delta. An answer that leaves
    /// open whether something happened (`storage_failed`) is no outcome: record such an operation as unanswered.
    Refused,
}

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub call: Call,
    /// Read before the first byte was sent.
    pub invoked: u64,
    /// Read after the last byte of the answer, with what it said. `None`: it may or may not have taken effect.
    pub ended: Option<(u64, Outcome)>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// `inventory_updated`
    InventoryUpdated,
    /// `product_created`
    ProductCreated,
    /// `product_deleted`
    ProductDeleted,
    /// `product_modified`
    ProductModified,
}

/// One event of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the feed.
    pub offset: u64,
    /// The server's wall clock, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it is about.
    pub kind: EventKind,
    /// The product's id.
    pub product: String,
    /// The version that the change made.
    pub version: u64,
    /// The quantity after the change; for a deletion, the last one.
    pub quantity: u64,
    /// The store of an update.
    pub store: Option<String>,
    /// The change of quantity of an update.
    pub delta: Option<i64>,
}

/// One answered question for the feed, without a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Read before the first byte was sent.
    pub invoked: u64,
    /// Read after the last byte of the answer.
    pub returned: u64,
    /// The offset asked for.
    pub offset: u64,
    /// The events of the page.
    pub events: Vec<Event>,
    /// Whether the page says that there is more behind it.
    pub more: bool,
}

/// A product at one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last version; 0 for a product that never was.
    pub version: u64,
    /// `None` while there is no such product: before it is created, and after it was deleted.
    pub quantity: Option<u64>,
}

/// Everything that is known of one directory, over all servers that ran on it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The products right before the first event of `feed`. Any other was never there.
    pub initial: BTreeMap<String, State>,
    /// The offset of the first event that can still be read; what is older is not checked.
    pub first_offset: u64,
    /// In any order.
    pub operations: Vec<Operation>,
    /// In any order.
    pub polls: Vec<Poll>,
    /// When a server was known to be gone. An unanswered operation invoked before has no effect afterwards.
    pub crashes: Vec<u64>,
    /// The feed as it is read at the end.
    pub feed: Vec<Event>,
    /// The products as they are listed at the end.
    pub products: BTreeMap<String, State>,
    /// How long an identity is remembered, by the clock of the events.
    pub ttl_ms: u64,
}

impl State {
    /// A product that is there.
    pub fn present(version: u64, quantity: u64) -> Self {
        Self {
            version,
            quantity: Some(quantity),
        }
    }
}

impl Call {
    /// The product that the call is about.
    pub fn product(&self) -> &str {
        match self {
            Self::Update { product, .. }
            | Self::Create { product, .. }
            | Self::Set { product, .. }
            | Self::Delete { product }
            | Self::Read { product } => product,
        }
    }
}

impl Operation {
    /// What the client was told, if anything.
    pub fn outcome(&self) -> Option<Outcome> {
        self.ended.map(|(_, outcome)| outcome)
    }
}

impl Poll {
    /// The offset after this page.
    pub fn next(&self) -> u64 {
        self.events
            .last()
            .map_or(self.offset, |event| event.offset + 1)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Update {
                store,
                product,
                key,
                delta,
                version,
            } => {
                write!(
                    f,
                    "update of {product} by {delta:+}, store {store}, key {key}"
                )?;
                match version {
                    Some(version) => write!(f, ", at version {version}"),
                    None => write!(f, ", at any version"),
                }
            }
            Self::Create { product, available } => {
                write!(f, "creation of {product} with {available}")
            }
            Self::Set { product, available } => write!(f, "setting of {product} to {available}"),
            Self::Delete { product } => write!(f, "deletion of {product}"),
            Self::Read { product } => write!(f, "read of {product}"),
        }
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{} to ", self.call, self.invoked)?;
        match &self.ended {
            Some((returned, outcome)) => write!(f, "{returned}: {outcome:?}]"),
            None => write!(f, "never]"),
        }
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            kind,
            product,
            version,
            quantity,
            ..
        } = self;
        write!(
            f,
            "event {offset} ({kind:?} of {product}, version {version}, quantity {quantity}"
        )?;
        if let (Some(store), Some(delta)) = (&self.store, self.delta) {
            write!(f, ", {delta:+} by store {store}")?;
        }
        write!(f, ")")
    }
}
