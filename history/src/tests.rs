//! A history that keeps every promise, and each promise broken in it.

use super::*;

/// Broken promises of the history below, after a change to it; none if it is still good.
fn broken_by(change: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = good();
    change(&mut history);
    let mut rules: Vec<Rule> = match check(&history) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(|violation| violation.rule).collect(),
    };
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn a_history_that_keeps_every_promise_passes() {
    let expected = Summary {
        operations: 17,
        acknowledged: 8,
        unknown: 2,
        unknown_took_effect: 1,
        events: 7,
        polls: 3,
    };
    assert_eq!(check(&good()), Ok(expected));
    assert_eq!(check(&History::default()), Ok(Summary::default()));
}

#[test]
fn the_feed_itself_is_checked() {
    assert_eq!(
        broken_by(|history| history.feed[3].offset = 9),
        [Rule::Dense]
    );
    assert_eq!(broken_by(|history| history.first_offset = 1), [Rule::Dense]);
    assert_eq!(
        broken_by(|history| history.feed[6].version = 5),
        [Rule::Versions]
    );
    assert_eq!(
        broken_by(|history| history.feed[5].version = 1),
        [Rule::Versions]
    );
    assert_eq!(
        broken_by(|history| history.feed[2].quantity = 1),
        [Rule::Stock]
    );
    assert_eq!(
        broken_by(|history| history.feed[2].delta = Some(-6)),
        [Rule::Stock]
    );
    assert_eq!(
        broken_by(|history| history.feed[3].quantity = 1),
        [Rule::Stock]
    );
    assert_eq!(
        broken_by(|history| history.feed[5].kind = EventKind::ProductModified),
        [Rule::Existence]
    );
    assert_eq!(
        broken_by(|history| history.feed[6].kind = EventKind::ProductCreated),
        [Rule::Existence]
    );
    assert_eq!(
        broken_by(|history| history.feed[4].at_ms = 50),
        [Rule::Stamps]
    );
}

#[test]
fn an_acknowledged_change_that_is_not_in_the_feed_is_lost() {
    let lost = |history: &mut History| {
        history.feed.pop();
        history.products.insert("a".into(), State::present(3, 6));
        history.operations[15].ended = None;
    };
    assert_eq!(broken_by(lost), [Rule::Lost]);
}

#[test]
fn an_acknowledged_change_that_reads_otherwise_in_the_feed_is_altered() {
    let told = |version, quantity| Outcome::Changed {
        version,
        quantity,
        replayed: false,
    };
    assert_eq!(
        broken_by(|history| history.answer(14, told(4, Some(51)))),
        [Rule::Altered, Rule::Unasked]
    );
    assert_eq!(
        broken_by(|history| history.answer(1, told(3, None))),
        [Rule::Altered, Rule::Unasked]
    );
    let another_version = |history: &mut History| {
        if let Call::Update { version, .. } = &mut history.operations[1].call {
            *version = Some(2);
        }
    };
    assert_eq!(broken_by(another_version), [Rule::Altered, Rule::Unasked]);
}

#[test]
fn an_event_that_nobody_can_have_made_is_unasked() {
    assert_eq!(
        broken_by(|history| history.answer(13, Outcome::Refused)),
        [Rule::Unasked]
    );
    assert_eq!(
        broken_by(|history| history.answer(9, Outcome::Refused)),
        [Rule::Unasked]
    );
    let one_unanswered_creation_for_two_events = |history: &mut History| {
        history.feed[1].quantity = 9;
        history.feed[2].quantity = 4;
        history.feed[3].quantity = 4;
        history.polls.clear();
        history
            .operations
            .retain(|operation| operation.call.product() != "b");
        history.operations.push(unanswered(create("b", 9), 3));
        history
            .operations
            .push(unanswered(update("s2", "b", -5, None), 8));
        history.operations.push(unanswered(
            Call::Delete {
                product: "b".into(),
            },
            9,
        ));
        history.crashes.clear();
    };
    assert_eq!(
        broken_by(one_unanswered_creation_for_two_events),
        [Rule::Unasked]
    );
}

#[test]
fn an_identity_that_takes_effect_again_within_its_time_is_found() {
    let again_after = |ms: u64| {
        move |history: &mut History| {
            let mut event = history.feed[0].clone();
            (event.offset, event.version, event.quantity) = (7, 5, 47);
            event.at_ms += ms;
            history.feed.push(event);
            history.products.insert("a".into(), State::present(5, 47));
            history
                .operations
                .push(unanswered(update("s1", "a", -3, None), 40));
        }
    };
    assert_eq!(broken_by(again_after(999)), [Rule::Twice]);
    assert_eq!(broken_by(again_after(1000)), []);
}

