//! What clients are told: checked at once against the ledger, and written into the book.

use central_inventory::config::JournalSync;
use central_inventory::messages::{FeedAnswer, FeedReply, Outcome as Told, Reply};
use central_inventory::shard::router::Router;
use history::{Call, Outcome, Poll, State};
use serde::Deserialize;
use serde_json::value::RawValue;
use shards::{AdminAnswer, UpdateAnswer};

use crate::book::{Book, OperationId};
use crate::clients::Clients;
use crate::front::{FeedQuestion, Question, Range, Taken};
use crate::ledger::Ledger;
use crate::profile::Profile;

/// What an answer is judged by.
pub struct Judge<'a> {
    /// Where it is written down.
    pub book: &'a mut Book,
    /// Who is told.
    pub clients: &'a mut Clients,
    /// What was written.
    pub ledger: &'a Ledger,
    /// What the run is like.
    pub profile: &'a Profile,
    /// Which shard owns a product.
    pub router: &'a Router,
    /// The step.
    pub step: u64,
    /// The latest time that the wall clock ever showed.
    pub wall_max_ms: u64,
    /// How many reads have failed.
    pub reads_failed: u64,
    /// Whether a bit went wrong in a segment that the start did not read.
    pub is_rotten: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductJson {
    product_id: String,
    version: u64,
    available: u64,
}

/// What an answer said, for who reads everything at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Events, up to an offset.
    Page {
        /// The offset behind them.
        next: u64,
    },
    /// That the events begin later.
    Expired {
        /// Where they begin.
        oldest: u64,
    },
    /// Products.
    Listed(Vec<(String, State)>),
    /// Something else.
    Other,
}

