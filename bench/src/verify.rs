//! Was the server right? What was acknowledged against the listing, and the listing against the feed.

use std::collections::HashMap;

use crate::books::Books;
use crate::client::product_id;
use crate::control::{Control, Event, INITIAL_STOCK, Standing};
use crate::engine::Followed;
use crate::report::{Checked, Verification};

/// So many sentences are kept.
const PROBLEMS_MAX: usize = 100;

/// The run that is judged.
pub struct Judged<'a> {
    /// What ids begin with.
    pub run: &'a str,
    /// How many products.
    pub products: usize,
    /// Where the feed was before the first of them was created.
    pub begin: u64,
    /// How many followers there were.
    pub followers: usize,
}

/// Settles updates without an answer: each is sent once more, and is known afterwards.
pub fn settle(control: &Control, run: &str, books: &mut [Books]) {
    for books in books {
        for update in std::mem::take(&mut books.unanswered) {
            let store = format!("{run}-store-{}", update.store);
            let (product, key) = (
                product_id(run, update.product),
                format!("{store}-{:x}", update.key),
            );
            match control.repeat(&store, &product, update.delta, &key) {
                Ok(Some(version)) => books.apply(update.product, update.delta, version),
                Ok(None) => {}
                Err(_) => books.unanswered.push(update),
            }
        }
    }
}

/// Compares everything with everything.
pub fn verify(
    control: &Control,
    judged: &Judged<'_>,
    books: &[Books],
    followed: &Followed,
) -> Verification {
    let mut judge = Judge {
        judged,
        books,
        followed,
        checked: Checked {
            products: judged.products as u64,
            updates: books.iter().map(Books::applied).sum(),
            unknown: books
                .iter()
                .map(|books| books.unanswered.len() as u64)
                .sum(),
            replays: books.iter().map(|books| books.replays).sum(),
            events: 0,
            followers: followed.complete,
        },
        problems: Vec::new(),
    };
    judge.hear_complaints();
    if let Err(problem) = judge.compare(control) {
        judge.complain(problem);
    }
    let Judge {
        checked, problems, ..
    } = judge;
    match problems.is_empty() {
        true => Verification::Passed { checked },
        false => Verification::Failed { checked, problems },
    }
}

struct Judge<'a> {
    judged: &'a Judged<'a>,
    books: &'a [Books],
    followed: &'a Followed,
    checked: Checked,
    problems: Vec<String>,
}