#[test]
fn two_answers_that_claim_one_effect_are_found() {
    let first = Outcome::Changed {
        version: 2,
        quantity: Some(7),
        replayed: false,
    };
    assert_eq!(
        broken_by(|history| {
            history.operations[2].invoked = 3;
            history.answer(2, first);
        }),
        [Rule::Twice]
    );
}

#[test]
fn a_repeat_that_is_judged_afresh_was_forgotten() {
    let conflict = Outcome::Shown {
        version: 2,
        quantity: Some(7),
    };
    assert_eq!(
        broken_by(|history| history.answer(2, conflict)),
        [Rule::Forgotten]
    );
    let after_its_time = |history: &mut History| {
        history.ttl_ms = 300;
        history.answer(2, conflict);
    };
    assert_eq!(broken_by(after_its_time), []);
    let while_the_first_was_on_its_way = |history: &mut History| {
        history.operations[2].invoked = 4;
        history.answer(2, conflict);
    };
    assert_eq!(broken_by(while_the_first_was_on_its_way), []);
}

#[test]
fn a_refusal_needs_a_reason() {
    let enough = |history: &mut History| {
        if let Call::Update { delta, .. } = &mut history.operations[5].call {
            *delta = 1;
        }
    };
    assert_eq!(broken_by(enough), [Rule::Groundless]);
    let current = |history: &mut History| {
        if let Call::Update { version, .. } = &mut history.operations[6].call {
            *version = Some(2);
        }
    };
    assert_eq!(broken_by(current), [Rule::Groundless]);
}

#[test]
fn a_state_that_never_was_is_found() {
    let shown = |version, quantity| Outcome::Shown {
        version,
        quantity: Some(quantity),
    };
    for (number, outcome) in [
        (15, shown(4, 49)),
        (15, shown(9, 50)),
        (15, shown(0, 0)),
        (8, shown(3, 0)),
    ] {
        assert_eq!(
            broken_by(|history| history.answer(number, outcome)),
            [Rule::NeverHeld],
            "{outcome:?}"
        );
    }
}

#[test]
fn a_read_shows_what_was_current_at_some_moment_of_it() {
    let shown = |version, quantity| Outcome::Shown {
        version,
        quantity: Some(quantity),
    };
    let stale = |history: &mut History| history.answer(15, shown(3, 6));
    assert_eq!(broken_by(stale), [Rule::RealTime]);
    let of_the_future = |history: &mut History| history.answer(0, shown(2, 7));
    assert_eq!(broken_by(of_the_future), [Rule::RealTime]);
    let either_is_right_while_a_change_is_asked_for = |history: &mut History| {
        history.operations[15].invoked = 28;
        history.answer(15, shown(3, 6));
    };
    assert_eq!(broken_by(either_is_right_while_a_change_is_asked_for), []);
}

#[test]
fn reads_never_go_back() {
    let read_at = |invoked, returned, version, quantity| {
        let quantity = Some(quantity);
        answered(
            read("a"),
            invoked,
            returned,
            Outcome::Shown { version, quantity },
        )
    };
    let with = |first: Operation, second: Operation| {
        |history: &mut History| {
            history.operations[14].invoked = 26;
            history.operations[14].ended = history.operations[14]
                .ended
                .map(|(_, outcome)| (40, outcome));
            history.operations.extend([first, second]);
        }
    };
    assert_eq!(
        broken_by(with(read_at(31, 32, 3, 6), read_at(33, 34, 4, 50))),
        [Rule::RealTime]
    );
    let monotone = with(read_at(27, 28, 3, 6), read_at(29, 34, 4, 50));
    assert_eq!(broken_by(monotone), []);
}

#[test]
fn absence_and_presence_are_told_only_while_they_can_be_so() {
    assert_eq!(
        broken_by(|history| history.operations[8].call = read("a")),
        [Rule::RealTime]
    );
    assert_eq!(
        broken_by(|history| history.operations[11].call = create("b", 1)),
        [Rule::RealTime]
    );
    assert_eq!(
        broken_by(|history| history.operations[8].call = read("never")),
        []
    );
    assert_eq!(
        broken_by(|history| history.operations[11].call = create("never", 1)),
        [Rule::RealTime]
    );
    let before_it_was_created = |history: &mut History| {
        history
            .operations
            .push(answered(read("b"), 1, 2, Outcome::Absent));
    };
    assert_eq!(broken_by(before_it_was_created), []);
}

#[test]
fn the_feed_is_in_real_time_order_across_products() {
    let swapped = |history: &mut History| {
        history.feed.swap(5, 6);
        history.feed[5].offset = 5;
        history.feed[6].offset = 6;
    };
    assert_eq!(broken_by(swapped), [Rule::RealTime]);
}

#[test]
fn a_repeat_is_not_answered_before_the_change_is_asked_for() {
    let early = |history: &mut History| {
        history.operations[2].invoked = 0;
        history.operations[2].ended = history.operations[2].ended.map(|(_, outcome)| (1, outcome));
    };
    assert_eq!(broken_by(early), [Rule::RealTime]);
}

