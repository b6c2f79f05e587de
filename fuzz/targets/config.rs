//! The environment: lines `NAME=value`. What is accepted keeps what the configuration promises of itself; no key is ever
//! shown, neither by an error nor by `Debug`.

#![no_main]

use std::collections::BTreeMap;

use central_inventory::config::{Cidr, Config, CorsOrigins, Key, KeyLists};
use libfuzzer_sys::fuzz_target;

/// A shorter key may well be part of a sentence.
const TELLING_BYTES: usize = 12;

type Variables<'a> = BTreeMap<&'a str, &'a str>;

fuzz_target!(|text: &str| {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    // A file would be read.
    let lines = lines.filter(|(name, _)| !name.ends_with("_FILE"));
    let variables: Variables<'_> = lines.collect();
    match read(&variables) {
        Ok(config) => {
            assert_promises(&config, &variables);
            assert_hides_keys(&variables, &format!("{config:?}"));
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            assert_hides_keys(&variables, &errors.to_string());
            assert_hides_keys(&variables, &format!("{errors:?}"));
        }
    }
});

fn read(variables: &Variables<'_>) -> Result<Config, central_inventory::config::ConfigErrors> {
    Config::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn assert_promises(config: &Config, variables: &Variables<'_>) {
    assert_ne!(config.port, config.metrics_port);
    assert_ne!(config.data_path, config.events_path);
    assert!((1..=256).contains(&config.shard_count));
    let is_among = |keys: &[Key], key: &Key| keys.iter().any(|k| k.ct_eq(key).unwrap_u8() == 1);
    let KeyLists { regular, admin } = &config.keys;
    assert!(!regular.is_empty() && !admin.is_empty());
    assert!(
        !admin.iter().any(|key| is_among(regular, key)),
        "a key is both"
    );
    for (name, keys) in [("API_KEYS", regular), ("ADMIN_API_KEYS", admin)] {
        let list = variables.get(name).filter(|list| !list.is_empty());
        let items = list.into_iter().flat_map(|list| list.split(','));
        for text in items
            .map(str::trim_ascii)
            .filter(|text| !text.contains(':'))
        {
            let key = Key::presented(text.as_bytes()).expect("a key that was taken is one");
            assert!(is_among(keys, &key), "a key does not open what it should");
        }
    }
    config.trusted_proxies.iter().for_each(assert_network);
    if let Some(CorsOrigins::List(origins)) = &config.cors_allowed_origins {
        assert_origins(origins);
    }
}

/// A network is written as what it is read from, and has its own address in it.
fn assert_network(network: &Cidr) {
    let written = network.to_string();
    assert_eq!(Ok(*network), written.parse());
    let (address, _) = written.split_once('/').expect("a prefix is always written");
    assert!(network.contains(address.parse().expect("an address")));
}

/// The normal form of an origin is its own normal form.
fn assert_origins(origins: &[Box<str>]) {
    let written = origins.join(",");
    let variables = Variables::from([("CORS_ALLOWED_ORIGINS", &*written)]);
    let again = read(&variables).expect("an origin in normal form is an origin");
    let again = again.cors_allowed_origins.expect("it is set");
    assert_eq!(CorsOrigins::List(origins.to_vec()), again);
    assert!(origins.iter().all(|origin| again.allows(origin)));
}

/// What looks like a key in what is shown would be there with another key in its place, too.
fn assert_hides_keys(variables: &Variables<'_>, shown: &str) {
    let is_secret = |name: &str| matches!(name, "API_KEYS" | "ADMIN_API_KEYS");
    let lists = variables.iter().filter(|(name, _)| is_secret(name));
    for key in lists.flat_map(|(_, list)| list.split(',')) {
        let key = key.trim_ascii();
        if key.len() < TELLING_BYTES || !shown.contains(key) {
            continue;
        }
        let other = "q".repeat(key.len());
        let read = Config::from_lookup(|name| {
            let value = variables.get(name)?;
            Some(match is_secret(name) {
                true => value.replace(key, &other),
                false => (*value).to_owned(),
            })
        });
        let shown = match read {
            Ok(config) => format!("{config:?}"),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        assert!(shown.contains(key), "a key was shown");
    }
}
