//! The end of a run: nothing fails any more, so every question must be answered; then all that can be read is read, and
//! the whole history is judged.

use std::collections::BTreeMap;

use central_inventory::messages::{PageAfter, ShardRequest};
use history::{History, State};

use crate::answers::Seen;
use crate::clients::{Desk, ask_poll};
use crate::disk::Weather;
use crate::front::{Question, Range};
use crate::ledger;
use crate::world::{End, World};

/// In so many steps without a fault every question must be answered: some seconds of heartbeats, and the longest wait.
const SETTLE_STEPS: u64 = 60_000;

impl World {
    /// Ends the run; fails with what was found wrong.
    pub fn finish(&mut self) -> Result<history::Summary, String> {
        self.calm_down()?;
        if self.over.is_some() {
            return self.judge(None);
        }
        self.read_feed()?;
        let products = self.list()?;
        let summary = self.judge(Some(products))?;
        self.stop_and_start()?;
        Ok(summary)
    }

    /// Lets a server run that has answered everything and whose journal works.
    fn calm_down(&mut self) -> Result<(), String> {
        self.note(&[30], &[], || "nothing fails any more".to_owned());
        self.disk.calm();
        for _ in 0..3 {
            if self.server.is_none() {
                self.begin_step();
                self.start(Weather::default(), false)?;
            }
            if self.over.is_some() {
                return Ok(());
            }
            self.disk.calm();
            self.settle()?;
            match &self.server {
                Some(server) if server.failed_at.is_some() => self.end(End::Kill),
                Some(_) => return Ok(()),
                None => {}
            }
        }
        Err("Liveness: no server works, though nothing fails".to_owned())
    }

    /// Goes on until every question is answered; while the server stops, until it has.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..SETTLE_STEPS {
            self.begin_step();
            self.finish_draining();
            self.look_around()?;
            let Some(server) = &self.server else {
                return Ok(());
            };
            let is_idle = server.fronts.iter().all(|front| front.is_idle());
            if is_idle && !server.lifecycle.is_draining() {
                return Ok(());
            }
            let has_answer = server.fronts.iter().any(|f| !f.answered_lanes().is_empty());
            if self.host.has_woken() {
                self.run_task()?;
            } else if has_answer {
                self.take_answer()?;
            } else if self.disk.has_pending() {
                self.disk.complete_one();
            } else if self.host.has_job() {
                self.run_job()?;
            } else {
                self.pass_time();
            }
        }
        let open = self.server.iter().flat_map(|server| &server.fronts);
        let open: Vec<String> = open.map(|front| front.open()).collect();
        Err(format!(
            "Liveness: no answer in {SETTLE_STEPS} steps: {open:?}"
        ))
    }

    /// Goes on until the only question is answered, and returns the answer.
    fn answer_of_only_question(&mut self) -> Result<Seen, String> {
        for _ in 0..SETTLE_STEPS {
            self.begin_step();
            self.look_around()?;
            let Some(server) = &self.server else {
                return Err("Liveness: the server ended though nothing failed".to_owned());
            };
            if server.fronts.iter().any(|f| !f.answered_lanes().is_empty()) {
                return self.take_answer();
            }
            if self.host.has_woken() {
                self.run_task()?;
            } else if self.disk.has_pending() {
                self.disk.complete_one();
            } else if self.host.has_job() {
                self.run_job()?;
            } else {
                self.pass_time();
            }
        }
        Err(format!("Liveness: no answer in {SETTLE_STEPS} steps"))
    }

    /// Reads every event that can be read. Each page is compared with the journal as it is answered.
    fn read_feed(&mut self) -> Result<(), String> {
        let end = ledger::lock(&self.ledger).end();
        let mut offset = 0;
        while offset < end {
            self.ask_poll(offset, 7);
            offset = match self.answer_of_only_question()? {
                Seen::Page { next } if next > offset => next,
                Seen::Expired { oldest } if oldest > offset => oldest,
                Seen::Other => offset + 1,
                other => return Err(format!("Feed: a poll for offset {offset} gave {other:?}")),
            };
        }
        Ok(())
    }

    fn ask_poll(&mut self, offset: u64, limit: u32) {
        let server = self.server.as_mut().expect("it has settled");
        let desk = Desk {
            random: &mut self.random,
            book: &mut self.book,
            profile: &self.profile,
            without: &[],
            router: &server.router,
            step: self.step,
            end: offset,
            reads_failed: self.disk.harm().reads_failed,
        };
        ask_poll(&mut server.fronts[0], &desk, offset, limit, 0);
    }

    /// Lists every product.
    fn list(&mut self) -> Result<BTreeMap<String, State>, String> {
        let mut products = BTreeMap::new();
        let shard_count = self.server.as_ref().map_or(0, |s| s.router.shard_count());
        for shard in 0..shard_count {
            self.ask_list(shard);
            match self.answer_of_only_question()? {
                Seen::Listed(listed) => products.extend(listed),
                other => return Err(format!("a list of shard {shard} gave {other:?}")),
            }
        }
        Ok(products)
    }

    fn ask_list(&mut self, shard: usize) {
        const LIMIT: u32 = 1_000;
        let question = Question::Range(Range {
            shard,
            after: None,
            limit: LIMIT,
            invoked: self.step,
        });
        let page = PageAfter {
            after: None,
            limit: LIMIT,
        };
        let server = self.server.as_mut().expect("it has settled");
        let front = &mut server.fronts[0];
        front.ask(shard, question, |to| ShardRequest::List(to, page));
    }

    /// Judges what clients were told against the journal, all of it.
    fn judge(
        &mut self,
        products: Option<BTreeMap<String, State>>,
    ) -> Result<history::Summary, String> {
        let ledger = ledger::lock(&self.ledger);
        // Where the run ended with damage, what was acknowledged is what had been synced.
        let end = match products {
            Some(_) => ledger.end(),
            None => return Ok(history::Summary::default()),
        };
        let feed = ledger.before(end).iter().map(|entry| entry.event.clone());
        let history = History {
            initial: BTreeMap::new(),
            first_offset: 0,
            operations: std::mem::take(&mut self.book.operations),
            polls: std::mem::take(&mut self.book.polls),
            crashes: std::mem::take(&mut self.book.crashes),
            feed: feed.collect(),
            products: products.unwrap_or_default(),
            ttl_ms: self.certain_ttl_ms(),
        };
        drop(ledger);
        history::check(&history).map_err(|violations| {
            let sentences: Vec<String> = violations.iter().map(ToString::to_string).collect();
            sentences.join("\n")
        })
    }

    /// Stops as an operator would, and starts once more: nothing is lost by that.
    fn stop_and_start(&mut self) -> Result<(), String> {
        self.begin_step();
        self.tell_to_stop();
        self.settle()?;
        if self.server.is_some() {
            return Err("Liveness: the server does not stop".to_owned());
        }
        self.begin_step();
        self.start(Weather::default(), false)
    }
}
