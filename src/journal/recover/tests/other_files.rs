use super::*;

#[test]
fn the_events_file_of_another_system_is_left_alone() {
    for json in [
        r#"{"events":[{"offset":0}]}"#,
        "{\n  \"events\": [\n    {\n      \"offset\": 0\n    }\n  ]\n}\n",
        "\r\n\t {\t\"events\"\n: []}",
        "[]",
        " [\n{\"offset\":0}]",
    ] {
        let journal = Journal::nowhere();
        fs::write(&journal.paths.active, json).unwrap();
        match journal.check_refused(json) {
            RecoverError::Foreign { path } => assert_eq!(journal.paths.active, path),
            other => panic!("{json}: {other}"),
        }
    }
}

#[test]
fn an_active_segment_without_a_byte_is_made_anew() {
    let journal = Journal::nowhere();
    fs::write(&journal.paths.active, "").unwrap();
    let started = journal.check_recovers(0, "no byte");
    assert_eq!(SEGMENT, started.tail.size);
    assert_eq!(vec![b'\n'; SEGMENT as usize], journal.active());
    journal.check_torn(0, "no byte");

    let mut journal = three_groups();
    journal.close_segment();
    fs::write(&journal.paths.active, "").unwrap();
    let started = journal.check_recovers(9, "no byte behind a full segment");
    assert_eq!((9, SEGMENT), (started.tail.first_offset, started.tail.size));
}

#[test]
fn an_active_segment_of_newlines_is_one_without_a_line() {
    for (covered, size) in [
        (0, SEGMENT),
        (0, 2 * SEGMENT),
        (9, SEGMENT),
        (0, 1),
        (0, 5000),
    ] {
        let journal = three_groups();
        journal.snapshot(covered);
        journal.write_active(&vec![b'\n'; size as usize]);
        let started = journal.recover().unwrap();
        let tail = Tail {
            first_offset: covered as u64,
            position: 0,
            size: size - size % BLOCK as u64,
            latest_at: Timestamp(0),
        };
        assert_eq!((covered as u64, tail), (started.next_offset, started.tail));
    }
}

#[test]
fn an_active_segment_of_any_size_is_read_and_continued() {
    let journal = three_groups();
    let (files, whole) = (journal.files(), journal.active());
    let end = lines(&whole)[8].end;
    for size in [
        end,
        end + 1,
        end + 2,
        3 * BLOCK - 1,
        3 * BLOCK,
        3 * BLOCK + 1,
    ] {
        journal.write_active(&whole[..size]);
        let about = format!("{size} bytes");
        let report = journal.check_torn(9, &about);
        assert_eq!(0, report.torn_bytes, "{about}");
        journal.put_back(&files);
    }
}
