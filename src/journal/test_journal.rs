//! A journal for tests of what reads one: changes of one product, group by group, over segments, without a server.

use std::fs;
use std::path::{Path, PathBuf};

use shards::{Price, Product, Ticket, Timestamp};
use tempfile::TempDir;

use super::directory::Files;
use super::format::{Change, Changes, EventKind, Group};
use super::snapshot::{self, Coverage, FullSegment, Snapshot};
use crate::runtime::file::BLOCK;

const ACTIVE_BYTES: usize = 8 * BLOCK;

/// The event with offset n leaves product `p` at version n + 1, unless versions are skipped.
pub struct TestJournal {
    _directory: TempDir,
    pub files: Files,
    pub next_offset: u64,
    first_offset: u64,
    product: Product,
    active: Vec<u8>,
    /// What is served, line by line.
    pub served: Vec<String>,
    full: Vec<u64>,
}

impl TestJournal {
    pub fn new() -> TestJournal {
        // Each verification asks the disk anew: where there is a directory in memory, use that.
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        }
        .unwrap();
        let files = Files::new(
            directory.path().join("inventory.json"),
            directory.path().join("events.json"),
        );
        let journal = TestJournal {
            _directory: directory,
            files,
            next_offset: 0,
            first_offset: 0,
            product: Product {
                id: "p".into(),
                name: "Name".into(),
                price: Price::new("1.50"),
                available: 1,
                version: 0,
                updated_at: Timestamp(0),
                ticket: Ticket(0),
            },
            active: Vec::new(),
            served: Vec::new(),
            full: Vec::new(),
        };
        journal.write_active();
        journal.snapshot_of(0, 0, 0);
        journal
    }

    /// Groups of 3, 2, and after a rotation 2, 3 and 1 changes.
    pub fn of_two_segments() -> TestJournal {
        let mut journal = TestJournal::new();
        journal.group(3);
        journal.group(2);
        journal.rotate();
        journal.group(2);
        journal.group(3);
        journal.group(1);
        journal
    }

    pub fn group(&mut self, count: u64) {
        let mut group = Group::new(self.next_offset, self.next_offset);
        let mut changes = Changes::default();
        for _ in 0..count {
            self.product.version += 1;
            changes.push(&Change {
                kind: EventKind::ProductModified,
                at: Timestamp(0),
                product: &self.product,
                update: None,
            });
        }
        for (served, private) in changes.iter() {
            group.push(Timestamp(0), served, private);
        }
        let sealed = group.seal();
        let served = (0..sealed.events.len()).map(|i| sealed.events.range(i, i + 1));
        let served = served.map(|event| String::from_utf8(event.to_vec()).unwrap());
        self.served.extend(served);
        self.next_offset = sealed.end_offset;
        self.active.extend_from_slice(&sealed.blocks);
        self.write_active();
    }

    /// The next change has a version so much higher.
    pub fn skip_versions(&mut self, count: u64) {
        self.product.version += count;
    }

    /// Closes the active segment.
    pub fn rotate(&mut self) -> PathBuf {
        let full = self.files.full(self.first_offset);
        fs::rename(&self.files.active, &full).unwrap();
        self.full.push(self.first_offset);
        self.first_offset = self.next_offset;
        self.active.clear();
        self.write_active();
        full
    }

    fn write_active(&self) {
        let mut bytes = self.active.clone();
        bytes.resize(ACTIVE_BYTES.max(bytes.len()), b'\n');
        fs::write(&self.files.active, bytes).unwrap();
    }

    /// A snapshot with `version` of the product that covers everything below `next_offset` and shows nothing from
    /// `end_offset` on.
    pub fn snapshot_of(&self, version: u64, next_offset: u64, end_offset: u64) {
        let product = Product {
            version,
            ..self.product.clone()
        };
        let listed = |first: &u64| FullSegment {
            first_offset: *first,
            latest_at: Timestamp(0),
        };
        let snapshot = Snapshot {
            products: if version > 0 {
                vec![product]
            } else {
                Vec::new()
            },
            tombstones: Vec::new(),
            coverage: Coverage {
                latest_at: Timestamp(0),
                next_offset,
                end_offset,
                kept_from: 0,
                segments: Some(self.full.iter().map(listed).collect()),
            },
        };
        snapshot::write(&self.files, &snapshot).unwrap();
    }
}

/// Where each line of a file begins.
pub fn line_starts(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let is_start = |at: &usize| bytes[*at] != b'\n' && (*at == 0 || bytes[*at - 1] == b'\n');
    (0..bytes.len()).filter(is_start).collect()
}

/// Changes the bytes of a file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}
