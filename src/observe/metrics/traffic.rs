//! What an acceptor counts: its requests, connections and refusals.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Method;

use super::cells::{Cell, DURATIONS, Histogram, SIZES};
use crate::limiter::Class;

/// Where a request went, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/inventory/updates`
    Updates,
    /// `/v1/inventory/{productId}`
    Product,
    /// `/v1/inventory`
    Products,
    /// `/v1/inventory/events`
    Events,
    /// `/v1/inventory/snapshot`
    Snapshot,
    /// `/v1/admin/products/create`
    Create,
    /// `/v1/admin/products/set`
    Set,
    /// `/v1/admin/products/delete`
    Delete,
    /// `/v1/admin/rate-limit/status`
    RateLimitStatus,
    /// `/health`, `/health/ready`
    Health,
    /// `/health/live`
    Live,
    /// `/problems/{code}`
    Problems,
    /// `/openapi.json`
    Description,
    /// `/docs`, `/docs/{file}`
    Docs,
    /// Unknown paths, and heads that are none.
    Other,
}

impl Endpoint {
    /// Each, in the order of their numbers.
    pub const ALL: [Endpoint; 15] = [
        Endpoint::Updates,
        Endpoint::Product,
        Endpoint::Products,
        Endpoint::Events,
        Endpoint::Snapshot,
        Endpoint::Create,
        Endpoint::Set,
        Endpoint::Delete,
        Endpoint::RateLimitStatus,
        Endpoint::Health,
        Endpoint::Live,
        Endpoint::Problems,
        Endpoint::Description,
        Endpoint::Docs,
        Endpoint::Other,
    ];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Endpoint::Updates => "/v1/inventory/updates",
            Endpoint::Product => "/v1/inventory/{productId}",
            Endpoint::Products => "/v1/inventory",
            Endpoint::Events => "/v1/inventory/events",
            Endpoint::Snapshot => "/v1/inventory/snapshot",
            Endpoint::Create => "/v1/admin/products/create",
            Endpoint::Set => "/v1/admin/products/set",
            Endpoint::Delete => "/v1/admin/products/delete",
            Endpoint::RateLimitStatus => "/v1/admin/rate-limit/status",
            Endpoint::Health => "/health",
            Endpoint::Live => "/health/live",
            Endpoint::Problems => "/problems/{code}",
            Endpoint::Description => "/openapi.json",
            Endpoint::Docs => "/docs",
            Endpoint::Other => "other",
        }
    }
}

/// The methods that have a label of their own; the last stands for any other.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];

fn method_index(method: &Method) -> usize {
    let name = method.as_str();
    let last = METHODS.len() - 1;
    METHODS[..last]
        .iter()
        .position(|known| *known == name)
        .unwrap_or(last)
}

/// The statuses that are counted, the most frequent first; 0 stands for any other.
pub const STATUSES: [u16; 18] = [
    200, 409, 304, 404, 422, 429, 503, 400, 401, 403, 405, 410, 413, 415, 431, 204, 500, 0,
];

fn status_index(status: u16) -> usize {
    let last = STATUSES.len() - 1;
    STATUSES[..last]
        .iter()
        .position(|known| *known == status)
        .unwrap_or(last)
}

/// What kind of address a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A public address.
    External,
    /// A private address.
    Internal,
    /// This machine.
    Localhost,
}

impl ClientKind {
    /// Each, in the order of their numbers.
    pub const ALL: [ClientKind; 3] = [
        ClientKind::External,
        ClientKind::Internal,
        ClientKind::Localhost,
    ];

    /// The kind of `address`; one that is not known any more is a stranger's.
    pub fn of(address: Option<IpAddr>) -> ClientKind {
        match address.map(|address| address.to_canonical()) {
            Some(address) if address.is_loopback() => ClientKind::Localhost,
            Some(IpAddr::V4(v4)) if v4.is_private() || v4.is_link_local() => ClientKind::Internal,
            Some(IpAddr::V6(v6)) if v6.is_unique_local() || v6.is_unicast_link_local() => {
                ClientKind::Internal
            }
            _ => ClientKind::External,
        }
    }

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientKind::External => "external",
            ClientKind::Internal => "internal",
            ClientKind::Localhost => "localhost",
        }
    }
}

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// `IDLE_TIMEOUT`
    Idle,
    /// `HEADER_TIMEOUT`
    Header,
    /// `BODY_TIMEOUT`
    Body,
    /// `WRITE_TIMEOUT`
    Write,
}

impl Deadline {
    /// Each, in the order of their numbers.
    pub const ALL: [Deadline; 4] = [
        Deadline::Idle,
        Deadline::Header,
        Deadline::Body,
        Deadline::Write,
    ];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Deadline::Idle => "idle",
            Deadline::Header => "header",
            Deadline::Body => "body",
            Deadline::Write => "write",
        }
    }
}

/// How many problem codes there are at most.
pub const CODES_MAX: usize = 32;