impl Judge<'_> {
    /// Takes an answer; fails with what is wrong with it.
    pub fn take(&mut self, taken: Taken) -> Result<Seen, String> {
        match taken {
            Taken::Reply(question, reply) => self.take_reply(question, reply),
            Taken::Feed(question, reply) => self.take_feed(question, reply),
        }
    }

    /// Everything below may be shown.
    fn shown_end(&self) -> u64 {
        match self.profile.sync {
            JournalSync::Always => self.ledger.synced_end(),
            JournalSync::Interval(_) | JournalSync::Never => self.ledger.written_end(),
        }
    }

    fn take_reply(&mut self, question: Question, reply: Reply) -> Result<Seen, String> {
        match (question, reply.outcome) {
            (Question::Update(id), told) => {
                self.clients.changes_in_flight -= 1;
                match told {
                    Told::Update(answer) => self.settle(id, of_update(&answer)),
                    Told::StorageFailed => Ok(Seen::Other),
                    other => Err(format!("an update was answered with {other:?}")),
                }
            }
            (Question::Items(ids), told) => {
                self.clients.changes_in_flight -= ids.len();
                self.take_items(&ids, told)
            }
            (Question::Read(id), Told::Product(found)) => {
                let outcome = match found {
                    None => Outcome::Absent,
                    Some(found) => self.shown(&found.json)?.1,
                };
                self.settle(id, outcome)
            }
            (Question::Range(range), Told::List(listed)) => {
                let products: Vec<&[u8]> = listed.iter().map(|p| p.json.as_slice()).collect();
                self.take_range(&range, &products)
            }
            (Question::Range(range), Told::Slice(slice)) => {
                let json = [b"[", slice.json.as_slice(), b"]"].concat();
                let products: Vec<&RawValue> = serde_json::from_slice(&json)
                    .map_err(|error| format!("a slice is no list of products: {error}"))?;
                let products = products.iter().map(|p| p.get().as_bytes());
                self.take_range(&range, &products.collect::<Vec<_>>())
            }
            (Question::Read(_) | Question::Range(_), Told::StorageFailed) => Ok(Seen::Other),
            (question, told) => Err(format!("{question:?} was answered with {told:?}")),
        }
    }

    fn take_items(&mut self, ids: &[OperationId], told: Told) -> Result<Seen, String> {
        let outcomes: Vec<(u32, Outcome)> = match told {
            Told::StorageFailed => return Ok(Seen::Other),
            Told::Updates(answers) => answers.iter().map(|(i, a)| (*i, of_update(a))).collect(),
            Told::Admin(answers) => answers.iter().map(|(i, a)| (*i, of_admin(a))).collect(),
            other => return Err(format!("items were answered with {other:?}")),
        };
        if outcomes.len() != ids.len() {
            return Err(format!("{} items have answers {outcomes:?}", ids.len()));
        }
        for (index, outcome) in outcomes {
            self.settle(ids[index as usize], outcome)?;
        }
        Ok(Seen::Other)
    }

    /// An operation is answered.
    fn settle(&mut self, id: OperationId, outcome: Outcome) -> Result<Seen, String> {
        self.book.answer(self.step, id, outcome);
        let operation = &self.book.operations[id];
        let product = operation.call.product();
        let version = match outcome {
            Outcome::Changed { version, .. } | Outcome::Shown { version, .. } => version,
            Outcome::Absent => {
                self.clients.believe(product, None);
                return Ok(Seen::Other);
            }
            Outcome::Exists | Outcome::Refused => return Ok(Seen::Other),
        };
        let is_gone = matches!(operation.call, Call::Delete { .. });
        let believed = (!is_gone || matches!(outcome, Outcome::Shown { .. })).then_some(version);
        self.clients.believe(product, believed);
        let end = self.shown_end();
        match self.ledger.place(product, version) {
            Some(offset) if offset < end => Ok(Seen::Other),
            Some(offset) => Err(format!(
                "Undurable: {operation} shows the event with offset {offset}, and only what is below {end} is on disk"
            )),
            None => Err(format!(
                "Undurable: {operation} shows what was never written"
            )),
        }
    }

    /// What a product's JSON shows, which is what the ledger has for its version.
    fn shown(&self, json: &[u8]) -> Result<(String, Outcome), String> {
        let product: ProductJson = serde_json::from_slice(json)
            .map_err(|error| format!("a product is not readable: {error}"))?;
        let ProductJson {
            product_id,
            version,
            available,
        } = product;
        let place = self.ledger.place(&product_id, version);
        let entry = place.and_then(|offset| self.ledger.get(offset));
        if let Some(entry) = entry
            && entry.product_json.as_bytes() != json
        {
            return Err(format!(
                "Bytes: {} was shown, and the journal has {}",
                String::from_utf8_lossy(json),
                entry.product_json
            ));
        }
        let quantity = Some(available);
        Ok((product_id, Outcome::Shown { version, quantity }))
    }

    fn take_range(&mut self, range: &Range, products: &[&[u8]]) -> Result<Seen, String> {
        let mut shown = Vec::new();
        for json in products {
            shown.push(self.shown(json)?);
        }
        let ids: Vec<String> = shown.iter().map(|(id, _)| id.clone()).collect();
        if !ids.is_sorted() || ids.len() > range.limit as usize {
            return Err(format!("{range:?} was answered with {ids:?}"));
        }
        let listed = shown.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Shown { version, quantity } => Some((
                id.clone(),
                State {
                    version: *version,
                    quantity: *quantity,
                },
            )),
            _ => None,
        });
        let listed = listed.collect();
        let is_whole = ids.len() < range.limit as usize;
        for number in 0..self.profile.products {
            let id = format!("p{number}");
            let is_asked_for = self.router.shard_of(&id) == range.shard
                && range.after.as_ref().is_none_or(|after| id > *after);
            let is_covered = is_whole || ids.last().is_some_and(|last| id < *last);
            if is_asked_for && is_covered && !ids.contains(&id) {
                shown.push((id, Outcome::Absent));
            }
        }
        for (product, outcome) in shown {
            let id = self.book.ask(range.invoked, Call::Read { product });
            self.settle(id, outcome)?;
        }
        Ok(Seen::Listed(listed))
    }

    fn take_feed(&mut self, question: FeedQuestion, reply: FeedReply) -> Result<Seen, String> {
        let end = self.shown_end();
        let Some(offset) = question.offset else {
            return match reply.answer {
                FeedAnswer::End(found) if found <= end => {
                    self.book.saw_end(question.invoked, self.step, found);
                    Ok(Seen::Other)
                }
                other => Err(format!(
                    "Undurable: the feed's end is {other:?}, and what is on disk ends at {end}"
                )),
            };
        };
        match reply.answer {
            FeedAnswer::Page { bytes, .. } => self.read_page(&question, offset, &bytes),
            FeedAnswer::Expired { oldest, end } => {
                self.check_expired(offset, oldest, end)?;
                Ok(Seen::Expired { oldest })
            }
            FeedAnswer::BeyondEnd { end: found } if offset > found && found <= end => {
                self.book.saw_end(question.invoked, self.step, found);
                Ok(Seen::Other)
            }
            FeedAnswer::TooManyWaiters if question.waits => Ok(Seen::Other),
            FeedAnswer::Forgotten if question.is_forgotten => Ok(Seen::Other),
            FeedAnswer::Unreadable
                if self.is_rotten || self.reads_failed > question.reads_failed =>
            {
                Ok(Seen::Other)
            }
            other => Err(format!("{question:?} was answered with {other:?}")),
        }
    }

    /// A page is, byte for byte, what the journal has from its offset on.
    fn read_page(
        &mut self,
        question: &FeedQuestion,
        offset: u64,
        page: &[u8],
    ) -> Result<Seen, String> {
        let text = String::from_utf8_lossy(page);
        let (next, more) =
            tail_of(&text).ok_or_else(|| format!("Bytes: a page does not end as one: {text}"))?;
        let end = self.shown_end();
        if next > end {
            return Err(format!(
                "Undurable: a page for offset {offset} goes up to {next}, and only what is below {end} is on disk"
            ));
        }
        if next < offset || next - offset > u64::from(question.limit) {
            return Err(format!("{question:?} was answered up to {next}"));
        }
        let entries = &self.ledger.before(next)[offset as usize..];
        if expected_page(entries.iter().map(|e| e.served.as_slice()), offset, more) != page {
            let served = entries.iter().map(|e| String::from_utf8_lossy(&e.served));
            let served: Vec<_> = served.collect();
            return Err(format!(
                "Bytes: the page {text} is not what the journal has from offset {offset} on: {served:?}"
            ));
        }
        if next == offset && more {
            return Err(format!(
                "a page for offset {offset} is empty, and says that there is more"
            ));
        }
        self.book.read_page(Poll {
            invoked: question.invoked,
            returned: self.step,
            offset,
            events: entries.iter().map(|entry| entry.event.clone()).collect(),
            more,
        });
        Ok(Seen::Page { next })
    }

    /// Events are kept as long as was promised.
    fn check_expired(&self, offset: u64, oldest: u64, end: u64) -> Result<(), String> {
        let wrong = |why: String| Err(format!("Retention: offset {offset} is gone, {why}"));
        if offset >= oldest || end > self.shown_end() {
            return wrong(format!("the events are those from {oldest} to {end}"));
        }
        let latest = self.ledger.get(oldest - 1).map_or(0, |e| e.event.at_ms);
        if latest + self.profile.retention_ms.max(self.profile.ttl_ms) > self.wall_max_ms {
            return wrong(format!(
                "and its segment's latest event was at {latest}, with the clock at {}",
                self.wall_max_ms
            ));
        }
        if oldest + self.profile.events_in_memory as u64 > end {
            return wrong(format!("from {oldest} on are less than are kept in memory"));
        }
        Ok(())
    }
}

