//! The shard against a naive model of it: thousands of random histories, compared and checked after every step, and
//! restarts from what a journal would have kept of them.
//!
//! `PROPTEST_CASES` (256 unless set) is how many histories each property is tried on; the comparison with the model
//! takes eight times as many.

#[path = "model/history.rs"]
mod history;
#[path = "model/naive.rs"]
mod naive;
#[path = "model/play.rs"]
mod play;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestCaseResult, TestRunner};
use shards::{
    AdminAnswer, Limits, Price, Product, QUANTITY_MAX, ReplayError, Shard, Ticket, Timestamp,
    UpdateAnswer,
};

use history::{Act, Clock, History, IDS, Start, clocks, histories};
use play::{Answer, Moment, Play, Recorded, ask, follow, start, told_of, without_ticket};

fn config(times: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: times * default.cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..default
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn it_answers_and_holds_what_the_model_does(history in histories()) {
        follow(&history, |moment| {
            answers_as_the_model(moment)?;
            holds_what_the_model_holds(moment)
        })?;
    }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn a_page_begins_right_after_its_cursor_and_is_in_byte_order(history in histories()) {
        follow(&history, |moment| {
            CURSORS.iter().try_for_each(|cursor| page_is_right(moment, cursor))
        })?;
    }

    #[test]
    fn an_answer_waits_for_every_change_it_shows(history in histories()) {
        follow(&history, waits_for_what_it_shows)?;
    }

    #[test]
    fn a_change_is_reported_exactly_when_there_is_one_and_as_it_is_read_afterwards(history in histories()) {
        follow(&history, reports_its_change)?;
    }

    #[test]
    fn versions_grow_by_one_with_each_change_also_across_delete_and_create(history in histories()) {
        versions_grow_by_one(&history)?;
    }

    #[test]
    fn stock_moves_by_the_delta_and_stays_in_range(history in histories()) {
        follow(&history, stock_moves_by_the_delta)?;
    }

    #[test]
    fn an_operation_takes_effect_at_most_once_within_its_time(history in histories()) {
        takes_effect_at_most_once(&history)?;
    }

    #[test]
    fn the_memory_keeps_what_is_promised_and_stays_within_its_bound(history in histories()) {
        let entries_max = history.limits.idempotency_entries_max;
        follow(&history, |moment| memory_is_right(moment, entries_max))?;
    }

    #[test]
    fn a_shard_rebuilt_from_its_changes_answers_like_the_first(
        history in histories(),
        restart in restarts(),
    ) {
        let beginning = Snapshot::at_start(&history);
        answers_like_the_first(&history, &restart, |_| beginning)?;
    }

    #[test]
    fn a_shard_rebuilt_from_a_snapshot_and_the_later_changes_answers_like_the_first(
        history in histories(),
        restart in restarts(),
        taken_at in any::<Index>(),
    ) {
        answers_like_the_first(&history, &restart, |steps| {
            Snapshot::after(&history, taken_at.index(steps + 1))
        })?;
    }

    #[test]
    fn the_time_of_a_rebuilt_shard_goes_on_from_the_latest_change(history in histories()) {
        time_goes_on(&history)?;
    }

    #[test]
    fn a_missing_change_stops_the_replay(history in histories(), missing in any::<Index>()) {
        let record = record_of(&history);
        let candidates = followed_by_another(&record);
        prop_assume!(!candidates.is_empty());
        missing_change_is_noticed(&history, &record, candidates[missing.index(candidates.len())])?;
    }

    #[test]
    fn a_change_that_comes_twice_stops_the_replay(history in histories(), twice in any::<Index>()) {
        let record = record_of(&history);
        prop_assume!(!record.is_empty());
        second_coming_is_noticed(&history, &record, twice.index(record.len()))?;
    }
}

/// The properties would hold for a generator of nothing. This one would not.
#[test]
fn the_histories_meet_every_answer() {
    let met = answers_met_in(256);
    for answer in [
        "Applied",
        "Replayed",
        "VersionConflict",
        "Insufficient",
        "OutOfRange",
        "KeyReused with a standing",
        "KeyReused without a standing",
        "NotFound",
        "MemoryFull",
        "admin Done",
        "admin AlreadyExists",
        "admin NotFound",
        "admin VersionConflict",
        "admin OutOfRange",
        "expired",
    ] {
        let count = met.get(answer).copied().unwrap_or(0);
        assert!(count >= 50, "{answer} was met {count} times");
    }
}

fn answers_as_the_model(moment: &Moment) -> TestCaseResult {
    prop_assert_eq!(&moment.expected.answer, &moment.outcome.answer);
    prop_assert_eq!(&moment.expected.changed, &moment.outcome.changed);
    prop_assert_eq!(moment.naive.ticket(), moment.shard.ticket());
    Ok(())
}

