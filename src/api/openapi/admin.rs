//! `/v1/admin/*`.

use serde_json::{Value, json};
use utoipa::openapi::Required::{False, True};
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder};
use utoipa::openapi::{HttpMethod, RefOr, Schema};

use super::build::{Book, answer, body, list, object, operation, or_null, query, refer, with_body};
use super::headers::limited;
use super::values::integer;
use crate::acceptor::auth::Access;
use crate::api::admin::{CreationSummary, DeletionSummary, ResultJson, UpdateSummary};
use crate::api::rate_limit_status::{LIMIT_DEFAULT, LIMIT_MAX, StatusJson};
use crate::api::wire::ITEMS_MAX;

/// Adds the endpoints and their schemas.
pub fn register(book: &mut Book) {
    book.schema_of::<ResultJson<'static>>();
    create(book);
    set(book);
    delete(book);
    rate_limit_status(book);
}

fn create(book: &mut Book) {
    book.schema_of::<CreationSummary>();
    book.schema(
        "NewProduct",
        object(&[
            ("productId", True, refer("ProductId")),
            ("name", True, refer("Name")),
            ("available", True, refer("Quantity")),
            ("price", True, refer("Price")),
        ]),
    );
    book.schema("CreateRequest", items("products", "NewProduct"));
    book.schema("CreateAnswer", results("CreationSummary"));
    let new = json!({"productId": "PROD-NEW-001", "name": "New Product", "available": 100, "price": 29.99});
    let request = body(
        refer("CreateRequest"),
        &[("create", "One product", json!({"products": [new]}))],
    );
    let done = answer_of(
        "CreateAnswer",
        "PROD-NEW-001",
        json!({"totalRequests": 1, "successfulCreations": 1, "failedCreations": 0}),
    );
    let operation = change("createProducts", request)
        .summary(Some("Create products"))
        .description(Some(
            "One result per product, in the order sent; an id that exists, or stands a second time in the body, is \
             `already_exists`. A product created again continues above its last version. A broken rule anywhere \
             refuses the whole request, and nothing is changed.",
        ))
        .response("200", done);
    book.endpoint(HttpMethod::Post, "/v1/admin/products/create", operation);
}

fn set(book: &mut Book) {
    book.schema_of::<UpdateSummary>();
    let settings = object(&[
        ("productId", True, refer("ProductId")),
        ("name", False, or_null("Name")),
        ("available", False, or_null("Quantity")),
        ("price", False, or_null("Price")),
        ("version", False, or_null("Version")),
    ]);
    let some = ["name", "available", "price"];
    let schemas = ["Name", "Quantity", "Price"];
    let at_least_one = some
        .into_iter()
        .zip(schemas)
        .fold(AnyOfBuilder::new(), |any, (member, schema)| {
            any.item(object(&[(member, True, refer(schema))]))
        });
    book.schema(
        "ProductChange",
        AllOfBuilder::new()
            .item(settings)
            .item(Schema::from(at_least_one))
            .description(Some(
                "At least one of `name`, `available`, `price`. With `version`, only if it is the current one.",
            )),
    );
    book.schema("SetRequest", items("products", "ProductChange"));
    book.schema("SetAnswer", results("UpdateSummary"));
    let changed = json!({"productId": "PROD-001", "name": "Updated Product Name", "available": 50, "price": 79.99});
    let request = body(
        refer("SetRequest"),
        &[("set", "All properties", json!({"products": [changed]}))],
    );
    let done = answer_of(
        "SetAnswer",
        "PROD-001",
        json!({"totalRequests": 1, "successfulUpdates": 1, "failedUpdates": 0}),
    );
    let operation = change("setProducts", request)
        .summary(Some("Set name, stock or price"))
        .description(Some(
            "One result per product, in the order sent. What is absent stays as it is. A broken rule anywhere refuses \
             the whole request, and nothing is changed.",
        ))
        .response("200", done);
    book.endpoint(HttpMethod::Put, "/v1/admin/products/set", operation);
}

fn delete(book: &mut Book) {
    book.schema_of::<DeletionSummary>();
    book.schema("DeleteRequest", items("productIds", "ProductId"));
    book.schema("DeleteAnswer", results("DeletionSummary"));
    let request = body(
        refer("DeleteRequest"),
        &[(
            "delete",
            "Two products",
            json!({"productIds": ["PROD-001", "PROD-002"]}),
        )],
    );
    let done = answer_of(
        "DeleteAnswer",
        "PROD-001",
        json!({"totalRequests": 1, "successfulDeletions": 1, "failedDeletions": 0}),
    );
    let operation = change("deleteProducts", request)
        .summary(Some("Delete products"))
        .description(Some(
            "One result per product, in the order sent. Deleting is a change too: `newVersion` is the version of the \
             deletion.",
        ))
        .response("200", done);
    book.endpoint(HttpMethod::Delete, "/v1/admin/products/delete", operation);
}

fn change(id: &str, request: utoipa::openapi::request_body::RequestBody) -> OperationBuilder {
    with_body(operation(id, "Administration", Access::Admin), request)
}

fn items(member: &str, schema: &str) -> RefOr<Schema> {
    object(&[(member, True, list(schema, Some(1), Some(ITEMS_MAX)))]).into()
}

fn results(summary: &str) -> RefOr<Schema> {
    object(&[
        (
            "results",
            True,
            list("AdminResult", Some(1), Some(ITEMS_MAX)),
        ),
        ("summary", True, refer(summary)),
    ])
    .into()
}

fn answer_of(schema: &str, id: &str, summary: Value) -> utoipa::openapi::ResponseBuilder {
    let result = json!({"productId": id, "success": true, "newVersion": 1,
                        "lastUpdated": "2026-11-22T14:40:02.123Z"});
    let example = json!({"results": [result], "summary": summary});
    limited(answer(
        "One result per product, whatever became of them.",
        refer(schema),
        &[("done", "Done", example)],
    ))
}

fn rate_limit_status(book: &mut Book) {
    book.schema_of::<StatusJson>();
    let limit = integer(1, LIMIT_MAX as isize).default(Some(json!(LIMIT_DEFAULT)));
    let example = json!({
        "enabled": true, "type": "ip", "requestsPerMinute": 100, "adminRequestsPerMinute": 50, "windowMinutes": 1,
        "currentClients": [{"clientId": "192.168.1.100", "requestCount": 45, "adminRequestCount": 0,
                            "windowStart": "2026-11-22T14:39:02.123Z", "isBlocked": false}]});
    let status = answer(
        "Budgets, and what the busiest clients have spent.",
        refer("RateLimitStatus"),
        &[("status", "One client", example)],
    );
    let operation = operation("getRateLimitStatus", "Administration", Access::Admin)
        .summary(Some("Who has spent how much"))
        .parameter(query(
            "limit",
            False,
            "The most clients to list, the busiest first.",
            limit,
        ))
        .response("200", limited(status));
    book.endpoint(HttpMethod::Get, "/v1/admin/rate-limit/status", operation);
}
