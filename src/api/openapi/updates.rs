//! `POST /v1/inventory/updates`.

use serde_json::json;
use utoipa::openapi::Required::{False, True};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{HttpMethod, RefOr, Schema};

use super::build::{Book, answer, body, narrowed, null, object, operation, refer, with_body};
use super::headers::{limited, with};
use super::values::words;
use crate::acceptor::auth::Access;
use crate::api::update_answers::{BatchJson, ResultJson};
use crate::api::wire::ITEMS_MAX;

/// The members of a single update, none of which may stand beside `updates`.
const OF_ONE: [&str; 5] = [
    "productId",
    "delta",
    "version",
    "anyVersion",
    "idempotencyKey",
];

/// Adds the endpoint and its schemas.
pub fn register(book: &mut Book) {
    register_requests(book);
    book.schema_of::<ResultJson<'static>>();
    book.schema_of::<BatchJson<'static>>();
    book.schema("AppliedUpdate", applied());
    book.schema(
        "RefusedUpdate",
        refused(
            &[
                "version_conflict",
                "insufficient_inventory",
                "quantity_out_of_range",
            ],
            &["newQuantity", "newVersion", "lastUpdated"],
        ),
    );
    let either = OneOfBuilder::new()
        .item(refer("AppliedUpdate"))
        .item(refer("BatchAnswer"));
    let done = answer(
        "Applied, or applied earlier under the same key: then this is the first answer, byte for byte, with the \
         header Idempotent-Replayed. To a batch: one result per item, in the order sent, whatever became of them.",
        either,
        &[
            ("single", "A single update", applied_example()),
            ("batch", "A batch", batch_answer_example()),
        ],
    );
    let conflict = answer(
        "Refused, and nothing was changed. The answer tells where the product stands, so that the caller can retry \
         without reading first. A stale version is judged before the quantity.",
        refer("RefusedUpdate"),
        &[("version_conflict", "A stale version", conflict_example())],
    );
    let unknown = answer(
        "There is no such product.",
        refused(&["product_not_found"], &[]),
        &[(
            "product_not_found",
            "An unknown product",
            json!({"productId": "PROD-404", "applied": false, "errorType": "product_not_found",
                   "errorMessage": "no product with id PROD-404"}),
        )],
    );
    let reused = answer(
        "The idempotency key was used for another delta.",
        refused(&["idempotency_key_reused"], &[]),
        &[(
            "idempotency_key_reused",
            "A key used twice",
            json!({"productId": "PROD-001", "newQuantity": 8, "newVersion": 6, "applied": false,
                   "lastUpdated": "2026-11-22T14:40:02.123Z", "errorType": "idempotency_key_reused",
                   "errorMessage": "the idempotency key was used with another delta"}),
        )],
    );
    let operation = with_body(
        operation("updateInventory", "Inventory", Access::Regular),
        body(refer("UpdateRequest"), &request_examples()),
    )
    .summary(Some("Change stock, once or in a batch"))
    .description(Some(
        "Applies `delta` to a product if `version` is its current one, never below zero, and answers when the change \
         is on disk. With `anyVersion: true` in place of `version` it applies to whatever version is current.\n\n\
         **Retry without fear**: (`storeId`, `productId`, `idempotencyKey`) names one operation for \
         IDEMPOTENCY_CACHE_TTL. A repeat gets the first answer and has no effect. A refusal is not remembered: read \
         the answer, and send the same key with the new version.\n\n\
         **Batch**: `updates` instead of the members of one. Each item is decided by itself; items of one product take \
         effect in the order sent. An item that breaks a rule is refused as `invalid_request` and touches no other; \
         one of the wrong JSON type refuses the whole body.",
    ))
    .response("200", limited(with(done, "Idempotent-Replayed")))
    .response("404", limited(unknown))
    .response("409", limited(conflict))
    .response("422", limited(reused));
    book.endpoint(HttpMethod::Post, "/v1/inventory/updates", operation);
}

