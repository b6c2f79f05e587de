//! What the sequencer counts, and the levels that it tells at every heartbeat.

use std::time::Duration;

use super::Role;
use crate::journal::format::{Events, SealedGroup};
use crate::messages::FeedAnswer;
use crate::observe::metrics::roles::Polled;

impl Role {
    /// A group was written in that time.
    pub(super) fn count_group(&self, group: &SealedGroup, took: Duration) {
        let metrics = &self.wiring.metrics;
        metrics.commits.observe_duration(took);
        metrics.group_events.observe(group.events.len() as u64);
        metrics.published.add(group.events.len() as u64);
        metrics.journal_bytes.add(group.blocks.len() as u64);
    }

    /// Lets all who wait for these events have them.
    pub(super) fn publish(&self, first_offset: u64, events: Events) {
        let mut feed = self.feed.borrow_mut();
        feed.publish(first_offset, events);
        if feed.has_due() && self.due_since.get().is_none() {
            self.due_since.set(Some(self.uptime.elapsed()));
        }
    }

    /// A poll that was due is answered.
    pub(super) fn count_delivery(&self) {
        if let Some(since) = self.due_since.get() {
            let lag = self.uptime.elapsed().saturating_sub(since);
            self.wiring.metrics.delivery_lag.observe_duration(lag);
        }
    }

    pub(super) fn count_answer(&self, answer: &FeedAnswer) {
        let metrics = &self.wiring.metrics;
        let polled = match answer {
            FeedAnswer::Page { events: 0, .. } => Polled::Empty,
            FeedAnswer::Page { events, .. } => {
                metrics.delivered.add((*events).into());
                Polled::Events
            }
            FeedAnswer::Expired { .. } => Polled::OffsetExpired,
            FeedAnswer::BeyondEnd { .. } => Polled::OffsetBeyondEnd,
            FeedAnswer::TooManyWaiters => Polled::TooManyWaiters,
            FeedAnswer::Unreadable => Polled::Unreadable,
            FeedAnswer::Forgotten => Polled::Forgotten,
            // Asked by a snapshot, not by a poll.
            FeedAnswer::End(_) => return,
        };
        metrics.polls[polled as usize].increment();
    }

    /// Tells the levels as they stand.
    pub(super) fn publish_levels(&self) {
        let metrics = &self.wiring.metrics;
        let order = self.order.borrow();
        metrics.next_offset.set(order.next_offset());
        metrics.durable_offset.set(order.durable_end());
        metrics.waiting_bytes.set(order.waiting_bytes() as u64);
        let feed = self.feed.borrow();
        metrics.events_in_memory.set(feed.events_in_memory());
        metrics.end_offset.set(feed.end());
        metrics.waiters.set(feed.waiters() as u64);
        metrics.pages_bytes.set(feed.in_flight().bytes() as u64);
        let oldest = self.read_back.as_ref().map(|read_back| read_back.oldest());
        metrics
            .oldest_offset
            .set(oldest.unwrap_or_else(|| feed.oldest()));
        if let Some(snapshots) = &self.snapshots {
            metrics.segments.set(snapshots.segment_count() as u64);
            metrics.covered_offset.set(snapshots.covered_to());
        }
    }
}
