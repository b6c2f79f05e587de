//! Errors: the one shape that all of them have, and an answer for each status.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder, Schema};

use super::build::{Book, narrowed};
use super::headers;
use super::values::{integer, words};
use crate::api::problem::{Code, ProblemJson};

/// The answer of that name.
pub fn refer(name: &str) -> Ref {
    Ref::from_response_name(name)
}

/// Adds the shape and the answers.
pub fn register(book: &mut Book) {
    use Code::*;
    book.schema_of::<ProblemJson<'static>>();
    let limited = |response| headers::limited(response);
    let later = |response| headers::with(response, "Retry-After");
    let components = std::mem::take(&mut book.components);
    book.components = components
        .response(
            "BadRequest",
            limited(problem(
                "The body or a query parameter cannot be read or breaks a rule; `details` lists every offending \
                 member. Nothing was changed. (Bytes that never became a request head are a bare 400 without a body.)",
                &[ValidationError, InvalidJson],
                json!({"details": [{"field": "products[0].price", "issue": "must be >= 0, and not too large for a double"}],
                       "detail": "products[0].price: must be >= 0, and not too large for a double"}),
            )),
        )
        .response(
            "Unauthorized",
            limited(problem(
                "No key, or an unknown one.",
                &[Unauthorized],
                json!({"detail": "a known key is needed in the header X-API-Key"}),
            )),
        )
        .response(
            "Forbidden",
            limited(problem(
                "A regular key, where an admin key is needed.",
                &[Forbidden],
                json!({"detail": "this path needs an admin key"}),
            )),
        )
        .response(
            "ProductNotFound",
            limited(problem(
                "No product with that id.",
                &[NotFound],
                json!({"title": "Product not found", "detail": "no product with id PROD-404"}),
            )),
        )
        .response(
            "NotFound",
            problem(
                "There is no such thing.",
                &[NotFound],
                json!({"detail": "no problem with code unheard_of"}),
            ),
        )
        .response("OffsetGone", offset_gone())
        .response(
            "BodyTooLarge",
            limited(problem(
                "The body has more than 1 MiB.",
                &[BodyTooLarge],
                json!({"detail": "a body may have at most 1048576 bytes"}),
            )),
        )
        .response(
            "UnsupportedMediaType",
            limited(problem(
                "The Content-Type is not JSON.",
                &[UnsupportedMediaType],
                json!({"detail": "the Content-Type must be application/json (curl -d sends another one unless told)"}),
            )),
        )
        .response(
            "RateLimited",
            later(limited(problem(
                "The budget of this window is spent.",
                &[RateLimited],
                json!({"detail": "the budget of 100 requests a minute is spent"}),
            ))),
        )
        .response(
            "HeadersTooLarge",
            problem(
                "Request line and headers have more than 16 KiB. (Far beyond that, a bare 431 without a body.)",
                &[HeadersTooLarge],
                json!({"detail": "the request line and headers may have at most 16384 bytes"}),
            ),
        )
        .response(
            "Unavailable",
            later(limited(problem(
                "Busy, starting, stopping, or without a working disk. Unless the code is `storage_failed`, nothing was \
                 changed. Try again after Retry-After, updates with the same idempotency key.",
                &[Overloaded, Recovering, Draining, StorageFailed],
                json!({"detail": "the server is busy; try again shortly"}),
            ))),
        )
        .response(
            "MethodNotAllowed",
            headers::with(
                problem(
                    "The path exists, but not with this method. Every path can lead here.",
                    &[MethodNotAllowed],
                    json!({"detail": "this path does not have the method PATCH"}),
                ),
                "Allow",
            ),
        );
}

/// A problem with one of `codes`, which share a status; the example has the first.
fn problem(description: &str, codes: &[Code], example: Value) -> ResponseBuilder {
    respond(
        description,
        narrowed("Problem", of_codes(codes)),
        &[(codes[0], example)],
    )
}

fn of_codes(codes: &[Code]) -> ObjectBuilder {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let status = isize::from(codes[0].status().as_u16() as i16);
    ObjectBuilder::new()
        .property("code", words(&names))
        .property("status", integer(status, status))
}

fn offset_gone() -> ResponseBuilder {
    let of = |code, members: &[&str]| {
        members
            .iter()
            .fold(of_codes(&[code]), |object, member| object.required(*member))
    };
    let either = AnyOfBuilder::new()
        .item(narrowed(
            "Problem",
            of(Code::OffsetExpired, &["oldestOffset", "nextOffset"]),
        ))
        .item(narrowed(
            "Problem",
            of(Code::OffsetBeyondEnd, &["nextOffset"]),
        ));
    let expired = json!({"detail": "offset 0 is older than the oldest that is kept, 512",
                         "oldestOffset": 512, "nextOffset": 1287});
    let beyond =
        json!({"detail": "offset 9000 is beyond the end of the feed, 1287", "nextOffset": 1287});
    headers::limited(respond(
        "The offset is older than what is kept, or beyond the end. Start again from the snapshot, and go on from its \
         `nextOffset`.",
        either,
        &[
            (Code::OffsetExpired, expired),
            (Code::OffsetBeyondEnd, beyond),
        ],
    ))
}

fn respond(
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    examples: &[(Code, Value)],
) -> ResponseBuilder {
    let named = examples.iter().map(|(code, members)| {
        let example = utoipa::openapi::example::ExampleBuilder::new()
            .value(Some(example(*code, members)))
            .build();
        (code.as_str(), example)
    });
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(named);
    headers::always(Response::builder().description(description))
        .content("application/problem+json", content)
}

/// A whole problem: what every one of that code says, with `members` laid over.
fn example(code: Code, members: &Value) -> Value {
    let mut whole = json!({
        "type": format!("/problems/{}", code.as_str()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "code": code.as_str(),
        "requestId": "01KAQZ3M9V8X6T4R2P0N7K5H3F",
    });
    for (name, value) in members.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    whole
}
