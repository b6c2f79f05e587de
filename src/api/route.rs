//! Paths and methods.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::problem::{Code, Problem};
use crate::acceptor::auth::Access;
use crate::observe::metrics::traffic::Endpoint;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `POST /v1/inventory/updates`
    Update,
    /// `GET /v1/inventory/{productId}`
    Product(Cow<'a, str>),
    /// `GET /v1/inventory`
    List,
    /// `GET /v1/inventory/events`
    Events,
    /// `GET /v1/inventory/snapshot`
    Snapshot,
    /// `POST /v1/admin/products/create`
    Create,
    /// `PUT /v1/admin/products/set`
    Set,
    /// `DELETE /v1/admin/products/delete`
    Delete,
    /// `GET /v1/admin/rate-limit/status`
    RateLimitStatus,
    /// `GET /health`, `/health/ready`: is it fit to serve
    Health,
    /// `GET /health/live`: does it run
    Live,
    /// `GET /problems/{code}`
    Explanation(&'a str),
    /// `GET /openapi.json`
    Description,
    /// `GET /docs`
    Docs,
    /// `GET /docs/{file}`
    DocsFile(&'a str),
}

/// The path of the feed, without the slash before it.
pub const EVENTS: &str = "v1/inventory/events";

/// Every path that has no part to fill in.
const FIXED: [(&str, Route<'static>); 13] = [
    ("v1/inventory/updates", Route::Update),
    ("v1/inventory", Route::List),
    (EVENTS, Route::Events),
    ("v1/inventory/snapshot", Route::Snapshot),
    ("v1/admin/products/create", Route::Create),
    ("v1/admin/products/set", Route::Set),
    ("v1/admin/products/delete", Route::Delete),
    ("v1/admin/rate-limit/status", Route::RateLimitStatus),
    ("health", Route::Health),
    ("health/ready", Route::Health),
    ("health/live", Route::Live),
    ("openapi.json", Route::Description),
    ("docs", Route::Docs),
];

impl<'a> Route<'a> {
    /// The route of `path`; none if there is no such path.
    pub fn of(path: &'a str) -> Option<Route<'a>> {
        let path = path.strip_prefix('/')?;
        if let Some((_, route)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
            return Some(route.clone());
        }
        if let Some(id) = path.strip_prefix("v1/inventory/") {
            let is_segment = !id.is_empty() && !id.contains('/');
            let id = percent_decode_str(id).decode_utf8().ok()?;
            return is_segment.then_some(Route::Product(id));
        }
        if let Some(file) = path.strip_prefix("docs/") {
            return Some(Route::DocsFile(file));
        }
        let code = path.strip_prefix("problems/")?;
        Some(Route::Explanation(code))
    }

    /// Every path there is, with the parts to fill in named in braces.
    #[cfg(test)]
    pub fn all_paths() -> impl Iterator<Item = String> {
        let open = ["v1/inventory/{productId}", "docs/{file}", "problems/{code}"];
        let fixed = FIXED.iter().map(|(path, _)| *path);
        fixed.chain(open).map(|path| format!("/{path}"))
    }

    /// The method it has besides `OPTIONS`, and `HEAD` with `GET`.
    pub fn method(&self) -> Method {
        match self {
            Route::Update | Route::Create => Method::POST,
            Route::Set => Method::PUT,
            Route::Delete => Method::DELETE,
            Route::Product(_)
            | Route::List
            | Route::Events
            | Route::Snapshot
            | Route::RateLimitStatus
            | Route::Health
            | Route::Live
            | Route::Explanation(_)
            | Route::Description
            | Route::Docs
            | Route::DocsFile(_) => Method::GET,
        }
    }

    /// As it is counted.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Route::Update => Endpoint::Updates,
            Route::Product(_) => Endpoint::Product,
            Route::List => Endpoint::Products,
            Route::Events => Endpoint::Events,
            Route::Snapshot => Endpoint::Snapshot,
            Route::Create => Endpoint::Create,
            Route::Set => Endpoint::Set,
            Route::Delete => Endpoint::Delete,
            Route::RateLimitStatus => Endpoint::RateLimitStatus,
            Route::Health => Endpoint::Health,
            Route::Live => Endpoint::Live,
            Route::Explanation(_) => Endpoint::Problems,
            Route::Description => Endpoint::Description,
            Route::Docs | Route::DocsFile(_) => Endpoint::Docs,
        }
    }

    /// What the header `Allow` lists.
    pub fn allow(&self) -> &'static str {
        match self.method() {
            Method::POST => "POST, OPTIONS",
            Method::PUT => "PUT, OPTIONS",
            Method::DELETE => "DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Refuses a method that it does not have. `OPTIONS` is answered before.
    pub fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let own = self.method();
        if *method == own || (own == Method::GET && *method == Method::HEAD) {
            return Ok(());
        }
        let detail = format!("this path does not have the method {method}");
        Err(Problem {
            allow: Some(self.allow()),
            ..Problem::new(Code::MethodNotAllowed, detail)
        })
    }

    /// What a key must open for it.
    pub fn needs(&self) -> Access {
        match self {
            Route::Create | Route::Set | Route::Delete | Route::RateLimitStatus => Access::Admin,
            Route::Health
            | Route::Live
            | Route::Explanation(_)
            | Route::Description
            | Route::Docs
            | Route::DocsFile(_) => Access::None,
            _ => Access::Regular,
        }
    }

    /// Whether it is part of the API that stops being served when the server stops.
    pub fn is_versioned(&self) -> bool {
        self.needs() != Access::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_contract_says() {
        let check = |path: &str, expected: Option<Route<'_>>| {
            assert_eq!(expected, Route::of(path), "{path}")
        };
        check("/v1/inventory", Some(Route::List));
        check("/v1/inventory/", None);
        check(
            "/v1/inventory/PROD-001",
            Some(Route::Product("PROD-001".into())),
        );
        check(
            "/v1/inventory/a%20b%C3%A4",
            Some(Route::Product("a bä".into())),
        );
        check("/v1/inventory/%ff", None);
        check("/v1/inventory/a/b", None);
        check("/v1/inventory/updates", Some(Route::Update));
        check("/problems/not_found", Some(Route::Explanation("not_found")));
        check("/openapi.json", Some(Route::Description));
        check("/docs", Some(Route::Docs));
        check("/docs/page.js", Some(Route::DocsFile("page.js")));
        check("/V1/inventory", None);
        check("*", None);
    }
}
