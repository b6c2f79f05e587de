//! The API's description of itself: OpenAPI 3.1, from the types of the wire where they are structs, and from the
//! constants that bound their values. Served at `/openapi.json`, printed by `central-inventory openapi`, committed as
//! `docs/openapi.json`.
//!
//! `values` has the values with their bounds, `problems` the errors, `headers` the headers of answers, `build` what
//! descriptions are put together from; the other files describe one family of endpoints each.

mod admin;
mod build;
mod events;
mod headers;
mod problems;
mod products;
mod service;
mod updates;
pub mod values;

#[cfg(test)]
mod tests;

use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Required,
    ServerBuilder,
};

use build::{ADMIN_KEY, Book, REGULAR_KEY};

const ABOUT: &str = "\
The single source of truth for the stock of a fleet of stores. Every change is decided under optimistic concurrency, \
is on disk before it is answered, and stands on a feed that all stores follow.

* **Keys** go in the header `X-API-Key`. An admin key opens the regular endpoints too.
* **Errors** are `application/problem+json` (RFC 9457), one shape everywhere; `GET /problems/{code}` explains a code.
* **Integers** are 0 to 2^53-1, which every JSON client reads exactly, and are written without fraction or exponent. Times are RFC 3339 in UTC with milliseconds.
* **Unknown members** of a body are ignored. Bodies have at most 1 MiB and 1,000 items.
* `HEAD` works wherever `GET` does, `OPTIONS` everywhere; both are left out below.
* What begins with `/v1` can be answered 429 and 503 at any time: try again after `Retry-After`.";

/// The whole document.
pub fn document() -> OpenApi {
    let components = headers::register(values::register(ComponentsBuilder::new()))
        .security_scheme(
            REGULAR_KEY,
            key("One of API_KEYS. In development the key `demo` is known."),
        )
        .security_scheme(
            ADMIN_KEY,
            key("One of ADMIN_API_KEYS. In development the key `admin-demo` is known."),
        )
        .parameter("RequestId", request_id());
    let mut book = Book {
        paths: Paths::new(),
        components,
    };
    problems::register(&mut book);
    updates::register(&mut book);
    products::register(&mut book);
    events::register(&mut book);
    admin::register(&mut book);
    service::register(&mut book);
    let info = InfoBuilder::new()
        .title("Central Inventory")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0 OR MIT")
                .identifier(Some("Apache-2.0 OR MIT"))
                .build(),
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new()
            .url("/")
            .description(Some("This server"))
            .build()]))
        .tags(Some(tags()))
        .paths(book.paths)
        .components(Some(book.components.build()))
        .build()
}

/// The document as text, the same every time.
pub fn text() -> String {
    let mut text = document()
        .to_pretty_json()
        .expect("our own document can be written to memory");
    text.push('\n');
    text
}

fn tags() -> [utoipa::openapi::Tag; 4] {
    let tag = |name: &str, description: &str| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    };
    [
        tag("Inventory", "Change and read stock. A regular key."),
        tag("Events", "Follow all changes. A regular key."),
        tag(
            "Administration",
            "Create, set and delete products; watch the limits. An admin key.",
        ),
        tag(
            "Service",
            "Health, explanations and this description. No key.",
        ),
    ]
}

fn key(description: &str) -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
        "X-API-Key",
        description,
    )))
}

fn request_id() -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name("X-Request-ID")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "An id of your own, 1 to 128 printable characters, which comes back with the answer. Anything else is \
             replaced.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
