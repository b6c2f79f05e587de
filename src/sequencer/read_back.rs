//! Events older than memory, read back from the segments one page at a time, so that a store far behind neither
//! blocks the executor nor takes the disk from the journal.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use slog::crit;

use super::Role;
use super::feed::{MATCHED_AT_A_TIME, Polled, Waiter};
use crate::journal::directory::Files;
use crate::journal::format::Events;
use crate::journal::history::{self, HistoryError, Wanted};
use crate::journal::segments::Extent;
use crate::messages::{FeedAnswer, FeedReply, FeedReplyTo};
use crate::runtime::executor::{self, Notify};

/// How many that asked for the same page are answered before the executor sees its I/O.
const ALIKE_SLICE: usize = 128;

/// The polls that wait for the disk. Bounded by the acceptors' windows: each holds a place there.
pub struct ReadBack {
    files: Files,
    extent: Rc<Extent>,
    waiting: RefCell<VecDeque<Waiter>>,
    arrived: Notify,
    /// So that what is damaged is said once, and not by every store that asks.
    damage_was_said: Cell<bool>,
}

impl ReadBack {
    /// Of the journal `extent` in `files`.
    pub fn new(files: Files, extent: Rc<Extent>) -> ReadBack {
        ReadBack {
            files,
            extent,
            waiting: RefCell::default(),
            arrived: Notify::default(),
            damage_was_said: Cell::new(false),
        }
    }

    /// The first offset that can be read.
    pub fn oldest(&self) -> u64 {
        self.extent.oldest()
    }

    /// Takes a poll that is not older than [`ReadBack::oldest`].
    pub fn push(&self, waiter: Waiter) {
        self.waiting.borrow_mut().push_back(waiter);
        self.arrived.ring();
    }

    /// The next poll, and all that ask for the same page: they share one look at the disk.
    fn pop_alike(&self) -> Option<Vec<Waiter>> {
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.pop_front()?;
        let (alike, others) = waiting
            .drain(..)
            .partition::<VecDeque<_>, _>(|waiter| waiter.asks_as(&first));
        *waiting = others;
        Some(std::iter::once(first).chain(alike).collect())
    }

    /// Drops a poll that still waits. None if it is being answered.
    pub fn forget(&self, to: FeedReplyTo) -> Option<FeedAnswer> {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|waiter| waiter.poll.to == to)?;
        waiting.remove(at);
        Some(FeedAnswer::Forgotten)
    }
}

/// Answers the polls in turn.
pub(super) async fn run(role: Rc<Role>, read_back: Rc<ReadBack>) {
    loop {
        let Some(alike) = read_back.pop_alike() else {
            read_back.arrived.wait().await;
            continue;
        };
        let found = read_page(&role, &read_back, &alike[0]).await;
        for (index, waiter) in alike.into_iter().enumerate() {
            let polled = match &found {
                Ok(events) => role.feed.borrow_mut().answer(waiter, events),
                Err(answer) => Polled::Answered(FeedReply {
                    to: waiter.poll.to,
                    answer: answer.clone(),
                }),
            };
            role.answer(polled);
            if (index + 1).is_multiple_of(ALIKE_SLICE) {
                role.ring_acceptors();
                executor::let_io_run().await;
            }
        }
        role.ring_acceptors();
        // A filter that matched nothing of it goes on in its turn, and not at the next heartbeat.
        if role.feed.borrow().has_due() {
            role.wiring.bell.ring();
        }
    }
}

/// The events of the page that `waiter` asks for, as far as they are not in memory.
async fn read_page(
    role: &Role,
    read_back: &ReadBack,
    waiter: &Waiter,
) -> Result<Events, FeedAnswer> {
    let wanted = Wanted {
        offset: waiter.from,
        limit: match waiter.poll.filter {
            None => waiter.poll.limit as usize,
            Some(_) => MATCHED_AT_A_TIME as usize,
        },
        // The rest is in memory, and what is in memory is durable.
        before: role.feed.borrow().oldest(),
        bytes_max: role.feed.borrow().in_flight().page_bytes_max(),
    };
    let mut events = Events::default();
    while let Some(left) = wanted.besides(&events) {
        match read_on(role, read_back, &left).await {
            Ok(more) => events.append(&more),
            // What was found is an answer; what comes behind it is asked for next.
            Err(_) if !events.is_empty() => break,
            Err(answer) => return Err(answer),
        }
    }
    Ok(events)
}

/// Reads from the segment that holds the first event wanted.
async fn read_on(role: &Role, read_back: &ReadBack, wanted: &Wanted) -> Result<Events, FeedAnswer> {
    loop {
        let Some(segment) = read_back.extent.segment_of(wanted.offset) else {
            return Err(FeedAnswer::Expired {
                oldest: read_back.oldest(),
                end: role.feed.borrow().end(),
            });
        };
        match read(read_back, *wanted, segment).await {
            Ok(events) => return Ok(events),
            // A segment that got another name, or went, while it was looked for.
            Err(_) if read_back.extent.segment_of(wanted.offset) != Some(segment) => {}
            Err(error) => {
                if !read_back.damage_was_said.replace(true) {
                    crit!(role.wiring.log, "Old events cannot be read from the journal";
                        "segment" => segment.0, "error" => %error);
                }
                return Err(FeedAnswer::Unreadable);
            }
        }
    }
}

async fn read(
    read_back: &ReadBack,
    wanted: Wanted,
    (first_offset, is_active): (u64, bool),
) -> Result<Events, HistoryError> {
    let files = read_back.files.clone();
    executor::blocking(move || {
        let full = files.full(first_offset);
        if !is_active {
            return history::read(&files, &full, &wanted);
        }
        // A rotation may have given it its next name already, without having come to say so.
        let active = history::read(&files, &files.active, &wanted);
        active.or_else(|error| history::read(&files, &full, &wanted).map_err(|_| error))
    })
    .await
}
