//! Which shard owns a product. Seeded at random, the same for all roles of a process; the next start may spread
//! products differently, since recovery asks the router too.

use ahash::RandomState;

/// The map from product to shard.
#[derive(Clone, Debug)]
pub struct Router {
    hasher: RandomState,
    shard_count: u64,
}

impl Router {
    /// Over `shard_count` shards.
    pub fn new(hasher: RandomState, shard_count: u16) -> Router {
        assert!(shard_count > 0);
        Router {
            hasher,
            shard_count: u64::from(shard_count),
        }
    }

    /// The shard that owns the product `id`.
    pub fn shard_of(&self, id: &str) -> usize {
        let hash = u128::from(self.hasher.hash_one(id));
        // The high bits decide; the low ones are left to the shard's own table.
        ((hash * u128::from(self.shard_count)) >> 64) as usize
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shard_count as usize
    }
}