fn register_requests(book: &mut Book) {
    let one = |version: [(&'static str, _, RefOr<Schema>); 2], with_store: bool| {
        let mut members = vec![
            ("productId", True, refer("ProductId")),
            ("delta", True, refer("Delta")),
            ("idempotencyKey", True, refer("IdempotencyKey")),
        ];
        if with_store {
            members.insert(0, ("storeId", True, refer("StoreId")));
            members.push(("updates", False, null().into()));
        }
        members.extend(version);
        object(&members)
    };
    let versioned = || {
        [
            ("version", True, refer("Version")),
            ("anyVersion", False, flag(false)),
        ]
    };
    let any_version = || {
        [
            ("anyVersion", True, flag(true)),
            ("version", False, null().into()),
        ]
    };
    book.schema(
        "VersionedUpdate",
        one(versioned(), true)
            .description(Some("Applies if `version` is the product's current one.")),
    );
    book.schema(
        "AnyVersionUpdate",
        one(any_version(), true).description(Some(
            "Applies to whatever version is current, for items whose order of arrival does not matter.",
        )),
    );
    book.schema("VersionedItem", one(versioned(), false));
    book.schema("AnyVersionItem", one(any_version(), false));
    let item = OneOfBuilder::new()
        .item(refer("VersionedItem"))
        .item(refer("AnyVersionItem"));
    let items = ArrayBuilder::new()
        .items(RefOr::from(Schema::from(item)))
        .min_items(Some(1))
        .max_items(Some(ITEMS_MAX));
    let batch = object(&[
        ("storeId", True, refer("StoreId")),
        ("updates", True, items.into()),
    ])
    .description(Some("Many updates of one store."));
    let batch = OF_ONE
        .iter()
        .fold(batch, |batch, member| batch.property(*member, null()));
    book.schema("BatchUpdate", batch);
    let either = OneOfBuilder::new()
        .item(refer("VersionedUpdate"))
        .item(refer("AnyVersionUpdate"))
        .item(refer("BatchUpdate"));
    book.schema("UpdateRequest", either);
}

/// `anyVersion`, where it must be so.
fn flag(value: bool) -> RefOr<Schema> {
    let only = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([value]));
    match value {
        true => only.into(),
        false => OneOfBuilder::new().item(null()).item(only).into(),
    }
}

fn applied() -> RefOr<Schema> {
    let more = ["newQuantity", "newVersion", "lastUpdated"]
        .into_iter()
        .fold(ObjectBuilder::new(), |object, member| {
            object.required(member)
        })
        .property("applied", flag(true));
    narrowed("UpdateResult", more)
}

fn refused(error_types: &[&str], members: &[&str]) -> RefOr<Schema> {
    let more = ObjectBuilder::new()
        .property(
            "applied",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .enum_values(Some([false])),
        )
        .property("errorType", words(error_types))
        .required("errorType")
        .required("errorMessage");
    let more = members
        .iter()
        .fold(more, |object, member| object.required(*member));
    narrowed("UpdateResult", more)
}

fn request_examples() -> [(&'static str, &'static str, serde_json::Value); 3] {
    [
        (
            "single",
            "A store sells two",
            json!({"storeId": "store-s1", "productId": "PROD-001", "delta": -2, "version": 5,
                   "idempotencyKey": "store-s1-order-12345"}),
        ),
        (
            "anyVersion",
            "A hot item, sold in many stores at once",
            json!({"storeId": "store-s1", "productId": "PROD-001", "delta": -1, "anyVersion": true,
                   "idempotencyKey": "store-s1-order-12346"}),
        ),
        (
            "batch",
            "Two products in one request",
            json!({"storeId": "store-s1", "updates": [
                {"productId": "PROD-001", "delta": -1, "version": 5, "idempotencyKey": "batch-item-1"},
                {"productId": "PROD-002", "delta": -3, "version": 2, "idempotencyKey": "batch-item-2"},
            ]}),
        ),
    ]
}

fn applied_example() -> serde_json::Value {
    json!({"productId": "PROD-001", "newQuantity": 8, "newVersion": 6, "applied": true,
           "lastUpdated": "2026-11-22T14:40:02.123Z"})
}

fn conflict_example() -> serde_json::Value {
    json!({"productId": "PROD-001", "newQuantity": 10, "newVersion": 6, "applied": false,
           "lastUpdated": "2026-11-22T14:40:02.123Z", "errorType": "version_conflict",
           "errorMessage": "version conflict: expected 6, got 5"})
}

fn batch_answer_example() -> serde_json::Value {
    json!({"results": [applied_example(), {
               "productId": "PROD-002", "newQuantity": 1, "newVersion": 2, "applied": false,
               "lastUpdated": "2026-11-22T14:39:58.004Z", "errorType": "insufficient_inventory",
               "errorMessage": "insufficient inventory: 1 available, 3 wanted"}],
           "summary": {"total": 2, "succeeded": 1, "failed": 1}})
}
