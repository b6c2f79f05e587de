//! What is not about stock: health, explanations, and the API's description of itself.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{HttpMethod, Response, ResponseBuilder};

use super::build::{Book, answer, operation, refer, segment};
use super::headers::{always, with};
use super::problems;
use super::products::{if_none_match, not_modified};
use super::values::words;
use crate::acceptor::auth::Access;
use crate::api::docs;
use crate::api::explanation::ExplanationJson;
use crate::api::health::HealthJson;

/// Adds the endpoints and their schemas.
pub fn register(book: &mut Book) {
    book.schema_of::<HealthJson>();
    book.schema_of::<ExplanationJson>();
    health(book);
    explanation(book);
    description(book);
}

fn health(book: &mut Book) {
    let example = |status: &str, part: &str, journal: &str| {
        json!({"status": status, "version": env!("CARGO_PKG_VERSION"), "uptimeSeconds": 86400,
        "components": {
            "shards": {"status": part, "count": 4, "active": 4, "products": 1000},
            "sequencer": {"status": part, "nextOffset": 51207, "waiters": 12},
            "journal": {"status": journal, "durable": true, "lastDurableOffset": 51206, "lagEvents": 0},
            "memory": {"status": "healthy", "residentBytes": 94371840, "idempotencyEntries": 912,
                       "idempotencyCapacity": 16777216, "events": 10000},
        }})
    };
    let fit = || {
        answer(
            "It serves.",
            refer("Health"),
            &[(
                "healthy",
                "All is well",
                example("healthy", "healthy", "healthy"),
            )],
        )
    };
    let unfit = answer(
        "It recovers, stops, or its journal failed.",
        refer("Health"),
        &[
            (
                "recovering",
                "It reads its state from disk",
                example("recovering", "recovering", "recovering"),
            ),
            (
                "unhealthy",
                "It stops, or cannot make changes durable",
                example("unhealthy", "healthy", "unhealthy"),
            ),
        ],
    )
    // Where there is no room for the connection, nobody asks for the health.
    .content(
        "application/problem+json",
        ContentBuilder::new().schema(Some(refer("Problem"))),
    )
    .build();
    let endpoints = [
        ("getHealth", "/health", "Is it fit to serve"),
        ("getReadiness", "/health/ready", "Should it get requests"),
    ];
    for (id, path, summary) in endpoints {
        let operation = operation(id, "Service", Access::None)
            .summary(Some(summary))
            .response("200", fit())
            .response("503", unfit.clone());
        book.endpoint(HttpMethod::Get, path, operation);
    }
    let operation = operation("getLiveness", "Service", Access::None)
        .summary(Some("Does the process run"))
        .response("200", fit());
    book.endpoint(HttpMethod::Get, "/health/live", operation);
}

fn explanation(book: &mut Book) {
    let found = answer(
        "What the code means and what to do.",
        refer("Explanation"),
        &[(
            "unauthorized",
            "A missing key",
            json!({"code": "unauthorized", "status": 401,
                   "explanation": crate::api::problem::Code::Unauthorized.explanation()}),
        )],
    );
    let found = in_words(
        found,
        &["text/html; charset=utf-8", "text/plain; charset=utf-8"],
    );
    let operation = operation("explainProblem", "Service", Access::None)
        .summary(Some("What an error code means"))
        .description(Some("JSON unless `Accept` prefers a page or plain text."))
        .parameter(segment(
            "code",
            "The `code` of a problem.",
            refer("ProblemCode"),
        ))
        .response("200", found)
        .response("404", problems::refer("NotFound"));
    book.endpoint(HttpMethod::Get, "/problems/{code}", operation);
}

fn description(book: &mut Book) {
    let document = ObjectBuilder::new()
        .schema_type(Type::Object)
        .required("openapi")
        .property("openapi", ObjectBuilder::new().schema_type(Type::String));
    let document = answer("An OpenAPI 3.1 document.", document, &[]);
    let described = operation("getOpenApi", "Service", Access::None)
        .summary(Some("This description, for programs"))
        .parameter(if_none_match())
        .response("200", with(document, "ETag"))
        .response("304", not_modified());
    book.endpoint(HttpMethod::Get, "/openapi.json", described);

    let page = operation("getDocumentation", "Service", Access::None)
        .summary(Some("This description, for people"))
        .parameter(if_none_match())
        .response(
            "200",
            text(
                "A page that works without the internet.",
                &["text/html; charset=utf-8"],
            ),
        )
        .response("304", not_modified());
    book.endpoint(HttpMethod::Get, "/docs", page);

    let names: Vec<&str> = docs::file_names().collect();
    let file = operation("getDocumentationFile", "Service", Access::None)
        .summary(Some("What the page is made of"))
        .parameter(segment(
            "file",
            "A file of the page, or a licence.",
            words(&names),
        ))
        .parameter(if_none_match())
        .response("200", text("The file.", &docs::media_types()))
        .response("304", not_modified())
        .response("404", problems::refer("NotFound"));
    book.endpoint(HttpMethod::Get, "/docs/{file}", file);
}

fn text(description: &str, media_types: &[&str]) -> ResponseBuilder {
    let response = Response::builder().description(description);
    in_words(with(always(response), "ETag"), media_types)
}

fn in_words(response: ResponseBuilder, media_types: &[&str]) -> ResponseBuilder {
    let content = || {
        let text = ObjectBuilder::new().schema_type(Type::String);
        ContentBuilder::new().schema(Some(text))
    };
    media_types.iter().fold(response, |response, media_type| {
        response.content(*media_type, content())
    })
}
