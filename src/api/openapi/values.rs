//! The values of the API as schemas, each with the bounds of its rule: one home, to which every other schema refers.
//!
//! The types have no values. They stand in `value_type = ...` where a struct of the wire has a member of that kind.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ComponentsBuilder, KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::api::problem::Code;
use crate::rules;

/// The greatest integer of the API: every JSON client reads it exactly.
const INTEGER_MAX: usize = shards::QUANTITY_MAX as usize;
/// No control characters (general category Cc), as `rules::store_id` has it.
const WITHOUT_CONTROLS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

macro_rules! values {
    ($($(#[$doc:meta])+ $name:ident => $schema:expr,)+) => {
        $(
            $(#[$doc])+
            pub enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }

            impl ToSchema for $name {}
        )+

        /// Adds all of them.
        pub fn register(components: ComponentsBuilder) -> ComponentsBuilder {
            components$(.schema_from::<$name>())+
        }
    };
}

values! {
    /// `productId`
    ProductId => text(rules::ID_BYTES_MAX)
        .pattern(Some(one_segment()))
        .description(Some(
            "Names a product: at most 128 bytes of UTF-8 without control characters and without `/`, and none of \
             the words `updates`, `events`, `snapshot`, which are paths.",
        ))
        .examples(["PROD-001"]),
    /// `storeId`
    StoreId => text(rules::ID_BYTES_MAX)
        .pattern(Some(WITHOUT_CONTROLS))
        .description(Some("Names a store: at most 128 bytes of UTF-8 without control characters."))
        .examples(["store-s1"]),
    /// `idempotencyKey`
    IdempotencyKey => text(rules::KEY_BYTES_MAX)
        .description(Some(
            "Names one operation of a store on a product: at most 255 bytes of UTF-8. The same key again, within \
             IDEMPOTENCY_CACHE_TTL, has no second effect.",
        ))
        .examples(["store-s1-order-12345"]),
    /// `name`
    Name => text(rules::NAME_BYTES_MAX)
        .description(Some("What a person calls the product: at most 256 bytes of UTF-8."))
        .examples(["Wireless Headphones"]),
    /// `price`
    Price => ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .description(Some(
            "Comes back with the digits it was sent with, `99.990` as `99.990`. At most 64 characters, and not too \
             large for a double.",
        ))
        .examples([json!(99.99)]),
    /// `available`, `newQuantity`
    Quantity => count()
        .description(Some("Units in stock, 0 to 2^53-1."))
        .examples([json!(10)]),
    /// `version`, `newVersion`
    Version => count()
        .description(Some(
            "Grows by exactly 1 with each change of the product, also across delete and re-create, and never repeats.",
        ))
        .examples([json!(5)]),
    /// `offset`, `nextOffset`, `oldestOffset`
    Offset => count()
        .description(Some("A place in the feed. Offsets begin at 0 and have no gaps."))
        .examples([json!(1001)]),
    /// `delta`
    Delta => OneOfBuilder::new()
        .item(integer(1, INTEGER_MAX as isize))
        .item(integer(-(INTEGER_MAX as isize), -1))
        .description(Some("Units to add; negative to take. Never 0."))
        .examples([json!(-2)]),
    /// `lastUpdated`, `timestamp`
    Time => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some("^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$"))
        .description(Some("RFC 3339 in UTC with milliseconds."))
        .examples(["2026-11-22T14:40:02.123Z"]),
    /// `eventType`
    EventType => words(&["inventory_updated", "product_created", "product_deleted", "product_modified"])
        .description(Some("What happened to the product.")),
    /// `errorType` of an update
    UpdateErrorType => words(&[
        "version_conflict", "insufficient_inventory", "quantity_out_of_range", "product_not_found",
        "idempotency_key_reused", "invalid_request", "overloaded", "storage_failed",
    ])
        .description(Some(
            "Why an update had no effect. The last three are of items in a batch: an item that breaks a rule, one \
             that met a full queue (try again), one that met a failed journal.",
        )),
    /// `errorType` of an admin request
    AdminErrorType => words(&[
        "already_exists", "not_found", "version_conflict", "version_out_of_range", "overloaded", "storage_failed",
    ])
        .description(Some("Why nothing was done for this product.")),
    /// `type` of the rate limits
    RateLimitType => words(&["ip", "global", "both"])
        .description(Some("A budget for each client address, one for all, or both: whichever is spent first.")),
    /// `status` of the server's health
    HealthStatus => words(&["healthy", "recovering", "unhealthy"])
        .description(Some("`recovering`: it reads its state from disk. `unhealthy`: it stops, or cannot make changes durable.")),
    /// `status` of a part of the server
    ComponentStatus => words(&["healthy", "degraded", "recovering", "unhealthy"])
        .description(Some("`degraded`: it serves, and somebody should look.")),
    /// A number of things
    Count => count(),
    /// `code`
    ProblemCode => words(&Code::ALL.map(Code::as_str))
        .description(Some("For programs. `GET /problems/{code}` explains it to a person.")),
}

/// As a path's segment: nor a slash, and none of the words that are paths themselves.
fn one_segment() -> String {
    let reserved = rules::RESERVED_IDS.join("|");
    format!("^(?!(?:{reserved})$)[^/\\u0000-\\u001f\\u007f-\\u009f]+$")
}

/// Text of 1 to `bytes_max` bytes. JSON Schema counts characters, so a text of fewer characters may still be too long;
/// `x-max-bytes` says what is meant.
fn text(bytes_max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(bytes_max))
        .extensions(Some(Extensions::from_iter([("x-max-bytes", bytes_max)])))
}

/// An integer from 0 to 2^53-1.
pub fn count() -> ObjectBuilder {
    integer(0, INTEGER_MAX as isize)
}

/// An integer from `low` to `high`.
pub fn integer(low: isize, high: isize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(low))
        .maximum(Some(high))
}

/// One of `words`.
pub fn words(words: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied().map(Value::from)))
}
