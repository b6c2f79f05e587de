//! The body of `POST /v1/inventory/updates`: what it would have shards decide keeps the rules and is what another
//! parser reads in it; what is refused is refused for the right reason.

#![no_main]

use central_inventory::{fuzzing, rules};
use central_inventory_fuzz::{assert_quantity, assert_refusal, assert_rule, reread};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use shards::Update;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    store_id: Option<String>,
    #[serde(flatten)]
    single: Item,
    updates: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    product_id: Option<String>,
    delta: Option<i64>,
    version: Option<i64>,
    any_version: Option<bool>,
    idempotency_key: Option<String>,
}

fuzz_target!(|text: &[u8]| match fuzzing::updates(text) {
    Ok(updates) => assert_asked_for(&reread(text), &updates),
    Err(refused) => assert_refusal(text, &refused),
});

fn assert_asked_for(body: &Body, updates: &[Option<Update>]) {
    let store_id = body.store_id.as_deref().expect("it is required");
    let items = match &body.updates {
        Some(items) => items.as_slice(),
        None => {
            assert!(updates[0].is_some(), "a single update is taken or refused");
            std::slice::from_ref(&body.single)
        }
    };
    assert!((1..=1000).contains(&updates.len()));
    assert_eq!(items.len(), updates.len());
    for (item, update) in items.iter().zip(updates) {
        match update {
            Some(update) => assert_update(store_id, item, update),
            None => assert!(!keeps_all_rules(item), "a sound item was refused"),
        }
    }
}

fn assert_update(store_id: &str, item: &Item, update: &Update) {
    let identity = &update.identity;
    assert_eq!(store_id, identity.store_id());
    assert_eq!(item.product_id.as_deref(), Some(identity.product_id()));
    assert_eq!(item.idempotency_key.as_deref(), Some(identity.key()));
    assert_eq!(item.delta, Some(update.delta));
    assert_eq!(
        item.version,
        update.expected_version.map(|v| v.cast_signed())
    );
    assert_eq!(
        item.any_version.unwrap_or(false),
        update.expected_version.is_none()
    );
    assert_rule(rules::store_id(store_id));
    assert_rule(rules::product_id(identity.product_id()));
    assert_rule(rules::idempotency_key(identity.key()));
    assert_rule(rules::delta(update.delta));
    if let Some(version) = update.expected_version {
        assert_quantity(version);
    }
}

fn keeps_all_rules(item: &Item) -> bool {
    let product_id = item.product_id.as_deref();
    let key = item.idempotency_key.as_deref();
    product_id.is_some_and(|id| rules::product_id(id).is_ok())
        && key.is_some_and(|key| rules::idempotency_key(key).is_ok())
        && item.delta.is_some_and(|delta| rules::delta(delta).is_ok())
        && match (item.version, item.any_version.unwrap_or(false)) {
            (Some(version), false) => rules::quantity(version).is_ok(),
            (None, true) => true,
            (Some(_), true) | (None, false) => false,
        }
}
