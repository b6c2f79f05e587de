//! A product, `item`, whose stock is counted up one by one. The update that makes it n has the n-th key, so its answer
//! says n, whether it takes effect now or did before.

use std::io;

use serde_json::Value;

use crate::client::{Client, UPDATES, batch, item_any};
use crate::expect::assert_applied;
use crate::http::Request;
use crate::server::Server;

const BATCH: u64 = 500;
/// A line of this journal is a little longer than that, and a segment is of 1 MiB.
const UPDATES_PER_SEGMENT: u64 = (1 << 20) / 300;

/// What a client knows of the stock.
pub struct Stock {
    client: Client,
    /// So many updates were answered.
    acknowledged: u64,
    /// So many were sent: those beyond the acknowledged were answered that the storage failed.
    sent: u64,
    /// The feed as it was last read.
    shown: Vec<String>,
}

impl Stock {
    /// Creates the product.
    #[track_caller]
    pub fn create(server: &Server) -> Self {
        let mut client = server.client();
        client.create(&[("item", 0), ("untouched", 7)]);
        Self {
            client,
            acknowledged: 0,
            sent: 0,
            shown: Vec::new(),
        }
    }

    /// Adds 1, so often, in an update of its own each.
    #[track_caller]
    pub fn add(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.acknowledged + 1;
            let reply = self.client.update_any("item", 1, &key(number));
            reply.applied(number, number + 1);
            self.acknowledged = number;
            self.sent = self.sent.max(number);
        }
    }

    /// Adds 1 until so many more segments have been filled.
    #[track_caller]
    pub fn fill_segments(&mut self, count: u64) {
        for _ in 0..(count * UPDATES_PER_SEGMENT).div_ceil(BATCH) {
            assert!(self.add_batch(), "the disk failed the server");
        }
    }

    /// Adds 1 until the server says that its storage failed.
    #[track_caller]
    pub fn add_until_storage_fails(&mut self) {
        const SEGMENTS_MAX: u64 = 20;
        for _ in 0..SEGMENTS_MAX * UPDATES_PER_SEGMENT / BATCH {
            if !self.add_batch() {
                return;
            }
        }
        panic!("the disk never failed the server");
    }

    /// Adds 1 and is told that the storage failed: this may have taken effect after a restart, or not.
    #[track_caller]
    pub fn add_in_vain(&mut self) {
        let number = self.sent + 1;
        let refused = self.client.update_any("item", 1, &key(number));
        refused.problem(503, "storage_failed");
        self.sent = number;
    }

    /// Asserts what a server promises whose journal failed: no change, no health, reads of what is on disk.
    #[track_caller]
    pub fn assert_storage_failed(&mut self) {
        self.add_in_vain();
        self.add_in_vain();
        assert_eq!(self.client.get("/health").status, 503);
        assert_eq!(self.client.get("/health/ready").status, 503);
        assert_eq!(self.client.state("untouched"), (7, 1));
        let item = self.client.get("/v1/inventory/item");
        item.problem(503, "storage_failed");
        self.shown = self.client.raw_feed(0);
        assert!(additions(&self.shown) >= self.acknowledged);
    }

    /// Asserts of a server that was started anew that it holds all that was acknowledged and all that was shown, and
    /// that what was answered otherwise takes effect once, now or before.
    #[track_caller]
    pub fn assert_nothing_lost(&mut self, server: &Server) {
        self.client = server.client();
        let feed = self.client.raw_feed(0);
        assert!(
            feed.starts_with(&self.shown),
            "the feed goes on where it ended"
        );
        let there = additions(&feed);
        let possible = self.acknowledged..=self.sent;
        assert!(possible.contains(&there), "{there} of {possible:?}");
        assert_eq!(self.client.state("item"), (there, there + 1));
        self.add(self.sent - self.acknowledged);
        assert_eq!(self.client.state("item"), (self.sent, self.sent + 1));
        self.add(1);
    }

    /// Adds 1 until the server does not answer any more.
    pub fn add_until_gone(&mut self) {
        while self.try_add_batch().is_ok() {}
    }

    /// Asserts of a server that was started anew that it holds all that was acknowledged, and at most what was sent.
    /// Goes on from there: this asks for no key to be remembered.
    #[track_caller]
    pub fn assert_counted(&mut self, server: &Server) {
        self.client = server.client();
        let (stock, version) = self.client.state("item");
        let possible = self.acknowledged..=self.sent;
        assert!(possible.contains(&stock), "{stock} of {possible:?}");
        assert_eq!(version, stock + 1);
        self.acknowledged = stock;
        self.sent = stock;
        self.add(1);
    }

    #[track_caller]
    fn add_batch(&mut self) -> bool {
        self.try_add_batch().expect("the server answers")
    }

    /// Returns whether the server took all of it. Where it did not, the answers tell a part.
    fn try_add_batch(&mut self) -> io::Result<bool> {
        let numbers = self.acknowledged + 1..=self.acknowledged + BATCH;
        self.sent = *numbers.end();
        let items: Vec<Value> = numbers
            .map(|number| item_any("item", 1, &key(number)))
            .collect();
        let request = Request::new("POST", UPDATES).json(&batch(&items));
        let reply = self.client.try_send(&request)?;
        if reply.status == 503 {
            reply.problem(503, "storage_failed");
            return Ok(false);
        }
        let answer = reply.expect(200).json();
        for result in answer["results"].as_array().expect("a list of results") {
            if result["applied"] == false {
                assert_eq!(result["errorType"], "storage_failed", "{result}");
                return Ok(false);
            }
            self.acknowledged += 1;
            assert_applied(result, self.acknowledged, self.acknowledged + 1);
        }
        Ok(true)
    }
}

fn additions(feed: &[String]) -> u64 {
    let is_addition =
        |event: &&String| event.contains(r#""productId":"item""#) && event.contains(r#""delta":1"#);
    feed.iter().filter(is_addition).count() as u64
}

fn key(number: u64) -> String {
    format!("stock-{number:08}")
}
