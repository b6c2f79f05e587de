use super::*;

#[test]
fn it_gives_the_shard_that_made_the_journal_however_many_there_are_now() {
    let mut journal = three_groups();
    journal.rotate();
    journal.group(&[Delete("b"), Create("c", 1), Add("c", "b-1", 1)]);
    journal.group(&[Create("b", 2), Delete("c"), Create("Ä \"\\\n", 0)]);
    for shard_count in [1, 3, 5] {
        let about = format!("{shard_count} shards");
        let started = journal.check_recovers_with(shard_count, 15, &about);
        assert_eq!(15, started.report.events, "{about}");
        assert_eq!(2, started.report.segments, "{about}");
        assert_eq!(0, started.report.torn_bytes, "{about}");
    }
}

#[test]
fn the_state_is_what_the_changes_say() {
    let journal = three_groups();
    let mut started = journal.recover().unwrap();
    let state = journal.state_of(&started.router, &mut started.shards);
    let products: Vec<_> = state
        .products
        .iter()
        .map(|p| (&*p.id, &*p.name, p.available, p.version))
        .collect();
    assert_eq!(
        vec![("a", "Name of a", 0, 5), ("b", "Gerät \"B\"", 26, 4)],
        products
    );
    assert_eq!(4, state.remembered);
}

#[test]
fn a_repeat_gets_the_first_answer_until_its_time_is_over() {
    let mut journal = three_groups();
    // Of a product that was deleted and reborn since.
    let first = Receipt {
        quantity: 7,
        version: 2,
        at: Timestamp(BEGINNING.0 + 3),
    };
    for (now, live) in [(TTL_MS + 2, true), (TTL_MS + 3, false)] {
        journal.now = Timestamp(BEGINNING.0 + now);
        let mut started = journal.check_recovers(9, "a-1");
        let shard = &mut started.shards[started.router.shard_of("a")];
        let answer = shard
            .update(journal.now, &update("a", "a-1", -3, Some(2)))
            .answer;
        assert_eq!(live, answer == UpdateAnswer::Replayed(first), "{answer:?}");
        let asked = update("a", "a-1", -2, Some(2));
        let other_delta = shard.update(journal.now, &asked);
        let reused = matches!(other_delta.answer, UpdateAnswer::KeyReused(Some(_)));
        assert_eq!(live, reused, "{:?}", other_delta.answer);
    }
}

#[test]
fn a_key_used_again_after_its_time_is_answered_with_the_second_use() {
    let mut journal = three_groups();
    journal.pass(TTL_MS);
    journal.group(&[Add("b", "b-1", 5)]);
    let mut started = journal.check_recovers(10, "b-1");
    let state = journal.state_of(&started.router, &mut started.shards);
    assert_eq!(1, state.remembered);
    let second = Receipt {
        quantity: 31,
        version: 5,
        at: journal.now,
    };
    assert_eq!(Some(&UpdateAnswer::Replayed(second)), state.repeats.last());
}

#[test]
fn what_has_expired_is_not_remembered_in_the_first_place() {
    let mut journal = three_groups();
    // The updates took effect after 3, 4, 7 and 9 ms.
    for (after_ms, remembered) in [(9, 4), (TTL_MS + 3, 3), (TTL_MS + 7, 1), (TTL_MS + 9, 0)] {
        journal.now = Timestamp(BEGINNING.0 + after_ms);
        let started = journal.recover().unwrap();
        assert_eq!(remembered, started.remembered_count(), "{after_ms} ms");
    }
}

#[test]
fn time_does_not_run_backwards_across_a_start() {
    for last in [
        Add("b", "b-3", 1),
        rename("b", "B"),
        Create("c", 1),
        Delete("a"),
    ] {
        let mut journal = three_groups();
        journal.group(std::slice::from_ref(&last));
        let started = journal.recover_with(1, EVENTS_MAX, FirstStart::Empty);
        let shard = &mut started.unwrap().shards[0];
        let asked = update("b", "b-4", 1, None);
        let verdict = shard.update(BEGINNING, &asked);
        let UpdateAnswer::Applied(receipt) = verdict.answer else {
            panic!("{last:?}: {:?}", verdict.answer);
        };
        assert_eq!(journal.now, receipt.at, "{last:?}");
    }
}

#[test]
fn the_feed_goes_back_as_far_as_it_may() {
    let mut journal = three_groups();
    for names in 0..70 {
        let names = names * 10..names * 10 + 10;
        journal.group(
            &names
                .map(|n| rename("b", n.to_string()))
                .collect::<Vec<_>>(),
        );
    }
    let end = journal.next_offset();
    for events_max in [1, 4, 255, 256, 257, 708, 709, 710] {
        let about = format!("{events_max} events");
        let started = journal.recover_with(3, events_max, FirstStart::Empty);
        let mut started = started.unwrap();
        let oldest = started.feed.oldest();
        assert_eq!(end.saturating_sub(events_max as u64), oldest, "{about}");
        started.check_feed(&journal.events[oldest as usize..], &about);
    }
}

#[test]
fn the_journal_goes_on_at_the_block_behind_the_last_line() {
    let length = |name: usize| {
        let mut journal = Journal::new();
        journal.group(&[Create("a", 1)]);
        journal.group(&[rename("a", "n".repeat(name))]);
        lines(&journal.active())[1].len() + 1
    };
    let shortest = length(1);
    for (line, position) in [
        (shortest, 2 * BLOCK),
        (BLOCK - 1, 2 * BLOCK),
        (BLOCK, 2 * BLOCK),
        // All but the newline fits the block.
        (BLOCK + 1, 3 * BLOCK),
        (3 * BLOCK, 4 * BLOCK),
    ] {
        let mut journal = Journal::new();
        journal.group(&[Create("a", 1)]);
        journal.group(&[rename("a", "n".repeat(1 + line - shortest))]);
        assert_eq!(BLOCK + line, lines(&journal.active())[1].end + 1);
        let about = format!("a line of {line} bytes");
        let started = journal.check_recovers(2, &about);
        assert_eq!(position as u64, started.tail.position, "{about}");
        assert_eq!(SEGMENT, started.tail.size, "{about}");
    }
}
