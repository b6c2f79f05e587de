//! What became of updates, as JSON: members are written one by one, since this is the inner loop of every answer.

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::Serialize;
use shards::{Receipt, UpdateAnswer};
use utoipa::ToSchema;

use super::openapi::values;
use super::problem::{Code, Problem};
use super::respond::{self, Answer};
use super::updates::Item;
use super::wire::{Time, check_some_decided};
use crate::encoding;

/// Room for what became of one update.
const RESULT_BYTES_USUAL: usize = 192;

/// What became of an update. Where the product stands is told wherever it exists.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UpdateResult)]
pub struct ResultJson<'a> {
    /// As it was sent.
    pub(super) product_id: &'a str,
    /// Units in stock, after the update or as they stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Quantity, required = false)]
    pub(super) new_quantity: Option<u64>,
    /// The product's version, after the update or as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Version, required = false)]
    pub(super) new_version: Option<u64>,
    /// Whether it took effect, now or, as a repeat, earlier.
    pub(super) applied: bool,
    /// When the product last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Time, required = false)]
    last_updated: Option<Time>,
    /// Why it was refused, for programs; absent when applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::UpdateErrorType, required = false)]
    pub(super) error_type: Option<&'static str>,
    /// Why it was refused, for people; absent when applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_message: Option<Cow<'a, str>>,
    /// In a batch: whether this is the first answer once more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub(super) replayed: bool,
}

/// One result per item, in the order sent.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub struct BatchJson<'a> {
    results: Vec<ResultJson<'a>>,
    summary: SummaryJson,
}

/// How many items succeeded and failed; a replayed one succeeded.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchSummary)]
struct SummaryJson {
    total: usize,
    succeeded: usize,
    failed: usize,
}

/// Answers a single update.
pub(super) fn single(item: &Item<'_>, answer: UpdateAnswer) -> Answer {
    let status = match answer {
        UpdateAnswer::Applied(_) | UpdateAnswer::Replayed(_) => StatusCode::OK,
        UpdateAnswer::VersionConflict(_)
        | UpdateAnswer::Insufficient(_)
        | UpdateAnswer::OutOfRange(_) => StatusCode::CONFLICT,
        UpdateAnswer::KeyReused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        UpdateAnswer::NotFound => StatusCode::NOT_FOUND,
        UpdateAnswer::MemoryFull => return Err(memory_full()),
    };
    let mut json = Vec::with_capacity(RESULT_BYTES_USUAL);
    result(item, answer).write(&mut json);
    let mut response = respond::json_bytes(status, json);
    if let UpdateAnswer::Replayed(_) = answer {
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn memory_full() -> Problem {
    Problem::new(
        Code::Overloaded,
        "the idempotency memory is full; it empties as entries reach IDEMPOTENCY_CACHE_TTL",
    )
}

/// What became of an item of a batch.
pub(super) enum Decided {
    /// A shard has decided it.
    ByShard(UpdateAnswer),
    /// None has, for the reason and with the message given.
    ByNoShard(&'static str, Cow<'static, str>),
}

impl Decided {
    pub(super) fn by_no_shard(
        (error_type, message): (&'static str, impl Into<Cow<'static, str>>),
    ) -> Decided {
        Decided::ByNoShard(error_type, message.into())
    }

    /// What a shard has answered.
    pub(super) fn answer(&self) -> Option<UpdateAnswer> {
        match self {
            Decided::ByShard(answer) => Some(*answer),
            Decided::ByNoShard(..) => None,
        }
    }

    /// The answer to `item`.
    pub(super) fn result<'a>(&'a self, item: &'a Item<'_>) -> ResultJson<'a> {
        match self {
            Decided::ByShard(answer) => ResultJson {
                replayed: matches!(answer, UpdateAnswer::Replayed(_)),
                ..result(item, *answer)
            },
            Decided::ByNoShard(error_type, message) => ResultJson {
                error_type: Some(error_type),
                error_message: Some(Cow::Borrowed(message)),
                ..standing(item, None)
            },
        }
    }
}

/// Answers a batch.
pub(super) fn batch<'a>(results: impl ExactSizeIterator<Item = ResultJson<'a>> + Clone) -> Answer {
    check_some_decided(results.clone().map(|result| result.error_type))?;
    let mut json = Vec::with_capacity((results.len() + 1) * RESULT_BYTES_USUAL);
    write_batch(&mut json, results);
    Ok(respond::json_bytes(StatusCode::OK, json))
}

/// Appends a [`BatchJson`] as it is derived.
fn write_batch<'a>(out: &mut Vec<u8>, results: impl ExactSizeIterator<Item = ResultJson<'a>>) {
    let (total, mut succeeded) = (results.len(), 0);
    out.extend_from_slice(b"{\"results\":[");
    for (index, result) in results.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        result.write(out);
        succeeded += usize::from(result.applied);
    }
    out.extend_from_slice(b"],\"summary\":{\"total\":");
    encoding::integer(out, total);
    out.extend_from_slice(b",\"succeeded\":");
    encoding::integer(out, succeeded);
    out.extend_from_slice(b",\"failed\":");
    encoding::integer(out, total - succeeded);
    out.extend_from_slice(b"}}");
}

