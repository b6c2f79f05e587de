//! The document against the code it describes.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::acceptor::auth::Access;
use crate::api::problem::Code;
use crate::api::route::Route;
use crate::rules;

fn parsed() -> Value {
    serde_json::from_str(&text()).expect("the document is JSON")
}

/// Each operation with its path and method.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    all
}

/// What a part of the document says, also where it only refers to it.
fn resolved<'d>(document: &'d Value, part: &'d Value) -> &'d Value {
    match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').expect("a local reference"))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => part,
    }
}

fn visit(part: &Value, look: &mut impl FnMut(&Value)) {
    look(part);
    match part {
        Value::Object(members) => members.values().for_each(|member| visit(member, look)),
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        _ => {}
    }
}

/// A validator for `schema`, which may refer to the document's components.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&whole)
        .expect("the schema is valid")
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let document = parsed();
    let described: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path, method))
        .collect();
    let method = |path: &str| Route::of(path).map(|route| route.method().to_string());
    let routes: BTreeSet<(String, String)> = Route::all_paths()
        .map(|path| {
            (
                path.clone(),
                method(&path).expect("a path of the table is a route"),
            )
        })
        .collect();
    assert_eq!(described, routes);
}

#[test]
fn the_key_that_is_described_is_the_one_that_is_needed() {
    for (path, _, operation) in operations(&parsed()) {
        let keys: Vec<&str> = operation["security"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|one| one.as_object().unwrap().keys())
            .map(String::as_str)
            .collect();
        let expected: &[&str] = match Route::of(&path).map(|route| route.needs()) {
            Some(Access::None) => &[],
            Some(Access::Regular) => &[REGULAR_KEY, ADMIN_KEY],
            _ => &[ADMIN_KEY],
        };
        assert_eq!(keys, expected, "{path}");
    }
}

#[test]
fn every_problem_code_is_described_at_its_status() {
    let document = parsed();
    let mut found = BTreeSet::new();
    let mut note = |status: &str, response: &Value| {
        visit(&response["content"], &mut |part| {
            for code in part["code"]["enum"].as_array().into_iter().flatten() {
                found.insert((code.as_str().unwrap().to_owned(), status.to_owned()));
            }
        });
    };
    for (_, _, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            note(status, resolved(&document, response));
        }
    }
    note(
        "405",
        &document["components"]["responses"]["MethodNotAllowed"],
    );
    let expected: BTreeSet<(String, String)> = Code::ALL
        .into_iter()
        .map(|code| (code.as_str().to_owned(), code.status().as_str().to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_document_is_sound() {
    let document = parsed();
    assert_eq!(document["openapi"], "3.1.0");
    visit(&document, &mut |part| {
        resolved(&document, part);
    });
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{name}"
        );
        assert!(operation["summary"].is_string(), "{name}");
        assert!(
            operation["tags"]
                .as_array()
                .unwrap()
                .iter()
                .all(|tag| tags.contains(&tag)),
            "{name}"
        );
        let in_path = |parameter: &&Value| parameter["in"] == "path";
        let parameters: Vec<&Value> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| resolved(&document, parameter))
            .collect();
        assert_eq!(
            path.matches('{').count(),
            parameters.iter().copied().filter(in_path).count(),
            "{name}"
        );
        for parameter in parameters {
            let template = format!("{{{}}}", parameter["name"].as_str().unwrap());
            assert!(
                parameter["in"] != "path" || path.contains(&template),
                "{name}: {template}"
            );
            validator(&document, &parameter["schema"]);
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            StatusCode::from_bytes(status.as_bytes()).unwrap();
            assert!(response["description"].is_string(), "{name} {status}");
            assert!(
                response["headers"].get("X-Request-ID").is_some(),
                "{name} {status}"
            );
        }
    }
}

#[test]
fn every_example_keeps_its_schema() {
    let document = parsed();
    let mut count = 0;
    visit(&document, &mut |part| {
        let examples = part["examples"].as_object().into_iter().flatten();
        for (name, example) in examples {
            let judge = validator(&document, &part["schema"]);
            if let Err(error) = judge.validate(&example["value"]) {
                panic!("{name}: {error}: {example}");
            }
            count += 1;
        }
    });
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert!(
                validator(&document, schema).is_valid(example),
                "{name}: {example}"
            );
            count += 1;
        }
    }
    assert!(count > 30, "only {count} examples were found");
}

#[track_caller]
fn check_values(schema: &str, values: &[Value], rule: impl Fn(&Value) -> bool) {
    let document = parsed();
    let judge = validator(&document, &document["components"]["schemas"][schema]);
    for value in values {
        assert_eq!(judge.is_valid(value), rule(value), "{schema}: {value}");
    }
}

#[test]
fn schemas_and_rules_judge_alike() {
    let long = |count: usize| json!("x".repeat(count));
    let texts = |bytes_max: usize| {
        let mut texts = vec![json!(""), long(1), long(bytes_max), long(bytes_max + 1)];
        texts.extend(
            [
                "a/b",
                "a\nb",
                "\u{85}",
                "größe 42 ✓",
                "events",
                "events-2",
                "snapshot",
                "updates",
                "\n",
            ]
            .map(Value::from),
        );
        texts
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    check_values("ProductId", &texts(rules::ID_BYTES_MAX), |id| {
        rules::product_id(&text(id)).is_ok()
    });
    check_values("StoreId", &texts(rules::ID_BYTES_MAX), |id| {
        rules::store_id(&text(id)).is_ok()
    });
    check_values("Name", &texts(rules::NAME_BYTES_MAX), |name| {
        rules::name(&text(name)).is_ok()
    });
    check_values("IdempotencyKey", &texts(rules::KEY_BYTES_MAX), |key| {
        rules::idempotency_key(&text(key)).is_ok()
    });
    let max = shards::QUANTITY_MAX as i64;
    let integers = [0, 1, -1, max, max + 1, -max, -max - 1, i64::MIN].map(Value::from);
    let integer = |value: &Value| value.as_i64().unwrap();
    for schema in ["Quantity", "Version", "Offset"] {
        check_values(schema, &integers, |value| {
            rules::quantity(integer(value)).is_ok()
        });
    }
    check_values("Delta", &integers, |delta| {
        rules::delta(integer(delta)).is_ok()
    });
    check_values("Price", &[json!(0), json!(99.99), json!(-0.01)], |price| {
        rules::price(&price.to_string()).is_ok()
    });
}

#[test]
fn the_committed_copy_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text(),
        "docs/openapi.json is not what the server says of itself. This writes it:\n\
         cargo run -- openapi > docs/openapi.json"
    );
}
