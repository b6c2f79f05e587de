//! The rate limits of a request: whose budget it spends, the refusal, and the headers that tell the client how its
//! budget stands.
//!
//! `X-RateLimit-Limit`, `-Remaining` and `-Reset` tell of one budget, the one with less left. `RateLimit-Policy` and
//! `RateLimit` (draft-ietf-httpapi-ratelimit-headers) list every budget that the request spends.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::problem::{Code, Problem};
use crate::encoding;
use crate::limiter::{Class, Decision, Limiter, Scope, Standing};
use crate::runtime::clock;

const LIMITED_PATHS: &str = "/v1/";
const ADMIN_PATHS: &str = "/v1/admin/";

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CURRENT: HeaderName = HeaderName::from_static("ratelimit");
/// How many headers a limited response has for it, a refusal's `Retry-After` included.
const HEADERS: usize = 6;

/// The limiter, and what of its headers is the same for every response. One for each acceptor: a header value counts
/// its copies, and acceptors should not count on one cache line.
pub struct Limits {
    limiter: Arc<Limiter>,
    regular: Policies,
    admin: Policies,
}

/// The budgets of one class.
struct Policies {
    client: Policy,
    global: Policy,
    /// `RateLimit-Policy`, of those that there are.
    listed: HeaderValue,
}

struct Policy {
    name: &'static str,
    requests: u64,
    /// `X-RateLimit-Limit`
    limit: HeaderValue,
}

/// What a request spent, or would have spent.
#[derive(Clone, Copy)]
pub struct Spent<'a> {
    limits: &'a Limits,
    class: Class,
    decision: Decision,
}

impl Limits {
    /// Over the limiter of the server.
    pub fn new(limiter: Arc<Limiter>) -> Limits {
        Limits {
            regular: Policies::new(&limiter, Class::Regular, ["client", "global"]),
            admin: Policies::new(&limiter, Class::Admin, ["admin-client", "admin-global"]),
            limiter,
        }
    }

    /// The limiter itself.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Spends one request of `client` to `path`; none if that is not limited.
    pub fn spend(&self, client: Option<IpAddr>, path: &str) -> Option<Spent<'_>> {
        let class = class_of(path)?;
        // A client without an address is gone already: nobody hears the answer.
        let client = client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let limiter = &self.limiter;
        Some(Spent {
            limits: self,
            class,
            decision: limiter.decide(client, class, limiter.now_ms()),
        })
    }
}

fn class_of(path: &str) -> Option<Class> {
    if path.starts_with(ADMIN_PATHS) {
        Some(Class::Admin)
    } else {
        path.starts_with(LIMITED_PATHS).then_some(Class::Regular)
    }
}

impl Policies {
    fn new(limiter: &Limiter, class: Class, [client, global]: [&'static str; 2]) -> Policies {
        let budgets = limiter.budgets(class);
        let seconds = limiter.window_ms() / 1000;
        let list =
            |name, budget: Option<u64>| Some(format!("\"{name}\";q={};w={seconds}", budget?));
        let listed = [list(client, budgets.client), list(global, budgets.global)];
        let listed: Vec<String> = listed.into_iter().flatten().collect();
        Policies {
            client: Policy::new(client, budgets.client),
            global: Policy::new(global, budgets.global),
            listed: HeaderValue::try_from(listed.join(", ")).expect("names and numbers are ASCII"),
        }
    }

    fn of(&self, scope: Scope) -> &Policy {
        match scope {
            Scope::Client => &self.client,
            Scope::Global => &self.global,
        }
    }
}

impl Policy {
    fn new(name: &'static str, budget: Option<u64>) -> Policy {
        let requests = budget.unwrap_or(u64::MAX);
        Policy {
            name,
            requests,
            limit: requests.into(),
        }
    }
}

impl Spent<'_> {
    /// Whose budget it spends.
    pub fn class(&self) -> Class {
        self.class
    }

    /// A problem, if the request was refused.
    pub fn check(&self) -> Result<(), Problem> {
        if self.decision.admitted {
            return Ok(());
        }
        let (scope, standing) = self.decision.tightest();
        let whose = match scope {
            Scope::Client => "this client has",
            Scope::Global => "all clients together have",
        };
        let limiter = &self.limits.limiter;
        let detail = format!(
            "{whose} spent the {} requests of {} min; try again in {} s",
            self.policies().of(scope).requests,
            limiter.window_ms() / 60_000,
            retry_after_seconds(&standing, limiter.now_ms()),
        );
        Err(Problem::new(Code::RateLimited, detail))
    }

    /// Tells the client how its budgets stand: what was left when the request was judged, and the times as of now.
    pub fn describe(&self, headers: &mut HeaderMap) {
        let (now_ms, wall_ms) = (self.limits.limiter.now_ms(), clock::wall_now().0);
        let policies = self.policies();
        let (scope, standing) = self.decision.tightest();
        let reset_ms = wall_ms + standing.grows_at_ms.saturating_sub(now_ms);
        headers.reserve(HEADERS);
        headers.insert(LIMIT, policies.of(scope).limit.clone());
        headers.insert(REMAINING, standing.remaining.into());
        headers.insert(RESET, reset_ms.div_ceil(1000).into());
        headers.insert(POLICY, policies.listed.clone());
        headers.insert(CURRENT, self.current(now_ms));
        if !self.decision.admitted {
            headers.insert(RETRY_AFTER, retry_after_seconds(&standing, now_ms).into());
        }
    }

    /// `RateLimit`: each budget with what remains, and the seconds until it grows.
    fn current(&self, now_ms: u64) -> HeaderValue {
        let mut text = Vec::with_capacity(64);
        let policies = self.policies();
        let standings = [
            (&policies.client, self.decision.client),
            (&policies.global, self.decision.global),
        ];
        for (policy, standing) in standings {
            let Some(standing) = standing else { continue };
            if !text.is_empty() {
                text.extend_from_slice(b", ");
            }
            text.push(b'"');
            text.extend_from_slice(policy.name.as_bytes());
            text.extend_from_slice(b"\";r=");
            encoding::integer(&mut text, standing.remaining);
            text.extend_from_slice(b";t=");
            encoding::integer(&mut text, seconds_until(standing.grows_at_ms, now_ms));
        }
        HeaderValue::from_maybe_shared(Bytes::from(text)).expect("names and numbers are ASCII")
    }

    fn policies(&self) -> &Policies {
        match self.class {
            Class::Regular => &self.limits.regular,
            Class::Admin => &self.limits.admin,
        }
    }
}

/// Rounded up, so that whoever waits so long is not early.
fn seconds_until(at_ms: u64, now_ms: u64) -> u64 {
    at_ms.saturating_sub(now_ms).div_ceil(1000)
}

fn retry_after_seconds(standing: &Standing, now_ms: u64) -> u64 {
    seconds_until(standing.grows_at_ms, now_ms).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_v1_is_limited_and_admin_paths_apart() {
        let check = |path, expected| assert_eq!(expected, class_of(path), "{path}");
        check("/v1/inventory", Some(Class::Regular));
        check("/v1/nothing", Some(Class::Regular));
        check("/v1/admin", Some(Class::Regular));
        check("/v1/admin/", Some(Class::Admin));
        check("/v1/admin/nothing", Some(Class::Admin));
        check("/v1", None);
        check("/health", None);
        check("/problems/rate_limited", None);
        check("*", None);
    }
}
