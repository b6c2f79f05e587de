//! A line of the journal: arbitrary bytes under the right checksum, so that the parsers behind it are reached. What is read by
//! position is what the JSON parser reads; what is read is served as JSON that says the same.

#![no_main]

use central_inventory::fuzzing;
use central_inventory::journal::format::hex;
use central_inventory::journal::line::Line;
use central_inventory_fuzz::is_json;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    offset: u64,
    event_type: String,
    data: Product,
    store_id: Option<String>,
    delta: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: String,
    name: String,
    available: u64,
    version: u64,
}

fuzz_target!(|body: &[u8]| {
    // Without the right checksum nothing is read.
    assert!(Line::read(body).is_err() || body.ends_with(b"\"}}"));
    let checksum = hex(crc32c::crc32c(body));
    let line = [body, b",\"crc32c\":\"", &checksum, b"\"}}"].concat();
    if let Some(by_position) = fuzzing::line_by_position(&line) {
        assert_eq!(Ok(by_position), fuzzing::line_as_json(&line));
    }
    if let Ok(read) = Line::read(&line) {
        assert_served(&line, &read);
    }
});

fn assert_served(line: &[u8], read: &Line<'_>) {
    assert!(is_json(line));
    let served = Line::served(line).expect("it was read");
    assert_eq!(&line[..read.served_end], served);
    let event = [served, b"}"].concat();
    let event: Event = serde_json::from_slice(&event).expect("what is served is JSON");
    let product = &read.product;
    assert_eq!(read.offset, event.offset);
    assert_eq!(read.kind.as_str(), event.event_type);
    assert_eq!(*product.id, event.data.product_id);
    assert_eq!(*product.name, event.data.name);
    assert_eq!(product.available, event.data.available);
    assert_eq!(product.version, event.data.version);
    assert!(product.available <= shards::QUANTITY_MAX);
    assert!((1..=shards::VERSION_MAX).contains(&product.version));
    if let Some(update) = &read.update {
        assert_eq!(Some(&*update.store_id), event.store_id.as_deref());
        assert_eq!(Some(update.delta), event.delta);
        let identity = read.identity(update);
        assert_eq!(*update.key, *identity.key());
    }
}
