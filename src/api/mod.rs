//! From the head of a request and its body to a response. Never panics, never lets a fault of a request reach
//! further than its own answer.
//!
//! The order of judgement: the head itself, the rate limits (429), the path (404), the method (405), the key (401, 403),
//! whether the server stops (503), what the headers say of the body (413, 415), and only then the body.

mod accept;
mod admin;
mod asked;
mod asset;
mod body;
mod cors;
mod docs;
mod event_stream;
pub mod events;
mod explanation;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
pub mod limits;
pub mod openapi;
mod problem;
mod products;
mod query;
mod rate_limit_status;
mod refusal;
mod respond;
mod route;
mod update_answers;
mod updates;
mod wire;

use std::rc::Rc;

use hyper::header::{ALLOW, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use ulid::{ULID_LEN, Ulid};

use crate::acceptor::Acceptor;
use crate::acceptor::auth::{Access, KEY_HEADER};
use crate::acceptor::connection::head::{self, Refusal};
use crate::acceptor::connection::{Phase, RequestBody, Watch};
use crate::runtime::clock;
pub use accept::preferred;
use asked::Asked;
pub use body::BODY_BYTES_MAX;
pub use docs::prepare;
use limits::Spent;
use problem::{Code, Problem};
pub use refusal::connection_refusal;
use respond::Answer;
pub use respond::{Pieces, ResponseBody};
use route::Route;

/// Every code of a problem, and the number that it is counted under.
pub fn problem_codes() -> impl Iterator<Item = (usize, &'static str)> {
    Code::numbered()
}

/// The most bytes of a request line and its headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest request id that a caller may give.
const REQUEST_ID_BYTES_MAX: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether the request is one of many that come at the same moment: those of the stores that follow the feed.
pub fn follows_the_feed(head: &Parts) -> bool {
    head.uri.path().strip_prefix('/') == Some(route::EVENTS)
}

/// Answers a request whose head was `judged`.
pub async fn handle(
    acceptor: &Rc<Acceptor>,
    watch: &Watch,
    judged: Result<(), Refusal>,
    head: Parts,
    body: RequestBody<'_>,
) -> Response<ResponseBody> {
    let request_id = request_id(acceptor, &head.headers);
    let judged = match judged {
        Err(refusal) => Err(refused(refusal)),
        Ok(()) => check_head(&head),
    };
    let path = judged.is_ok().then(|| head.uri.path());
    let route = path.and_then(Route::of);
    let mut asked = Asked::new(acceptor, watch.peer(), &head, route.as_ref());
    let spent = path.and_then(|path| acceptor.limits.as_ref()?.spend(asked.client(), path));
    let answer = match judged.and_then(|()| spent.as_ref().map_or(Ok(()), Spent::check)) {
        Ok(()) => answer(acceptor, watch, &asked, &request_id, &head, route, body).await,
        Err(problem) => Err(problem),
    };
    let mut response = answer.unwrap_or_else(|problem| {
        asked.met(problem.code, spent.as_ref());
        problem.into_response(text(&request_id))
    });
    let headers = response.headers_mut();
    if let Some(spent) = &spent {
        spent.describe(headers);
    }
    headers.insert(REQUEST_ID, request_id.clone());
    if let Some(origins) = &acceptor.config.cors_allowed_origins {
        cors::add_headers(origins, &head.method, &head.headers, &mut response);
    }
    asked.answered(response.status(), text(&request_id));
    response
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

/// The caller's own id where it is a sensible one, else a new one.
fn request_id(acceptor: &Acceptor, headers: &HeaderMap) -> HeaderValue {
    let is_printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let given = headers.get(&REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_printable)
    });
    given.cloned().unwrap_or_else(|| new_request_id(acceptor))
}

fn new_request_id(acceptor: &Acceptor) -> HeaderValue {
    let id = Ulid::from_parts(clock::wall_now().0, acceptor.next_request_id());
    let mut buffer = [0; ULID_LEN];
    HeaderValue::from_str(id.array_to_str(&mut buffer)).expect("a ULID is ASCII")
}

