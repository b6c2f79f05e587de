use super::*;

/// Full segments from 0, 3 and 5, an active one from 9.
fn four_segments() -> Journal {
    let mut journal = Journal::new();
    let groups = three_groups().steps;
    for range in [0..3, 3..5, 5..9] {
        let steps: Vec<Step> = groups[range].iter().map(|(_, step)| step.clone()).collect();
        journal.group(&steps).rotate();
    }
    journal.group(&[Create("c", 1), Add("c", "c-1", 1)]);
    journal
}

#[test]
fn full_ones_are_read_before_the_active_one() {
    let journal = four_segments();
    let started = journal.check_recovers(11, "four segments");
    assert_eq!(4, started.report.segments);
    assert_eq!(9, started.tail.first_offset);
    assert_eq!(BLOCK as u64, started.tail.position);
}

#[test]
fn a_crash_between_the_renames_of_a_rotation_is_made_good() {
    let mut journal = four_segments();
    journal.close_segment();
    fs::write(journal.paths.spare(), "\n").unwrap();
    let started = journal.check_recovers(11, "no active segment");
    let tail = Tail {
        first_offset: 11,
        position: 0,
        size: SEGMENT,
        latest_at: Timestamp(0),
    };
    assert_eq!(tail, started.tail);
    journal.check_torn(11, "no active segment");
}

#[test]
fn a_crash_before_the_first_group_of_a_segment_is_nothing() {
    let mut journal = four_segments();
    journal.rotate();
    let started = journal.check_recovers(11, "an active segment without a line");
    assert_eq!((11, 0), (started.tail.first_offset, started.tail.position));
    journal.check_torn(11, "an active segment without a line");
}

#[test]
fn one_missing_between_others_is_refused() {
    for (gone, behind) in [(0, 3), (3, 5)] {
        let journal = four_segments();
        fs::remove_file(journal.paths.full(gone)).unwrap();
        let path = journal.paths.full(behind);
        journal.check_missing(&path, gone, behind, "a full segment behind it");
    }
}

#[test]
fn one_missing_before_the_active_one_is_refused() {
    let journal = four_segments();
    fs::remove_file(journal.paths.full(5)).unwrap();
    let active = journal.paths.active.clone();
    journal.check_missing(&active, 5, 9, "the active segment behind it");
}

#[test]
fn one_under_the_name_of_another_offset_is_refused() {
    let journal = four_segments();
    let (right, wrong) = (journal.paths.full(3), journal.paths.full(4));
    fs::rename(right, &wrong).unwrap();
    journal.check_missing(&wrong, 3, 4, "a name too high");
    let wrong = journal.paths.full(2);
    fs::rename(journal.paths.full(4), &wrong).unwrap();
    journal.check_missing(&wrong, 3, 2, "a name too low");
}

#[test]
fn a_full_one_is_never_torn() {
    let journal = four_segments();
    let files = journal.files();
    let full = journal.paths.full(5);
    let whole = &files[&full];
    for (i, line) in lines(whole).into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[line.end - 1] = b'\n';
        overwrite(&full, &bytes);
        let about = format!("line {i}");
        journal.check_damaged(&full, line.start, 5 + i as u64, &about);
        overwrite(&full, &whole[..line.end - 1]);
        journal.check_damaged(&full, line.start, 5 + i as u64, &about);
        // Even where what is left reads well: then the next segment does not follow.
        bytes[line.start..].fill(b'\n');
        overwrite(&full, &bytes);
        let active = journal.paths.active.clone();
        journal.check_missing(&active, 5 + i as u64, 9, &about);
    }
}

#[test]
fn damage_in_the_first_of_them_is_refused_whatever_bit_it_is() {
    let journal = four_segments();
    let full = journal.paths.full(0);
    super::damage::check_every_flipped_bit(&journal, &full, 0, 3);
}
