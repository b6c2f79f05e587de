use std::fs;
use std::ops::ControlFlow;

use ahash::RandomState;
use shards::{Limits, Shard, Timestamp};

use super::*;
use crate::journal::recover::{self, FirstStart, Settings, Target};
use crate::journal::test_journal::{TestJournal, edit, line_starts};
use crate::sequencer::feed::Feed;
use crate::shard::router::Router;

/// One bit in this many is flipped; odd, so that each of a byte's eight is.
const BIT_STRIDE: usize = 173;

fn findings(journal: &TestJournal) -> Findings {
    verify(&journal.files, &mut |done, total| assert!(done <= total)).unwrap()
}

/// Whether a start would take it.
fn starts(journal: &TestJournal) -> bool {
    let limits = Limits {
        idempotency_ttl_ms: 1,
        idempotency_entries_max: 1,
    };
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    let router = Router::new(hasher.clone(), 1);
    let target = Target {
        router: &router,
        shards: &mut [Shard::new(limits, hasher)],
        feed: &mut Feed::new(100, 1),
    };
    let settings = Settings {
        segment_bytes: 4096,
        first_start: FirstStart::Empty,
        now: Timestamp(0),
        idempotency_ttl_ms: 1,
        events_in_memory: 100,
    };
    let go_on = &mut |_| ControlFlow::Continue(());
    recover::look(&journal.files, &settings, target, go_on).is_ok()
}

/// Exactly these faults, each in `path` at a byte and an offset.
#[track_caller]
fn check_faults(journal: &TestJournal, path: &Path, expected: &[(usize, u64)]) -> Findings {
    let findings = findings(journal);
    let found = findings.faults.iter().map(|fault| {
        assert_eq!(path, fault.path);
        (fault.byte.unwrap() as usize, fault.offset.unwrap())
    });
    assert_eq!(expected, found.collect::<Vec<_>>(), "{findings:?}");
    assert_eq!(expected.len() as u64, findings.fault_count);
    findings
}

#[test]
fn a_sound_journal_is_summed_up() {
    let journal = TestJournal::of_two_segments();
    let findings = check_faults(&journal, &journal.files.active, &[]);
    assert_eq!(Some(11), findings.next_offset);
    assert!(findings.torn.is_none() && !findings.a_server_runs);
    let segments = findings.segments.iter();
    let segments: Vec<_> = segments
        .map(|s| (s.kind, s.first_offset, s.next_offset, s.events))
        .collect();
    let expected = vec![(Kind::Full, 0, 5, 5), (Kind::Active, 5, 11, 6)];
    assert_eq!(expected, segments);
}