async fn answer(
    acceptor: &Rc<Acceptor>,
    watch: &Watch,
    asked: &Asked<'_>,
    request_id: &HeaderValue,
    head: &Parts,
    route: Option<Route<'_>>,
    body: RequestBody<'_>,
) -> Answer {
    if head.method == Method::OPTIONS && head.uri.path() == "*" {
        return Ok(options("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    }
    let route = route
        .ok_or_else(|| Problem::new(Code::NotFound, format!("no path {}", head.uri.path())))?;
    if head.method == Method::OPTIONS {
        return Ok(options(route.allow()));
    }
    route.check_method(&head.method)?;
    check_access(acceptor, &route, &head.headers)?;
    if route.is_versioned() && acceptor.is_draining() {
        return Err(Problem::new(Code::Draining, "the server is stopping"));
    }
    if route.is_versioned() && acceptor.lifecycle.is_recovering() {
        return Err(Problem::recovering());
    }
    let query = head.uri.query();
    match route {
        Route::Product(id) => products::read(acceptor, &id, &head.headers).await,
        Route::List => products::list(acceptor, query).await,
        Route::Snapshot => products::snapshot(acceptor).await,
        Route::Events if event_stream::is_wanted(&head.headers) => {
            event_stream::stream(acceptor, query, &head.headers, request_id).await
        }
        Route::Events => events::poll(acceptor, query).await,
        Route::RateLimitStatus => rate_limit_status::status(acceptor, query).await,
        Route::Health => Ok(health::ready(acceptor)),
        Route::Live => Ok(health::live(acceptor)),
        Route::Explanation(code) => explanation::explain(code, &head.headers),
        Route::Description => docs::description(&head.headers),
        Route::Docs => docs::page(&head.headers),
        Route::DocsFile(name) => docs::file(name, &head.headers),
        Route::Update | Route::Create | Route::Set | Route::Delete => {
            body::check_headers(&head.headers)?;
            watch.enter(Phase::Body, acceptor.now_ms());
            let json = body::read(acceptor, &head.headers, body).await?;
            acceptor.metrics.request_bytes.observe(json.len() as u64);
            watch.enter(Phase::Handling, acceptor.now_ms());
            match route {
                Route::Update => updates::handle(acceptor, asked, &json).await,
                Route::Create => admin::create(acceptor, &json).await,
                Route::Set => admin::set(acceptor, &json).await,
                _ => admin::delete(acceptor, &json).await,
            }
        }
    }
}

/// What reading it leaves unchecked of a head.
fn check_head(head: &Parts) -> Result<(), Problem> {
    let headers = head.headers.iter();
    let header_bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let path_bytes = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if header_bytes + path_bytes + head.method.as_str().len() > HEAD_BYTES_MAX {
        return Err(head_too_large());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_valid_host(host.as_bytes()) => {}
        (None, None) if head.version == hyper::Version::HTTP_10 => {}
        _ => return Err(malformed("exactly one valid Host header is needed")),
    }
    let authority = head.uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(malformed("the target must not contain userinfo"));
    }
    let is_asterisk = head.uri.path() == "*" && head.method == Method::OPTIONS;
    if !head.uri.path().starts_with('/') && !is_asterisk {
        return Err(malformed("the target must be a path or an absolute URI"));
    }
    Ok(())
}

/// Why a head was refused before it was looked at.
fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Ambiguous(fault) => malformed(fault.as_str()),
        Refusal::Unreadable(why) => malformed(why),
        Refusal::TooLarge => head_too_large(),
    }
}

fn head_too_large() -> Problem {
    let headers_max = head::HEADERS_MAX;
    let detail = format!(
        "the request line and headers may have at most {HEAD_BYTES_MAX} bytes, and {headers_max} headers"
    );
    Problem {
        closes: true,
        ..Problem::new(Code::HeadersTooLarge, detail)
    }
}

/// A head that cannot be trusted, nor what follows it.
fn malformed(detail: &str) -> Problem {
    Problem {
        closes: true,
        ..Problem::new(Code::ValidationError, detail)
    }
}

/// A host name or address with an optional port.
fn is_valid_host(host: &[u8]) -> bool {
    !host.is_empty()
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte))
}

fn check_access(
    acceptor: &Acceptor,
    route: &Route<'_>,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let needs = route.needs();
    if needs == Access::None {
        return Ok(());
    }
    let key = headers
        .get(KEY_HEADER)
        .map_or(&b""[..], HeaderValue::as_bytes);
    match acceptor.keys.with(|keys| keys.access(key)) {
        Access::None => Err(Problem::new(
            Code::Unauthorized,
            "a known key is needed in the header X-API-Key",
        )),
        access if access < needs => Err(Problem::new(
            Code::Forbidden,
            "this path needs an admin key",
        )),
        _ => Ok(()),
    }
}

fn options(allow: &'static str) -> Response<ResponseBody> {
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}
