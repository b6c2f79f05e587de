//! Recovery of journals that the real shard and the real encoder made, whole and damaged in every way a crash or a
//! disk can damage them. A [`Journal`] knows what was acknowledged; recovery must find that, and no more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use ahash::RandomState;
use shards::{Creation, Identity, Limits, Price, Product, Setting, Ticket, Update, UpdateAnswer};
use tempfile::TempDir;

use super::*;
use crate::journal::format::{Change, Changes, Group, SealedGroup};
use crate::messages::{ExchangeKey, FeedAnswer, FeedReplyTo, Poll};

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
            let verdict = shard.update(at, update(id, key, *delta, None));
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
    paths: Paths,
    tail: Tail,
    now: Timestamp,
    steps: Vec<(Timestamp, Step)>,
    events: Vec<Vec<u8>>,
}

/// Every file of a data directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

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
        let paths = Paths {
            snapshot: directory.path().join("inventory.json"),
            active: directory.path().join("events.json"),
        };
        Journal {
            _directory: Rc::new(directory),
            paths,
            tail: Tail {
                first_offset: 0,
                position: 0,
                size: SEGMENT,
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
            group.push(served, private);
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
        let shard = self.shard_after(count);
        let tombstones = shard.tombstones().map(|(id, v)| (id.into(), v)).collect();
        let snapshot = Snapshot {
            products: shard.products_after(None).cloned().collect(),
            tombstones,
            next_offset: count as u64,
        };
        snapshot::write(&self.paths.snapshot, &snapshot).unwrap();
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
    fn files(&self) -> Files {
        let entries = fs::read_dir(self.paths.directory()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// Makes the directory what it was when `files` were read.
    fn put_back(&self, files: &Files) {
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
        let Recovered {
            next_offset,
            tail,
            report,
        } = recover(
            &self.paths,
            SEGMENT,
            first_start,
            &router,
            &mut shards,
            &mut feed,
            self.now,
        )?;
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
                let found = (found_path.as_path(), byte, found_offset);
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
        };
        let Some(FeedAnswer::Page(page)) = self.feed.poll(0, poll) else {
            panic!("{about}: no page at {offset}");
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
                state.repeats.push(shard.update(now, probe).answer);
            }
        }
        state
    }
}

/// Where each line stands, without its newline.
fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some((start, line)) = next_line(bytes, at) {
        at = start + line.len();
        lines.push(start..at);
    }
    lines
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

mod first_start {
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
            let snapshot = snapshot::read(&journal.paths.snapshot).unwrap().unwrap();
            assert_eq!(
                (products, 0),
                (snapshot.products.len(), snapshot.next_offset)
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
}

mod replay {
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
                .update(journal.now, update("a", "a-1", -3, Some(2)))
                .answer;
            assert_eq!(live, answer == UpdateAnswer::Replayed(first), "{answer:?}");
            let other_delta = shard.update(journal.now, update("a", "a-1", -2, Some(2)));
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
            let verdict = shard.update(BEGINNING, update("b", "b-4", 1, None));
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
}

mod with_a_snapshot {
    use super::*;

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
}

mod segments {
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
}

mod torn_tail {
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
            assert_eq!(cut, report.torn_bytes);
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
}

mod damage {
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
            // Where the first line is lost, its place is known only by the offset that the snapshot ends at.
            if lost.start == 0 {
                let first = lost.end as u64;
                journal.check_missing(&active, 0, first, &about);
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
        group.push(served.as_bytes(), private.as_bytes());
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
        group.push(SERVED.as_bytes(), PRIVATE.as_bytes());
        journal.append(&group.seal());
        assert_eq!(10, journal.recover().unwrap().next_offset);
    }

    #[test]
    fn a_line_that_says_it_was_on_disk_before_it_was_written_is_refused() {
        let mut journal = three_groups();
        let at = journal.tail.position as usize;
        let mut group = Group::new(9, 9);
        group.push(SERVED.as_bytes(), PRIVATE.as_bytes());
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
}

mod with_marks_that_lag {
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
}

mod other_files {
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
}

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
