//! `GET /v1/admin/rate-limit/status`: what is limited, and who has spent how much.

use std::net::IpAddr;
use std::rc::Rc;

use hyper::StatusCode;
use serde::Serialize;
use shards::Timestamp;
use utoipa::ToSchema;

use super::openapi::values;
use super::query::Query;
use super::respond::{self, Answer};
use super::wire::Time;
use crate::acceptor::Acceptor;
use crate::config::{RateLimit, RateLimitKind};
use crate::limiter::{Busiest, BusyClient, Class, Limiter};
use crate::runtime::{clock, executor};

/// Clients in the list unless the query says.
pub const LIMIT_DEFAULT: u64 = 100;
/// The most clients in the list.
pub const LIMIT_MAX: u64 = 1000;

/// What is limited, and who has spent how much.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RateLimitStatus)]
pub struct StatusJson {
    /// RATE_LIMIT_ENABLED
    enabled: bool,
    #[schema(value_type = values::RateLimitType)]
    r#type: &'static str,
    /// The budget of a client for regular endpoints.
    requests_per_minute: u32,
    /// The budget of a client for admin endpoints.
    admin_requests_per_minute: u32,
    /// How long the window is; its budget is that many times the one of a minute.
    window_minutes: u32,
    /// Where something is limited for all clients together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    global: Option<GlobalJson>,
    current_clients: Vec<ClientJson>,
}

/// What all clients share.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RateLimitGlobal)]
struct GlobalJson {
    requests_per_minute: u32,
    request_count: u64,
    admin_request_count: u64,
    is_blocked: bool,
}

/// What one client has spent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RateLimitClient)]
struct ClientJson {
    /// Its address.
    #[schema(value_type = String)]
    client_id: IpAddr,
    /// Regular requests in the current window.
    request_count: u64,
    /// Admin requests in the current window.
    admin_request_count: u64,
    #[schema(value_type = values::Time)]
    window_start: Time,
    /// Whether its next regular request would be refused.
    is_blocked: bool,
}

/// Answers with the busiest clients first.
pub async fn status(acceptor: &Rc<Acceptor>, query: Option<&str>) -> Answer {
    let mut query = Query::parse(query);
    let limit = query
        .integer("limit", 1, LIMIT_MAX)
        .unwrap_or(LIMIT_DEFAULT);
    query.finish()?;
    let config = &acceptor.config.rate_limit;
    let (global, current_clients) = match &acceptor.limits {
        Some(limits) => spent(limits.limiter(), config, limit as usize).await,
        None => (None, Vec::new()),
    };
    let status = StatusJson {
        enabled: config.enabled,
        r#type: match config.kind {
            RateLimitKind::Ip => "ip",
            RateLimitKind::Global => "global",
            RateLimitKind::Both => "both",
        },
        requests_per_minute: config.requests_per_minute,
        admin_requests_per_minute: config.admin_requests_per_minute,
        window_minutes: config.window_minutes,
        global,
        current_clients,
    };
    Ok(respond::json(StatusCode::OK, &status))
}

async fn spent(
    limiter: &Limiter,
    config: &RateLimit,
    limit: usize,
) -> (Option<GlobalJson>, Vec<ClientJson>) {
    let mut busiest = Busiest::new(limit);
    for partition in 0..limiter.partition_count() {
        limiter.collect(partition, &mut busiest, limiter.now_ms());
        // Other requests of this acceptor go in between.
        executor::yield_now().await;
    }
    let (now_ms, wall_ms) = (limiter.now_ms(), clock::wall_now().0);
    let budgets = limiter.budgets(Class::Regular);
    let is_spent = |budget: Option<u64>, spent| budget.is_some_and(|budget| spent >= budget);
    let global = limiter
        .spent_by_all(now_ms)
        .map(|[request_count, admin_request_count]| GlobalJson {
            requests_per_minute: config.global_requests_per_minute,
            request_count,
            admin_request_count,
            is_blocked: is_spent(budgets.global, request_count),
        });
    let all_are_blocked = global.as_ref().is_some_and(|global| global.is_blocked);
    let client = |client: BusyClient| ClientJson {
        client_id: client.address,
        request_count: client.requests,
        admin_request_count: client.admin_requests,
        window_start: wall_time(client.since_ms, now_ms, wall_ms),
        is_blocked: all_are_blocked || is_spent(budgets.client, client.requests),
    };
    let clients = busiest.into_sorted().into_iter().map(client).collect();
    (global, clients)
}

/// A moment of the limiter's clock, on the wall clock.
fn wall_time(at_ms: u64, now_ms: u64, wall_ms: u64) -> Time {
    Time(Timestamp(
        wall_ms.saturating_sub(now_ms.saturating_sub(at_ms)),
    ))
}