/// What one acceptor counts. Written on its executor alone.
pub struct AcceptorMetrics {
    requests: Box<[[[Cell; STATUSES.len()]; METHODS.len()]; Endpoint::ALL.len()]>,
    durations: [[Histogram; METHODS.len()]; Endpoint::ALL.len()],
    /// By kind of client; how many each has counted is how many requests there were of that kind.
    pub response_times: [Histogram; ClientKind::ALL.len()],
    /// Bodies of requests that have one.
    pub request_bytes: Histogram,
    /// Bodies of responses, as they were sent.
    pub response_bytes: Histogram,
    /// Problems, by the number of their code.
    pub problems: [Cell; CODES_MAX],
    /// Requests that are being answered.
    pub in_flight: Cell,
    /// Requests over a budget, by kind of client and class of budget.
    pub violations: [[Cell; Class::ALL.len()]; ClientKind::ALL.len()],
    /// Applied updates, by the place of their store.
    pub applied: Box<[Cell]>,
    /// Connections that are open.
    pub connections: Cell,
    /// Streams of the feed that are open.
    pub streams: Cell,
    /// Connections that were let in.
    pub accepted: Cell,
    /// Connections over `MAX_CONNECTIONS`.
    pub refused_by_server: Cell,
    /// Connections over `MAX_CONNECTIONS_PER_IP`.
    pub refused_by_address: Cell,
    /// Connections past a deadline.
    pub timed_out: [Cell; Deadline::ALL.len()],
    /// Memory that request bodies hold, in bytes.
    pub body_bytes: Cell,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Where it went.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: &'a Method,
    /// The status of the answer.
    pub status: u16,
    /// Who asked.
    pub client: ClientKind,
    /// From its parsed head to the answer.
    pub took: Duration,
}

impl AcceptorMetrics {
    /// Of an acceptor that begins, with `store_places` to count applied updates in.
    pub fn new(store_places: usize) -> AcceptorMetrics {
        AcceptorMetrics {
            requests: Box::default(),
            durations: std::array::from_fn(|_| std::array::from_fn(|_| Histogram::new(&DURATIONS))),
            response_times: std::array::from_fn(|_| Histogram::new(&DURATIONS)),
            request_bytes: Histogram::new(&SIZES),
            response_bytes: Histogram::new(&SIZES),
            problems: Default::default(),
            in_flight: Cell::default(),
            violations: Default::default(),
            applied: (0..store_places).map(|_| Cell::default()).collect(),
            connections: Cell::default(),
            streams: Cell::default(),
            accepted: Cell::default(),
            refused_by_server: Cell::default(),
            refused_by_address: Cell::default(),
            timed_out: Default::default(),
            body_bytes: Cell::default(),
        }
    }

    /// Counts a request.
    pub fn answered(&self, answered: &Answered<'_>) {
        let (endpoint, method) = (answered.endpoint as usize, method_index(answered.method));
        self.requests[endpoint][method][status_index(answered.status)].increment();
        self.durations[endpoint][method].observe_duration(answered.took);
        self.response_times[answered.client as usize].observe_duration(answered.took);
    }

    /// How many requests of `endpoint` and the method of number `method` had the status of number `status`.
    pub fn requests(&self, endpoint: Endpoint, method: usize, status: usize) -> u64 {
        self.requests[endpoint as usize][method][status].get()
    }

    /// How long requests of `endpoint` and the method of number `method` took.
    pub fn durations(&self, endpoint: Endpoint, method: usize) -> &Histogram {
        &self.durations[endpoint as usize][method]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_client_is_that_of_its_network() {
        let check = |address: &str, expected| {
            assert_eq!(expected, ClientKind::of(address.parse().ok()), "{address}")
        };
        check("127.0.0.2", ClientKind::Localhost);
        check("::1", ClientKind::Localhost);
        check("::ffff:127.0.0.1", ClientKind::Localhost);
        check("10.1.2.3", ClientKind::Internal);
        check("172.16.0.1", ClientKind::Internal);
        check("fd00::1", ClientKind::Internal);
        check("172.32.0.1", ClientKind::External);
        check("2001:db8::1", ClientKind::External);
        check("gone", ClientKind::External);
    }

    #[test]
    fn numbers_of_enums_are_their_places_in_the_list() {
        for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(index, endpoint as usize);
        }
        for (index, kind) in ClientKind::ALL.into_iter().enumerate() {
            assert_eq!(index, kind as usize);
        }
        for (index, deadline) in Deadline::ALL.into_iter().enumerate() {
            assert_eq!(index, deadline as usize);
        }
    }

    #[test]
    fn a_status_or_method_without_a_label_is_counted_with_the_others() {
        let metrics = AcceptorMetrics::new(1);
        let answered = |method, status| Answered {
            endpoint: Endpoint::Product,
            method,
            status,
            client: ClientKind::External,
            took: Duration::from_micros(1),
        };
        metrics.answered(&answered(&Method::GET, 200));
        metrics.answered(&answered(&Method::PATCH, 418));
        assert_eq!(1, metrics.requests(Endpoint::Product, 0, 0));
        let (method, status) = (METHODS.len() - 1, STATUSES.len() - 1);
        assert_eq!(1, metrics.requests(Endpoint::Product, method, status));
        assert_eq!(2, metrics.response_times[0].count());
    }
}