fn expected_page<'a>(events: impl Iterator<Item = &'a [u8]>, offset: u64, more: bool) -> Vec<u8> {
    let events: Vec<&[u8]> = events.collect();
    let count = events.len() as u64;
    let mut page = b"{\"events\":[".to_vec();
    page.extend_from_slice(&events.join(&b','));
    let tail = format!(
        "],\"nextOffset\":{},\"hasMore\":{more},\"count\":{count}}}",
        offset + count
    );
    page.extend_from_slice(tail.as_bytes());
    page
}

/// The offset behind a page, and whether it says that there is more.
fn tail_of(page: &str) -> Option<(u64, bool)> {
    const TAIL: &str = "],\"nextOffset\":";
    let tail = &page[page.rfind(TAIL)? + TAIL.len()..];
    let (next, rest) = tail.split_once(",\"hasMore\":")?;
    Some((next.parse().ok()?, rest.starts_with("true")))
}

fn of_update(answer: &UpdateAnswer) -> Outcome {
    match answer {
        UpdateAnswer::Applied(receipt) | UpdateAnswer::Replayed(receipt) => Outcome::Changed {
            version: receipt.version,
            quantity: Some(receipt.quantity),
            replayed: matches!(answer, UpdateAnswer::Replayed(_)),
        },
        UpdateAnswer::VersionConflict(standing)
        | UpdateAnswer::Insufficient(standing)
        | UpdateAnswer::OutOfRange(standing) => Outcome::Shown {
            version: standing.version,
            quantity: Some(standing.quantity),
        },
        UpdateAnswer::KeyReused(_) | UpdateAnswer::MemoryFull => Outcome::Refused,
        UpdateAnswer::NotFound => Outcome::Absent,
    }
}

fn of_admin(answer: &AdminAnswer) -> Outcome {
    match answer {
        AdminAnswer::Done { version, .. } => Outcome::Changed {
            version: *version,
            quantity: None,
            replayed: false,
        },
        AdminAnswer::AlreadyExists => Outcome::Exists,
        AdminAnswer::NotFound => Outcome::Absent,
        AdminAnswer::VersionConflict { current } => Outcome::Shown {
            version: *current,
            quantity: None,
        },
        AdminAnswer::OutOfRange => Outcome::Refused,
    }
}
