//! A bit that is not as it was written, or a file that is gone, where acknowledged changes were: the server refuses to
//! start, says where, and touches nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::Client;
use crate::server::{Builder, Random, Server, unique};

#[test]
fn a_flipped_bit_in_acknowledged_data_stops_the_start_and_is_named_to_the_byte() {
    let journal = Journal::make(1);
    let mut random = Random::from_chance();
    let mut spots = journal.spots(&journal.full_segments()[0], End::Closed);
    spots.extend(journal.spots(&journal.builder.events_path(), End::Open));
    for spot in &spots {
        // The lowest bit makes no newline of anything and of a newline something else.
        let bit = 1 << [0, random.below(7)][random.below(2)];
        spot.flip(bit);
        let damaged = fs::read(&spot.file).expect("a segment can be read");
        assert_refused(&journal.builder, spot, bit);
        let after = fs::read(&spot.file).expect("a segment can be read");
        assert!(damaged == after, "a refused start changed {spot:?}");
        spot.flip(bit);
    }
    journal.assert_whole();
}

#[test]
fn a_missing_segment_stops_the_start_and_is_named() {
    let journal = Journal::make(3);
    let segments = journal.full_segments();
    for (missing, next) in [
        (0, &segments[1]),
        (1, &segments[2]),
        (2, &journal.builder.events_path()),
    ] {
        let aside = journal.builder.directory().join("aside");
        fs::rename(&segments[missing], &aside).expect("a file can be renamed");
        let finished = journal.builder.run(&[]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let said = finished.refused();
        assert!(said.contains(text(next)), "{said} does not name {next:?}");
        assert!(said.contains("a segment is missing"), "{said}");
        fs::rename(&aside, &segments[missing]).expect("a file can be renamed");
    }
    journal.assert_whole();
}

/// The journal of a server that was killed.
struct Journal {
    builder: Builder,
    feed: Vec<String>,
}

/// Whether a segment is full, or ends with a group whose damage nobody can tell from a torn one.
#[derive(PartialEq)]
enum End {
    Closed,
    Open,
}

/// One byte of a segment, and what the server must say if it is not as it was.
#[derive(Debug)]
struct Spot {
    what: &'static str,
    file: PathBuf,
    position: usize,
    /// Where the damaged line begins.
    line_at: usize,
    /// The offset that should be there.
    offset: u64,
}

/// A line of a segment, without its newline.
struct Line {
    start: usize,
    end: usize,
    offset: u64,
}

impl Journal {
    /// So many full segments, and several groups in the active one. Nothing but the journal holds the changes.
    fn make(full: usize) -> Self {
        let builder = Builder::new()
            .env("MAX_EVENTS_IN_QUEUE", 1_000_000)
            .env("SNAPSHOT_JOURNAL_MIB", 65_536);
        let server = builder.start();
        let mut client = server.client();
        client.create(&[("item", 0)]);
        while full_segments(&builder).len() < full {
            client.change_often("item", 400);
        }
        for _ in 0..5 {
            client.update_any("item", 1, &unique("key")).expect(200);
        }
        let feed = client.raw_feed(0);
        let builder = server.kill();
        Self { builder, feed }
    }

    fn full_segments(&self) -> Vec<PathBuf> {
        full_segments(&self.builder)
    }

    #[track_caller]
    fn assert_whole(&self) {
        let server: Server = self.builder.start();
        let mut client: Client = server.client();
        assert_eq!(client.raw_feed(0), self.feed);
        server.assert_working();
    }

    /// Bytes of every part of the first line, of one in the middle and of the last, and of the padding behind them.
    fn spots(&self, file: &Path, end: End) -> Vec<Spot> {
        let bytes = fs::read(file).expect("a segment can be read");
        let mut lines = lines(&bytes);
        if end == End::Open {
            lines.pop();
        }
        let chosen = [0, lines.len() / 2, lines.len() - 1];
        let mut spots = Vec::new();
        for line in chosen.map(|number| &lines[number]) {
            for (what, position) in line.parts(&bytes) {
                spots.push(Spot {
                    what,
                    file: file.to_owned(),
                    position,
                    line_at: line.start,
                    offset: line.offset,
                });
            }
        }
        spots.extend(padding(&bytes, &lines).map(|(position, offset)| Spot {
            what: "padding",
            file: file.to_owned(),
            position,
            line_at: position,
            offset,
        }));
        spots
    }
}

impl Spot {
    fn flip(&self, bit: u8) {
        let mut bytes = fs::read(&self.file).expect("a segment can be read");
        bytes[self.position] ^= bit;
        fs::write(&self.file, bytes).expect("a segment can be written");
    }
}

impl Line {
    /// The same JSON as it is served, then what only recovery needs, then the checksum.
    fn parts(&self, bytes: &[u8]) -> [(&'static str, usize); 5] {
        let text = std::str::from_utf8(&bytes[self.start..self.end]).expect("the journal is text");
        let place = |part: &str| self.start + text.rfind(part).expect("each line has each part");
        [
            ("the first byte", self.start),
            ("served bytes", place("\"available\":") + 3),
            ("private bytes", place("\"batch\":") + 8),
            ("checksum", place("\"crc32c\":\"") + 12),
            ("newline", self.end),
        ]
    }
}

fn full_segments(builder: &Builder) -> Vec<PathBuf> {
    let entries = fs::read_dir(builder.directory()).expect("a directory can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let is_full = |path: &PathBuf| {
        text(path)
            .rsplit('.')
            .nth(1)
            .is_some_and(|part| part.len() == 20)
    };
    let mut full: Vec<PathBuf> = paths.filter(is_full).collect();
    full.sort();
    full
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for piece in bytes.split(|byte| *byte == b'\n') {
        let end = start + piece.len();
        if !piece.is_empty() {
            let line: Value = serde_json::from_slice(piece).expect("a line is JSON");
            let offset = line["offset"].as_u64().expect("an integer");
            lines.push(Line { start, end, offset });
        }
        start = end + 1;
    }
    lines
}

/// A byte of the padding of the first group and of the last but one, with the offset that follows it.
fn padding(bytes: &[u8], lines: &[Line]) -> impl Iterator<Item = (usize, u64)> {
    let mut found: Vec<(usize, u64)> = Vec::new();
    for pair in lines.windows(2) {
        let (end, next) = (pair[0].end, &pair[1]);
        if next.start > end + 3 {
            let position = end + 1 + (next.start - end - 1) / 2;
            assert_eq!(bytes[position], b'\n');
            found.push((position, next.offset));
        }
    }
    let last = found.len() - 1;
    [found[0], found[last]].into_iter()
}

#[track_caller]
fn assert_refused(builder: &Builder, spot: &Spot, bit: u8) {
    let finished = builder.run(&[]);
    let (said, what) = (&finished.stderr, spot.what);
    let case = format!("{what}, bits {bit:#b} of {spot:?}, and the server said {said}");
    assert_eq!(finished.code, Some(1), "{case}");
    let Spot {
        file,
        line_at,
        offset,
        ..
    } = spot;
    let place =
        format!("damaged at byte {line_at}, where the event with offset {offset} should be");
    assert!(said.contains(&place), "{case}");
    assert!(said.contains(text(file)), "{case}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this test is text")
}
