//! What the tests expect of answers: the shapes that the contract promises.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::Reply;

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.bytes) {
            Ok(value) => value,
            Err(error) => panic!("{error} in a {} of {:?}", self.status, self.text()),
        }
    }

    /// A member of the body, exactly as it was written.
    #[track_caller]
    pub fn raw(&self, member: &str) -> String {
        raw_member(&self.text(), member)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        self
    }

    pub fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// Asserts a problem of this status and code, in the shape of every problem.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        let problem = self.any_problem();
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// Asserts a problem that is the client's fault, whichever.
    #[track_caller]
    pub fn any_problem(&self) -> Value {
        assert!(
            (400..600).contains(&self.status),
            "{} with {:?}",
            self.status,
            self.text()
        );
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/problem+json"),
            "{content_type:?} {:?}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code", "requestId"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "no {member}: {problem}"
            );
        }
        let code = problem["code"].as_str().unwrap_or_default();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(
            problem["requestId"].as_str(),
            self.header("x-request-id"),
            "{problem}"
        );
        problem
    }

    /// The paths that a problem lists in its `details`, sorted.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let problem = self.problem(400, "validation_error");
        let details = problem["details"]
            .as_array()
            .unwrap_or_else(|| panic!("no details in {problem}"));
        let mut fields = Vec::new();
        for detail in details {
            assert!(
                detail["issue"]
                    .as_str()
                    .is_some_and(|issue| !issue.is_empty()),
                "{detail}"
            );
            fields.push(
                detail["field"]
                    .as_str()
                    .expect("a detail names its member")
                    .to_owned(),
            );
        }
        fields.sort();
        fields
    }

    /// Asserts that the update took effect and left the product so.
    #[track_caller]
    pub fn applied(&self, quantity: u64, version: u64) -> Value {
        assert_eq!(self.status, 200, "the answer was {:?}", self.text());
        assert!(
            self.header("content-type")
                .unwrap_or_default()
                .starts_with("application/json")
        );
        let result = self.json();
        assert_applied(&result, quantity, version);
        result
    }

    /// Asserts that the update was refused and that the answer shows the product as it is: quantity and version.
    #[track_caller]
    pub fn refused(&self, status: u16, error_type: &str, state: (u64, u64)) -> Value {
        assert_eq!(self.status, status, "the answer was {:?}", self.text());
        assert!(
            self.header("content-type")
                .unwrap_or_default()
                .starts_with("application/json")
        );
        let result = self.json();
        assert_refused(&result, error_type, Some(state));
        result
    }
}

#[track_caller]
pub fn raw_member(json: &str, member: &str) -> String {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(json).expect("a JSON object");
    members
        .get(member)
        .unwrap_or_else(|| panic!("no {member} in {json}"))
        .get()
        .to_owned()
}

/// Asserts one result, of a single update or of an item, that was applied.
#[track_caller]
pub fn assert_applied(result: &Value, quantity: u64, version: u64) {
    assert_eq!(result["applied"], true, "{result}");
    assert_eq!(result["newQuantity"], quantity, "{result}");
    assert_eq!(result["newVersion"], version, "{result}");
    assert!(result["productId"].is_string(), "{result}");
    assert_time(&result["lastUpdated"]);
    assert_absent(result, &["errorType", "errorMessage"]);
}

/// How many items the answer to a batch counts in all, as succeeded and as failed.
#[track_caller]
pub fn summary(answer: &Value) -> [usize; 3] {
    ["total", "succeeded", "failed"].map(|member| {
        let count = answer["summary"][member].as_u64();
        count.unwrap_or_else(|| panic!("no {member} in {answer}")) as usize
    })
}

/// Asserts one result that was refused; `state` is the quantity and version it shows, or none where it shows none.
#[track_caller]
pub fn assert_refused(result: &Value, error_type: &str, state: Option<(u64, u64)>) {
    assert_eq!(result["applied"], false, "{result}");
    assert_eq!(result["errorType"], error_type, "{result}");
    assert!(
        result["errorMessage"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{result}"
    );
    match state {
        Some((quantity, version)) => {
            assert_eq!(result["newQuantity"], quantity, "{result}");
            assert_eq!(result["newVersion"], version, "{result}");
            assert_time(&result["lastUpdated"]);
        }
        None => assert_absent(result, &["newQuantity", "newVersion", "lastUpdated"]),
    }
}

#[track_caller]
pub fn assert_absent(object: &Value, members: &[&str]) {
    for member in members {
        assert!(
            object.get(member).is_none(),
            "{member} does not belong in {object}"
        );
    }
}

/// Asserts a time like `2026-11-22T14:40:02.123Z`.
#[track_caller]
pub fn assert_time(value: &Value) {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("not a time: {value}"));
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

/// Asserts the six members of a product.
#[track_caller]
pub fn assert_product(product: &Value) {
    assert!(product["productId"].is_string(), "{product}");
    assert!(product["name"].is_string(), "{product}");
    assert!(product["available"].is_u64(), "{product}");
    assert!(product["version"].is_u64(), "{product}");
    assert!(product["price"].is_number(), "{product}");
    assert_time(&product["lastUpdated"]);
}

/// Asserts the members of a page of the feed.
#[track_caller]
pub fn assert_page(page: &Value) {
    let events = page["events"]
        .as_array()
        .unwrap_or_else(|| panic!("no list of events: {page}"));
    assert_eq!(page["count"], events.len(), "{page}");
    assert!(page["nextOffset"].is_u64(), "{page}");
    assert!(page["hasMore"].is_boolean(), "{page}");
}

/// The events of a page, each as it was written.
#[track_caller]
pub fn raw_events(page: &Reply) -> Vec<String> {
    let events: Vec<Box<RawValue>> = serde_json::from_str(&page.raw("events")).expect("a list");
    events.iter().map(|event| event.get().to_owned()).collect()
}
