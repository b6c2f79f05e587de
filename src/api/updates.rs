//! `POST /v1/inventory/updates`: one update or a batch.

use std::rc::Rc;

use serde::Deserialize;
use shards::{Identity, Update, UpdateAnswer};

use super::asked::Asked;
use super::body::{self, Faults, Object, Text};
use super::problem::Problem;
use super::respond::Answer;
use super::update_answers::{self, Decided, result};
use super::wire::{OVERLOADED, STORAGE_FAILED, item_count, spread};
use crate::acceptor::Acceptor;
use crate::messages::{Outcome, ShardRequest};
use crate::observe::log::requests::Told;
use crate::rules;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    store_id: Option<Text<'a>>,
    #[serde(borrow)]
    product_id: Option<Text<'a>>,
    delta: Option<i64>,
    version: Option<i64>,
    any_version: Option<bool>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
    #[serde(borrow)]
    updates: Option<Vec<Object<Item<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) product_id: Option<Text<'a>>,
    pub(super) delta: Option<i64>,
    pub(super) version: Option<i64>,
    any_version: Option<bool>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
}

/// Decides the update or the batch in `json`.
pub async fn handle(acceptor: &Rc<Acceptor>, asked: &Asked<'_>, json: &[u8]) -> Answer {
    let mut body: Body<'_> = body::parse(json)?;
    match body.updates.take() {
        None => single(acceptor, asked, body).await,
        Some(items) => batch(acceptor, asked, body, items).await,
    }
}

/// What `json` would have the shards decide; none in place of an item of a batch that breaks a rule.
#[cfg(fuzzing)]
pub fn asked(json: &[u8]) -> Result<Vec<Option<Update>>, Problem> {
    let mut body: Body<'_> = body::parse(json)?;
    let Some(items) = body.updates.take() else {
        let store_id = body.store_id.take();
        return Ok(vec![Some(check_single(&store_id, body)?.1)]);
    };
    let store_id = check_batch(&body, &items)?;
    let updates = items.iter().map(|item| item.check_in_batch(store_id).ok());
    Ok(updates.collect())
}

async fn single(acceptor: &Rc<Acceptor>, asked: &Asked<'_>, mut body: Body<'_>) -> Answer {
    let store_id = body.store_id.take();
    let (item, update) = check_single(&store_id, body)?;
    let shard = acceptor.router.shard_of(update.identity.product_id());
    let outcome = acceptor
        .ask(shard, |to| ShardRequest::Update(to, update))
        .await;
    match outcome {
        Ok(Outcome::Update(answer)) => {
            let store_id = store_id.as_deref().unwrap_or_default();
            if let UpdateAnswer::Applied(_) = answer {
                acceptor.count_applied(store_id, 1);
            }
            let response = update_answers::single(&item, answer)?;
            asked.tell(response.status(), || told(store_id, &item, answer));
            Ok(response)
        }
        Ok(Outcome::StorageFailed) => Err(Problem::storage_failed()),
        Ok(other) => unreachable!("an update is answered as an update, not {other:?}"),
        Err(_overloaded) => Err(Problem::overloaded()),
    }
}

/// `store_id` is what was taken out of `body`.
fn check_single<'b>(
    store_id: &Option<Text<'_>>,
    body: Body<'b>,
) -> Result<(Item<'b>, Update), Problem> {
    let item = Item {
        product_id: body.product_id,
        delta: body.delta,
        version: body.version,
        any_version: body.any_version,
        idempotency_key: body.idempotency_key,
    };
    let mut faults = Faults::default();
    let store_id = check_store(store_id, &mut faults);
    let update = item.check(store_id.unwrap_or("?"), &mut faults);
    faults.finish()?;
    let update = update.expect("without a fault there is an update");
    Ok((item, update))
}

fn check_store<'b>(store_id: &'b Option<Text<'_>>, faults: &mut Faults) -> Option<&'b str> {
    let rule = |id: &&str| rules::store_id(id);
    faults.required(|| "storeId".into(), store_id.as_deref(), rule)
}

/// What the log tells of it.
fn told(store_id: &str, item: &Item<'_>, answer: UpdateAnswer) -> Told {
    let result = result(item, answer);
    Told::Single {
        store_id: store_id.to_owned(),
        product_id: result.product_id.to_owned(),
        delta: item.delta.unwrap_or_default(),
        idempotency_key: item
            .idempotency_key
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        standing: result.new_quantity.zip(result.new_version),
        error_type: result.error_type,
        replayed: matches!(answer, UpdateAnswer::Replayed(_)),
    }
}