impl Judge<'_> {
    fn complain(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn hear_complaints(&mut self) {
        let followed = self.followed;
        let books = self.books.iter().flat_map(|books| books.problems().iter());
        let all: Vec<String> = books.chain(&followed.problems).cloned().collect();
        all.into_iter().for_each(|problem| self.complain(problem));
        let missing = self.judged.followers as u64 - followed.complete;
        if missing > 0 {
            self.complain(format!(
                "{missing} followers did not reach the end of the feed"
            ));
        }
    }

    fn compare(&mut self, control: &Control) -> Result<(), String> {
        let end = control.next_offset()?;
        let listing = control.listing(self.judged.run)?;
        self.compare_listing(&listing);
        self.compare_replica(&listing);
        let fed = self.read_feed(control, end)?;
        for (id, standing) in &listing {
            if fed.get(id) != Some(standing) {
                self.complain(format!(
                    "{id}: the listing says {standing:?}, the feed leads to {:?}",
                    fed.get(id)
                ));
            }
        }
        Ok(())
    }

    /// Stock and version of each product are what the acknowledged updates make of them.
    fn compare_listing(&mut self, listing: &HashMap<String, Standing>) {
        for product in 0..self.judged.products {
            let id = product_id(self.judged.run, product);
            let of = self.books.iter().map(|books| books.of(product));
            let (count, sum) = of.fold((0, 0), |(count, sum), (more, by)| (count + more, sum + by));
            let is_unknown =
                |books: &Books| books.unanswered.iter().any(|it| it.product == product);
            if self.books.iter().any(is_unknown) {
                continue;
            }
            let expected = Standing {
                available: INITIAL_STOCK.saturating_add_signed(sum),
                version: 1 + count,
            };
            if listing.get(&id) != Some(&expected) {
                self.complain(format!(
                    "{id}: {count} acknowledged changes make it {expected:?}, the listing says {:?}",
                    listing.get(&id)
                ));
            }
        }
    }

    /// A store that began with a snapshot and followed the feed holds what the listing says.
    fn compare_replica(&mut self, listing: &HashMap<String, Standing>) {
        if self.judged.followers == 0 {
            return;
        }
        let Some(replica) = &self.followed.replica else {
            return self.complain("the first follower got no snapshot".to_owned());
        };
        let held = replica.products();
        let held: HashMap<&String, Option<Standing>> = held
            .iter()
            .filter(|(id, _)| id.starts_with(self.judged.run))
            .map(|(id, product)| (id, Standing::of(&product.json)))
            .collect();
        if held.len() != listing.len() {
            self.complain(format!(
                "the first follower holds {} products, the listing {}",
                held.len(),
                listing.len()
            ));
        }
        for (id, standing) in listing {
            let held = held.get(id).copied().flatten();
            if held.as_ref() != Some(standing) {
                self.complain(format!(
                    "{id}: the listing says {standing:?}, the first follower holds {held:?}"
                ));
            }
        }
    }

    /// Where the feed leads to. Offsets are dense, and each product's versions and stock follow from those before.
    fn read_feed(
        &mut self,
        control: &Control,
        end: u64,
    ) -> Result<HashMap<String, Standing>, String> {
        let mut fed = HashMap::new();
        let mut offset = self.judged.begin;
        while offset < end {
            let (events, next) = control.events(offset)?;
            for event in &events {
                if event.offset != offset {
                    self.complain(format!(
                        "the feed has offset {} where {offset} should be",
                        event.offset
                    ));
                }
                offset = event.offset + 1;
                if event.product_id.starts_with(self.judged.run) {
                    self.take(&mut fed, event);
                }
            }
            if next != offset || events.is_empty() {
                return Err(format!(
                    "the feed ends at offset {offset} with nextOffset {next}, before {end}"
                ));
            }
        }
        Ok(fed)
    }

    fn take(&mut self, fed: &mut HashMap<String, Standing>, event: &Event) {
        self.checked.events += 1;
        let now = Standing {
            available: event.available(),
            version: event.version,
        };
        let before = fed.insert(event.product_id.clone(), now);
        let expected = match (before, event.delta) {
            (None, None) if event.event_type == "product_created" => Some(Standing {
                available: INITIAL_STOCK,
                version: 1,
            }),
            (Some(before), Some(delta)) => {
                before
                    .available
                    .checked_add_signed(delta)
                    .map(|available| Standing {
                        available,
                        version: before.version + 1,
                    })
            }
            _ => None,
        };
        if expected != Some(now) {
            self.complain(format!(
                "offset {}: {} goes from {before:?} by {:?} to {now:?}",
                event.offset, event.product_id, event.delta
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Holding, Replica};

    /// What is said of a first follower with this snapshot, when the listing has r1 with stock 5 at version 2.
    fn problems(snapshot: Option<&str>) -> Vec<String> {
        let replica = snapshot.map(|json| Replica::from_snapshot(json.as_bytes()).unwrap());
        let followed = Followed {
            replica,
            ..Followed::default()
        };
        let judged = Judged {
            run: "r",
            products: 1,
            begin: 0,
            followers: 1,
        };
        let mut judge = Judge {
            judged: &judged,
            books: &[],
            followed: &followed,
            checked: Checked::default(),
            problems: Vec::new(),
        };
        let standing = Standing {
            available: 5,
            version: 2,
        };
        judge.compare_replica(&HashMap::from([("r1".to_owned(), standing)]));
        judge.problems
    }

    #[test]
    fn a_first_follower_that_is_not_exact_is_told() {
        let snapshot = |products: &str| format!(r#"{{"nextOffset":9,"products":[{products}]}}"#);
        let exact = r#"{"productId":"r1","available":5,"version":2}"#;
        let others = r#"{"productId":"q1","available":7,"version":1}"#;
        assert!(problems(Some(&snapshot(&format!("{exact},{others}")))).is_empty());
        let old = r#"{"productId":"r1","available":5,"version":1}"#;
        for (wrong, said) in [
            (old.to_owned(), 1),
            (others.to_owned(), 2),
            (
                format!(r#"{exact},{{"productId":"r2","available":1,"version":1}}"#),
                1,
            ),
        ] {
            assert_eq!(said, problems(Some(&snapshot(&wrong))).len(), "{wrong}");
        }
        assert_eq!(1, problems(None).len());
    }
}
