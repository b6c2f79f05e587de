//! CORS: what lets a web page of another origin call the API from a browser. Keys travel in a header that the page sets, never as
//! credentials of the browser, so the mode with credentials is not offered.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Response, StatusCode};

use super::respond::ResponseBody;
use crate::config::CorsOrigins;

/// What a page may send beside what any page may.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-API-Key, Content-Type, X-Request-ID, If-None-Match, Last-Event-ID, traceparent",
);
/// What a page may read beside what any page may.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Request-ID, ETag, Retry-After, Idempotent-Replayed, X-RateLimit-Limit, X-RateLimit-Remaining, \
     X-RateLimit-Reset, RateLimit, RateLimit-Policy",
);
/// How long a browser need not ask again, in seconds: the most that Chromium heeds.
const PREFLIGHT_MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Adds to `response` what the origin of a request with `method` and `headers` may know of it. An origin that is not allowed gets
/// nothing, and so the browser keeps the response from its page.
pub fn add_headers(
    origins: &CorsOrigins,
    method: &Method,
    headers: &HeaderMap,
    response: &mut Response<ResponseBody>,
) {
    if matches!(origins, CorsOrigins::List(_)) {
        // A cache must not give one origin what another was answered, nor what was answered without any.
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = allowed_origin(origins, headers) else {
        return;
    };
    let is_preflight =
        method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let is_answered = response.status() == StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if !is_preflight {
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    } else if is_answered && let Some(methods) = answer.get(ALLOW).cloned() {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        answer.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS);
    }
}

/// The value for `Access-Control-Allow-Origin`: the request's only origin if it is on the list, `*` where all are allowed, also for
/// a request without an origin, whose answer a cache may give to a page later.
fn allowed_origin(origins: &CorsOrigins, headers: &HeaderMap) -> Option<HeaderValue> {
    if matches!(origins, CorsOrigins::Any) {
        return Some(ANY);
    }
    let mut given = headers.get_all(ORIGIN).iter();
    let (origin, None) = (given.next()?, given.next()) else {
        return None;
    };
    let is_allowed = origin.to_str().is_ok_and(|origin| origins.allows(origin));
    is_allowed.then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::respond;

    const PAGE: (&str, &str) = ("origin", "https://shop.example");
    const OTHER: (&str, &str) = ("origin", "https://evil.example");
    const ASKS: (&str, &str) = ("access-control-request-method", "GET");

    fn list() -> CorsOrigins {
        CorsOrigins::List(vec![
            "https://shop.example".into(),
            "http://[::1]:3000".into(),
        ])
    }

    /// Sends `headers` with `method` to a path that has `GET`, and checks which CORS headers come back: the origin, and whether
    /// those of a preflight or of a response to a page are there.
    #[track_caller]
    fn check(
        origins: &CorsOrigins,
        method: Method,
        headers: &[(&'static str, &'static str)],
        expected: (Option<&str>, bool, bool),
    ) {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            sent.append(*name, HeaderValue::from_static(value));
        }
        let mut response = respond::empty(StatusCode::NO_CONTENT);
        let allow = HeaderValue::from_static("GET, HEAD, OPTIONS");
        response.headers_mut().insert(ALLOW, allow.clone());
        add_headers(origins, &method, &sent, &mut response);
        let got = response.headers();
        let origin = got.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let for_preflight = [
            (ACCESS_CONTROL_ALLOW_METHODS, allow),
            (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS),
        ];
        let of_preflight = for_preflight
            .iter()
            .filter(|(name, value)| got.get(name) == Some(value))
            .count();
        assert!(of_preflight == 0 || of_preflight == 3, "{got:?}");
        let exposes = got.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS);
        let found = (
            origin.map(|origin| origin.to_str().unwrap()),
            of_preflight == 3,
            exposes,
        );
        assert_eq!(found, expected, "{method} {headers:?}");
        let varies = got.get(VARY).map(|value| value.to_str().unwrap());
        let is_list = matches!(origins, CorsOrigins::List(_));
        assert_eq!(varies, is_list.then_some("Origin"));
        assert!(!got.contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn an_origin_on_the_list_is_told_and_another_is_not() {
        let page = Some(PAGE.1);
        check(&list(), Method::GET, &[PAGE], (page, false, true));
        check(&list(), Method::POST, &[PAGE], (page, false, true));
        check(&list(), Method::GET, &[OTHER], (None, false, false));
        check(&list(), Method::GET, &[], (None, false, false));
        for origin in [
            "null",
            "",
            "*",
            "https://shop.example.evil.example",
            "https://shop.example:444",
            "http://shop.example",
            "https://shop.example, https://shop.example",
            "HTTPS://SHOP.EXAMPLE",
        ] {
            check(
                &list(),
                Method::GET,
                &[("origin", origin)],
                (None, false, false),
            );
        }
        check(&list(), Method::GET, &[PAGE, PAGE], (None, false, false));
    }

    #[test]
    fn a_preflight_is_an_options_with_an_origin_and_a_method() {
        let page = Some(PAGE.1);
        check(&list(), Method::OPTIONS, &[PAGE, ASKS], (page, true, false));
        check(&list(), Method::OPTIONS, &[PAGE], (page, false, true));
        check(&list(), Method::GET, &[PAGE, ASKS], (page, false, true));
        check(
            &list(),
            Method::OPTIONS,
            &[OTHER, ASKS],
            (None, false, false),
        );
        check(&list(), Method::OPTIONS, &[ASKS], (None, false, false));
    }

    #[test]
    fn where_all_are_allowed_the_answer_is_a_star_also_for_a_cache() {
        let star = Some("*");
        check(
            &CorsOrigins::Any,
            Method::GET,
            &[OTHER],
            (star, false, true),
        );
        check(&CorsOrigins::Any, Method::GET, &[], (star, false, true));
        check(
            &CorsOrigins::Any,
            Method::OPTIONS,
            &[OTHER, ASKS],
            (star, true, false),
        );
    }

    #[test]
    fn a_refused_preflight_can_be_read_and_allows_nothing() {
        let mut sent = HeaderMap::new();
        sent.insert("origin", HeaderValue::from_static(PAGE.1));
        sent.insert(ASKS.0, HeaderValue::from_static(ASKS.1));
        let mut response = respond::empty(StatusCode::NOT_FOUND);
        add_headers(&list(), &Method::OPTIONS, &sent, &mut response);
        let got = response.headers();
        assert_eq!(got[ACCESS_CONTROL_ALLOW_ORIGIN], PAGE.1);
        assert!(!got.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