#[test]
fn an_unanswered_operation_has_no_effect_after_the_crash() {
    let late = |history: &mut History| {
        history.operations[12] = answered(read("never"), 24, 25, Outcome::Absent);
        history.polls.clear();
        history.feed.swap(4, 5);
        history.feed[4].offset = 4;
        history.feed[5].offset = 5;
    };
    assert_eq!(broken_by(late), [Rule::RealTime]);
    let without_a_crash = |history: &mut History| {
        late(history);
        history.crashes.clear();
    };
    assert_eq!(broken_by(without_a_crash), []);
}

#[test]
fn a_page_is_a_stretch_of_the_feed_as_it_is_at_the_end() {
    assert_eq!(
        broken_by(|history| history.polls[0].offset = 1),
        [Rule::Resumable]
    );
    assert_eq!(
        broken_by(|history| {
            history.polls[0].events.remove(1);
        }),
        [Rule::Reliable]
    );
    assert_eq!(
        broken_by(|history| {
            let event = history.polls[0].events[2].clone();
            history.polls[0].events.push(event);
        }),
        [Rule::Unique]
    );
    assert_eq!(
        broken_by(|history| history.polls[1].events.swap(0, 1)),
        [Rule::Ordered, Rule::Resumable]
    );
    assert_eq!(
        broken_by(|history| history.polls[1].events[0].at_ms += 1),
        [Rule::Atomic]
    );
    assert_eq!(
        broken_by(|history| {
            let mut event = history.feed[6].clone();
            event.offset = 7;
            history.polls.push(poll(40, 41, 7, &[event], false));
        }),
        [Rule::Lost]
    );
    assert_eq!(
        broken_by(|history| history.polls.push(poll(40, 41, 7, &[], true))),
        [Rule::Lost]
    );
}

#[test]
fn a_page_holds_what_was_there_and_nothing_that_was_not_asked_for_yet() {
    let empty_after_an_answer =
        |history: &mut History| history.polls.push(poll(29, 30, 6, &[], false));
    assert_eq!(broken_by(empty_after_an_answer), [Rule::RealTime]);
    let empty_before_it = |history: &mut History| history.polls.push(poll(28, 30, 6, &[], false));
    assert_eq!(broken_by(empty_before_it), []);
    let before_it_was_asked_for = |history: &mut History| {
        let page = poll(25, 26, 6, &history.feed[6..], false);
        history.polls.push(page);
    };
    assert_eq!(broken_by(before_it_was_asked_for), [Rule::RealTime]);
}

#[test]
fn the_listing_is_the_feed_folded() {
    assert_eq!(
        broken_by(|history| {
            history.products.remove("b");
        }),
        [Rule::Listing]
    );
    assert_eq!(
        broken_by(|history| {
            history.products.insert("a".into(), State::present(4, 49));
        }),
        [Rule::Listing]
    );
    assert_eq!(
        broken_by(|history| {
            history.products.insert("c".into(), State::present(1, 1));
        }),
        [Rule::Listing]
    );
}

#[test]
fn two_identities_of_one_store_and_product_cannot_be_told_apart() {
    assert_eq!(
        broken_by(|history| history.operations[16].call = update("s3", "a", -3, None)),
        []
    );
    let another_key = |history: &mut History| {
        if let Call::Update { store, .. } = &mut history.operations[16].call {
            *store = "s5".into();
        }
        if let Call::Update { key, .. } = &mut history.operations[16].call {
            *key = "other".into();
        }
    };
    assert_eq!(broken_by(another_key), [Rule::Recording]);
}

#[test]
fn what_is_older_than_the_feed_is_not_checked() {
    let truncated = |history: &mut History| {
        history.first_offset = 3;
        history.feed.drain(..3);
        history.initial.insert("a".into(), State::present(2, 7));
        history.initial.insert("b".into(), State::present(2, 0));
    };
    assert_eq!(broken_by(truncated), []);
    assert_eq!(
        broken_by(|history| {
            truncated(history);
            history.polls[1].events[1].at_ms += 1;
        }),
        [Rule::Atomic]
    );
}

#[test]
fn a_thousand_broken_promises_are_told_in_a_few_sentences() {
    let mut history = good();
    let wrong = answered(
        read("a"),
        29,
        30,
        Outcome::Shown {
            version: 77,
            quantity: None,
        },
    );
    history.operations.extend(vec![wrong; 1000]);
    let violations = check(&history).expect_err("version 77 never was");
    assert_eq!(violations.len(), 11);
    assert_eq!(
        violations[10].to_string(),
        "NeverHeld: and 990 more of this rule"
    );
}