impl<'a> Item<'a> {
    #[cfg(test)]
    pub(super) fn named(product_id: &'a str) -> Item<'a> {
        Item {
            product_id: Some(Text(product_id.into())),
            delta: Some(-7),
            version: Some(3),
            any_version: None,
            idempotency_key: None,
        }
    }
}

impl Item<'_> {
    /// The update it asks for; none, and faults, if it breaks a rule.
    fn check(&self, store_id: &str, faults: &mut Faults) -> Option<Update> {
        let field = |name: &'static str| move || name.to_owned();
        let product_id = faults.required(field("productId"), self.product_id.as_deref(), |id| {
            rules::product_id(id)
        });
        let delta = faults.required(field("delta"), self.delta, |delta| rules::delta(*delta));
        let key = faults.required(
            field("idempotencyKey"),
            self.idempotency_key.as_deref(),
            |key| rules::idempotency_key(key),
        );
        let expected_version = self.expected_version(faults);
        Some(Update {
            identity: Identity::new(store_id, product_id?, key?),
            delta: delta?,
            expected_version: expected_version?,
        })
    }

    /// As [`Item::check`], with all faults in a sentence.
    fn check_in_batch(&self, store_id: &str) -> Result<Update, String> {
        let mut faults = Faults::default();
        let update = self.check(store_id, &mut faults);
        update.ok_or_else(|| faults.as_sentence().expect("a refused item has a fault"))
    }

    fn expected_version(&self, faults: &mut Faults) -> Option<Option<u64>> {
        match (self.version, self.any_version.unwrap_or(false)) {
            (Some(version), false) => {
                let rule = |version: &i64| rules::quantity(*version);
                let version = faults.optional(|| "version".into(), Some(version), rule)?;
                Some(Some(version as u64))
            }
            (None, true) => Some(None),
            (None, false) => {
                faults.add("version", "is required, or anyVersion: true in its place");
                None
            }
            (Some(_), true) => {
                faults.add("anyVersion", "must not stand beside version");
                None
            }
        }
    }
}

async fn batch(
    acceptor: &Rc<Acceptor>,
    asked: &Asked<'_>,
    body: Body<'_>,
    items: Vec<Object<Item<'_>>>,
) -> Answer {
    let store_id = check_batch(&body, &items)?;
    let mut decided = Vec::with_capacity(items.len());
    let mut updates = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        decided.push(match item.check_in_batch(store_id) {
            Ok(update) => {
                let shard = acceptor.router.shard_of(update.identity.product_id());
                updates.push((shard, (index as u32, update)));
                // Whatever has no answer in the end met a failed journal.
                Decided::by_no_shard(STORAGE_FAILED)
            }
            Err(message) => Decided::by_no_shard(("invalid_request", message)),
        });
    }
    let (outcomes, unsent) = spread(acceptor, updates.into_iter(), ShardRequest::Updates).await;
    for outcome in outcomes {
        match outcome {
            Outcome::Updates(answers) => {
                for (index, answer) in answers {
                    decided[index as usize] = Decided::ByShard(answer);
                }
            }
            Outcome::StorageFailed => {}
            other => unreachable!("updates are answered as updates, not {other:?}"),
        }
    }
    for index in unsent {
        decided[index as usize] = Decided::by_no_shard(OVERLOADED);
    }
    let count = |is_it: fn(UpdateAnswer) -> bool| {
        let by_shards = decided.iter().filter_map(Decided::answer);
        by_shards.filter(|answer| is_it(*answer)).count()
    };
    let applied = count(|answer| matches!(answer, UpdateAnswer::Applied(_)));
    let replayed = count(|answer| matches!(answer, UpdateAnswer::Replayed(_)));
    if applied > 0 {
        acceptor.count_applied(store_id, applied as u64);
    }
    let results = items.iter().zip(&decided);
    let results = results.map(|(item, decided)| decided.result(item));
    let response = update_answers::batch(results)?;
    asked.tell(response.status(), || Told::Batch {
        store_id: store_id.to_owned(),
        items: items.len(),
        succeeded: applied + replayed,
    });
    Ok(response)
}

fn check_batch<'b>(body: &'b Body<'_>, items: &[Object<Item<'_>>]) -> Result<&'b str, Problem> {
    let mut faults = Faults::default();
    let store_id = check_store(&body.store_id, &mut faults);
    if let Err(issue) = item_count(items.len()) {
        faults.add("updates", issue);
    }
    let beside = [
        ("productId", body.product_id.is_some()),
        ("delta", body.delta.is_some()),
        ("version", body.version.is_some()),
        ("anyVersion", body.any_version.is_some()),
        ("idempotencyKey", body.idempotency_key.is_some()),
    ];
    for (member, _) in beside.into_iter().filter(|(_, is_there)| *is_there) {
        faults.add(member, "must not stand beside updates");
    }
    faults.finish()?;
    Ok(store_id.expect("without a fault there is a store"))
}
