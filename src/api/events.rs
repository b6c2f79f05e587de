//! `GET /v1/inventory/events`: the feed, by poll.

use std::rc::Rc;

use hyper::StatusCode;

use super::problem::{Code, Problem};
use super::query::Query;
use super::respond::{self, Answer};
use crate::acceptor::{Acceptor, Overloaded};
use crate::messages::FeedAnswer;

/// Events on a page unless the query says.
pub const LIMIT_DEFAULT: u64 = 100;
/// The most events on a page.
pub const LIMIT_MAX: u64 = 1000;
/// The longest wait, in seconds.
pub const WAIT_MAX_SECONDS: u64 = 60;
/// The greatest offset that every JSON client reads exactly.
const OFFSET_MAX: u64 = shards::QUANTITY_MAX;

/// What a poll asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `offset`
    pub offset: u64,
    /// `limit`
    pub limit: u32,
    /// `wait`, in milliseconds.
    pub wait_ms: u32,
}

/// Answers a poll, at once or when there is something to tell or the time is over.
pub async fn poll(acceptor: &Rc<Acceptor>, query: Option<&str>) -> Answer {
    let asked = asked(query)?;
    match acceptor
        .poll_feed(asked.offset, asked.limit, asked.wait_ms)
        .await
    {
        Ok(answer) => respond(asked.offset, answer),
        Err(Overloaded) => Err(Problem::overloaded()),
    }
}

/// Reads the query.
pub fn asked(query: Option<&str>) -> Result<Asked, Problem> {
    let mut query = Query::parse(query);
    let offset = query.integer("offset", 0, OFFSET_MAX);
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
    for filter in ["productId", "eventType"] {
        if query.text(filter).is_some() {
            // Ignoring it would send a store what it did not ask for.
            query.fault(filter, "filters are not supported yet");
        }
    }
    query.finish()?;
    Ok(Asked {
        offset: offset.expect("without a fault there is an offset"),
        limit: limit as u32,
        wait_ms: wait as u32 * 1000,
    })
}

fn respond(offset: u64, answer: FeedAnswer) -> Answer {
    match answer {
        FeedAnswer::Page { json, .. } => Ok(respond::json_bytes(StatusCode::OK, json)),
        FeedAnswer::Expired { oldest, end } => Err(Problem {
            oldest_offset: Some(oldest),
            next_offset: Some(end),
            ..Problem::new(
                Code::OffsetExpired,
                format!("offset {offset} is older than the oldest that is kept, {oldest}"),
            )
        }),
        FeedAnswer::BeyondEnd { end } => Err(Problem {
            next_offset: Some(end),
            ..Problem::new(
                Code::OffsetBeyondEnd,
                format!("offset {offset} is beyond the end of the feed, {end}"),
            )
        }),
        FeedAnswer::Unreadable => Err(Problem::new(
            Code::StorageFailed,
            format!("the event with offset {offset} cannot be read from the journal"),
        )),
        FeedAnswer::TooManyWaiters => Err(Problem::new(
            Code::Overloaded,
            "as many polls wait already as MAX_WAITERS allows",
        )),
        FeedAnswer::End(_) | FeedAnswer::Forgotten => {
            unreachable!("a poll that waits here is answered as a poll")
        }
    }
}
