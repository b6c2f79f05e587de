//! Recovery of journals that the real shard and the real encoder made, whole and damaged in every way a crash or a
//! disk can damage them. A [`Journal`] knows what was acknowledged; recovery must find that, and no more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use ahash::RandomState;
use shards::{Creation, Identity, Limits, Price, Product, Setting, Ticket, Update, UpdateAnswer};
use tempfile::TempDir;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::*;
use crate::journal::format::{Change, Changes, Group, SealedGroup};
use crate::messages::{ExchangeKey, FeedAnswer, FeedReply, FeedReplyTo, Form, Poll};
use crate::sequencer::feed::Polled;

const SEGMENT: u64 = 4 * BLOCK as u64;
const TTL_MS: u64 = 1_000;
const EVENTS_MAX: usize = 10_000;
/// 2024-01-15T10:30:00Z
const BEGINNING: Timestamp = Timestamp(1_705_314_600_000);

/// Something that changes a product.
#[derive(Clone, Debug)]
enum Step {
    Create(&'static str, u64),
    Update(&'static str, &'static str, i64),
    Rename(&'static str, String),
    Delete(&'static str),
}
use Step::{Create, Delete, Update as Add};

fn rename(id: &'static str, name: impl Into<String>) -> Step {
    Step::Rename(id, name.into())
}

/// Lets `shard` decide `step`, which must change something.
fn play(shard: &mut Shard, at: Timestamp, step: &Step, changes: &mut Changes) {
    let mut push = |kind, product: Option<&Product>, update| {
        let product = product.unwrap_or_else(|| panic!("{step:?} changes nothing"));
        changes.push(&Change {
            kind,
            at,
            product,
            update,
        });
    };
    match step {
        Create(id, available) => {
            let creation = Creation {
                id: (*id).into(),
                name: format!("Name of {id}").into(),
                available: *available,
                price: Price::new("9.90"),
            };
            let changed = shard.create(at, creation).changed;
            push(EventKind::ProductCreated, changed.as_deref(), None);
        }
        Step::Rename(id, name) => {
            let setting = Setting {
                id: (*id).into(),
                name: Some(name.as_str().into()),
                available: None,
                price: None,
                expected_version: None,
            };
            let changed = shard.set(at, setting).changed;
            push(EventKind::ProductModified, changed.as_deref(), None);
        }
        Add(id, key, delta) => {
            let asked = update(id, key, *delta, None);
            let verdict = shard.update(at, &asked);
            let update = verdict.remembered.map(|identity| (identity, *delta));
            push(
                EventKind::InventoryUpdated,
                verdict.changed.as_deref(),
                update,
            );
        }
        Delete(id) => {
            let changed = shard.delete(at, id).changed;
            push(EventKind::ProductDeleted, changed.as_deref(), None);
        }
    }
}

fn update(id: &str, key: &str, delta: i64, expected_version: Option<u64>) -> Update {
    Update {
        identity: Identity::new("store-1", id, key),
        delta,
        expected_version,
    }
}

fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

fn new_shard() -> Shard {
    let limits = Limits {
        idempotency_ttl_ms: TTL_MS,
        idempotency_entries_max: 10_000,
    };
    Shard::new(limits, hasher())
}

/// A data directory, and what was acknowledged about it. Clones share the directory.
#[derive(Clone)]
struct Journal {
    _directory: Rc<TempDir>,
    paths: Files,
    tail: Tail,
    now: Timestamp,
    steps: Vec<(Timestamp, Step)>,
    events: Vec<Vec<u8>>,
}

/// Every file of a data directory.
type Contents = BTreeMap<PathBuf, Vec<u8>>;

impl Journal {
    /// A directory without a file.
    fn nowhere() -> Journal {
        // Recovery syncs a lot and no test cuts the power: where there is a directory in memory, use that.
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        }
        .unwrap();
        let paths = Files::new(
            directory.path().join("inventory.json"),
            directory.path().join("events.json"),
        );
        Journal {
            _directory: Rc::new(directory),
            paths,
            tail: Tail {
                first_offset: 0,
                position: 0,
                size: SEGMENT,
                latest_at: Timestamp(0),
            },
            now: BEGINNING,
            steps: Vec::new(),
            events: Vec::new(),
        }
    }

    /// An active segment without a line.
    fn new() -> Journal {
        let journal = Journal::nowhere();
        fs::write(&journal.paths.active, vec![b'\n'; SEGMENT as usize]).unwrap();
        journal
    }

    fn next_offset(&self) -> u64 {
        self.steps.len() as u64
    }

    /// Appends a group that is synced before the next.
    fn group(&mut self, steps: &[Step]) -> &mut Journal {
        self.lagging_group(self.next_offset(), steps)
    }

    /// Appends a group of which it is only known that everything before `batch` was on disk.
    fn lagging_group(&mut self, batch: u64, steps: &[Step]) -> &mut Journal {
        let mut group = Group::new(self.next_offset(), batch);
        let mut shard = self.shard_after(self.steps.len());
        let mut changes = Changes::default();
        for step in steps {
            self.now.0 += 1;
            play(&mut shard, self.now, step, &mut changes);
            self.steps.push((self.now, step.clone()));
        }
        for (served, private) in changes.iter() {
            group.push(self.now, served, private);
        }
        let group = group.seal();
        self.events
            .extend((0..steps.len()).map(|i| group.events.range(i, i + 1).to_vec()));
        self.append(&group)
    }

    /// Writes a group as the server does.
    fn append(&mut self, group: &SealedGroup) -> &mut Journal {
        let length = group.blocks.len() as u64;
        if self.tail.position + length > self.tail.size {
            self.close_segment();
            fs::write(&self.paths.active, vec![b'\n'; SEGMENT as usize]).unwrap();
            self.tail = Tail {
                first_offset: group.first_offset,
                position: 0,
                size: SEGMENT,
                latest_at: Timestamp(0),
            };
        }
        let file = File::options()
            .write(true)
            .open(&self.paths.active)
            .unwrap();
        file.write_all_at(&group.blocks, self.tail.position)
            .unwrap();
        self.tail.position += length;
        self
    }

    /// The first of the two renames of a rotation.
    fn close_segment(&mut self) -> PathBuf {
        let full = self.paths.full(self.tail.first_offset);
        fs::rename(&self.paths.active, &full).unwrap();
        full
    }

    /// Both renames of a rotation.
    fn rotate(&mut self) -> &mut Journal {
        self.close_segment();
        fs::write(&self.paths.active, vec![b'\n'; SEGMENT as usize]).unwrap();
        self.tail.first_offset = self.next_offset();
        self.tail.position = 0;
        self
    }

    /// Lets time pass.
    fn pass(&mut self, ms: u64) -> &mut Journal {
        self.now.0 += ms;
        self
    }

    /// Writes the snapshot of the first `count` changes.
    fn snapshot(&self, count: usize) {
        self.snapshot_with(count, Timestamp(0));
    }

    /// The same, with the time that it gives for the latest of them.
    fn snapshot_with(&self, count: usize, latest_at: Timestamp) {
        let shard = self.shard_after(count);
        let tombstones = shard.tombstones().map(|(id, v)| (id.into(), v)).collect();
        let snapshot = Snapshot {
            products: shard.products_after(None).cloned().collect(),
            tombstones,
            coverage: snapshot::Coverage {
                next_offset: count as u64,
                end_offset: count as u64,
                latest_at,
                kept_from: 0,
                segments: None,
            },
        };
        snapshot::write(&self.paths, &snapshot).unwrap();
    }

    /// The shard that made the first `count` changes.
    fn shard_after(&self, count: usize) -> Shard {
        let mut shard = new_shard();
        for (at, step) in &self.steps[..count] {
            play(&mut shard, *at, step, &mut Changes::default());
        }
        shard
    }

    fn state_after(&self, count: usize) -> State {
        let router = Router::new(hasher(), 1);
        self.state_of(&router, &mut [self.shard_after(count)])
    }

    fn state_of(&self, router: &Router, shards: &mut [Shard]) -> State {
        State::of(router, shards, self.now, &self.steps)
    }

    fn active(&self) -> Vec<u8> {
        fs::read(&self.paths.active).unwrap()
    }

    fn write_active(&self, bytes: &[u8]) {
        overwrite(&self.paths.active, bytes);
    }

    /// Every file there is.
    fn files(&self) -> Contents {
        let entries = fs::read_dir(self.paths.directory()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// Makes the directory what it was when `files` were read.
    fn put_back(&self, files: &Contents) {
        for path in self.files().into_keys().filter(|p| !files.contains_key(p)) {
            fs::remove_file(path).unwrap();
        }
        files
            .iter()
            .for_each(|(path, bytes)| overwrite(path, bytes));
    }

    fn recover(&self) -> Result<Started, RecoverError> {
        self.recover_with(3, EVENTS_MAX, FirstStart::Empty)
    }

    fn recover_with(
        &self,
        shard_count: u16,
        events_max: usize,
        first_start: FirstStart,
    ) -> Result<Started, RecoverError> {
        let router = Router::new(hasher(), shard_count);
        let mut shards: Vec<Shard> = (0..shard_count).map(|_| new_shard()).collect();
        let mut feed = Feed::new(events_max, 1);
        let settings = Settings {
            segment_bytes: SEGMENT,
            first_start,
            now: self.now,
            idempotency_ttl_ms: TTL_MS,
            events_in_memory: events_max,
        };
        let target = Target {
            router: &router,
            shards: &mut shards,
            feed: &mut feed,
        };
        let recovered = recover(&self.paths, &settings, target, &mut |_| {
            ControlFlow::Continue(())
        })?;
        let Recovered {
            next_offset,
            tail,
            report,
            ..
        } = recovered;
        feed.begin_at(next_offset);
        Ok(Started {
            next_offset,
            tail,
            report,
            router,
            shards,
            feed,
        })
    }

    /// Recovers, and finds the first `count` changes and nothing else.
    fn check_recovers(&self, count: usize, about: &str) -> Started {
        self.check_recovers_with(3, count, about)
    }

    fn check_recovers_with(&self, shard_count: u16, count: usize, about: &str) -> Started {
        let mut started = self
            .recover_with(shard_count, EVENTS_MAX, FirstStart::Sample)
            .unwrap_or_else(|error| panic!("{about}: {error}"));
        assert_eq!(count as u64, started.next_offset, "{about}");
        let state = self.state_of(&started.router, &mut started.shards);
        assert_eq!(self.state_after(count), state, "{about}");
        let oldest = started.feed.oldest();
        started.check_feed(&self.events[oldest as usize..count], about);
        self.check_tail(started.tail, count, about);
        started
    }

    /// The journal goes on at a whole block behind the last line of `count`, and has no other line.
    fn check_tail(&self, tail: Tail, count: usize, about: &str) {
        let bytes = self.active();
        let lines = lines(&bytes);
        let lines_end = lines.last().map_or(0, |line| line.end);
        assert_eq!(0, tail.position % BLOCK as u64, "{about}");
        assert_eq!(0, tail.size % BLOCK as u64, "{about}");
        assert!(tail.size <= bytes.len() as u64, "{about}");
        assert!(tail.position >= lines_end as u64, "{about}");
        assert!(tail.position < (lines_end + 1 + BLOCK) as u64, "{about}");
        for (line, offset) in lines.iter().zip(tail.first_offset..) {
            let head = format!("{{\"offset\":{offset},");
            assert!(bytes[line.clone()].starts_with(head.as_bytes()), "{about}");
        }
        let next_offset = tail.first_offset + lines.len() as u64;
        assert_eq!(count as u64, next_offset, "{about}: lines left");
    }

    /// Recovers a journal whose end is torn: the first `kept` changes are there, a second start finds nothing torn,
    /// and the journal can be continued.
    fn check_torn(&self, kept: usize, about: &str) -> Report {
        let started = self.check_recovers(kept, about);
        let after = self.files();
        let again = self.check_recovers(kept, about);
        assert_eq!(0, again.report.torn_bytes, "{about}: again");
        assert_eq!(started.tail, again.tail, "{about}: again");
        assert!(
            after == self.files(),
            "{about}: a second start changed a file"
        );

        let mut journal = self.clone();
        journal.steps.truncate(kept);
        journal.events.truncate(kept);
        journal.tail = again.tail;
        journal.group(&[Create("next", 3), Add("next", "next-1", -1)]);
        let continued = journal.check_recovers(kept + 2, about);
        assert_eq!(0, continued.report.torn_bytes, "{about}: continued");
        started.report
    }

    /// Does not recover, and leaves every file as it was.
    fn check_refused(&self, about: &str) -> RecoverError {
        let before = self.files();
        let error = self.recover().err();
        assert!(before == self.files(), "{about}: a file was changed");
        error.unwrap_or_else(|| panic!("{about}: it started"))
    }

    /// Refuses and names this place.
    fn check_damaged(&self, path: &Path, at: usize, offset: u64, about: &str) -> String {
        match self.check_refused(about) {
            RecoverError::Damaged {
                path: found_path,
                byte,
                offset: found_offset,
                problem,
            } => {
                let found = (found_path.as_path(), byte as usize, found_offset);
                assert_eq!((path, at, offset), found, "{about}: {problem}");
                problem
            }
            other => panic!("{about}: {other}"),
        }
    }

    fn check_missing(&self, path: &Path, expected: u64, found: u64, about: &str) {
        match self.check_refused(about) {
            RecoverError::Missing {
                path: at,
                expected: e,
                found: f,
            } => assert_eq!((path, expected, found), (at.as_path(), e, f), "{about}"),
            other => panic!("{about}: {other}"),
        }
    }
}

/// A server that has recovered.
struct Started {
    next_offset: u64,
    tail: Tail,
    report: Report,
    router: Router,
    shards: Vec<Shard>,
    feed: Feed,
}

impl Started {
    fn product_count(&self) -> usize {
        self.shards.iter().map(Shard::product_count).sum()
    }

    fn remembered_count(&self) -> usize {
        self.shards.iter().map(Shard::idempotency_entry_count).sum()
    }

    /// The feed serves these and ends.
    fn check_feed(&mut self, events: &[Vec<u8>], about: &str) {
        let (end, count) = (self.feed.end(), events.len());
        let offset = end - count as u64;
        let exchange = ExchangeKey {
            index: 0,
            generation: 0,
        };
        let poll = Poll {
            to: FeedReplyTo {
                exchange,
                acceptor: 0,
            },
            offset,
            limit: EVENTS_MAX as u32,
            wait_ms: 0,
            form: Form::Page,
            filter: None,
        };
        let page = match self.feed.poll(0, poll) {
            Polled::Answered(FeedReply {
                answer: FeedAnswer::Page { bytes: page, .. },
                ..
            }) => page,
            other => panic!("{about}: no page at {offset} but {other:?}"),
        };
        let events = events.join(&b","[..]);
        let events = String::from_utf8(events).unwrap();
        let expected = format!(
            r#"{{"events":[{events}],"nextOffset":{end},"hasMore":false,"count":{count}}}"#
        );
        assert_eq!(expected, std::str::from_utf8(&page).unwrap(), "{about}");
    }
}

/// Everything a client can find out, however it is spread over shards.
#[derive(Debug, PartialEq)]
struct State {
    products: Vec<Product>,
    tombstones: Vec<(String, u64)>,
    remembered: usize,
    /// What a repeat of each update is told.
    repeats: Vec<UpdateAnswer>,
}

impl State {
    fn of(
        router: &Router,
        shards: &mut [Shard],
        now: Timestamp,
        steps: &[(Timestamp, Step)],
    ) -> State {
        let mut state = State {
            products: Vec::new(),
            tombstones: Vec::new(),
            remembered: 0,
            repeats: Vec::new(),
        };
        for (index, shard) in shards.iter_mut().enumerate() {
            for product in shard.products_after(None) {
                assert_eq!(
                    index,
                    router.shard_of(&product.id),
                    "a product has one owner"
                );
                let ticket = Ticket(0);
                state.products.push(Product {
                    ticket,
                    ..product.clone()
                });
            }
            let tombstones = shard.tombstones().map(|(id, v)| (id.to_owned(), v));
            state.tombstones.extend(tombstones);
            shard.expire(now, usize::MAX);
            state.remembered += shard.idempotency_entry_count();
        }
        state.products.sort_by(|a, b| a.id.cmp(&b.id));
        state.tombstones.sort();
        for (_, step) in steps {
            if let Add(id, key, delta) = step {
                // What is not remembered has no effect either: nothing ever has this version.
                let probe = update(id, key, *delta, Some(shards::VERSION_MAX));
                let shard = &mut shards[router.shard_of(id)];
                state.repeats.push(shard.update(now, &probe).answer);
            }
        }
        state
    }
}

/// Where each line stands, without its newline.
fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            ranges.push(start..start + line.len());
        }
        start += line.len() + 1;
    }
    ranges
}

fn overwrite(path: &Path, bytes: &[u8]) {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// Bytes without an order.
fn garbage(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Nine changes in three groups: products that live, die and are reborn, and updates.
fn three_groups() -> Journal {
    let mut journal = Journal::new();
    journal
        .group(&[Create("a", 10), Create("b", 20), Add("a", "a-1", -3)])
        .group(&[Add("b", "b-1", 5), Delete("a")])
        .group(&[
            Create("a", 7),
            Add("a", "a-2", -7),
            rename("b", "Gerät \"B\""),
            Add("b", "b-2", 1),
        ]);
    journal
}

/// The index of the first line of the last of [`three_groups`].
const LAST_GROUP: usize = 5;

mod first_start;

mod replay;

mod with_a_snapshot;

mod segments;

mod torn_tail;

mod damage;

mod with_marks_that_lag;

mod other_files;

#[test]
fn a_bit_flipped_in_the_padding_before_the_last_group_is_refused() {
    let journal = three_groups();
    let (active, whole) = (journal.paths.active.clone(), journal.active());
    for at in [2 * BLOCK - 10, 2 * BLOCK - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        journal.write_active(&bytes);
        journal.check_damaged(&active, at, 5, "in the padding");
    }
}

#[test]
fn a_damaged_first_line_is_refused_where_a_snapshot_covers_it() {
    for covered in [5, 9] {
        let journal = three_groups();
        journal.snapshot(covered);
        let mut bytes = journal.active();
        bytes[20] ^= 1;
        journal.write_active(&bytes);
        journal.check_refused("first line");
    }
}

#[test]
fn a_bad_line_that_the_snapshot_covers_is_refused_and_not_cut() {
    let journal = three_groups();
    journal.snapshot(9);
    let mut bytes = journal.active();
    let at = lines(&bytes)[6].start;
    bytes[at + 20] ^= 1;
    journal.write_active(&bytes);
    journal.check_damaged(&journal.paths.active.clone(), at, 6, "covered");
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    for text in [
        "{\"products\":{}}\n",
        "id,name\n1,Kettle\n",
        "{\n  \"version\": 1,\n \"events\":[]}",
    ] {
        let journal = Journal::nowhere();
        fs::write(&journal.paths.active, text).unwrap();
        journal.check_refused(text);
    }
}

#[test]
fn lines_lost_from_a_full_segment_are_refused_also_with_marks_that_lag() {
    let mut journal = Journal::new();
    journal
        .lagging_group(0, &[Create("a", 1)])
        .lagging_group(0, &[Add("a", "a-1", 1)]);
    let full = journal.paths.full(0);
    journal.rotate();
    journal.lagging_group(0, &[Create("b", 1)]);
    let mut bytes = fs::read(&full).unwrap();
    bytes[BLOCK..].fill(b'\n');
    overwrite(&full, &bytes);
    journal.check_refused("full segment");
}

#[test]
fn a_bit_flipped_in_the_first_byte_is_damage() {
    let journal = three_groups();
    let mut bytes = journal.active();
    bytes[0] ^= 0x20;
    journal.write_active(&bytes);
    journal.check_damaged(&journal.paths.active.clone(), 0, 0, "first byte");
}

#[test]
fn a_last_offset_beyond_all_is_refused() {
    let journal = Journal::nowhere();
    let snapshot = r#"{"products":{},"metadata":{"lastOffset":18446744073709551615}}"#;
    fs::write(&journal.paths.snapshot, snapshot).unwrap();
    journal.check_refused("lastOffset");
}
