//! Every line that was ever handed to the journal's disk, read apart from the server's own code: what the feed must
//! serve, byte by byte, and what a start must find.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use central_inventory::encoding::parse_timestamp;
use history::{Event, EventKind, State};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is served.
    pub served: Vec<u8>,
    /// What it says.
    pub event: Event,
    /// The product after it, as JSON.
    pub product_json: String,
    /// Every offset below it was on disk when it was written: with a sync per group by what happened, otherwise by what
    /// the line says.
    pub batch: u64,
    /// The step in which its group was on its way no more, and could be shown.
    pub shown_from: Option<u64>,
}

/// All events, by offset.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    places: BTreeMap<(String, u64), u64>,
    written_end: u64,
    synced_end: u64,
    is_lossy: bool,
    sync_per_group: bool,
    now: u64,
    complaints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    offset: u64,
    timestamp: &'a str,
    event_type: &'a str,
    product_id: String,
    version: u64,
    #[serde(borrow)]
    data: &'a RawValue,
    store_id: Option<String>,
    delta: Option<i64>,
    #[serde(rename = "_")]
    private: Private,
}

#[derive(Deserialize)]
struct Private {
    batch: u64,
}

#[derive(Deserialize)]
struct Data {
    available: u64,
}

/// The ledger, while it is looked at.
pub fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no holder panics")
}

impl Ledger {
    /// Of a journal whose groups are synced one by one, or not.
    pub fn new(sync_per_group: bool) -> Ledger {
        Ledger {
            sync_per_group,
            ..Ledger::default()
        }
    }

    /// The step that what follows belongs to.
    pub fn at(&mut self, step: u64) {
        self.now = step;
    }

    /// Takes the lines of a group that is handed to the disk.
    pub fn append(&mut self, blocks: &[u8]) {
        let group_first = self.sync_per_group.then(|| self.end());
        for line in lines(blocks) {
            let Some(mut entry) = read(line) else {
                let text = String::from_utf8_lossy(line);
                self.complain(format!("a line was written that is none: {text}"));
                continue;
            };
            let (offset, expected) = (entry.event.offset, self.end());
            if offset != expected {
                self.complain(format!(
                    "offset {offset} was written where {expected} comes next"
                ));
                continue;
            }
            if let Some(first) = group_first {
                entry.batch = first;
            }
            let place = (entry.event.product.clone(), entry.event.version);
            if let Some(earlier) = self.places.insert(place, offset) {
                let event = &entry.event;
                let text = format!("{event} has the version of the event with offset {earlier}");
                self.complain(text);
            }
            self.entries.push(entry);
        }
    }

    fn complain(&mut self, text: String) {
        self.complaints.push(text);
    }

    /// What was wrong with the lines themselves.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// The offset behind the last line of a group.
    pub fn end_offset_of(&self, blocks: &[u8]) -> Option<u64> {
        let last = lines(blocks).last()?;
        Some(offset_of(last)? + 1)
    }

    /// Everything below `end` is written.
    pub fn wrote_to(&mut self, end: u64) {
        for entry in &mut self.entries[self.written_end as usize..end as usize] {
            entry.shown_from = Some(self.now);
        }
        self.written_end = end;
    }

    /// Everything below `end` is on the disk for good.
    pub fn synced_to(&mut self, end: u64) {
        if !self.is_lossy {
            self.synced_end = self.synced_end.max(end);
        }
    }

    /// Something that was written will never be on the disk, so nothing behind it counts.
    pub fn lose(&mut self) {
        self.is_lossy = true;
    }

    /// Whether something that was written will never be on the disk.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// A start found everything below `end`, and made it durable.
    pub fn restart_at(&mut self, end: u64) {
        self.entries.truncate(end as usize);
        self.places.retain(|_, offset| *offset < end);
        self.written_end = end;
        self.synced_end = end;
        self.is_lossy = false;
        for entry in &mut self.entries {
            entry.shown_from.get_or_insert(self.now);
        }
    }

    /// The offset behind the last line.
    pub fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Everything below is written.
    pub fn written_end(&self) -> u64 {
        self.written_end
    }

    /// Everything below is on the disk for good.
    pub fn synced_end(&self) -> u64 {
        self.synced_end
    }

    /// The events below `end`.
    pub fn before(&self, end: u64) -> &[Entry] {
        &self.entries[..end as usize]
    }

    /// The event with `offset`.
    pub fn get(&self, offset: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The offset of the change that gave `product` its `version`.
    pub fn place(&self, product: &str, version: u64) -> Option<u64> {
        self.places.get(&(product.to_owned(), version)).copied()
    }

    /// What every product is after the events below `end`, as a state and as JSON.
    pub fn fold(&self, end: u64) -> BTreeMap<&str, (State, &str)> {
        let mut products = BTreeMap::new();
        for entry in self.before(end) {
            let event = &entry.event;
            let is_gone = event.kind == EventKind::ProductDeleted;
            let state = State {
                version: event.version,
                quantity: (!is_gone).then_some(event.quantity),
            };
            products.insert(event.product.as_str(), (state, entry.product_json.as_str()));
        }
        products
    }
}

/// The lines of `bytes` with anything in them.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// The offset that a line begins with.
pub fn offset_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"offset\":")?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

fn read(line: &[u8]) -> Option<Entry> {
    const PRIVATE: &str = ",\"_\":{";
    let text = std::str::from_utf8(line).ok()?;
    let json: Line<'_> = serde_json::from_str(text).ok()?;
    let data: Data = serde_json::from_str(json.data.get()).ok()?;
    let served = format!("{}}}", &text[..text.rfind(PRIVATE)?]);
    let kind = match json.event_type {
        "inventory_updated" => EventKind::InventoryUpdated,
        "product_created" => EventKind::ProductCreated,
        "product_modified" => EventKind::ProductModified,
        "product_deleted" => EventKind::ProductDeleted,
        _ => return None,
    };
    Some(Entry {
        served: served.into_bytes(),
        event: Event {
            offset: json.offset,
            at_ms: parse_timestamp(json.timestamp)?.0,
            kind,
            product: json.product_id,
            version: json.version,
            quantity: data.available,
            store: json.store_id,
            delta: json.delta,
        },
        product_json: json.data.get().to_owned(),
        batch: json.private.batch,
        shown_from: None,
    })
}