#[test]
fn every_flipped_bit_is_reported_where_a_start_would_refuse_and_only_there() {
    let journal = TestJournal::of_two_segments();
    for path in [journal.files.full(0), journal.files.active.clone()] {
        let whole = fs::read(&path).unwrap();
        for bit in (0..whole.len() * 8).step_by(BIT_STRIDE) {
            let at = bit / 8;
            edit(&path, |bytes| bytes[at] ^= 1 << (bit % 8));
            match verify(&journal.files, &mut |_, _| {}) {
                Ok(found) => assert_eq!(starts(&journal), found.is_sound(), "bit {bit}: {found:?}"),
                Err(error) => assert!(!starts(&journal), "bit {bit}: {error}"),
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn every_fault_is_reported_and_what_follows_from_it_is_not() {
    let journal = TestJournal::of_two_segments();
    let full = journal.files.full(0);
    let at = line_starts(&full);
    edit(&full, |bytes| {
        bytes[at[1] + 30] ^= 1;
        bytes[at[3] + 30] ^= 1;
    });
    check_faults(&journal, &full, &[(at[1], 1), (at[3], 3)]);
}

#[test]
fn two_lines_run_into_one_are_both_missed() {
    let journal = TestJournal::of_two_segments();
    let full = journal.files.full(0);
    let at = line_starts(&full);
    edit(&full, |bytes| bytes[at[2] - 1] = b' ');
    let findings = findings(&journal);
    let problems: Vec<&str> = findings.faults.iter().map(|f| f.problem.as_str()).collect();
    assert_eq!(Some(1), findings.faults[0].offset);
    assert_eq!(2, problems.len(), "{problems:?}");
    assert_eq!("the events with offsets 2 to 2 are in no line", problems[1]);
}

#[test]
fn damage_and_a_torn_tail_are_told_apart_in_one_segment() {
    let journal = TestJournal::of_two_segments();
    let active = journal.files.active.clone();
    let at = line_starts(&active);
    edit(&active, |bytes| bytes[at[5] + 30] ^= 1);
    let torn = check_faults(&journal, &active, &[]).torn.unwrap();
    assert_eq!((at[5] as u64, 10), (torn.byte, torn.offset));
    edit(&active, |bytes| bytes[at[0] + 30] ^= 1);
    let findings = check_faults(&journal, &active, &[(at[0], 5)]);
    assert_eq!(Some(torn), findings.torn);
}

#[test]
fn missing_segments_are_named() {
    let mut journal = TestJournal::of_two_segments();
    journal.rotate();
    journal.group(1);
    journal.snapshot_of(11, 11, 11);
    let middle = journal.files.full(5);
    fs::remove_file(&middle).unwrap();
    let findings = findings(&journal);
    assert_eq!(2, findings.fault_count, "{findings:?}");
    assert_eq!(
        (&middle, Some(5)),
        (&findings.faults[0].path, findings.faults[0].offset)
    );
    assert_eq!(journal.files.active, findings.faults[1].path);
    assert!(findings.faults[1].problem.contains("offsets 5 to 10"));
}

#[test]
fn versions_must_follow_and_the_snapshot_must_lie_on_them() {
    let mut journal = TestJournal::of_two_segments();
    for (version, next_offset, end_offset, faults) in [
        (5, 5, 5, 0),
        (6, 5, 8, 0),
        (4, 5, 5, 1),
        (9, 5, 8, 1),
        (11, 11, 12, 1),
    ] {
        journal.snapshot_of(version, next_offset, end_offset);
        let findings = findings(&journal);
        assert_eq!(
            faults, findings.fault_count,
            "version {version}: {findings:?}"
        );
    }
    journal.snapshot_of(5, 5, 5);
    journal.skip_versions(1);
    journal.group(1);
    let active = journal.files.active.clone();
    let at = *line_starts(&active).last().unwrap();
    let findings = check_faults(&journal, &active, &[(at, 11)]);
    assert!(
        findings.faults[0]
            .problem
            .ends_with("is 13, but 12 must follow")
    );
}

#[test]
fn a_mark_above_the_offset_is_reported() {
    let journal = TestJournal::of_two_segments();
    let full = journal.files.full(0);
    let at = line_starts(&full)[3];
    edit(&full, |bytes| {
        let end = at + memchr::memchr(b'\n', &bytes[at..]).unwrap();
        let line = String::from_utf8(bytes[at..end].to_vec()).unwrap();
        let line = line.replace("\"batch\":3", "\"batch\":4");
        let body = &line[..line.find(",\"crc32c\"").unwrap()];
        let line = format!(
            "{body},\"crc32c\":\"{:08x}\"}}}}",
            crc32c::crc32c(body.as_bytes())
        );
        bytes[at..end].copy_from_slice(line.as_bytes());
    });
    let findings = check_faults(&journal, &full, &[(at, 3)]);
    assert!(findings.faults[0].problem.contains("batch"));
}

#[test]
fn a_damaged_snapshot_does_not_hide_the_rest() {
    let journal = TestJournal::of_two_segments();
    journal.snapshot_of(5, 5, 5);
    edit(&journal.files.snapshot, |bytes| bytes[40] ^= 1);
    let full = journal.files.full(0);
    edit(&full, |bytes| bytes[30] ^= 1);
    let findings = findings(&journal);
    let paths: Vec<&Path> = findings.faults.iter().map(|f| f.path.as_path()).collect();
    assert_eq!(
        vec![journal.files.snapshot.as_path(), &full],
        paths,
        "{findings:?}"
    );
}

#[test]
fn many_faults_are_counted_and_some_listed() {
    let mut journal = TestJournal::new();
    journal.group(150);
    let full = journal.rotate();
    let starts = line_starts(&full);
    edit(&full, |bytes| {
        starts.iter().for_each(|at| bytes[at + 30] ^= 1)
    });
    let findings = findings(&journal);
    assert_eq!((100, 150), (findings.faults.len(), findings.fault_count));
}

#[test]
fn no_journal_and_another_s_journal_cannot_be_verified() {
    let journal = TestJournal::new();
    let check = || verify(&journal.files, &mut |_, _| {}).unwrap_err();
    fs::write(&journal.files.active, "{\"events\":[],\"nextOffset\":0}").unwrap();
    assert!(matches!(check(), SceneError::Foreign { .. }));
    fs::remove_file(&journal.files.active).unwrap();
    assert!(matches!(check(), SceneError::Absent { .. }));
}
