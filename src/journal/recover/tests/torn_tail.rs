use super::*;

/// How many lines of `damaged` are what they were in `whole`, before the first that is not.
fn whole_lines(whole: &[u8], damaged: &[u8]) -> usize {
    let is_whole = |line: &Range<usize>| {
        let ends = damaged.get(line.end).is_none_or(|byte| *byte == b'\n');
        damaged.get(line.clone()) == whole.get(line.clone()) && ends
    };
    lines(whole)
        .iter()
        .take_while(|line| is_whole(line))
        .count()
}

/// A way to lose the bytes of the last group from one on.
type Loss = fn(&mut Vec<u8>, Range<usize>);

const LOSSES: [(&str, Loss); 5] = [
    ("cut off", |bytes, lost| bytes.truncate(lost.start)),
    ("newlines", |bytes, lost| bytes[lost].fill(b'\n')),
    ("zeros", |bytes, lost| bytes[lost].fill(0)),
    ("garbage", |bytes, lost| {
        let garbage = garbage(lost.len());
        bytes[lost].copy_from_slice(&garbage);
    }),
    ("one byte", |bytes, lost| bytes[lost.start] ^= 0x40),
];

/// One loss in this many is followed beyond the first start.
const FOLLOW_STRIDE: usize = 16;

/// Loses the last group of `journal`, whose first line is the `first`th of the active segment, from each
/// `stride`th byte on.
fn check_losses(journal: &Journal, first: usize, stride: usize) {
    let (files, whole) = (journal.files(), journal.active());
    let before = journal.tail.first_offset as usize;
    let all = lines(&whole);
    let group = all[first].start..all.last().unwrap().end + 1;
    for (name, lose) in LOSSES {
        let mut counts = vec![0; all.len() + 1];
        for (i, at) in group.clone().step_by(stride).enumerate() {
            let mut bytes = whole.clone();
            lose(&mut bytes, at..group.end);
            journal.write_active(&bytes);
            let kept = whole_lines(&whole, &bytes);
            assert!(kept >= first);
            counts[kept] += 1;
            let about = format!("{name} from byte {at} on, {kept} lines kept");
            let report = match i % FOLLOW_STRIDE == 0 || counts[kept] == 1 {
                true => journal.check_torn(before + kept, &about),
                false => journal.check_recovers(before + kept, &about).report,
            };
            let is_torn = lines(&bytes).len() > kept;
            assert_eq!(is_torn, report.torn_bytes > 0, "{about}");
            journal.put_back(&files);
        }
        let each_count_is_met = counts[first..all.len()].iter().all(|n| *n > 0);
        assert!(each_count_is_met, "{name}: {counts:?}");
    }
}

#[test]
fn of_the_last_group_a_prefix_is_kept_from_whatever_byte_it_is_lost() {
    check_losses(&three_groups(), LAST_GROUP, 1);
}

#[test]
fn the_first_group_of_all_may_be_torn() {
    let mut journal = Journal::new();
    journal.group(&[Create("a", 1), Add("a", "a-1", 1)]);
    check_losses(&journal, 0, 9);
}

#[test]
fn the_first_group_of_all_may_lose_its_first_lines_and_keep_the_others_whole() {
    let mut journal = Journal::new();
    journal.group(&[Create("a", 1), Add("a", "a-1", 1), Add("a", "a-2", 1)]);
    let (files, whole) = (journal.files(), journal.active());
    for lost in 1..=2 {
        let mut bytes = whole.clone();
        bytes[..lines(&whole)[lost].start].fill(b'\n');
        journal.write_active(&bytes);
        journal.check_torn(0, &format!("{lost} lines lost"));
        journal.put_back(&files);
    }
}

#[test]
fn the_first_group_behind_a_full_segment_may_be_torn() {
    let mut journal = three_groups();
    journal.rotate();
    journal.group(&[rename("a", "A"), rename("b", "B")]);
    check_losses(&journal, 0, 9);
}

#[test]
fn the_first_group_behind_the_snapshot_may_be_torn() {
    let journal = three_groups();
    journal.snapshot(LAST_GROUP);
    check_losses(&journal, LAST_GROUP, 9);
}

#[test]
fn lines_behind_a_lost_block_of_the_last_group_are_cut_too() {
    let names = |n: usize| rename("a", format!("{n} {}", "n".repeat(1000)));
    let mut journal = Journal::new();
    journal.group(&[Create("a", 1)]);
    journal.group(&(0..8).map(names).collect::<Vec<_>>());
    let (files, whole) = (journal.files(), journal.active());
    assert_eq!(journal.tail.position, 4 * BLOCK as u64);
    // Which blocks are lost, and whether that leaves readable lines behind them.
    for (lost, leaves_lines) in [
        (vec![1], true),
        (vec![2], true),
        (vec![3], false),
        (vec![1, 2], true),
        (vec![1, 3], true),
        (vec![1, 2, 3], false),
    ] {
        let mut bytes = whole.clone();
        for block in &lost {
            bytes[block * BLOCK..][..BLOCK].fill(b'\n');
        }
        journal.write_active(&bytes);
        let kept = whole_lines(&whole, &bytes);
        let about = format!("blocks {lost:?} lost, {kept} lines kept");
        let readable = lines(&bytes)
            .into_iter()
            .filter(|l| Line::read(&bytes[l.clone()]).is_ok());
        assert_eq!(leaves_lines, readable.count() > kept, "{about}");
        journal.check_torn(kept, &about);
        journal.put_back(&files);
    }
}

#[test]
fn lines_that_are_whole_but_follow_a_lost_one_are_cut() {
    let journal = three_groups();
    let (files, whole) = (journal.files(), journal.active());
    for lost in LAST_GROUP..8 {
        let mut bytes = whole.clone();
        bytes[lines(&whole)[lost].clone()].fill(b'\n');
        journal.write_active(&bytes);
        let report = journal.check_torn(lost, &format!("line {lost} lost"));
        let cut = lines(&whole)[8].end - lines(&whole)[lost + 1].start;
        assert_eq!(cut as u64, report.torn_bytes);
        journal.put_back(&files);
    }
}

#[test]
fn bytes_behind_the_last_group_are_cut() {
    let journal = three_groups();
    let (files, whole) = (journal.files(), journal.active());
    let end = lines(&whole)[8].end;
    for at in [end + 1, end + 2, 3 * BLOCK - 1, 3 * BLOCK, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] = b'x';
        journal.write_active(&bytes);
        let report = journal.check_torn(9, &format!("a byte at {at}"));
        assert_eq!(1, report.torn_bytes, "a byte at {at}");
        assert_eq!(whole, {
            journal.put_back(&files);
            journal.active()
        });
    }
}