impl History {
    /// Has an operation told something else.
    fn answer(&mut self, number: usize, outcome: Outcome) {
        let operation = &mut self.operations[number];
        let returned = operation
            .ended
            .map_or(operation.invoked, |(returned, _)| returned);
        operation.ended = Some((returned, outcome));
    }
}

/// Seven changes of two products, a crash at 20, and everything that can be told of them.
fn good() -> History {
    let changed = |version, quantity| Outcome::Changed {
        version,
        quantity: Some(quantity),
        replayed: false,
    };
    let replayed = |version, quantity| Outcome::Changed {
        version,
        quantity: Some(quantity),
        replayed: true,
    };
    let shown = |version, quantity| Outcome::Shown {
        version,
        quantity: Some(quantity),
    };
    let deleted = Outcome::Changed {
        version: 3,
        quantity: None,
        replayed: false,
    };
    let feed = vec![
        stock_event(0, "a", 2, 7, ("s1", -3)),
        event(1, EventKind::ProductCreated, "b", 1, 5),
        stock_event(2, "b", 2, 0, ("s2", -5)),
        event(3, EventKind::ProductDeleted, "b", 3, 0),
        stock_event(4, "a", 3, 6, ("s5", -1)),
        event(5, EventKind::ProductCreated, "b", 4, 9),
        event(6, EventKind::ProductModified, "a", 4, 50),
    ];
    History {
        initial: [("a".into(), State::present(1, 10))].into(),
        first_offset: 0,
        operations: vec![
            answered(read("a"), 0, 1, shown(1, 10)),
            answered(update("s1", "a", -3, Some(1)), 2, 4, changed(2, 7)),
            answered(update("s1", "a", -3, Some(1)), 5, 6, replayed(2, 7)),
            answered(create("b", 5), 3, 7, changed(1, 5)),
            answered(update("s2", "b", -5, None), 8, 10, changed(2, 0)),
            answered(update("s3", "b", -1, None), 11, 12, shown(2, 0)),
            answered(update("s4", "a", 1, Some(1)), 11, 12, shown(2, 7)),
            answered(
                Call::Delete {
                    product: "b".into(),
                },
                13,
                15,
                deleted,
            ),
            answered(read("b"), 16, 17, Outcome::Absent),
            unanswered(update("s5", "a", -1, None), 14),
            unanswered(update("s6", "a", -1, None), 18),
            answered(create("a", 1), 21, 22, Outcome::Exists),
            answered(update("s5", "a", -1, None), 23, 25, replayed(3, 6)),
            answered(create("b", 9), 24, 26, changed(4, 9)),
            answered(
                Call::Set {
                    product: "a".into(),
                    available: 50,
                },
                27,
                28,
                changed(4, 50),
            ),
            answered(read("a"), 29, 30, shown(4, 50)),
            answered(update("s7", "a", -1, None), 29, 31, Outcome::Refused),
        ],
        polls: vec![
            poll(5, 9, 0, &feed[0..3], false),
            poll(24, 27, 2, &feed[2..4], true),
            poll(19, 20, 5, &[], false),
        ],
        crashes: vec![20],
        feed,
        products: [
            ("a".into(), State::present(4, 50)),
            ("b".into(), State::present(4, 9)),
        ]
        .into(),
        ttl_ms: 1000,
    }
}

fn answered(call: Call, invoked: u64, returned: u64, outcome: Outcome) -> Operation {
    let ended = Some((returned, outcome));
    Operation {
        call,
        invoked,
        ended,
    }
}

fn unanswered(call: Call, invoked: u64) -> Operation {
    Operation {
        call,
        invoked,
        ended: None,
    }
}

fn update(store: &str, product: &str, delta: i64, version: Option<u64>) -> Call {
    Call::Update {
        store: store.into(),
        product: product.into(),
        key: "key".into(),
        delta,
        version,
    }
}

fn create(product: &str, available: u64) -> Call {
    let product = product.into();
    Call::Create { product, available }
}

fn read(product: &str) -> Call {
    let product = product.into();
    Call::Read { product }
}

fn event(offset: u64, kind: EventKind, product: &str, version: u64, quantity: u64) -> Event {
    Event {
        offset,
        at_ms: 100 + 100 * offset,
        kind,
        product: product.into(),
        version,
        quantity,
        store: None,
        delta: None,
    }
}

fn stock_event(
    offset: u64,
    product: &str,
    version: u64,
    quantity: u64,
    (store, delta): (&str, i64),
) -> Event {
    Event {
        store: Some(store.into()),
        delta: Some(delta),
        ..event(
            offset,
            EventKind::InventoryUpdated,
            product,
            version,
            quantity,
        )
    }
}

fn poll(invoked: u64, returned: u64, offset: u64, events: &[Event], more: bool) -> Poll {
    let events = events.to_vec();
    Poll {
        invoked,
        returned,
        offset,
        events,
        more,
    }
}
