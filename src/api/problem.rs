//! Errors of a request: `application/problem+json` (RFC 9457), one shape everywhere.

use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::values;
use super::respond::ResponseBody;

/// Seconds after which a request that met a full lane, a stopping server or a failed journal may be tried again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Every code there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    InvalidJson,
    /// The request breaks a rule.
    ValidationError,
    /// No key, or an unknown one.
    Unauthorized,
    /// A regular key on an admin endpoint.
    Forbidden,
    /// No such product or path.
    NotFound,
    /// A known path with the wrong method.
    MethodNotAllowed,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The request head is too large.
    HeadersTooLarge,
    /// The offset is older than what is kept.
    OffsetExpired,
    /// The offset is beyond the end of the feed.
    OffsetBeyondEnd,
    /// A budget is spent.
    RateLimited,
    /// A lane, a window or a memory is full.
    Overloaded,
    /// The server reads its state from disk.
    Recovering,
    /// The server stops.
    Draining,
    /// The journal failed.
    StorageFailed,
}

/// How a code is presented.
struct Presentation {
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    /// For a person who looks the code up.
    explanation: &'static str,
}

impl Code {
    /// In the order of their statuses.
    pub const ALL: [Code; 16] = [
        Code::InvalidJson,
        Code::ValidationError,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::OffsetExpired,
        Code::OffsetBeyondEnd,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::RateLimited,
        Code::HeadersTooLarge,
        Code::Overloaded,
        Code::Recovering,
        Code::Draining,
        Code::StorageFailed,
    ];

    /// Each with its number, which is less than `traffic::CODES_MAX`.
    pub fn numbered() -> impl Iterator<Item = (usize, &'static str)> {
        Code::ALL
            .into_iter()
            .map(|code| (code as usize, code.as_str()))
    }

    /// The code called `name`.
    pub fn by_name(name: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == name)
    }

    /// As it stands in `code` and at the end of `type`.
    pub fn as_str(self) -> &'static str {
        self.presentation().code
    }

    /// The status it is sent with.
    pub fn status(self) -> StatusCode {
        self.presentation().status
    }

    /// What it means and what to do, for a person.
    pub fn explanation(self) -> &'static str {
        self.presentation().explanation
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        self.presentation().title
    }

    fn presentation(self) -> Presentation {
        let (code, status, title, explanation) = match self {
            Code::InvalidJson => (
                "invalid_json",
                StatusCode::BAD_REQUEST,
                "The body is not JSON",
                "The body could not be read as JSON. The detail says where it breaks off. Nothing was changed.",
            ),
            Code::ValidationError => (
                "validation_error",
                StatusCode::BAD_REQUEST,
                "The request breaks a rule",
                "The request was understood but breaks a rule. `details` lists each offending member with the rule. \
                 Nothing was changed.",
            ),
            Code::Unauthorized => (
                "unauthorized",
                StatusCode::UNAUTHORIZED,
                "A key is needed",
                "Send a key that this server knows in the header X-API-Key.",
            ),
            Code::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "An admin key is needed",
                "The key is known but opens only the regular endpoints. Paths below /v1/admin need an admin key.",
            ),
            Code::NotFound => (
                "not_found",
                StatusCode::NOT_FOUND,
                "Not found",
                "There is no such path, or no product with that id.",
            ),
            Code::MethodNotAllowed => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "The path exists, but not with this method. The header Allow lists those that it has.",
            ),
            Code::BodyTooLarge => (
                "body_too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
                "A body may have at most 1 MiB. Split the batch.",
            ),
            Code::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not JSON",
                "Send JSON, with Content-Type: application/json or without a Content-Type.",
            ),
            Code::HeadersTooLarge => (
                "headers_too_large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are too large",
                "The request line and headers may have at most 16 KiB together.",
            ),
            Code::OffsetExpired => (
                "offset_expired",
                StatusCode::GONE,
                "The offset is no longer kept",
                "Events from this offset on are not kept any more. Start again from /v1/inventory/snapshot and go on \
                 from its nextOffset.",
            ),
            Code::OffsetBeyondEnd => (
                "offset_beyond_end",
                StatusCode::GONE,
                "The offset is beyond the end",
                "There is no such offset yet: it may come from another server's feed. Start again from \
                 /v1/inventory/snapshot and go on from its nextOffset.",
            ),
            Code::RateLimited => (
                "rate_limited",
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                "The budget of requests for this window is spent. Retry-After says when to go on.",
            ),
            Code::Overloaded => (
                "overloaded",
                StatusCode::SERVICE_UNAVAILABLE,
                "Overloaded",
                "The server has as much to do as it takes on. Nothing was changed; try again after Retry-After, with \
                 the same idempotency key.",
            ),
            Code::Recovering => (
                "recovering",
                StatusCode::SERVICE_UNAVAILABLE,
                "The server recovers",
                "The server has just started and reads its state from disk. Try again a little later.",
            ),
            Code::Draining => (
                "draining",
                StatusCode::SERVICE_UNAVAILABLE,
                "The server stops",
                "The server finishes what it has begun and takes nothing new. Try again, with the same idempotency \
                 key.",
            ),
            Code::StorageFailed => (
                "storage_failed",
                StatusCode::SERVICE_UNAVAILABLE,
                "The journal failed",
                "The server cannot make changes durable any more and accepts none until it is restarted. Whether this \
                 change is kept is decided at the restart: try again then, with the same idempotency key.",
            ),
        };
        Presentation {
            code,
            status,
            title,
            explanation,
        }
    }
}

