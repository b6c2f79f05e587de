use super::*;
use shards::AdminAnswer;

#[test]
fn what_it_covers_is_not_applied_twice_and_identities_and_events_come_from_the_journal() {
    let mut journal = three_groups();
    journal.rotate().group(&[Delete("b"), Create("c", 1)]);
    for covered in 0..=11 {
        journal.snapshot(covered);
        for shard_count in [1, 3] {
            let about = format!("{covered} changes in the snapshot");
            let started = journal.check_recovers_with(shard_count, 11, &about);
            assert_eq!(0, started.feed.oldest(), "{about}");
            assert_eq!(11, started.report.events, "{about}");
            let products = journal.shard_after(covered).product_count();
            assert_eq!(products, started.report.snapshot_products, "{about}");
        }
    }
}

#[test]
fn a_snapshot_that_knows_more_than_the_journal_is_refused() {
    let mut journal = three_groups();
    journal.snapshot(9);
    let snapshot = &journal.paths.snapshot.clone();
    let whole = journal.active();
    // The last group is lost without a trace.
    let end = lines(&whole)[LAST_GROUP].start;
    let mut shorter = whole.clone();
    shorter[end..].fill(b'\n');
    journal.write_active(&shorter);
    journal.check_missing(snapshot, 5, 9, "an active segment");
    journal.close_segment();
    journal.check_missing(snapshot, 5, 9, "a full segment");
}

#[test]
fn a_journal_that_begins_behind_it_is_refused() {
    for covered in 0..9 {
        let mut journal = three_groups();
        journal.snapshot(covered);
        let first = journal.close_segment();
        journal.rotate_again_after(&first);
        journal.group(&[Create("c", 1)]);
        let active = journal.paths.active.clone();
        journal.check_missing(&active, covered as u64, 9, "an active segment");
        let full = journal.close_segment();
        journal.check_missing(&full, covered as u64, 9, "a full segment");
    }
}

#[test]
fn segments_that_it_covers_may_be_gone() {
    for covered in 9..=11 {
        let mut journal = three_groups();
        let first = journal.close_segment();
        journal.rotate_again_after(&first);
        journal.group(&[Create("c", 1), rename("c", "C")]);
        // So that no identity is remembered of what is in no file.
        journal.pass(TTL_MS);
        journal.snapshot(covered);
        let about = format!("{covered} changes in the snapshot");
        let started = journal.check_recovers(11, &about);
        assert_eq!(9, started.feed.oldest(), "{about}");
        assert_eq!(9, started.tail.first_offset, "{about}");
    }
}

impl Journal {
    /// Removes the full segment `gone` and begins the next.
    fn rotate_again_after(&mut self, gone: &Path) {
        fs::remove_file(gone).unwrap();
        fs::write(&self.paths.active, vec![b'\n'; SEGMENT as usize]).unwrap();
        self.tail.first_offset = self.next_offset();
        self.tail.position = 0;
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_stamp_a_change_before_those_that_it_covers() {
    const LATEST: Timestamp = Timestamp(9_000_000_000_000);
    let mut journal = Journal::new();
    journal.group(&[Create("a", 1), rename("a", "A")]);
    journal.snapshot_with(2, LATEST);
    let mut started = journal.recover().unwrap_or_else(|error| panic!("{error}"));
    let shard = &mut started.shards[started.router.shard_of("a")];
    match shard.delete(Timestamp(0), "a").answer {
        AdminAnswer::Done { at, .. } => assert_eq!(LATEST, at),
        other => panic!("{other:?}"),
    }
}
