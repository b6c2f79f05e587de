use super::*;

/// One bit in this many is flipped; odd, so that each of a byte's eight is.
const BIT_STRIDE: usize = 5;

/// Flips bits in the first `count` lines of `path`, their newlines included.
pub fn check_every_flipped_bit(journal: &Journal, path: &Path, first: u64, count: usize) {
    let whole = fs::read(path).unwrap();
    for (i, line) in lines(&whole).into_iter().take(count).enumerate() {
        for bit in (line.start * 8..(line.end + 1) * 8).step_by(BIT_STRIDE) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            overwrite(path, &bytes);
            let about = format!("bit {} of byte {} in line {i}", bit % 8, bit / 8);
            // What begins like the file of another system is refused too, if in other words.
            if bytes.starts_with(b"[") {
                journal.check_refused(&about);
                continue;
            }
            journal.check_damaged(path, line.start, first + i as u64, &about);
        }
    }
    overwrite(path, &whole);
}

#[test]
fn a_flipped_bit_before_the_last_group_is_refused() {
    let journal = three_groups();
    let active = journal.paths.active.clone();
    check_every_flipped_bit(&journal, &active, 0, LAST_GROUP);
    journal.check_recovers(9, "as it was");
}

#[test]
fn it_is_refused_also_where_a_snapshot_covers_some_of_it() {
    let journal = three_groups();
    journal.snapshot(2);
    let active = journal.paths.active.clone();
    let whole = journal.active();
    for (i, line) in lines(&whole)[1..LAST_GROUP].iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[line.start + 20] ^= 1;
        journal.write_active(&bytes);
        journal.check_damaged(
            &active,
            line.start,
            i as u64 + 1,
            &format!("line {}", i + 1),
        );
    }
}

#[test]
fn a_lost_line_or_group_before_the_last_group_is_refused() {
    let journal = three_groups();
    let active = journal.paths.active.clone();
    let whole = journal.active();
    let all = lines(&whole);
    for (lost, fill) in [
        (0..3, b'\n'),
        (0..1, b'\n'),
        (1..2, b'\n'),
        (3..5, b'\n'),
        (2..4, 0),
    ] {
        let mut bytes = whole.clone();
        bytes[all[lost.start].start..all[lost.end - 1].end].fill(fill);
        journal.write_active(&bytes);
        let at = match fill {
            b'\n' => all[lost.end].start,
            _ => all[lost.start].start,
        };
        let about = format!("lines {lost:?} overwritten with {fill}");
        // Where the first group is lost, the first line that is there tells that more was on disk before it.
        if lost == (0..3) {
            journal.check_missing(&active, 0, 3, &about);
        } else {
            journal.check_damaged(&active, at, lost.start as u64, &about);
        }
    }
}

#[test]
fn a_bit_flipped_between_the_first_groups_is_refused() {
    let journal = three_groups();
    let active = journal.paths.active.clone();
    let mut bytes = journal.active();
    bytes[BLOCK - 10] ^= 1;
    journal.write_active(&bytes);
    journal.check_damaged(&active, BLOCK - 10, 3, "in the padding");
}

#[test]
fn a_line_that_is_there_again_is_refused() {
    let mut journal = three_groups();
    let whole = journal.active();
    let at = journal.tail.position as usize;
    for line in lines(&whole) {
        let mut bytes = whole.clone();
        let again = &whole[line];
        bytes[at..][..again.len()].copy_from_slice(again);
        journal.write_active(&bytes);
        let active = journal.paths.active.clone();
        let problem = journal.check_damaged(&active, at, 9, "the active segment");
        assert!(problem.contains("there again"), "{problem}");
    }
    let full = journal.close_segment();
    journal.check_damaged(&full, at, 9, "a full segment");
}

