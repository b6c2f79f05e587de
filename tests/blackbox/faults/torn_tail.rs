//! The machine stopped in the midst of a write: whatever part of the last group is there, the server starts with all
//! that was acknowledged before, and the store that heard nothing gets its answer when it asks again.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::Client;
use crate::http::Reply;
use crate::server::Builder;

/// Starts at a time: a start waits for the disk more than for a CPU.
const AT_ONCE: usize = 4;

#[test]
fn a_journal_cut_at_any_byte_of_its_last_group_keeps_everything_before() {
    let whole = Whole::make();
    let cuts = whole.last_line.1 - whole.last_line.0 + 2;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let cut = next.fetch_add(1, Ordering::SeqCst);
                    if cut >= cuts {
                        return;
                    }
                    whole.assert_survives(whole.last_line.0 + cut);
                }
            });
        }
    });
}

/// A journal that ends with a group of one update.
struct Whole {
    snapshot: Vec<u8>,
    journal: Vec<u8>,
    feed: Vec<String>,
    /// Where the last line begins and ends.
    last_line: (usize, usize),
}

impl Whole {
    fn make() -> Self {
        let server = Builder::new().env("SNAPSHOT_JOURNAL_MIB", 65_536).start();
        let mut client = server.client();
        client.create(&[("item", 10)]);
        client.change_often("item", 10);
        update(&mut client, "before").applied(17, 12);
        update(&mut client, "last").applied(14, 13);
        let feed = client.raw_feed(0);
        let builder = server.kill();
        let journal = fs::read(builder.events_path()).expect("the journal can be read");
        let end = journal.trim_ascii_end().len();
        let start = journal[..end]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .expect("several lines")
            + 1;
        Self {
            snapshot: fs::read(builder.data_path()).expect("the snapshot can be read"),
            journal,
            feed,
            last_line: (start, end),
        }
    }

    /// Starts on what is before the cut, behind which every second time the file ends and else the padding stands that was
    /// there before the write.
    #[track_caller]
    fn assert_survives(&self, cut: usize) {
        let builder = Builder::new().shards(1).acceptors(1);
        let mut torn = self.journal[..cut].to_vec();
        if cut.is_multiple_of(2) {
            torn.resize(self.journal.len(), b'\n');
        }
        fs::write(builder.data_path(), &self.snapshot).expect("a file can be written");
        fs::write(builder.events_path(), torn).expect("a file can be written");

        let server = builder.start();
        let mut client = server.client();
        let feed = client.raw_feed(0);
        let kept = feed.len();
        assert!(
            feed == self.feed[..kept] && kept + 1 >= self.feed.len(),
            "cut at {cut}: {feed:?}"
        );
        let whole = cut >= self.last_line.1;
        assert!(
            whole || kept < self.feed.len(),
            "half a line was taken for a whole one, cut at {cut}"
        );
        assert!(update(&mut client, "before").replayed(), "cut at {cut}");
        update(&mut client, "last").applied(14, 13);
        assert_eq!(client.state("item"), (14, 13), "cut at {cut}");
    }
}

fn update(client: &mut Client, key: &str) -> Reply {
    client.update_any("item", -3, key)
}
