//! The bodies of `/v1/admin/products/*`; the first byte says which. What they would have shards do keeps the rules and is
//! what another parser reads in them; what is refused is refused for the right reason.

#![no_main]

use central_inventory::{fuzzing, rules};
use central_inventory_fuzz::{assert_quantity, assert_refusal, assert_rule, reread};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use shards::{Creation, Price, Setting};

#[derive(Deserialize)]
struct Products<'a> {
    #[serde(borrow)]
    products: Vec<Product<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product<'a> {
    product_id: String,
    name: Option<String>,
    available: Option<u64>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductIds {
    product_ids: Vec<String>,
}

fuzz_target!(|input: &[u8]| {
    let Some((which, text)) = input.split_first() else {
        return;
    };
    let refused = match which % 3 {
        0 => fuzzing::creations(text).map(|creations| assert_creations(&reread(text), &creations)),
        1 => fuzzing::settings(text).map(|settings| assert_settings(&reread(text), &settings)),
        _ => fuzzing::deletions(text).map(|ids| assert_deletions(&reread(text), &ids)),
    };
    if let Err(refused) = refused {
        assert_refusal(text, &refused);
    }
});

fn assert_creations(body: &Products<'_>, creations: &[Creation]) {
    assert_count(body.products.len(), creations.len());
    for (item, creation) in body.products.iter().zip(creations) {
        assert_eq!(item.product_id, *creation.id);
        assert_eq!(item.name.as_deref(), Some(&*creation.name));
        assert_eq!(item.available, Some(creation.available));
        assert_rule(rules::product_id(&creation.id));
        assert_rule(rules::name(&creation.name));
        assert_quantity(creation.available);
        assert_price(item.price, Some(&creation.price));
    }
}

fn assert_settings(body: &Products<'_>, settings: &[Setting]) {
    assert_count(body.products.len(), settings.len());
    for (item, setting) in body.products.iter().zip(settings) {
        assert_eq!(item.product_id, *setting.id);
        assert_eq!(item.name.as_deref(), setting.name.as_deref());
        assert_eq!(item.available, setting.available);
        assert_eq!(item.version, setting.expected_version);
        assert_rule(rules::product_id(&setting.id));
        let name = setting.name.as_deref();
        name.into_iter()
            .for_each(|name| assert_rule(rules::name(name)));
        setting.available.into_iter().for_each(assert_quantity);
        setting
            .expected_version
            .into_iter()
            .for_each(assert_quantity);
        assert_price(item.price, setting.price.as_ref());
        assert!(name.is_some() || setting.available.is_some() || setting.price.is_some());
    }
}

fn assert_deletions(body: &ProductIds, ids: &[Box<str>]) {
    assert_count(body.product_ids.len(), ids.len());
    for (said, id) in body.product_ids.iter().zip(ids) {
        assert_eq!(**said, **id);
        assert_rule(rules::product_id(id));
    }
}

fn assert_count(said: usize, asked: usize) {
    assert_eq!(said, asked);
    assert!((1..=1000).contains(&asked));
}

/// A price is copied digit for digit, so it must be a number in the eyes of every client that will read it.
fn assert_price(said: Option<&RawValue>, price: Option<&Price>) {
    let digits = price.map(Price::as_str);
    assert_eq!(said.map(RawValue::get), digits);
    if let Some(digits) = digits {
        assert_rule(rules::price(digits));
        let number: f64 = serde_json::from_str(digits).expect("a price is a JSON number");
        assert!(number >= 0.0);
    }
}