fn holds_what_the_model_holds(moment: &Moment) -> TestCaseResult {
    let (naive, shard) = (moment.naive, moment.shard);
    for id in IDS {
        prop_assert_eq!(naive.product(id), shard.read(id).answer);
    }
    prop_assert!(naive.products().eq(shard.products_after(None)));
    prop_assert_eq!(naive.products().count(), shard.product_count());
    let gone: BTreeSet<_> = naive.gone().collect();
    prop_assert_eq!(gone, shard.tombstones().collect());
    Ok(())
}

/// Every id, and what lies before, between and beyond them.
const CURSORS: [&str; 10] = [
    "",
    "Z",
    "Za",
    "a",
    "a\u{1}",
    "aa",
    "b",
    "z",
    "é",
    "\u{10ffff}",
];

fn page_is_right(moment: &Moment, cursor: &str) -> TestCaseResult {
    let page: Vec<&Product> = moment.shard.products_after(Some(cursor)).collect();
    let above = |product: &&Product| product.id.as_bytes() > cursor.as_bytes();
    let expected: Vec<&Product> = moment.naive.products().filter(above).collect();
    prop_assert_eq!(expected, page.clone());
    prop_assert!(page.is_sorted_by(|a, b| a.id.as_bytes() < b.id.as_bytes()));
    Ok(())
}

fn waits_for_what_it_shows(moment: &Moment) -> TestCaseResult {
    let last = moment.shard.ticket();
    let shown = moment.expected.shows..=last;
    prop_assert!(
        shown.contains(&moment.outcome.after),
        "{:?}",
        moment.outcome
    );
    if moment.outcome.answer.is_change() {
        prop_assert_eq!(last, moment.outcome.after);
    }
    for id in IDS {
        let shown = moment.naive.last_ticket(id)..=last;
        let after = moment.shard.read(id).after;
        prop_assert!(shown.contains(&after), "{} is read after {:?}", id, after);
    }
    Ok(())
}

fn reports_its_change(moment: &Moment) -> TestCaseResult {
    let decided = moment.shard.ticket().0 - moment.ticket_before.0;
    let is_change = moment.outcome.answer.is_change();
    prop_assert_eq!(u64::from(is_change), decided);
    prop_assert_eq!(is_change, moment.outcome.changed.is_some());
    let Some(changed) = &moment.outcome.changed else {
        let now = moment.op.id().and_then(|id| moment.shard.read(id).answer);
        prop_assert_eq!(moment.before.as_ref(), now, "a refusal changes nothing");
        return Ok(());
    };
    let now = moment.shard.read(&changed.id).answer;
    if moment.op.is_deletion() {
        prop_assert_eq!(None, now);
        prop_assert_eq!(
            moment.before.as_ref().map(as_deleted(changed)),
            Some(changed.clone())
        );
    } else {
        prop_assert_eq!(Some(changed), now);
    }
    Ok(())
}

/// As it last was, with the version and the ticket of the deletion.
fn as_deleted(deletion: &Product) -> impl Fn(&Product) -> Product {
    let (version, ticket) = (deletion.version, deletion.ticket);
    move |product| Product {
        version,
        ticket,
        ..product.clone()
    }
}

fn versions_grow_by_one(history: &History) -> TestCaseResult {
    let at_start = history.start.iter().map(|start| &start.product);
    let mut versions: BTreeMap<Box<str>, u64> = at_start
        .map(|product| (product.id.clone(), product.version))
        .collect();
    follow(history, |moment| {
        if let Some(changed) = &moment.outcome.changed {
            let last = versions.insert(changed.id.clone(), changed.version);
            prop_assert_eq!(last.unwrap_or(0) + 1, changed.version);
        }
        Ok(())
    })
}

fn stock_moves_by_the_delta(moment: &Moment) -> TestCaseResult {
    for product in moment.shard.products_after(None) {
        prop_assert!(product.available <= QUANTITY_MAX);
    }
    if let (Act::Update(_, delta, _), Some(receipt)) = (&moment.op, moment.outcome.answer.applied())
    {
        let before = moment.before.as_ref().map(|product| product.available);
        let before = before.expect("only what exists is updated");
        let moved = i128::from(receipt.quantity) - i128::from(before);
        prop_assert_eq!(i128::from(*delta), moved);
    }
    Ok(())
}

fn takes_effect_at_most_once(history: &History) -> TestCaseResult {
    let ttl_ms = history.limits.idempotency_ttl_ms;
    let mut effects: BTreeMap<[&str; 3], Timestamp> = BTreeMap::new();
    follow(history, |moment| {
        let applied = moment.outcome.answer.applied();
        if let (Act::Update(identity, ..), Some(receipt)) = (moment.op, applied) {
            let before = effects.insert(identity, receipt.at);
            let is_over = before.is_none_or(|before| receipt.at.0 >= before.0 + ttl_ms);
            prop_assert!(is_over, "the effect at {before:?} came again");
        }
        Ok(())
    })
}

