//! `GET /v1/inventory`, `/v1/inventory/{productId}` and `/v1/inventory/snapshot`.

use serde_json::{Value, json};
use utoipa::openapi::HttpMethod;
use utoipa::openapi::Required::{False, True};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::build::{Book, answer, list, object, operation, query, refer, segment};
use super::headers::{limited, with};
use super::values::{count, integer};
use super::{build, problems};
use crate::acceptor::auth::Access;
use crate::api::products::{LIMIT_DEFAULT, LIMIT_MAX};

/// Adds the endpoints and their schemas.
pub fn register(book: &mut Book) {
    book.schema(
        "Product",
        object(&[
            ("productId", True, refer("ProductId")),
            ("name", True, refer("Name")),
            ("available", True, refer("Quantity")),
            ("version", True, refer("Version")),
            ("lastUpdated", True, refer("Time")),
            ("price", True, refer("Price")),
        ]),
    );
    read(book);
    read_page(book);
    snapshot(book);
}

fn read(book: &mut Book) {
    let found = answer(
        "The product.",
        refer("Product"),
        &[("product", "A product", product())],
    );
    let operation = operation("getProduct", "Inventory", Access::Regular)
        .summary(Some("Read a product"))
        .parameter(segment(
            "productId",
            "The product, percent-encoded.",
            refer("ProductId"),
        ))
        .parameter(if_none_match())
        .response("200", limited(with(found, "ETag")))
        .response("304", limited(not_modified()))
        .response("404", problems::refer("ProductNotFound"));
    book.endpoint(HttpMethod::Get, "/v1/inventory/{productId}", operation);
}

/// `If-None-Match`
pub fn if_none_match() -> utoipa::openapi::path::Parameter {
    build::request_header(
        "If-None-Match",
        "The `ETag` of an earlier answer, or several: 304 without a body if nothing has changed since.",
        ObjectBuilder::new().schema_type(Type::String),
    )
}

/// The answer to an `If-None-Match` that knows the current state.
pub fn not_modified() -> utoipa::openapi::ResponseBuilder {
    let response = utoipa::openapi::Response::builder()
        .description("If-None-Match names the current state. No body.");
    with(super::headers::always(response), "ETag")
}

fn read_page(book: &mut Book) {
    book.schema(
        "ProductPage",
        object(&[
            (
                "items",
                True,
                list("Product", None, Some(LIMIT_MAX as usize)),
            ),
            (
                "nextCursor",
                False,
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("Where the next page begins; absent on the last page."))
                    .into(),
            ),
        ]),
    );
    let limit = integer(1, LIMIT_MAX as isize).default(Some(json!(LIMIT_DEFAULT)));
    let cursor = ObjectBuilder::new().schema_type(Type::String);
    let page = answer(
        "A page of products.",
        refer("ProductPage"),
        &[(
            "page",
            "The first page",
            json!({"items": [product()], "nextCursor": "YTpQUk9ELTAwMQ"}),
        )],
    );
    let operation = operation("listProducts", "Inventory", Access::Regular)
        .summary(Some("List products by pages"))
        .description(Some(
            "In byte order of `productId`. A walk over all pages returns every product that exists throughout the walk \
             exactly once.",
        ))
        .parameter(query("limit", False, "The most products on the page.", limit))
        .parameter(query(
            "cursor",
            False,
            "The `nextCursor` of the page before; without it, the first page. It means nothing to a caller.",
            cursor,
        ))
        .response("200", limited(page));
    book.endpoint(HttpMethod::Get, "/v1/inventory", operation);
}

fn snapshot(book: &mut Book) {
    book.schema(
        "Snapshot",
        object(&[
            ("nextOffset", True, refer("Offset")),
            ("products", True, list("Product", None, None)),
            (
                "count",
                True,
                count()
                    .description(Some("How many products there are. Comes last, since they are sent as they are read."))
                    .into(),
            ),
        ]),
    );
    let whole = answer(
        "All products. If the server has to break off, the body is cut short and is not JSON.",
        refer("Snapshot"),
        &[(
            "snapshot",
            "A small stock",
            json!({"nextOffset": 1287, "products": [product()], "count": 1}),
        )],
    );
    let operation = operation("getSnapshot", "Inventory", Access::Regular)
        .summary(Some("Stream all products"))
        .description(Some(
            "A store starts here, and then polls the events from `nextOffset` on. To apply each event whose `version` \
             is higher than what it holds makes its copy exact.",
        ))
        .response("200", limited(whole));
    book.endpoint(HttpMethod::Get, "/v1/inventory/snapshot", operation);
}

/// A product, for examples.
pub fn product() -> Value {
    json!({"productId": "PROD-001", "name": "Wireless Headphones", "available": 8, "version": 6,
           "lastUpdated": "2026-11-22T14:40:02.123Z", "price": 99.99})
}
