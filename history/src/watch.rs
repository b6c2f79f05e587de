//! What followers of the feed read, against the feed at the end. The rules carry the names of etcd's watch guarantees.

use std::cmp::Ordering;

use crate::record::{Event, History, Poll};
use crate::violation::{Report, Rule};

pub(crate) fn check(history: &History, report: &mut Report) {
    for poll in &history.polls {
        check_order(poll, report);
        for event in &poll.events {
            check_event(history, event, report);
        }
        check_more(history, poll, report);
    }
}

/// The first event has the offset asked for, and each the next.
fn check_order(poll: &Poll, report: &mut Report) {
    if let Some(event) = poll.events.first()
        && event.offset != poll.offset
    {
        report.add(Rule::Resumable, || {
            format!("a poll for offset {} began with {event}", poll.offset)
        });
    }
    for pair in poll.events.windows(2) {
        let [before, event] = pair else { continue };
        let rule = match event.offset.cmp(&(before.offset + 1)) {
            Ordering::Equal => continue,
            Ordering::Greater => Rule::Reliable,
            Ordering::Less if event.offset == before.offset => Rule::Unique,
            Ordering::Less => Rule::Ordered,
        };
        report.add(rule, || {
            format!(
                "in a poll for offset {}, {event} came after {before}",
                poll.offset
            )
        });
    }
}

/// What was read is what is there at the end.
fn check_event(history: &History, event: &Event, report: &mut Report) {
    let Some(position) = event.offset.checked_sub(history.first_offset) else {
        return;
    };
    match history.feed.get(position as usize) {
        None => report.add(Rule::Lost, || {
            format!("{event} was read by a poll and is gone")
        }),
        Some(kept) if kept != event => {
            report.add(Rule::Atomic, || {
                format!(
                    "{event} was read by a poll and is now {kept}, stamped {} and {}",
                    event.at_ms, kept.at_ms
                )
            });
        }
        Some(_) => {}
    }
}

fn check_more(history: &History, poll: &Poll, report: &mut Report) {
    let end = history.first_offset + history.feed.len() as u64;
    if poll.more && poll.next() >= end {
        report.add(Rule::Lost, || {
            format!(
                "a poll for offset {} promised more than the {end} events there are",
                poll.offset
            )
        });
    }
}
