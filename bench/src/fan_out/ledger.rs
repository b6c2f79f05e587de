//! What followers received: that each got every update once and in the same order, and when the last one did. Pure.
//!
//! Updates are numbered by who publishes them. Several publish at once, so the server chooses the order: whoever comes
//! first to a place in it says which update that is, and everybody else must find the same one there.

/// Of all followers of a feed.
#[derive(Debug)]
pub struct Ledger {
    followers: u32,
    entries: Vec<Entry>,
    /// Numbers that have a place, by number.
    placed: Vec<bool>,
    received_by_all: usize,
}

/// A place in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The update that is there.
    pub number: u64,
    /// How many received it.
    pub receipts: u32,
    /// When the latest of them did, in nanoseconds.
    pub latest_ns: u64,
}

impl Ledger {
    /// Of so many followers and at most so many updates, numbered from 0.
    pub fn new(followers: usize, updates_max: usize) -> Ledger {
        Ledger {
            followers: u32::try_from(followers).expect("followers have ports"),
            entries: Vec::new(),
            placed: vec![false; updates_max],
            received_by_all: 0,
        }
    }

    /// A follower that has received `position` updates receives `number` next.
    ///
    /// # Errors
    /// If it is not the one that comes next.
    pub fn receive(&mut self, position: usize, number: u64, now_ns: u64) -> Result<(), String> {
        if position == self.entries.len() {
            self.place(number)?;
        }
        let Some(entry) = self.entries.get_mut(position) else {
            return Err(format!("a follower is at {position}, where nobody was"));
        };
        if entry.number != number {
            let expected = entry.number;
            return Err(format!(
                "a follower got update {number} at place {position}, where others got {expected}"
            ));
        }
        entry.receipts += 1;
        entry.latest_ns = now_ns;
        if entry.receipts == self.followers {
            self.received_by_all += 1;
        }
        Ok(())
    }

    /// How many updates all followers have.
    pub fn received_by_all(&self) -> usize {
        self.received_by_all
    }

    /// The places in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn place(&mut self, number: u64) -> Result<(), String> {
        let known = usize::try_from(number).ok();
        let placed = known.and_then(|number| self.placed.get_mut(number));
        match placed {
            Some(placed) if !*placed => *placed = true,
            Some(_) => return Err(format!("a follower got update {number} twice")),
            None => {
                return Err(format!(
                    "a follower got update {number}, which was never sent"
                ));
            }
        }
        self.entries.push(Entry {
            number,
            receipts: 0,
            latest_ns: 0,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_delivered_when_the_last_follower_has_it() {
        let mut ledger = Ledger::new(2, 3);
        ledger.receive(0, 2, 10).unwrap();
        ledger.receive(1, 0, 11).unwrap();
        assert_eq!(0, ledger.received_by_all());
        ledger.receive(0, 2, 20).unwrap();
        assert_eq!(1, ledger.received_by_all());
        let first = Entry {
            number: 2,
            receipts: 2,
            latest_ns: 20,
        };
        assert_eq!(first, ledger.entries()[0]);
    }

    #[test]
    fn a_skipped_a_repeated_and_an_unknown_update_are_noticed() {
        let mut ledger = Ledger::new(2, 3);
        ledger.receive(0, 0, 1).unwrap();
        ledger.receive(1, 1, 2).unwrap();
        let skipped = ledger.receive(0, 1, 3).unwrap_err();
        assert!(skipped.contains("where others got 0"), "{skipped}");
        let repeated = ledger.receive(2, 0, 4).unwrap_err();
        assert!(repeated.contains("twice"), "{repeated}");
        let unknown = ledger.receive(2, 3, 5).unwrap_err();
        assert!(unknown.contains("never sent"), "{unknown}");
    }
}