/// Appends a change that has its place in the journal and a checksum, but says what `served` and `private` say.
fn check_crafted(served: &str, private: &str, expected: &str) {
    let mut journal = three_groups();
    let at = journal.tail.position as usize;
    let mut group = Group::new(9, 9);
    group.push(BEGINNING, served.as_bytes(), private.as_bytes());
    journal.append(&group.seal());
    let active = journal.paths.active.clone();
    let problem = journal.check_damaged(&active, at, 9, served);
    assert!(problem.contains(expected), "{served}: {problem}");
}

/// The next change of product `b`, as it should be.
const SERVED: &str = r#""timestamp":"2024-01-15T10:30:00.100Z","eventType":"inventory_updated","productId":"b","version":5,"data":{"productId":"b","name":"B","available":27,"version":5,"lastUpdated":"2024-01-15T10:30:00.100Z","price":9.90},"storeId":"store-1","delta":1"#;
const PRIVATE: &str = r#","key":"b-3""#;

#[test]
fn a_crafted_line_is_taken_if_nothing_is_wrong_with_it() {
    let mut journal = three_groups();
    let mut group = Group::new(9, 9);
    group.push(BEGINNING, SERVED.as_bytes(), PRIVATE.as_bytes());
    journal.append(&group.seal());
    assert_eq!(10, journal.recover().unwrap().next_offset);
}

#[test]
fn a_line_that_says_it_was_on_disk_before_it_was_written_is_refused() {
    let mut journal = three_groups();
    let at = journal.tail.position as usize;
    let mut group = Group::new(9, 9);
    group.push(BEGINNING, SERVED.as_bytes(), PRIVATE.as_bytes());
    let mut group = group.seal();
    let line = String::from_utf8(group.blocks).unwrap();
    let (body, _) = line.split_once(",\"crc32c\"").unwrap();
    let body = body.replace("\"batch\":9,", "\"batch\":10,");
    let checksum = crc32c::crc32c(body.as_bytes());
    group.blocks = format!("{body},\"crc32c\":\"{checksum:08x}\"}}}}\n").into_bytes();
    group.blocks.resize(BLOCK, b'\n');
    journal.append(&group);
    let active = journal.paths.active.clone();
    let problem = journal.check_damaged(&active, at, 9, "marked too high");
    assert!(problem.contains("later changes"), "{problem}");
}

#[test]
fn a_version_that_does_not_follow_is_refused() {
    for version in ["1", "4", "6", "9007199254740991"] {
        let served = SERVED.replace("\"version\":5", &format!("\"version\":{version}"));
        check_crafted(
            &served,
            PRIVATE,
            &format!("version is {version}, but 5 must follow"),
        );
    }
    // Of a product that never was.
    let served = SERVED.replace("\"productId\":\"b\"", "\"productId\":\"z\"");
    check_crafted(&served, PRIVATE, "version is 5, but 1 must follow");
}

#[test]
fn a_line_that_makes_no_sense_is_refused_though_its_checksum_matches() {
    for (right, wrong) in [
        ("inventory_updated", "inventory_exploded"),
        ("\"delta\":1", "\"delta\":\"1\""),
        (",\"delta\":1", ""),
        ("\"storeId\":\"store-1\",", ""),
        ("\"available\":27", "\"available\":-27"),
        ("\"available\":27", "\"available\":9007199254740992"),
        ("\"version\":5", "\"version\":0"),
        ("\"price\":9.90", "\"price\":\"9.90\""),
        ("\"price\":9.90", "\"price\":[[[]]]"),
        ("2024-01-15T", "yesterday "),
        ("{\"productId\"", "{\"product\""),
        ("\"data\":{", "\"data\":"),
    ] {
        let served = SERVED.replace(right, wrong);
        assert_ne!(SERVED, served);
        check_crafted(
            &served,
            PRIVATE,
            "not a change that this version understands",
        );
    }
    check_crafted(SERVED, "", "not a change that this version understands");
    let deep = format!("{SERVED},\"deep\":{}", "[".repeat(3_000));
    check_crafted(&deep, PRIVATE, "not a change");
    let store = "s".repeat(256);
    let served = SERVED.replace("store-1", &store);
    check_crafted(&served, PRIVATE, "not a change");
}
