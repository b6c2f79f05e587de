//! What the endpoints share: times as JSON, the bound on items, and spreading items over shards.

use std::rc::Rc;

use serde::{Serialize, Serializer};
use shards::Timestamp;

use crate::acceptor::Acceptor;
use crate::encoding;
use crate::messages::{ItemIndex, Outcome, ReplyTo, ShardRequest};

/// The most items in one batch or admin request.
pub const ITEMS_MAX: usize = 1000;

/// A time as it stands in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut quoted = Vec::with_capacity(26);
        encoding::timestamp(&mut quoted, self.0);
        let text = std::str::from_utf8(&quoted[1..quoted.len() - 1]).expect("a time is ASCII");
        serializer.serialize_str(text)
    }
}

/// Items of one request that belong to one shard, each with its position in the body.
pub type Items<T> = Vec<(ItemIndex, T)>;

/// Sends each shard its items and waits for all. Returns what the shards answered, and the positions of the items
/// whose lane was full.
pub async fn spread<T>(
    acceptor: &Rc<Acceptor>,
    by_shard: Vec<Items<T>>,
    request: impl Fn(ReplyTo, Items<T>) -> ShardRequest,
) -> (Vec<Outcome>, Vec<ItemIndex>) {
    let exchange = acceptor.exchange();
    let mut unsent = Vec::new();
    for (shard, items) in by_shard.into_iter().enumerate() {
        if items.is_empty() {
            continue;
        }
        let indices: Vec<ItemIndex> = items.iter().map(|(index, _)| *index).collect();
        if acceptor
            .send(&exchange, shard, |to| request(to, items))
            .is_err()
        {
            unsent.extend(indices);
        }
    }
    (exchange.all().await, unsent)
}
