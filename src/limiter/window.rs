//! A sliding window over a ring of slots: how many requests were counted within the last so many minutes. Pure; time
//! comes in as a slot, and never runs backwards.
//!
//! ```text
//!             now - 60                                   now
//!  ── slot ──┬───────┬───────┬───────┬─ ... ─┬───────┬───────┐
//!     gone   │   2   │   0   │   7   │       │   0   │   3   │   counted = the sum
//!            └───────┴───────┴───────┴─ ... ─┴───────┴───────┘
//!            └──────── 60 whole slots = the window ──┘└ the one that has begun
//! ```
//!
//! The slot that has begun is counted beside 60 whole ones. So whatever is counted stays so for at least the length of
//! the window, and leaves at most one slot later: within any interval of that length no more than the budget is
//! admitted, and no budget is held back for longer than one slot, a sixtieth of the window.

/// Whole slots of a window. One that is as long as a minute has slots of a second.
const SLOTS_WHOLE: u32 = 60;
/// Slots that are counted: the whole ones, and the one that has begun.
const SLOTS: u32 = SLOTS_WHOLE + 1;

/// How long a window is, and so its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    slot_ms: u64,
}

/// A stretch of time, counted from the beginning of the clock. The shortest is a second: 32 bits last for 136 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// Whether what was counted in it has left the window at `now`.
    pub fn has_left(self, now: Slot) -> bool {
        now.0.saturating_sub(self.0) > SLOTS_WHOLE
    }
}

impl Span {
    /// A window of so many minutes.
    pub fn minutes(minutes: u32) -> Span {
        Span {
            slot_ms: u64::from(minutes) * 60_000 / u64::from(SLOTS_WHOLE),
        }
    }

    /// The slot that the moment is in.
    pub fn slot(&self, now_ms: u64) -> Slot {
        Slot(u32::try_from(now_ms / self.slot_ms).unwrap_or(u32::MAX))
    }

    /// When a slot begins.
    pub fn begin_ms(&self, slot: Slot) -> u64 {
        u64::from(slot.0) * self.slot_ms
    }

    /// The length of the window.
    pub fn length_ms(&self) -> u64 {
        u64::from(SLOTS_WHOLE) * self.slot_ms
    }
}

/// The requests of one window.
#[derive(Debug)]
pub struct Window {
    /// The sum of all slots, kept beside them so that a decision does not walk the ring.
    counted: u64,
    /// The oldest slot that is not empty, while any is.
    oldest: Slot,
    /// Slot n is at n modulo the length.
    ring: [u32; SLOTS as usize],
}

impl Default for Window {
    fn default() -> Window {
        Window {
            counted: 0,
            oldest: Slot::default(),
            ring: [0; SLOTS as usize],
        }
    }
}

impl Window {
    /// Forgets what has left the window at `now`. Comes before all else; in steady traffic it moves on by one slot at
    /// a time.
    pub fn advance(&mut self, now: Slot) {
        while self.counted > 0 {
            let count = &mut self.ring[(self.oldest.0 % SLOTS) as usize];
            if *count > 0 && !self.oldest.has_left(now) {
                return;
            }
            self.counted -= u64::from(*count);
            *count = 0;
            self.oldest.0 += 1;
        }
    }

    /// Requests in the window.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Counts one request at `now`.
    pub fn count(&mut self, now: Slot) {
        if self.counted == 0 {
            self.oldest = now;
        }
        let count = &mut self.ring[(now.0 % SLOTS) as usize];
        // More than 2^32 requests in a second are more than any machine receives.
        if *count < u32::MAX {
            *count += 1;
            self.counted += 1;
        }
    }

    /// The oldest slot with a request in it.
    pub fn oldest(&self) -> Option<Slot> {
        (self.counted > 0).then_some(self.oldest)
    }

    /// The slot with whose beginning the oldest requests leave.
    pub fn grows_at(&self) -> Option<Slot> {
        self.oldest()
            .map(|oldest| Slot(oldest.0.saturating_add(SLOTS)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Admits at `now_ms` if the budget allows it.
    fn admit(window: &mut Window, span: Span, budget: u64, now_ms: u64) -> bool {
        let now = span.slot(now_ms);
        window.advance(now);
        let admitted = window.counted() < budget;
        if admitted {
            window.count(now);
        }
        admitted
    }

    /// How many of the times lie less than `length_ms` before `now_ms`.
    fn recent(times: &[u64], now_ms: u64, length_ms: u64) -> u64 {
        let is_recent = |at: &&u64| now_ms - **at < length_ms;
        times.iter().filter(is_recent).count() as u64
    }

    proptest! {
        /// Against the naive log of all times that were admitted.
        #[test]
        fn no_interval_admits_more_than_the_budget_and_none_is_kept_longer_than_a_slot(
            budget in 1_u64..20,
            minutes in 1_u32..=3,
            steps in prop::collection::vec(
                prop_oneof![4 => 0_u64..50, 4 => 0_u64..4_000, 2 => 0_u64..40_000, 1 => 0_u64..400_000],
                1..400,
            ),
        ) {
            let span = Span::minutes(minutes);
            let (mut window, mut admitted, mut now_ms) = (Window::default(), Vec::new(), 0);
            for step in steps {
                now_ms += step;
                let length_ms = span.length_ms();
                let was_admitted = admit(&mut window, span, budget, now_ms);
                if was_admitted {
                    admitted.push(now_ms);
                    prop_assert!(recent(&admitted, now_ms, length_ms) <= budget);
                } else {
                    prop_assert!(recent(&admitted, now_ms, length_ms + span.slot_ms) >= budget);
                }
                let sum: u64 = window.ring.iter().map(|count| u64::from(*count)).sum();
                prop_assert_eq!(sum, window.counted());
                let grows_ms = span.begin_ms(window.grows_at().expect("something is counted"));
                prop_assert!(grows_ms > now_ms);
                let oldest = admitted.iter().find(|at| span.slot(**at) == window.oldest().unwrap());
                let oldest = *oldest.expect("the oldest slot has a request in it");
                prop_assert!((length_ms..=length_ms + span.slot_ms).contains(&(grows_ms - oldest)));
            }
        }

        /// What a refusal says of when to come back is true.
        #[test]
        fn a_request_is_admitted_when_the_budget_grows_and_not_a_moment_before(
            budget in 1_u64..5,
            start_ms in 0_u64..1_000_000,
            steps in prop::collection::vec(0_u64..30_000, 1..20),
        ) {
            let span = Span::minutes(1);
            let (mut window, mut now_ms) = (Window::default(), start_ms);
            for step in steps {
                now_ms += step;
                if !admit(&mut window, span, budget, now_ms) {
                    let grows_ms = span.begin_ms(window.grows_at().expect("it is full"));
                    prop_assert!(!admit(&mut window, span, budget, grows_ms - 1));
                    prop_assert!(admit(&mut window, span, budget, grows_ms));
                    now_ms = grows_ms;
                }
            }
        }
    }

    #[test]
    fn a_window_that_nobody_uses_is_empty() {
        let (span, mut window) = (Span::minutes(60), Window::default());
        assert_eq!(
            (0, None, None),
            (window.counted(), window.oldest(), window.grows_at())
        );
        assert!(admit(&mut window, span, 1, u64::MAX / 2));
        window.advance(Slot(u32::MAX));
        assert_eq!(1, window.counted());
    }

    #[test]
    fn a_window_takes_256_bytes() {
        assert_eq!(256, size_of::<Window>());
    }
}