fn memory_is_right(moment: &Moment, entries_max: usize) -> TestCaseResult {
    let (promised, entries) = (
        moment.naive.remembered(),
        moment.shard.idempotency_entry_count(),
    );
    prop_assert!((promised..=entries_max).contains(&entries));
    if let Act::Expire(limit) = moment.op {
        let over = moment.entries_before - promised;
        prop_assert_eq!(moment.entries_before - over.min(limit), entries);
    }
    Ok(())
}

/// When the shard is rebuilt, and what its clock did meanwhile.
#[derive(Debug)]
struct Restart {
    at: Index,
    clock: Clock,
}

fn restarts() -> impl Strategy<Value = Restart> {
    (any::<Index>(), clocks()).prop_map(|(at, clock)| Restart { at, clock })
}

/// What a shard held after so many changes.
struct Snapshot {
    held: Vec<Start>,
    changes: usize,
}

impl Snapshot {
    fn at_start(history: &History) -> Snapshot {
        Snapshot {
            held: history.start.clone(),
            changes: 0,
        }
    }

    fn after(history: &History, steps: usize) -> Snapshot {
        let mut play = Play::new(history);
        play.steps(&history.steps[..steps]);
        let gone = play.shard.tombstones().map(gone);
        Snapshot {
            held: held(&play.shard).chain(gone).collect(),
            changes: play.record.len(),
        }
    }
}

fn held(shard: &Shard) -> impl Iterator<Item = Start> {
    shard.products_after(None).map(|product| Start {
        product: without_ticket(product.clone()),
        deleted: false,
    })
}

fn gone((id, version): (&str, u64)) -> Start {
    let product = Product {
        id: id.into(),
        name: "".into(),
        price: Price::new("0"),
        available: 0,
        version,
        updated_at: Timestamp(0),
        ticket: Ticket(0),
    };
    Start {
        product,
        deleted: true,
    }
}

/// Plays to the restart, rebuilds a second shard from `snapshot` (given the steps played) and the record, and goes on
/// with both.
fn answers_like_the_first(
    history: &History,
    restart: &Restart,
    snapshot: impl FnOnce(usize) -> Snapshot,
) -> TestCaseResult {
    let steps = restart.at.index(history.steps.len() + 1);
    let mut play = Play::new(history);
    play.steps(&history.steps[..steps]);
    let now = play.script.pass(restart.clock);
    let mut second = rebuilt(history, &snapshot(steps), &play.record, now);
    prop_assert_eq!(
        unexpired(&play.record, history.limits, now),
        second.idempotency_entry_count()
    );
    // The record does not tell of the time at which something was refused: show both the same clock.
    let now = now.max(play.naive.now());
    for shard in [&mut play.shard, &mut second] {
        shard.expire(now, 0);
    }
    play.naive.ask(now, &Act::Expire(0));
    holds_the_same(&play.shard, &second)?;

    for (number, step) in history.steps.iter().enumerate().skip(steps) {
        let moment = play.step(step);
        let told = ask(&mut second, moment.at, &moment.op);
        says_the_same(&moment, told.answer, told.changed)
            .and_then(|()| holds_the_same(moment.shard, &second))
            .map_err(|error| told_of(error, number, moment.at, &moment.op))?;
    }
    Ok(())
}

fn rebuilt(history: &History, snapshot: &Snapshot, record: &[Recorded], now: Timestamp) -> Shard {
    let mut shard = start(history.limits, history.hasher(1), &snapshot.held);
    for (number, recorded) in record.iter().enumerate() {
        if number >= snapshot.changes {
            let continued = recorded.restore_change(&mut shard);
            continued.expect("the record has no gap");
        }
        recorded.restore_identity(&mut shard, now);
    }
    shard
}

/// How many recorded updates are still to be remembered.
fn unexpired(record: &[Recorded], limits: Limits, now: Timestamp) -> usize {
    let updates = record
        .iter()
        .filter_map(|recorded| recorded.update.as_ref());
    let ends = updates.map(|(_, _, receipt)| receipt.at.0 + limits.idempotency_ttl_ms);
    ends.filter(|&end| now.0 < end).count()
}

fn time_goes_on(history: &History) -> TestCaseResult {
    let record = record_of(history);
    let latest = record.iter().map(|recorded| recorded.at).max();

    let mut shard = rebuilt(history, &Snapshot::at_start(history), &record, Timestamp(0));
    let creation = Act::Create("new", "New", 1, "1");
    let at = latest.unwrap_or_default();
    let done = AdminAnswer::Done { version: 1, at };
    let told = ask(&mut shard, Timestamp(0), &creation);
    prop_assert_eq!(Answer::Admin(done), told.answer);
    Ok(())
}

