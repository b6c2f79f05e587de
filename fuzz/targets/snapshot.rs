//! The snapshot file, or a catalogue: arbitrary bytes as they are, and under the right checksum. What is read keeps the
//! rules and, written out again, is read as the same; what was damaged after it was written is not read.

#![no_main]

use central_inventory::journal::format::hex;
use central_inventory::journal::snapshot::{self, Snapshot, SnapshotError};
use central_inventory::rules;
use central_inventory_fuzz::{assert_quantity, assert_rule};
use libfuzzer_sys::fuzz_target;

const CHECKSUM: &[u8] = b",\"crc32c\":\"";

fuzz_target!(|bytes: &[u8]| {
    let read = snapshot::parse(bytes);
    if let Ok(read) = &read {
        assert_rules(read);
        assert_round_trip(read, bytes);
    }
    let checksum = hex(crc32c::crc32c(bytes));
    let whole = [bytes, CHECKSUM, &checksum, b"\"}}\n"].concat();
    match snapshot::parse(&whole) {
        Ok(read) => {
            assert_rules(&read);
            assert_round_trip(&read, bytes);
        }
        Err(SnapshotError::Checksum) => panic!("the checksum is right"),
        Err(_) => {}
    }
});

fn assert_rules(snapshot: &Snapshot) {
    for product in &snapshot.products {
        assert_rule(rules::product_id(&product.id));
        assert_rule(rules::name(&product.name));
        assert_rule(rules::price(product.price.as_str()));
        assert_quantity(product.available);
        assert_quantity(product.version);
        assert!(product.version > 0);
    }
    for (id, version) in &snapshot.tombstones {
        assert_rule(rules::product_id(id));
        assert_quantity(*version);
        assert!(*version > 0);
    }
    let coverage = &snapshot.coverage;
    assert!(coverage.next_offset <= coverage.end_offset);
    assert!(
        coverage
            .segments
            .iter()
            .flatten()
            .is_sorted_by_key(|segment| segment.first_offset)
    );
}

fn assert_round_trip(snapshot: &Snapshot, chance: &[u8]) {
    let mut written = Vec::new();
    let put = &mut |piece: &[u8]| {
        written.extend_from_slice(piece);
        Ok(())
    };
    snapshot::encode(snapshot.known(), &snapshot.coverage, put).expect("memory takes it");
    assert_same(
        snapshot,
        &snapshot::parse(&written).expect("what was written is read"),
    );

    let checksum_at = written.len() - CHECKSUM.len() - b"12345678\"}}\n".len();
    let at = chance.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(*byte as usize)
    }) % checksum_at;
    written[at] ^= chance[0].max(1);
    let damaged = snapshot::parse(&written);
    assert!(
        matches!(damaged, Err(SnapshotError::Checksum)),
        "{damaged:?}"
    );
}

fn assert_same(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.products, other.products);
    assert_eq!(one.tombstones, other.tombstones);
    assert_eq!(one.coverage, other.coverage);
}
