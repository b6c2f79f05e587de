//! A request while it is answered: who asks, since when, and how it is counted in the end.

use std::net::IpAddr;
use std::time::Instant;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::limits::Spent;
use super::problem::Code;
use super::route::Route;
use crate::acceptor::Acceptor;
use crate::acceptor::client_address::client_address;
use crate::observe::metrics::traffic::{Answered, ClientKind, Endpoint};

/// Counts as being answered until it is dropped, also where its client went away meanwhile.
pub struct Asked<'a> {
    acceptor: &'a Acceptor,
    method: &'a Method,
    endpoint: Endpoint,
    client: Option<IpAddr>,
    since: Instant,
}

impl<'a> Asked<'a> {
    /// A request with that head from `peer`, whose route is known if it has one.
    pub fn new(
        acceptor: &'a Acceptor,
        peer: Option<IpAddr>,
        head: &'a Parts,
        route: Option<&Route<'_>>,
    ) -> Asked<'a> {
        acceptor.metrics.in_flight.increment();
        let trusted = &acceptor.config.trusted_proxies;
        Asked {
            acceptor,
            method: &head.method,
            endpoint: route.map_or(Endpoint::Other, Route::endpoint),
            client: peer.map(|peer| client_address(peer, &head.headers, trusted)),
            since: Instant::now(),
        }
    }

    /// Who asks; none if the connection is gone already.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Counts a problem that the request met.
    pub fn count_problem(&self, code: Code, spent: Option<&Spent<'_>>) {
        let metrics = &self.acceptor.metrics;
        metrics.problems[code as usize].increment();
        if let (Code::RateLimited, Some(spent)) = (code, spent) {
            let kind = ClientKind::of(self.client);
            metrics.violations[kind as usize][spent.class() as usize].increment();
        }
    }

    /// Counts the request, with the status of its answer.
    pub fn answered(&self, status: StatusCode) {
        self.acceptor.metrics.answered(&Answered {
            endpoint: self.endpoint,
            method: self.method,
            status: status.as_u16(),
            client: ClientKind::of(self.client),
            took: self.since.elapsed(),
        });
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.acceptor.metrics.in_flight.decrement();
    }
}