impl ResultJson<'_> {
    /// Appends it as it is derived.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"productId\":");
        encoding::string(out, self.product_id);
        if let Some(quantity) = self.new_quantity {
            out.extend_from_slice(b",\"newQuantity\":");
            encoding::integer(out, quantity);
        }
        if let Some(version) = self.new_version {
            out.extend_from_slice(b",\"newVersion\":");
            encoding::integer(out, version);
        }
        out.extend_from_slice(match self.applied {
            true => b",\"applied\":true",
            false => b",\"applied\":false",
        });
        if let Some(Time(at)) = self.last_updated {
            out.extend_from_slice(b",\"lastUpdated\":");
            encoding::timestamp(out, at);
        }
        if let Some(error_type) = self.error_type {
            out.extend_from_slice(b",\"errorType\":");
            encoding::string(out, error_type);
        }
        if let Some(message) = &self.error_message {
            out.extend_from_slice(b",\"errorMessage\":");
            encoding::string(out, message);
        }
        if self.replayed {
            out.extend_from_slice(b",\"replayed\":true");
        }
        out.push(b'}');
    }
}

/// The answer in the brief's shape.
pub(super) fn result<'a>(item: &'a Item<'_>, answer: UpdateAnswer) -> ResultJson<'a> {
    let (error_type, message) = match answer {
        UpdateAnswer::Applied(receipt) | UpdateAnswer::Replayed(receipt) => {
            return ResultJson {
                applied: true,
                ..standing(item, Some(receipt))
            };
        }
        UpdateAnswer::VersionConflict(now) => {
            let sent = item.version.unwrap_or_default();
            let message = format!("version conflict: expected {}, got {sent}", now.version);
            ("version_conflict", message)
        }
        UpdateAnswer::Insufficient(now) => {
            let wanted = item.delta.unwrap_or_default().unsigned_abs();
            let message = format!(
                "insufficient inventory: {} available, {wanted} wanted",
                now.quantity
            );
            ("insufficient_inventory", message)
        }
        UpdateAnswer::OutOfRange(_) => {
            let message = "the quantity or version would exceed 9007199254740991";
            ("quantity_out_of_range", message.to_owned())
        }
        UpdateAnswer::KeyReused(_) => {
            let message = "the idempotency key was used with another delta";
            ("idempotency_key_reused", message.to_owned())
        }
        UpdateAnswer::NotFound => {
            let id = item.product_id.as_deref().unwrap_or_default();
            ("product_not_found", format!("no product with id {id}"))
        }
        UpdateAnswer::MemoryFull => ("overloaded", "the idempotency memory is full".to_owned()),
    };
    let now = match answer {
        UpdateAnswer::VersionConflict(now)
        | UpdateAnswer::Insufficient(now)
        | UpdateAnswer::OutOfRange(now) => Some(now),
        UpdateAnswer::KeyReused(now) => now,
        _ => None,
    };
    ResultJson {
        error_type: Some(error_type),
        error_message: Some(message.into()),
        ..standing(item, now)
    }
}

/// Where the product stands, and nothing applied.
fn standing<'a>(item: &'a Item<'_>, now: Option<Receipt>) -> ResultJson<'a> {
    ResultJson {
        product_id: item.product_id.as_deref().unwrap_or_default(),
        new_quantity: now.map(|now| now.quantity),
        new_version: now.map(|now| now.version),
        applied: false,
        last_updated: now.map(|now| Time(now.at)),
        error_type: None,
        error_message: None,
        replayed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::Timestamp;

    /// What is described is what is derived, and has to be what is written.
    #[test]
    fn what_is_written_is_what_is_described() {
        let now = Receipt {
            quantity: 5,
            version: u64::MAX,
            at: Timestamp(1_705_314_600_123),
        };
        let mut results = Vec::new();
        for (item, answer) in [
            ("a", UpdateAnswer::Applied(now)),
            ("b", UpdateAnswer::Replayed(now)),
            ("c\"\n\u{e4}", UpdateAnswer::VersionConflict(now)),
            ("d", UpdateAnswer::Insufficient(now)),
            ("e", UpdateAnswer::OutOfRange(now)),
            ("f", UpdateAnswer::KeyReused(Some(now))),
            ("g", UpdateAnswer::KeyReused(None)),
            ("h\\", UpdateAnswer::NotFound),
            ("", UpdateAnswer::MemoryFull),
        ] {
            let item = Box::leak(Box::new(Item::named(item)));
            results.push(ResultJson {
                replayed: matches!(answer, UpdateAnswer::Replayed(_)),
                ..result(item, answer)
            });
        }
        let mut written = Vec::new();
        results[0].write(&mut written);
        assert_eq!(sonic_rs::to_vec(&results[0]).unwrap(), written);
        for count in [0, 1, results.len() - 1] {
            let results: Vec<_> = results.drain(..count).collect();
            let succeeded = results.iter().filter(|result| result.applied).count();
            let summary = SummaryJson {
                total: count,
                succeeded,
                failed: count - succeeded,
            };
            written.clear();
            let batch = BatchJson { results, summary };
            let described = sonic_rs::to_string(&batch).unwrap();
            write_batch(&mut written, batch.results.into_iter());
            assert_eq!(described, String::from_utf8(written.clone()).unwrap());
        }
    }
}
