//! What the endpoints share: times as JSON, the bound on items, and spreading items over shards.

use std::rc::Rc;

use serde::{Serialize, Serializer};
use shards::Timestamp;

use super::problem::Problem;
use crate::acceptor::Acceptor;
use crate::encoding;
use crate::messages::{ItemIndex, Outcome, ReplyTo, ShardRequest};
use crate::rules::Rule;

/// The most items in one batch or admin request.
pub const ITEMS_MAX: usize = 1000;

/// A time as it stands in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = encoding::time(self.0);
        serializer.serialize_str(std::str::from_utf8(&text).expect("a time is ASCII"))
    }
}

/// Items of one request that belong to one shard, each with its position in the body.
pub type Items<T> = Vec<(ItemIndex, T)>;

/// The rule of how many items a request has.
pub fn item_count(count: usize) -> Rule {
    match count {
        0 => Err("must not be empty"),
        1..=ITEMS_MAX => Ok(()),
        _ => Err("must have at most 1000 items"),
    }
}

/// Why no shard, or no disk, has an item's answer.
pub const OVERLOADED: (&str, &str) = ("overloaded", "the server is busy");
/// See [`OVERLOADED`].
pub const STORAGE_FAILED: (&str, &str) = ("storage_failed", "the journal failed");

/// A problem of the whole request, where all of its items have the same one.
pub fn check_some_decided<'t>(
    error_types: impl Iterator<Item = Option<&'t str>> + Clone,
) -> Result<(), Problem> {
    let all_are = |failure: (&str, &str)| error_types.clone().all(|found| found == Some(failure.0));
    if all_are(STORAGE_FAILED) {
        return Err(Problem::storage_failed());
    }
    if all_are(OVERLOADED) {
        return Err(Problem::overloaded());
    }
    Ok(())
}

/// Sends each shard its items, each given with its shard, and waits for all. Returns what the shards answered, and the
/// positions of the items whose lane was full.
pub async fn spread<T>(
    acceptor: &Rc<Acceptor>,
    items: impl Iterator<Item = (usize, (ItemIndex, T))>,
    request: impl Fn(ReplyTo, Items<T>) -> ShardRequest,
) -> (Vec<Outcome>, Vec<ItemIndex>) {
    let mut by_shard: Vec<Items<T>> = Vec::new();
    by_shard.resize_with(acceptor.router.shard_count(), Vec::new);
    for (shard, item) in items {
        by_shard[shard].push(item);
    }
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
