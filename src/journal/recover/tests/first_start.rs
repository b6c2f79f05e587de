use super::*;

const CATALOGUE: &str = r#"{"products":{
    "kettle":{"productId":"kettle","name":"Kettle","available":4,"version":3,"lastUpdated":"2024-01-15T10:30:00Z","price":19.90}
}}"#;

/// Starts twice with nothing but what is at `DATA_PATH`.
fn check(journal: &Journal, first_start: FirstStart, products: usize, offset: u64) -> State {
    let mut first = journal.recover_with(2, EVENTS_MAX, first_start).unwrap();
    let tail = Tail {
        first_offset: offset,
        position: 0,
        size: SEGMENT,
        latest_at: Timestamp(0),
    };
    assert_eq!((offset, tail), (first.next_offset, first.tail));
    assert_eq!(products, first.product_count());
    assert_eq!(vec![b'\n'; SEGMENT as usize], journal.active());
    assert_eq!((offset, offset), (first.feed.oldest(), first.feed.end()));
    let state = journal.state_of(&first.router, &mut first.shards);
    let files = journal.files();
    // Whatever the environment is then.
    for first_start in [FirstStart::Sample, FirstStart::Empty] {
        let mut next = journal.recover_with(3, EVENTS_MAX, first_start).unwrap();
        assert_eq!((offset, tail), (next.next_offset, next.tail));
        assert_eq!(state, journal.state_of(&next.router, &mut next.shards));
        assert!(files == journal.files());
    }
    state
}

#[test]
fn it_takes_the_sample_or_nothing_and_writes_down_which() {
    for (first_start, products) in [(FirstStart::Sample, 100), (FirstStart::Empty, 0)] {
        let journal = Journal::nowhere();
        check(&journal, first_start, products, 0);
        let snapshot = snapshot::read(&journal.paths).unwrap().unwrap();
        assert_eq!(
            (products, 0),
            (snapshot.products.len(), snapshot.coverage.next_offset)
        );
    }
}

#[test]
fn it_begins_from_a_catalogue_at_the_data_path() {
    let journal = Journal::nowhere();
    fs::write(&journal.paths.snapshot, CATALOGUE).unwrap();
    let state = check(&journal, FirstStart::Sample, 1, 0);
    let kettle = &state.products[0];
    assert_eq!(
        ("kettle", 4, 3, "19.90"),
        (
            &*kettle.id,
            kettle.available,
            kettle.version,
            kettle.price.as_str()
        )
    );
    assert_eq!(
        CATALOGUE,
        fs::read_to_string(&journal.paths.snapshot).unwrap()
    );
}

#[test]
fn it_goes_on_behind_a_snapshot_whose_journal_is_gone() {
    let journal = three_groups();
    journal.snapshot(LAST_GROUP);
    fs::remove_file(&journal.paths.active).unwrap();
    let state = check(&journal, FirstStart::Sample, 1, LAST_GROUP as u64);
    assert_eq!(vec![("a".to_owned(), 3)], state.tombstones);
}

#[test]
fn a_journal_without_a_snapshot_does_not_begin_from_the_sample() {
    let journal = three_groups();
    let started = journal
        .recover_with(1, EVENTS_MAX, FirstStart::Sample)
        .unwrap();
    assert_eq!(2, started.product_count());
    assert!(!journal.paths.snapshot.exists());
    // Not even where all there is of it are full segments.
    let mut journal = three_groups();
    journal.close_segment();
    let started = journal
        .recover_with(1, EVENTS_MAX, FirstStart::Sample)
        .unwrap();
    assert_eq!(2, started.product_count());
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused() {
    for json in ["", "{\"products\":{}", "[]"] {
        let journal = Journal::nowhere();
        fs::write(&journal.paths.snapshot, json).unwrap();
        let error = journal.check_refused(json);
        assert!(matches!(error, RecoverError::Snapshot { .. }), "{error}");
    }
}
