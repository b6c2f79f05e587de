//! Judges answers by the description that the server gives of itself, `docs/openapi.json`: every answer that a test gets
//! through `Client::send` must have a status, a media type, a body and headers that are described.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::http::{Reply, Request};

/// Headers that HTTP itself is about, which no description lists.
const OF_HTTP: [&str; 12] = [
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
    "keep-alive",
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the document is JSON")
});

/// Validators by where their schema stands.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Asserts that `reply` is one that is described for `request`. What no description can know is left alone: unknown
/// paths, and methods that a path does not have.
#[track_caller]
pub fn assert_described(request: &Request, reply: &Reply) {
    let method = match request.method.as_str() {
        "HEAD" => "get".to_owned(),
        other => other.to_lowercase(),
    };
    let Some((path, item)) = find(&request.target) else {
        return;
    };
    let Some(operation) = item.get(&method) else {
        return;
    };
    let place = format!("{method} {path} {}", reply.status);
    let described = &operation["responses"][reply.status.to_string()];
    assert!(
        described.is_object(),
        "not described: {place}: {}",
        reply.text()
    );
    let response = match described["$ref"].as_str() {
        Some(reference) => DOCUMENT
            .pointer(&reference[1..])
            .expect("a reference that leads somewhere"),
        None => described,
    };
    assert_headers(&place, response, reply);
    if request.method != "HEAD" {
        assert_body(&place, response, reply);
    }
}

/// The path of the document that a target belongs to: one without parts to fill in before one with them.
fn find(target: &str) -> Option<(&'static str, &'static Value)> {
    let path = target.split('?').next().unwrap_or_default();
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    if let Some((path, item)) = paths.get_key_value(path) {
        return Some((path, item));
    }
    let found = paths.iter().find(|(template, _)| {
        let prefix = template.split('{').next().unwrap_or_default();
        let rest = path.strip_prefix(prefix).unwrap_or_default();
        template.contains('{') && !rest.is_empty() && !rest.contains('/')
    });
    found.map(|(path, item)| (path.as_str(), item))
}

#[track_caller]
fn assert_headers(place: &str, response: &Value, reply: &Reply) {
    let described: Vec<String> = response["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    for (name, _) in &reply.headers {
        let is_of_cors = name == "vary" || name.starts_with("access-control-");
        let is_known = OF_HTTP.contains(&name.as_str()) || is_of_cors || described.contains(name);
        assert!(is_known, "{place}: the header {name} is not described");
    }
}

#[track_caller]
fn assert_body(place: &str, response: &Value, reply: &Reply) {
    let Some(contents) = response["content"].as_object() else {
        assert!(
            reply.bytes.is_empty(),
            "{place}: a body where none is described"
        );
        return;
    };
    let media_type = reply.header("content-type").unwrap_or_default();
    let content = contents.get(media_type);
    let content = content.unwrap_or_else(|| panic!("{place}: {media_type} is not described"));
    if media_type.ends_with("json") && reply.header("content-encoding").is_none() {
        let judge = validator(format!("{place} {media_type}"), &content["schema"]);
        let body = reply.json();
        if let Err(error) = judge.validate(&body) {
            panic!("{place}: {error}, at {}: {body}", error.instance_path());
        }
    }
}

fn validator(place: String, schema: &Value) -> Arc<Validator> {
    let mut known = VALIDATORS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let make = || {
        let whole = json!({"allOf": [schema], "components": DOCUMENT["components"]});
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&whole);
        Arc::new(validator.expect("the schema is valid"))
    };
    known.entry(place).or_insert_with(make).clone()
}
