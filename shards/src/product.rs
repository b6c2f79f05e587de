//! What a shard knows of one product, and the units it is counted in.

/// The greatest quantity, and version, that every JSON client reads exactly: 2^53 - 1.
pub const QUANTITY_MAX: u64 = (1 << 53) - 1;
/// See [`QUANTITY_MAX`].
pub const VERSION_MAX: u64 = QUANTITY_MAX;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// The number of changes a shard had decided, counted from its start. Ticket `n` is the shard's n-th change;
/// an answer that depends on ticket `n` may be shown once `n` of the shard's changes are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A price as the digits it was sent with: the text of a JSON number that is at least 0. The shard never
/// computes with it; the edge checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price(Box<str>);

impl Price {
    /// Takes `digits`, which must be the text of a JSON number.
    pub fn new(digits: impl Into<Box<str>>) -> Price {
        Price(digits.into())
    }

    /// The digits as they were sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A product that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// 1..128 bytes.
    pub id: Box<str>,
    /// 1..256 bytes.
    pub name: Box<str>,
    /// The price, digit for digit.
    pub price: Price,
    /// Units in stock, 0..=[`QUANTITY_MAX`].
    pub available: u64,
    /// 1..=[`VERSION_MAX`]; grows by 1 with each change.
    pub version: u64,
    /// When the last change took effect.
    pub updated_at: Timestamp,
    /// The change that made it what it is; 0 for what was there at start.
    pub ticket: Ticket,
}

/// A product as it is read back from the journal, borrowed from there.
#[derive(Clone, Copy, Debug)]
pub struct ProductView<'a> {
    /// As [`Product::id`].
    pub id: &'a str,
    /// As [`Product::name`].
    pub name: &'a str,
    /// As [`Product::price`].
    pub price: &'a str,
    /// As [`Product::available`].
    pub available: u64,
    /// As [`Product::version`].
    pub version: u64,
    /// As [`Product::updated_at`].
    pub updated_at: Timestamp,
}

impl ProductView<'_> {
    /// The product, as of the start.
    pub fn to_product(&self) -> Product {
        Product {
            id: self.id.into(),
            name: self.name.into(),
            price: Price::new(self.price),
            available: self.available,
            version: self.version,
            updated_at: self.updated_at,
            ticket: Ticket(0),
        }
    }
}

impl Product {
    /// Becomes what `view` shows of it, copying only what differs.
    pub(crate) fn become_as(&mut self, view: &ProductView<'_>) {
        if *self.name != *view.name {
            self.name = view.name.into();
        }
        if self.price.as_str() != view.price {
            self.price = Price::new(view.price);
        }
        self.available = view.available;
        self.version = view.version;
        self.updated_at = view.updated_at;
    }

    /// Borrowed.
    pub fn view(&self) -> ProductView<'_> {
        ProductView {
            id: &self.id,
            name: &self.name,
            price: self.price.as_str(),
            available: self.available,
            version: self.version,
            updated_at: self.updated_at,
        }
    }
}
