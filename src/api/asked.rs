//! A request while it is answered: who asks, since when, and how it is counted and told of in the end.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Instant;

use hyper::StatusCode;
use hyper::http::request::Parts;
use slog::Level;

use super::limits::Spent;
use super::problem::Code;
use super::route::Route;
use crate::acceptor::Acceptor;
use crate::acceptor::client_address::client_address;
use crate::observe::log::requests::{Class, Line, Told, trace_id};
use crate::observe::metrics::traffic::{Answered, ClientKind, Endpoint};

/// The most bytes of a path that its line shows; every path that leads somewhere is shorter.
const PATH_BYTES_MAX: usize = 512;
/// The most bytes of a method that its line shows.
const METHOD_BYTES_MAX: usize = 32;

/// Counts as being answered until it is dropped, also where its client went away meanwhile.
pub struct Asked<'a> {
    acceptor: &'a Acceptor,
    head: &'a Parts,
    endpoint: Endpoint,
    client: Option<IpAddr>,
    since: Instant,
    problem: Option<Code>,
    told: RefCell<Option<Told>>,
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
            head,
            endpoint: route.map_or(Endpoint::Other, Route::endpoint),
            client: peer.map(|peer| client_address(peer, &head.headers, trusted)),
            since: Instant::now(),
            problem: None,
            told: RefCell::new(None),
        }
    }

    /// Who asks; none if the connection is gone already.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Notes what is to be told of an update that is answered with `status`, if its line will be written. Nothing else of
    /// this acceptor may run between this and the answer.
    pub fn tell(&self, status: StatusCode, told: impl FnOnce() -> Told) {
        let (level, class) = self.severity(status);
        if self.acceptor.requests_log.would_write(level, class) {
            *self.told.borrow_mut() = Some(told());
        }
    }

    /// Notes and counts a problem that the request met.
    pub fn met(&mut self, code: Code, spent: Option<&Spent<'_>>) {
        self.problem = Some(code);
        let metrics = &self.acceptor.metrics;
        metrics.problems[code as usize].increment();
        if let (Code::RateLimited, Some(spent)) = (code, spent) {
            let kind = ClientKind::of(self.client);
            metrics.violations[kind as usize][spent.class() as usize].increment();
        }
    }

    /// Counts the request, with the status of its answer, and writes its line.
    pub fn answered(&self, status: StatusCode, request_id: &str) {
        let took = self.since.elapsed();
        self.acceptor.metrics.answered(&Answered {
            endpoint: self.endpoint,
            method: &self.head.method,
            status: status.as_u16(),
            client: ClientKind::of(self.client),
            took,
        });
        let (level, class) = self.severity(status);
        let told = self.told.borrow();
        self.acceptor.requests_log.write(level, class, || Line {
            msg: message(class, told.as_ref()),
            update: told.as_ref(),
            took,
            request_id,
            client: self.client,
            method: cut(self.head.method.as_str(), METHOD_BYTES_MAX),
            path: cut(self.head.uri.path(), PATH_BYTES_MAX),
            status: status.as_u16(),
            code: self.problem.map(Code::as_str),
            trace_id: self.trace_id(),
        });
    }

    fn severity(&self, status: StatusCode) -> (Level, Class) {
        let class = Class::of(status.as_u16());
        let level = match (class, self.endpoint) {
            // Probes ask all the time, and what they hear is no failure of theirs.
            (_, Endpoint::Health | Endpoint::Live) => Level::Debug,
            (Class::Success, Endpoint::Description | Endpoint::Docs) => Level::Debug,
            (Class::Success | Class::Refusal, _) => Level::Info,
            (Class::Failure, _) => match self.problem {
                // It passes by itself.
                Some(Code::Overloaded | Code::Recovering | Code::Draining) => Level::Warning,
                _ => Level::Error,
            },
        };
        (level, class)
    }

    fn trace_id(&self) -> Option<&str> {
        let mut values = self.head.headers.get_all("traceparent").iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        trace_id(only.to_str().ok()?)
    }
}

fn message(class: Class, told: Option<&Told>) -> &'static str {
    match (class, told) {
        (Class::Success, Some(Told::Single { .. })) => "Inventory update processed successfully",
        (Class::Success, Some(Told::Batch { .. })) => "Inventory updates processed",
        (Class::Success, None) => "Request served",
        (Class::Refusal, _) => "Request refused",
        (Class::Failure, _) => "Request failed",
    }
}

/// The beginning of `text`: a head that is refused for its size must not fill the log.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.acceptor.metrics.in_flight.decrement();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!("/ab", cut("/ab", 4));
        assert_eq!("/a", cut("/a\u{e4}", 3));
        assert_eq!("", cut("", 0));
    }
}
