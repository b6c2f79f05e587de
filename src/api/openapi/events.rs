//! `GET /v1/inventory/events`.

use serde_json::json;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::Required::{False, True};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::build::{Book, answer, list, object, operation, query, refer};
use super::headers::limited;
use super::problems;
use super::products::product;
use super::values::{count, integer};
use crate::acceptor::auth::Access;
use crate::api::event_stream::EVENT_STREAM;
use crate::api::events::{LIMIT_DEFAULT, LIMIT_MAX, WAIT_MAX_SECONDS};
use crate::sequencer::filter::PRODUCTS_MAX;

/// Adds the endpoint and its schemas.
pub fn register(book: &mut Book) {
    book.schema(
        "Event",
        object(&[
            ("offset", True, refer("Offset")),
            ("timestamp", True, refer("Time")),
            ("eventType", True, refer("EventType")),
            ("productId", True, refer("ProductId")),
            ("version", True, refer("Version")),
            ("data", True, refer("Product")),
            ("storeId", False, refer("StoreId")),
            ("delta", False, refer("Delta")),
        ])
        .description(Some(
            "`data` is the whole product after the change; for a deletion, as it last was, with the version of the \
             deletion. `storeId` and `delta` are there where `eventType` is `inventory_updated`.",
        )),
    );
    let is_there_more = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Whether `nextOffset` is below the end of the feed."));
    book.schema(
        "EventPage",
        object(&[
            (
                "events",
                True,
                list("Event", None, Some(LIMIT_MAX as usize)),
            ),
            ("nextOffset", True, refer("Offset")),
            ("hasMore", True, is_there_more.into()),
            (
                "count",
                True,
                count()
                    .description(Some("How many `events` there are."))
                    .into(),
            ),
        ]),
    );
    let page = answer(
        "Events, or none if the time was over first.",
        refer("EventPage"),
        &[("page", "A store sold two", page())],
    );
    let stream = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "Server-sent events without end: `id` is the offset, `event` the type, `data` the event in one line; a \
             comment every 15 seconds. If the stream cannot go on, its last message is `event: error` with the problem.",
        ));
    let page = page.content(
        EVENT_STREAM,
        ContentBuilder::new().schema(Some(stream)).build(),
    );
    let limit = integer(1, LIMIT_MAX as isize).default(Some(json!(LIMIT_DEFAULT)));
    let wait = integer(0, WAIT_MAX_SECONDS as isize).default(Some(json!(0)));
    let operation = operation("getEvents", "Events", Access::Regular)
        .summary(Some("Follow all changes"))
        .description(Some(
            "Every change of every product, in one order; for each product in the order of its versions. Go on from \
             `nextOffset`. Products loaded at the very first start are in the snapshot, not in the feed. With \
             `Accept: text/event-stream` the answer is a stream of server-sent events instead of a page; `limit` and \
             `wait` mean nothing there, and the header `Last-Event-ID`, an offset, wins over `offset`: the stream goes on \
             behind it.",
        ))
        .parameter(query("offset", True, "The first offset wanted; 0 for the first event.", refer("Offset")))
        .parameter(query("limit", False, "The most events on the page.", limit))
        .parameter(query(
            "wait",
            False,
            "How many seconds to wait for an event if there is none yet (long poll).",
            wait,
        ))
        .parameter(query(
            "productId",
            False,
            "Only events of this product; may stand several times. `nextOffset` moves past what is left out, which does \
             not end a wait.",
            list("ProductId", None, Some(PRODUCTS_MAX)),
        ))
        .parameter(query(
            "eventType",
            False,
            "Only events of this type; may stand several times.",
            list("EventType", None, None),
        ))
        .response("200", limited(page))
        .response("410", problems::refer("OffsetGone"));
    book.endpoint(HttpMethod::Get, "/v1/inventory/events", operation);
}

fn page() -> serde_json::Value {
    json!({"events": [{
               "offset": 1001, "timestamp": "2026-11-22T14:40:02.123Z", "eventType": "inventory_updated",
               "productId": "PROD-001", "version": 6, "data": product(), "storeId": "store-s1", "delta": -2}],
           "nextOffset": 1002, "hasMore": false, "count": 1})
}