fn says_the_same(first: &Moment, answer: Answer, changed: Option<Product>) -> TestCaseResult {
    prop_assert_eq!(first.outcome.answer, answer);
    let first_changed = first.outcome.changed.clone();
    prop_assert_eq!(
        first_changed.map(without_ticket),
        changed.map(without_ticket)
    );
    Ok(())
}

fn holds_the_same(first: &Shard, second: &Shard) -> TestCaseResult {
    let products = |shard: &Shard| -> Vec<Product> {
        let products = shard.products_after(None).cloned();
        products.map(without_ticket).collect()
    };
    prop_assert_eq!(products(first), products(second));
    let gone: BTreeSet<_> = first.tombstones().collect();
    prop_assert_eq!(gone, second.tombstones().collect());
    Ok(())
}

fn record_of(history: &History) -> Vec<Recorded> {
    let mut play = Play::new(history);
    play.steps(&history.steps);
    play.record
}

/// The places of changes after which the same product changed again.
fn followed_by_another(record: &[Recorded]) -> Vec<usize> {
    let is_followed = |&place: &usize| next_of_same_product(record, place).is_some();
    (0..record.len()).filter(is_followed).collect()
}

fn next_of_same_product(record: &[Recorded], place: usize) -> Option<&Recorded> {
    let later = &mut record[place + 1..].iter();
    later.find(|later| later.product.id == record[place].product.id)
}

fn missing_change_is_noticed(
    history: &History,
    record: &[Recorded],
    missing: usize,
) -> TestCaseResult {
    let next = next_of_same_product(record, missing).expect("it was chosen so");
    let mut rest = record.to_vec();
    rest.remove(missing);
    let error = ReplayError {
        expected_version: record[missing].product.version,
        found_version: next.product.version,
    };
    prop_assert_eq!(Err(error), replay(history, &rest));
    Ok(())
}

fn second_coming_is_noticed(
    history: &History,
    record: &[Recorded],
    twice: usize,
) -> TestCaseResult {
    let mut doubled = record.to_vec();
    doubled.insert(twice, record[twice].clone());
    let version = record[twice].product.version;
    let error = ReplayError {
        expected_version: version + 1,
        found_version: version,
    };
    prop_assert_eq!(Err(error), replay(history, &doubled));
    Ok(())
}

fn replay(history: &History, record: &[Recorded]) -> Result<(), ReplayError> {
    let mut shard = start(history.limits, history.hasher(1), &history.start);
    let mut changes = record.iter();
    changes.try_for_each(|recorded| recorded.restore_change(&mut shard))
}

/// How often each answer came up in so many histories, always the same ones.
fn answers_met_in(histories_count: usize) -> BTreeMap<&'static str, usize> {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::new();
    for _ in 0..histories_count {
        let history = histories().new_tree(&mut runner).expect("it never refuses");
        let count = |moment: &Moment| {
            *met.entry(name_of(moment.outcome.answer)).or_default() += 1;
            Ok(())
        };
        follow(&history.current(), count).expect("it only counts");
    }
    met
}

fn name_of(answer: Answer) -> &'static str {
    match answer {
        Answer::Update(answer) => name_of_update_answer(answer),
        Answer::Admin(answer) => name_of_admin_answer(answer),
        Answer::Expired => "expired",
    }
}

fn name_of_update_answer(answer: UpdateAnswer) -> &'static str {
    match answer {
        UpdateAnswer::Applied(_) => "Applied",
        UpdateAnswer::Replayed(_) => "Replayed",
        UpdateAnswer::VersionConflict(_) => "VersionConflict",
        UpdateAnswer::Insufficient(_) => "Insufficient",
        UpdateAnswer::OutOfRange(_) => "OutOfRange",
        UpdateAnswer::KeyReused(Some(_)) => "KeyReused with a standing",
        UpdateAnswer::KeyReused(None) => "KeyReused without a standing",
        UpdateAnswer::NotFound => "NotFound",
        UpdateAnswer::MemoryFull => "MemoryFull",
    }
}

fn name_of_admin_answer(answer: AdminAnswer) -> &'static str {
    match answer {
        AdminAnswer::Done { .. } => "admin Done",
        AdminAnswer::AlreadyExists => "admin AlreadyExists",
        AdminAnswer::NotFound => "admin NotFound",
        AdminAnswer::VersionConflict { .. } => "admin VersionConflict",
        AdminAnswer::OutOfRange => "admin OutOfRange",
    }
}
