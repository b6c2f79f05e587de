//! `/v1/admin/products/*`: create, set and delete products.

use std::borrow::Cow;
use std::rc::Rc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use shards::{AdminAnswer, Creation, Price, Setting};
use sonic_rs::LazyValue;
use utoipa::ToSchema;

use super::body::{self, Faults, Object, Text};
use super::openapi::values;
use super::problem::Problem;
use super::respond::{self, Answer};
use super::wire::{
    Items, OVERLOADED, STORAGE_FAILED, Time, check_some_decided, item_count, spread,
};
use crate::acceptor::Acceptor;
use crate::messages::{Outcome, ReplyTo, ShardRequest};
use crate::rules;

#[derive(Deserialize)]
struct Products<'a> {
    #[serde(borrow)]
    products: Option<Vec<Object<ProductItem<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductItem<'a> {
    #[serde(borrow)]
    product_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    available: Option<i64>,
    #[serde(borrow)]
    price: Option<LazyValue<'a>>,
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductIds<'a> {
    #[serde(borrow)]
    product_ids: Option<Vec<Text<'a>>>,
}

/// What became of one product of an admin request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminResult)]
pub struct ResultJson<'a> {
    #[schema(value_type = values::ProductId)]
    product_id: &'a str,
    /// Whether it was done.
    success: bool,
    /// The version after the change; for a `version_conflict`, the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Version, required = false)]
    new_version: Option<u64>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Time, required = false)]
    last_updated: Option<Time>,
    /// Why it was refused, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::AdminErrorType, required = false)]
    error_type: Option<&'static str>,
    /// Why it was refused, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_message: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
struct AnswerJson<'a, Summary> {
    results: Vec<ResultJson<'a>>,
    summary: Summary,
}

/// How many of the products it was done for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreationSummary {
    total_requests: usize,
    successful_creations: usize,
    failed_creations: usize,
}

/// How many of the products it was done for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSummary {
    total_requests: usize,
    successful_updates: usize,
    failed_updates: usize,
}

/// How many of the products it was done for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionSummary {
    total_requests: usize,
    successful_deletions: usize,
    failed_deletions: usize,
}

/// `POST /v1/admin/products/create`
pub async fn create(acceptor: &Rc<Acceptor>, json: &[u8]) -> Answer {
    let body: Products<'_> = body::parse(json)?;
    let (creations, ids) = check_creations(&body)?;
    let results = decide(acceptor, &ids, creations, ShardRequest::Create).await?;
    respond(results, |total_requests, successful_creations| {
        CreationSummary {
            total_requests,
            successful_creations,
            failed_creations: total_requests - successful_creations,
        }
    })
}

/// `PUT /v1/admin/products/set`
pub async fn set(acceptor: &Rc<Acceptor>, json: &[u8]) -> Answer {
    let body: Products<'_> = body::parse(json)?;
    let (settings, ids) = check_settings(&body)?;
    let results = decide(acceptor, &ids, settings, ShardRequest::Set).await?;
    respond(results, |total_requests, successful_updates| {
        UpdateSummary {
            total_requests,
            successful_updates,
            failed_updates: total_requests - successful_updates,
        }
    })
}

/// `DELETE /v1/admin/products/delete`
pub async fn delete(acceptor: &Rc<Acceptor>, json: &[u8]) -> Answer {
    let body: ProductIds<'_> = body::parse(json)?;
    let (deletions, ids) = check_deletions(&body)?;
    let results = decide(acceptor, &ids, deletions, ShardRequest::Delete).await?;
    respond(results, |total_requests, successful_deletions| {
        DeletionSummary {
            total_requests,
            successful_deletions,
            failed_deletions: total_requests - successful_deletions,
        }
    })
}

/// What to send of a body, and the ids it is for.
type Checked<'b, T> = Result<(Vec<T>, Vec<&'b str>), Problem>;

fn check_creations<'b>(body: &'b Products<'_>) -> Checked<'b, Creation> {
    let items = body.products.as_deref();
    check_items(items, "products", |item, path, faults| {
        item.creation(path, faults)
    })
}

fn check_settings<'b>(body: &'b Products<'_>) -> Checked<'b, Setting> {
    let items = body.products.as_deref();
    check_items(items, "products", |item, path, faults| {
        item.setting(path, faults)
    })
}

fn check_deletions<'b>(body: &'b ProductIds<'_>) -> Checked<'b, Box<str>> {
    let items = body.product_ids.as_deref();
    check_items(items, "productIds", |id, path, faults| {
        let id: &str =
            faults.required(|| path.to_owned(), Some(&**id), |id| rules::product_id(id))?;
        Some((id.into(), id))
    })
}

/// What `json` would have the shards create.
#[cfg(fuzzing)]
pub fn creations(json: &[u8]) -> Result<Vec<Creation>, Problem> {
    Ok(check_creations(&body::parse(json)?)?.0)
}

/// What `json` would have the shards set.
#[cfg(fuzzing)]
pub fn settings(json: &[u8]) -> Result<Vec<Setting>, Problem> {
    Ok(check_settings(&body::parse(json)?)?.0)
}

/// What `json` would have the shards delete.
#[cfg(fuzzing)]
pub fn deletions(json: &[u8]) -> Result<Vec<Box<str>>, Problem> {
    Ok(check_deletions(&body::parse(json)?)?.0)
}

