//! Products and updates, as a store would send them.

use ahash::RandomState;
use central_inventory::messages::{ExchangeKey, ReplyTo};
use shards::{Creation, Identity, Limits, Price, Shard, Timestamp, Update};

/// 2024-01-15T10:30:00Z
pub const BEGINNING: Timestamp = Timestamp(1_705_314_600_000);
/// More than is ever sold.
const STOCK: u64 = 1_000_000_000;
/// A step that visits all products of a catalogue of a round number in no simple order.
const STRIDE: usize = 7_919;

/// A shard with so many products.
pub fn shard(products: usize) -> Shard {
    let limits = Limits {
        idempotency_ttl_ms: 120_000,
        idempotency_entries_max: 1 << 24,
    };
    let mut shard = Shard::new(limits, hasher());
    for number in 0..products {
        shard.create(
            BEGINNING,
            Creation {
                id: product_id(number).into(),
                name: "A product of a benchmark".into(),
                available: STOCK,
                price: Price::new("9.99"),
            },
        );
    }
    shard
}

/// The same in each run.
pub fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

/// Of a product.
pub fn product_id(number: usize) -> String {
    format!("PROD-{number:07}")
}

/// The product that is next.
pub fn chosen(number: usize, products: usize) -> usize {
    number.wrapping_mul(STRIDE) % products
}

/// An update that is always applied, under a key of its own.
pub fn update(number: usize, products: usize) -> Update {
    let id = product_id(chosen(number, products));
    Update {
        identity: Identity::new("store-0042", &id, &format!("store-0042-{number:x}")),
        delta: 1,
        expected_version: None,
    }
}

/// An answer to nobody in particular.
pub fn reply_to(number: usize, shard: usize) -> ReplyTo {
    ReplyTo {
        exchange: ExchangeKey {
            index: number as u32,
            generation: 0,
        },
        acceptor: 0,
        shard: shard as u16,
    }
}
