//! `GET /v1/inventory/events`: the feed, by poll. As a stream it is in [`super::event_stream`].

use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;

use super::problem::{Code, Problem};
use super::query::Query;
use super::respond::{self, Answer};
use crate::acceptor::{Acceptor, Overloaded};
use crate::journal::format::EventKind;
use crate::messages::{FeedAnswer, Form};
use crate::rules;
use crate::sequencer::filter::{Filter, PRODUCTS_MAX};

/// Events on a page unless the query says.
pub const LIMIT_DEFAULT: u64 = 100;
/// The most events on a page.
pub const LIMIT_MAX: u64 = 1000;
/// The longest wait, in seconds.
pub const WAIT_MAX_SECONDS: u64 = 60;
/// The greatest offset that every JSON client reads exactly.
pub const OFFSET_MAX: u64 = shards::QUANTITY_MAX;

/// What is asked of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `offset`
    pub offset: u64,
    /// `limit`
    pub limit: u32,
    /// `wait`, in milliseconds.
    pub wait_ms: u32,
    /// A page or a stream.
    pub form: Form,
    /// `productId` and `eventType`
    pub filter: Option<Arc<Filter>>,
}

/// Answers a poll, at once or when there is something to tell or the time is over.
pub async fn poll(acceptor: &Rc<Acceptor>, query: Option<&str>) -> Answer {
    let asked = asked(query, None)?;
    match acceptor.poll_feed(&asked).await {
        Ok(FeedAnswer::Page { bytes, .. }) => Ok(respond::json_bytes(StatusCode::OK, bytes)),
        Ok(other) => Err(no_events(asked.offset, other)),
        Err(Overloaded) => Err(Problem::overloaded()),
    }
}

/// Reads the query. `resumed` is the offset that a stream goes on from, which wins over the one in the query.
pub fn asked(query: Option<&str>, resumed: Option<u64>) -> Result<Asked, Problem> {
    let mut query = Query::parse(query);
    let offset = query.integer("offset", 0, OFFSET_MAX);
    let offset = resumed.or(offset);
    if offset.is_none() && query.text("offset").is_none() {
        query.fault(
            "offset",
            "is required: the offset to begin at, 0 for the first event",
        );
    }
    let limit = query
        .integer("limit", 1, LIMIT_MAX)
        .unwrap_or(LIMIT_DEFAULT);
    let wait = query.integer("wait", 0, WAIT_MAX_SECONDS).unwrap_or(0);
    let filter = filter(&mut query);
    query.finish()?;
    Ok(Asked {
        offset: offset.expect("without a fault there is an offset"),
        limit: limit as u32,
        wait_ms: wait as u32 * 1000,
        form: Form::Page,
        filter: filter.map(Arc::new),
    })
}

fn filter(query: &mut Query) -> Option<Filter> {
    let products = query.texts("productId");
    if products.len() > PRODUCTS_MAX {
        query.fault(
            "productId",
            &format!("must stand {PRODUCTS_MAX} times at most"),
        );
    }
    for id in &products {
        if let Err(issue) = rules::product_id(id) {
            query.fault("productId", issue);
        }
    }
    let mut kinds = Vec::new();
    for name in query.texts("eventType") {
        match EventKind::by_name(name.as_bytes()) {
            Some(kind) => kinds.push(kind),
            None => {
                let known = EventKind::ALL.map(EventKind::as_str).join(", ");
                query.fault("eventType", &format!("must be one of {known}"));
            }
        }
    }
    Filter::new(&products, &kinds)
}

/// Why there is no page from `offset` on.
pub fn no_events(offset: u64, answer: FeedAnswer) -> Problem {
    match answer {
        FeedAnswer::Expired { oldest, end } => Problem {
            oldest_offset: Some(oldest),
            next_offset: Some(end),
            ..Problem::new(
                Code::OffsetExpired,
                format!("offset {offset} is older than the oldest that is kept, {oldest}"),
            )
        },
        FeedAnswer::BeyondEnd { end } => Problem {
            next_offset: Some(end),
            ..Problem::new(
                Code::OffsetBeyondEnd,
                format!("offset {offset} is beyond the end of the feed, {end}"),
            )
        },
        FeedAnswer::Unreadable => Problem::new(
            Code::StorageFailed,
            format!("the event with offset {offset} cannot be read from the journal"),
        ),
        FeedAnswer::TooManyWaiters => Problem::new(
            Code::Overloaded,
            "as many polls and streams wait already as MAX_WAITERS allows",
        ),
        FeedAnswer::Page { .. } | FeedAnswer::End(_) | FeedAnswer::Forgotten => {
            unreachable!("a poll that waits here is answered as a poll")
        }
    }
}
