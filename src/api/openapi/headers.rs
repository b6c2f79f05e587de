//! The headers of answers.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ComponentsBuilder, Ref, ResponseBuilder};

use super::build::header;
use super::values::{count, integer};
use crate::api::REQUEST_ID_BYTES_MAX;

/// Adds every header that an answer may have.
pub fn register(components: ComponentsBuilder) -> ComponentsBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let request_id = text()
        .min_length(Some(1))
        .max_length(Some(REQUEST_ID_BYTES_MAX));
    components
        .header(
            "X-Request-ID",
            header(
                "The caller's own id, or a new one. The same id stands in the server's log line of the request.",
                request_id,
            ),
        )
        .header(
            "ETag",
            header("Names this state, for If-None-Match.", text()),
        )
        .header(
            "Retry-After",
            header("Seconds after which to try again.", integer(1, isize::MAX >> 10)),
        )
        .header(
            "Idempotent-Replayed",
            header(
                "There, and `true`, where this is the first answer once more.",
                super::values::words(&["true"]),
            ),
        )
        .header(
            "Allow",
            header("The methods that the path has.", text()),
        )
        .header(
            "X-RateLimit-Limit",
            header("The budget of a window, in requests.", count()),
        )
        .header(
            "X-RateLimit-Remaining",
            header("What is left of it.", count()),
        )
        .header(
            "X-RateLimit-Reset",
            header("When there is budget again, in seconds since 1970.", count()),
        )
        .header(
            "RateLimit",
            header("What is left and for how long, as a structured field.", text()),
        )
        .header(
            "RateLimit-Policy",
            header("Budget and window, as a structured field.", text()),
        )
}

/// The header that every answer has.
pub fn always(response: ResponseBuilder) -> ResponseBuilder {
    with(response, "X-Request-ID")
}

/// One of the headers that are registered.
pub fn with(response: ResponseBuilder, name: &str) -> ResponseBuilder {
    response.header_ref(name, Ref::new(format!("#/components/headers/{name}")))
}

/// The headers of whatever a rate limit counts.
pub fn limited(response: ResponseBuilder) -> ResponseBuilder {
    let names = [
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit",
        "RateLimit-Policy",
    ];
    names.into_iter().fold(response, with)
}
