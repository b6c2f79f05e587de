//! Queries, cursors and paths; the first byte says which. What is read stays in its bounds and, written out again, is
//! read as the same.

#![no_main]

use central_inventory::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((which, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match which % 4 {
        0 => poll(text),
        1 => page(text),
        2 => cursor(text),
        _ => path(text),
    }
});

fn poll(query: &str) {
    match fuzzing::poll(Some(query)) {
        Ok(asked) => {
            assert!(asked.offset <= shards::QUANTITY_MAX);
            assert!((1..=1000).contains(&asked.limit));
            assert!(asked.wait_ms <= 60_000 && asked.wait_ms % 1000 == 0);
            let (offset, limit, wait) = (asked.offset, asked.limit, asked.wait_ms / 1000);
            let plain = format!("offset={offset}&limit={limit}&wait={wait}");
            let again = fuzzing::poll(Some(&plain)).expect("it is in range");
            assert_eq!(None, again.filter);
            // What a filter leaves out is the matter of the feed's own tests.
            let filter = asked.filter.clone();
            assert_eq!(asked, fuzzing::AskedPoll { filter, ..again });
        }
        Err(refused) => assert_eq!("validation_error", refused.code),
    }
}

fn page(query: &str) {
    match fuzzing::page(Some(query)) {
        Ok(asked) => {
            assert!((1..=100).contains(&asked.limit));
            let after = asked.after.as_deref().map(fuzzing::cursor_after);
            let cursor = after.map(|cursor| format!("&cursor={cursor}"));
            let plain = format!("limit={}{}", asked.limit, cursor.unwrap_or_default());
            assert_eq!(asked, fuzzing::page(Some(&plain)).expect("it is in range"));
        }
        Err(refused) => assert_eq!("validation_error", refused.code),
    }
}

/// A cursor is read only where it is exactly what is written for its product.
fn cursor(text: &str) {
    if let Some(id) = fuzzing::product_before(text) {
        assert_eq!(text, fuzzing::cursor_after(&id));
    }
    let written = fuzzing::cursor_after(text);
    assert_eq!(Some(text), fuzzing::product_before(&written).as_deref());
}

/// A product is found under every spelling of its path, and under none but its own.
fn path(text: &str) {
    let escaped = |id: &str| -> String { id.bytes().map(|byte| format!("%{byte:02x}")).collect() };
    let found = fuzzing::product_of_path(text);
    if let Some(id) = found {
        let path = format!("/v1/inventory/{}", escaped(&id));
        assert_eq!(Some(&*id), fuzzing::product_of_path(&path).as_deref());
        assert!(!id.is_empty());
    }
    if !text.is_empty() {
        let path = format!("/v1/inventory/{}", escaped(text));
        assert_eq!(Some(text), fuzzing::product_of_path(&path).as_deref());
    }
}