/// Checks every item, so that a body with a fault anywhere changes nothing and lists all of them. `check` returns
/// what to send and the id it is for.
fn check_items<'b, Item, T>(
    items: Option<&'b [Item]>,
    member: &str,
    check: impl Fn(&'b Item, &str, &mut Faults) -> Option<(T, &'b str)>,
) -> Checked<'b, T> {
    let mut faults = Faults::default();
    let items = faults
        .required(|| member.to_owned(), items, |items| item_count(items.len()))
        .unwrap_or_default();
    let checked: Vec<Option<(T, &str)>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| check(item, &format!("{member}[{index}]"), &mut faults))
        .collect();
    faults.finish()?;
    Ok(checked.into_iter().flatten().unzip())
}

impl<'b> ProductItem<'b> {
    fn creation<'i>(&'i self, path: &str, faults: &mut Faults) -> Option<(Creation, &'i str)> {
        let field = |name: &'static str| move || format!("{path}.{name}");
        let id = self.checked_id(path, faults);
        let name = faults.required(field("name"), self.name.as_deref(), |name| {
            rules::name(name)
        });
        let available = faults.required(field("available"), self.available, quantity);
        let price = faults.required(field("price"), self.price.as_ref(), |price| {
            check_price(price)
        });
        let creation = Creation {
            id: id?.into(),
            name: name?.into(),
            available: available? as u64,
            price: Price::new(price?.as_raw_str()),
        };
        Some((creation, id?))
    }

    fn setting<'i>(&'i self, path: &str, faults: &mut Faults) -> Option<(Setting, &'i str)> {
        let field = |name: &'static str| move || format!("{path}.{name}");
        let id = self.checked_id(path, faults);
        let name = faults.optional(field("name"), self.name.as_deref(), |name| {
            rules::name(name)
        });
        let available = faults.optional(field("available"), self.available, quantity);
        let price = faults.optional(field("price"), self.price.as_ref(), |price| {
            check_price(price)
        });
        let version = faults.optional(field("version"), self.version, quantity);
        if self.name.is_none() && self.available.is_none() && self.price.is_none() {
            faults.add(path, "must have at least one of name, available, price");
        }
        let setting = Setting {
            id: id?.into(),
            name: name.map(Box::from),
            available: available.map(|available| available as u64),
            price: price.map(|price| Price::new(price.as_raw_str())),
            expected_version: version.map(|version| version as u64),
        };
        Some((setting, id?))
    }

    fn checked_id(&self, path: &str, faults: &mut Faults) -> Option<&str> {
        let field = || format!("{path}.productId");
        faults.required(field, self.product_id.as_deref(), |id| {
            rules::product_id(id)
        })
    }
}

fn quantity(value: &i64) -> rules::Rule {
    rules::quantity(*value)
}

fn check_price(price: &LazyValue<'_>) -> rules::Rule {
    let digits = price.as_raw_str();
    match digits.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        true => rules::price(digits),
        false => Err("must be a number"),
    }
}

/// Lets the shards decide and puts their answers in the order of the body.
async fn decide<'i, T>(
    acceptor: &Rc<Acceptor>,
    ids: &[&'i str],
    items: Vec<T>,
    request: impl Fn(ReplyTo, Items<T>) -> ShardRequest,
) -> Result<Vec<ResultJson<'i>>, Problem> {
    let shard_of = |id: &str| acceptor.router.shard_of(id);
    let items = items.into_iter().zip(ids).enumerate();
    let items = items.map(|(index, (item, id))| (shard_of(id), (index as u32, item)));
    let (outcomes, unsent) = spread(acceptor, items, request).await;
    // Whatever has no answer in the end met a failed journal.
    let mut results: Vec<ResultJson<'i>> =
        ids.iter().map(|id| refused(id, STORAGE_FAILED)).collect();
    for outcome in outcomes {
        match outcome {
            Outcome::Admin(answers) => {
                for (index, answer) in answers {
                    results[index as usize] = result(ids[index as usize], answer);
                }
            }
            Outcome::StorageFailed => {}
            other => unreachable!("admin requests are answered as such, not {other:?}"),
        }
    }
    for index in unsent {
        results[index as usize] = refused(ids[index as usize], OVERLOADED);
    }
    check_some_decided(results.iter().map(|result| result.error_type))?;
    Ok(results)
}

fn result(id: &str, answer: AdminAnswer) -> ResultJson<'_> {
    match answer {
        AdminAnswer::Done { version, at } => ResultJson {
            product_id: id,
            success: true,
            new_version: Some(version),
            last_updated: Some(Time(at)),
            error_type: None,
            error_message: None,
        },
        AdminAnswer::AlreadyExists => refused(
            id,
            ("already_exists", format!("a product with id {id} exists")),
        ),
        AdminAnswer::NotFound => refused(id, ("not_found", format!("no product with id {id}"))),
        AdminAnswer::VersionConflict { current } => {
            let message = format!("version conflict: the current version is {current}");
            ResultJson {
                new_version: Some(current),
                ..refused(id, ("version_conflict", message))
            }
        }
        AdminAnswer::OutOfRange => refused(
            id,
            ("version_out_of_range", "the version cannot grow any more"),
        ),
    }
}

fn refused<'i>(
    id: &'i str,
    (error_type, message): (&'static str, impl Into<Cow<'static, str>>),
) -> ResultJson<'i> {
    ResultJson {
        product_id: id,
        success: false,
        new_version: None,
        last_updated: None,
        error_type: Some(error_type),
        error_message: Some(message.into()),
    }
}

fn respond<Summary: Serialize>(
    results: Vec<ResultJson<'_>>,
    summarise: impl FnOnce(usize, usize) -> Summary,
) -> Answer {
    let successful = results.iter().filter(|result| result.success).count();
    let summary = summarise(results.len(), successful);
    Ok(respond::json(
        StatusCode::OK,
        &AnswerJson { results, summary },
    ))
}