/// One offending member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProblemDetail)]
pub struct Detail {
    /// Its path, such as `products[0].price`.
    pub field: String,
    /// The rule it breaks.
    pub issue: String,
}

/// An error of a request.
#[derive(Debug)]
pub struct Problem {
    /// Which.
    pub code: Code,
    /// What was wrong with this request, in a sentence.
    pub detail: String,
    /// Every offending member.
    pub details: Vec<Detail>,
    /// Where the kept events begin.
    pub oldest_offset: Option<u64>,
    /// Where the feed ends.
    pub next_offset: Option<u64>,
    /// The methods that the path has.
    pub allow: Option<&'static str>,
    /// Whether the connection ends with it: what follows a malformed head cannot be trusted.
    pub closes: bool,
    /// A title of its own where the code's is too general.
    pub title: Option<&'static str>,
}

/// An error of a request (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemJson<'a> {
    /// Where the code is explained.
    #[schema(format = "uri-reference")]
    r#type: &'a str,
    /// What went wrong, in general.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong with this request.
    detail: &'a str,
    #[schema(value_type = values::ProblemCode)]
    code: &'a str,
    /// The X-Request-ID of the answer.
    request_id: &'a str,
    /// Every offending member, where there is something to list.
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    #[schema(required = false, min_items = 1)]
    details: &'a [Detail],
    /// With `offset_expired`: the first offset that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Offset, required = false)]
    oldest_offset: Option<u64>,
    /// With `offset_expired` and `offset_beyond_end`: the end of the feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = values::Offset, required = false)]
    next_offset: Option<u64>,
}

impl Problem {
    /// A problem with nothing to list.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            code,
            detail: detail.into(),
            details: Vec::new(),
            oldest_offset: None,
            next_offset: None,
            allow: None,
            closes: false,
            title: None,
        }
    }

    /// Rules broken by members of the request.
    pub fn validation(details: Vec<Detail>) -> Problem {
        let detail = match details.as_slice() {
            [one] => format!("{}: {}", one.field, one.issue),
            many => format!("{} members break a rule", many.len()),
        };
        Problem {
            details,
            ..Problem::new(Code::ValidationError, detail)
        }
    }

    /// There is no such product.
    pub fn product_not_found(id: &str) -> Problem {
        Problem {
            title: Some("Product not found"),
            ..Problem::new(Code::NotFound, format!("no product with id {id}"))
        }
    }

    /// The state is still being read from disk.
    pub fn recovering() -> Problem {
        Problem::new(
            Code::Recovering,
            "the server reads its state from disk; try again shortly",
        )
    }

    /// A lane or a window is full.
    pub fn overloaded() -> Problem {
        Problem::new(Code::Overloaded, "the server is busy; try again shortly")
    }

    /// The journal failed.
    pub fn storage_failed() -> Problem {
        Problem::new(
            Code::StorageFailed,
            "the journal failed; changes cannot be made durable",
        )
    }

    /// As JSON, in one line.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let code = self.code.as_str();
        sonic_rs::to_vec(&ProblemJson {
            r#type: &format!("/problems/{code}"),
            title: self.title.unwrap_or(self.code.title()),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code,
            request_id,
            details: &self.details,
            oldest_offset: self.oldest_offset,
            next_offset: self.next_offset,
        })
        .expect("a problem can be written to memory")
    }

    /// As a response.
    pub fn into_response(self, request_id: &str) -> Response<ResponseBody> {
        let json = self.to_json(request_id);
        let mut response = Response::new(ResponseBody::from(json));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
