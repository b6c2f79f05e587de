//! Changes written as lines of the journal read back as what was written, by position and as JSON; a line that was
//! damaged within 32 bits is never read at all.

#![no_main]

use arbitrary::Arbitrary;
use central_inventory::fuzzing;
use central_inventory::journal::format::{Change, Changes, EventKind, Group};
use central_inventory::journal::line::Line;
use libfuzzer_sys::fuzz_target;
use shards::{Identity, Price, Product, QUANTITY_MAX, Ticket, Timestamp};

/// The end of the year 9999.
const TIMES: u64 = 253_402_300_800_000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    offset: u64,
    behind: u8,
    changes: Vec<AnyChange<'a>>,
    damage: [u8; 4],
    damage_at: u16,
}

#[derive(Arbitrary, Debug)]
struct AnyChange<'a> {
    kind: u8,
    id: &'a str,
    name: &'a str,
    price: f64,
    available: u64,
    version: u64,
    at: u64,
    updated_at: u64,
    store_id: &'a str,
    key: &'a str,
    delta: i64,
}

/// A change within the rules.
struct Sound {
    kind: EventKind,
    at: Timestamp,
    product: Product,
    identity: Identity,
    delta: i64,
}

fuzz_target!(|input: Input<'_>| {
    let sound: Vec<Sound> = input.changes.iter().map(AnyChange::within_rules).collect();
    let first_offset = input.offset % QUANTITY_MAX;
    let batch = first_offset.saturating_sub(u64::from(input.behind));
    let mut changes = Changes::default();
    sound
        .iter()
        .for_each(|change| changes.push(&change.change()));
    let mut group = Group::new(first_offset, batch);
    for (served, private) in changes.iter() {
        group.push(changes.latest_at(), served, private);
    }
    let sealed = group.seal();
    let lines = sealed.blocks.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(sound.len(), lines.len());
    for (index, (line, change)) in lines.iter().zip(&sound).enumerate() {
        let read = Line::read(line).expect("what was written is read");
        assert_eq!(Ok(&read), fuzzing::line_as_json(line).as_ref());
        assert_eq!(
            (first_offset + index as u64, batch),
            (read.offset, read.batch)
        );
        change.assert_is(&read);
        let event = [&line[..read.served_end], b"}"].concat();
        assert_eq!(sealed.events.range(index, index + 1), event);
        assert_damage_is_found(line, &input);
    }
});

impl AnyChange<'_> {
    fn within_rules(&self) -> Sound {
        let kind = [
            EventKind::InventoryUpdated,
            EventKind::ProductCreated,
            EventKind::ProductDeleted,
            EventKind::ProductModified,
        ][self.kind as usize % 4];
        let price = if self.price.is_finite() {
            self.price.abs()
        } else {
            0.5
        };
        let product = Product {
            id: start(self.id, 128).into(),
            name: start(self.name, 256).into(),
            price: Price::new(serde_json::to_string(&price).expect("it is finite")),
            available: self.available % (QUANTITY_MAX + 1),
            version: self.version % QUANTITY_MAX + 1,
            updated_at: Timestamp(self.updated_at % TIMES),
            ticket: Ticket(0),
        };
        Sound {
            kind,
            at: Timestamp(self.at % TIMES),
            identity: Identity::new(start(self.store_id, 128), &product.id, start(self.key, 255)),
            product,
            delta: self.delta % QUANTITY_MAX.cast_signed(),
        }
    }
}

impl Sound {
    fn change(&self) -> Change<'_> {
        let is_update = self.kind == EventKind::InventoryUpdated;
        Change {
            kind: self.kind,
            at: self.at,
            product: &self.product,
            update: is_update.then_some((&self.identity, self.delta)),
        }
    }

    fn assert_is(&self, read: &Line<'_>) {
        assert_eq!((self.kind, self.at), (read.kind, read.at));
        assert_eq!(self.product, read.product.view().to_product());
        let update = read
            .update
            .as_ref()
            .map(|update| (read.identity(update), update.delta));
        let written = self
            .change()
            .update
            .map(|(identity, delta)| (identity.clone(), delta));
        assert_eq!(written, update);
    }
}

/// CRC-32C finds every burst of up to 32 bits.
fn assert_damage_is_found(line: &[u8], input: &Input<'_>) {
    let mut damaged = line.to_vec();
    let at = input.damage_at as usize % line.len();
    for (byte, damage) in damaged[at..].iter_mut().zip(input.damage) {
        *byte ^= damage;
    }
    if damaged != line {
        assert!(Line::read(&damaged).is_err());
    }
    assert!(Line::read(&line[..at]).is_err());
}

/// The longest start of `text` within so many bytes.
fn start(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
