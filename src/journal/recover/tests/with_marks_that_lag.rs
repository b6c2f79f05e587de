use super::*;

/// Four groups, of which the first two were known to be on disk when the last was written.
fn lagging() -> Journal {
    let mut journal = Journal::new();
    journal
        .lagging_group(0, &[Create("a", 1), Add("a", "a-1", 1)])
        .lagging_group(0, &[Add("a", "a-2", 1), rename("a", "A")])
        .lagging_group(0, &[Create("b", 1), Add("b", "b-1", 1)])
        .lagging_group(4, &[Delete("a"), Add("b", "b-2", 1)]);
    journal
}

#[test]
fn they_are_replayed_like_others() {
    lagging().check_recovers(8, "whole");
}

#[test]
fn damage_behind_the_last_synced_offset_is_cut_and_before_it_refused() {
    let journal = lagging();
    let (files, whole) = (journal.files(), journal.active());
    let active = journal.paths.active.clone();
    for (i, line) in lines(&whole).into_iter().enumerate() {
        for at in [line.start, line.start + 50, line.end - 1, line.end] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            journal.write_active(&bytes);
            let about = format!("byte {at} of line {i}");
            if i < 4 {
                journal.check_damaged(&active, line.start, i as u64, &about);
            } else {
                journal.check_torn(i, &about);
            }
            journal.put_back(&files);
        }
    }
}

#[test]
fn a_whole_group_lost_behind_the_last_synced_offset_takes_the_later_ones_with_it() {
    let journal = lagging();
    let mut bytes = journal.active();
    bytes[2 * BLOCK..3 * BLOCK].fill(b'\n');
    journal.write_active(&bytes);
    journal.check_torn(4, "the third group lost");
}

#[test]
fn a_bit_flipped_in_padding_that_was_not_synced_takes_the_later_groups_with_it() {
    for (group, kept) in [(3, 6), (4, 8)] {
        let journal = lagging();
        let mut bytes = journal.active();
        bytes[group * BLOCK - 10] ^= 1;
        journal.write_active(&bytes);
        journal.check_torn(kept, &format!("behind group {group}"));
    }
}

#[test]
fn a_bit_flipped_in_padding_that_was_synced_is_refused() {
    let journal = lagging();
    let active = journal.paths.active.clone();
    let mut bytes = journal.active();
    bytes[BLOCK - 10] ^= 1;
    journal.write_active(&bytes);
    journal.check_damaged(&active, BLOCK - 10, 2, "behind the first group");
}
