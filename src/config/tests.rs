//! The configuration as whoever starts the server meets it: an environment in, a field or a list of complaints out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;

use super::*;

type Environ<'a> = &'a [(&'a str, &'a str)];

fn load(environ: Environ) -> Result<Config, ConfigErrors> {
    let values: HashMap<&str, &str> = environ.iter().copied().collect();
    for name in values.keys() {
        variables::named(name);
    }
    Config::from_lookup(|name| values.get(name).map(|&value| value.to_owned()))
}

/// One field of the configuration, as its `Debug` text.
#[track_caller]
fn check(environ: Environ, field: fn(&Config) -> String, expected: &str) {
    let config = load(environ).unwrap_or_else(|errors| panic!("{environ:?}: {errors}"));
    assert_eq!(field(&config), expected, "{environ:?}");
}

/// The complaints, each given by its beginning.
#[track_caller]
fn check_refused(environ: Environ, expected: &[&str]) {
    let errors = load(environ).expect_err("the environment is refused");
    let lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), expected.len(), "{errors}");
    for (line, beginning) in lines.iter().zip(expected) {
        assert!(line.starts_with(beginning), "{line:?}\n{beginning:?}");
    }
}

macro_rules! field {
    ($($path:tt)+) => {
        |config: &Config| format!("{:?}", config.$($path)+)
    };
}

/// Asserts that the keys are these, regular and admin.
#[track_caller]
fn assert_keys(lists: &KeyLists, regular: &[&str], admin: &[&str]) {
    for (keys, texts) in [(&lists.regular, regular), (&lists.admin, admin)] {
        assert_eq!(keys.len(), texts.len(), "{texts:?}");
        for (key, text) in keys.iter().zip(texts) {
            let presented = Key::presented(text.as_bytes()).unwrap();
            assert!(bool::from(key.ct_eq(&presented)), "{text}");
        }
    }
}

const OWN_KEYS: [(&str, &str); 3] = [
    ("ENVIRONMENT", "production"),
    ("API_KEYS", "one,two"),
    ("ADMIN_API_KEYS", "three"),
];

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let config = load(&[]).unwrap();
    assert_eq!((config.port, config.metrics_port), (8080, 9080));
    assert_eq!(config.bind_address.to_string(), "0.0.0.0");
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(config.environment, Environment::Development);
    assert_keys(
        &config.keys,
        &["demo", "dev-key", "central-api-key"],
        &["admin-demo", "admin-dev-key", "admin-central-key"],
    );
    assert_eq!((config.shard_count, config.acceptor_count), (4, None));
    assert_eq!(config.lane_slots, 500);
    assert_eq!(config.idempotency_ttl, Duration::from_secs(120));
    assert_eq!(config.idempotency_cleanup_interval, Duration::from_secs(30));
    assert_eq!(config.idempotency_entries_max, 1 << 24);
    assert_eq!(config.events_in_memory_max, 10_000);
    assert_eq!(config.events_retention, Duration::from_secs(24 * 3600));
    assert_eq!(config.journal_segment_bytes, 64 << 20);
    assert_eq!(config.snapshot_journal_bytes, 64 << 20);
    assert_eq!(config.journal_sync, JournalSync::Always);
    assert_eq!(config.data_path, Path::new("./data/inventory.json"));
    assert_eq!(config.events_path, Path::new("./data/events.json"));
    assert!(config.persistence);
    let limits = RateLimit {
        enabled: true,
        kind: RateLimitKind::Ip,
        requests_per_minute: 100,
        global_requests_per_minute: 100,
        admin_requests_per_minute: 50,
        window_minutes: 1,
        clients_max: 65_536,
    };
    assert_eq!(config.rate_limit, limits);
    assert_eq!(config.header_timeout, Duration::from_secs(10));
    assert_eq!(config.body_timeout, Duration::from_secs(30));
    assert_eq!(config.write_timeout, Duration::from_secs(30));
    assert_eq!(config.idle_timeout, Duration::from_secs(60));
    assert_eq!(config.connections_max, 65_536);
    assert_eq!(config.connections_per_ip_max, 16_384);
    assert_eq!(config.waiters_max, 65_536);
    assert!(config.cpu_plan.is_none() && config.lane_spin.is_none());
    assert!(config.cors_allowed_origins.is_none() && config.trusted_proxies.is_empty());
}

#[test]
fn every_variable_of_the_table_is_read_exactly_once_and_stands_in_it_once() {
    let read_names = RefCell::new(Vec::new());
    let _ = Config::from_lookup(|name| {
        read_names.borrow_mut().push(name.to_owned());
        None
    });
    let mut read_names = read_names.into_inner();
    let mut table: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    read_names.sort();
    table.sort();
    assert_eq!(read_names, table);
    table.dedup();
    assert_eq!(table.len(), VARIABLES.len());
}

#[test]
fn an_empty_value_is_as_if_unset() {
    let all_empty = Config::from_lookup(|_| Some(String::new())).unwrap();
    assert_eq!(
        format!("{all_empty:?}"),
        format!("{:?}", load(&[]).unwrap())
    );
}

#[test]
fn numbers_are_taken_up_to_their_bounds() {
    check(&[("PORT", "1")], field!(port), "1");
    check(&[("PORT", "65535")], field!(port), "65535");
    check(
        &[("INVENTORY_WORKER_COUNT", "256")],
        field!(shard_count),
        "256",
    );
    check(
        &[("INVENTORY_ACCEPTOR_COUNT", "1")],
        field!(acceptor_count),
        "Some(1)",
    );
    check(
        &[("IDEMPOTENCY_CACHE_MAX_ENTRIES", "4294967296")],
        field!(idempotency_entries_max),
        "4294967296",
    );
    check(
        &[("JOURNAL_SEGMENT_MIB", "4096")],
        field!(journal_segment_bytes),
        "4294967296",
    );
    check(&[("LANE_SPIN_US", "1000")], field!(lane_spin), "Some(1ms)");
    check(&[("LANE_SPIN_US", "0")], field!(lane_spin), "Some(0ns)");
}

#[test]
fn numbers_beyond_their_bounds_and_what_is_no_number_are_refused() {
    for (name, value) in [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("INVENTORY_WORKER_COUNT", "257"),
        ("INVENTORY_QUEUE_BUFFER_SIZE", "99"),
        ("IDEMPOTENCY_CACHE_MAX_ENTRIES", "1023"),
        ("IDEMPOTENCY_CACHE_MAX_ENTRIES", "99999999999999999999"),
        ("MAX_EVENTS_IN_QUEUE", "10000001"),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
        ("RATE_LIMIT_WINDOW_MINUTES", "61"),
        ("MAX_CONNECTIONS", "15"),
        ("LANE_SPIN_US", "1001"),
    ] {
        check_refused(
            &[(name, value)],
            &[&format!("{name}={value:?}: out of range; allowed: ")],
        );
    }
    for value in ["abc", "-1", "+8080", "8080.0", " 8080", "0x50"] {
        check_refused(
            &[("PORT", value)],
            &[&format!(
                "PORT={value:?}: not a whole number; allowed: 1-65535, other than METRICS_PORT"
            )],
        );
    }
}

#[test]
fn durations_need_a_unit_and_keep_to_their_bounds() {
    check(
        &[("IDEMPOTENCY_CACHE_TTL", "1m 30s")],
        field!(idempotency_ttl),
        "90s",
    );
    check(
        &[("EVENTS_RETENTION", "0s")],
        field!(events_retention),
        "0ns",
    );
    check(&[("IDLE_TIMEOUT", "10m")], field!(idle_timeout), "600s");
    for value in ["30", "0"] {
        check_refused(
            &[("HEADER_TIMEOUT", value)],
            &[&format!(
                "HEADER_TIMEOUT={value:?}: a duration needs its unit, like 500ms, 30s, 2m or 24h; allowed: 1s-10m"
            )],
        );
    }
    check_refused(
        &[("HEADER_TIMEOUT", "999ms")],
        &["HEADER_TIMEOUT=\"999ms\": out of range; allowed: 1s-10m"],
    );
    check_refused(
        &[("EVENTS_RETENTION", "8761h")],
        &["EVENTS_RETENTION=\"8761h\": out of range"],
    );
    check_refused(
        &[("BODY_TIMEOUT", "soon")],
        &["BODY_TIMEOUT=\"soon\": not a duration ("],
    );
}

#[test]
fn words_ignore_case() {
    check(&[("LOG_LEVEL", "WARN")], field!(log_level), "Warn");
    check(
        &[("ENVIRONMENT", "Staging")],
        field!(environment),
        "Staging",
    );
    check(
        &[("RATE_LIMIT_TYPE", "Both")],
        field!(rate_limit.kind),
        "Both",
    );
    check(
        &[("ENABLE_JSON_PERSISTENCE", "FALSE")],
        field!(persistence),
        "false",
    );
    check(&[("JOURNAL_SYNC", "Never")], field!(journal_sync), "Never");
    check_refused(
        &[("LOG_LEVEL", "trace")],
        &["LOG_LEVEL=\"trace\": not one of the allowed words; allowed: debug, info, warn, error"],
    );
    check_refused(
        &[("RATE_LIMIT_ENABLED", "yes")],
        &["RATE_LIMIT_ENABLED=\"yes\": "],
    );
}

#[test]
fn the_journal_is_synced_at_an_interval_within_bounds() {
    check(
        &[("JOURNAL_SYNC", "Interval:5ms")],
        field!(journal_sync),
        "Interval(5ms)",
    );
    check(
        &[("JOURNAL_SYNC", "interval:60s")],
        field!(journal_sync),
        "Interval(60s)",
    );
    for value in [
        "interval:999us",
        "interval:61s",
        "interval:5",
        "interval:",
        "interval",
        "always:1s",
        "sometimes",
    ] {
        check_refused(
            &[("JOURNAL_SYNC", value)],
            &[&format!("JOURNAL_SYNC={value:?}: ")],
        );
    }
}

#[test]
fn the_global_budget_follows_that_of_one_client_unless_it_is_set() {
    let own = ("RATE_LIMIT_REQUESTS_PER_MINUTE", "7");
    check(&[own], field!(rate_limit.global_requests_per_minute), "7");
    check(
        &[own, ("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", "9")],
        field!(rate_limit.global_requests_per_minute),
        "9",
    );
}

#[test]
fn the_ports_differ() {
    let complaint = "METRICS_PORT=\"9080\": the same as PORT";
    check_refused(&[("PORT", "9080")], &[complaint]);
    check_refused(
        &[("METRICS_PORT", "8080"), ("PORT", "none")],
        &["PORT=\"none\": "],
    );
}

#[test]
fn the_files_differ_and_are_files() {
    check_refused(
        &[
            ("DATA_PATH", "data/./one.json"),
            ("EVENTS_FILE_PATH", "./data/one.json"),
        ],
        &["EVENTS_FILE_PATH=\"./data/one.json\": the same as DATA_PATH"],
    );
    for value in ["data/", "/", "..", "."] {
        check_refused(
            &[("DATA_PATH", value)],
            &[&format!("DATA_PATH={value:?}: names no file")],
        );
    }
}

#[test]
fn production_starts_with_keys_of_its_own() {
    let config = load(&OWN_KEYS).unwrap();
    assert_keys(&config.keys, &["one", "two"], &["three"]);
}

#[test]
fn production_without_keys_does_not_start() {
    check_refused(
        &[("ENVIRONMENT", "PRODUCTION")],
        &[
            "API_KEYS: not set, with ENVIRONMENT=production; allowed: ",
            "ADMIN_API_KEYS: not set, with ENVIRONMENT=production; allowed: ",
        ],
    );
}

#[test]
fn production_with_an_example_key_does_not_start() {
    for example in [
        "demo",
        "dev-key",
        "central-api-key",
        "admin-demo",
        "admin-dev-key",
        "admin-central-key",
    ] {
        let keys = format!("own, {example}");
        check_refused(
            &[
                ("ENVIRONMENT", "production"),
                ("API_KEYS", &keys),
                ("ADMIN_API_KEYS", "other"),
            ],
            &["API_KEYS: the key at position 2 is an example of the documentation"],
        );
        check_refused(
            &[
                ("ENVIRONMENT", "production"),
                ("API_KEYS", "other"),
                ("ADMIN_API_KEYS", &keys),
            ],
            &["ADMIN_API_KEYS: the key at position 2 is an example of the documentation"],
        );
    }
}

#[test]
fn a_key_is_regular_or_admin_but_not_both() {
    check_refused(
        &[("API_KEYS", "one,admin-dev-key")],
        &["ADMIN_API_KEYS: the key at position 2 stands in API_KEYS too, at position 2; allowed: "],
    );
}

#[test]
fn a_bad_key_is_told_by_its_position_and_never_shown() {
    let long = "secret".repeat(43);
    for (value, problem) in [
        ("secret,,secret", "the key at position 2 is empty"),
        ("secret,", "the key at position 2 is empty"),
        (
            "secret-\u{7}",
            "the key at position 1 has a control character",
        ),
        (&*long, "the key at position 1 is longer than 256 bytes"),
    ] {
        let environ = [("API_KEYS", value)];
        check_refused(&environ, &[&format!("API_KEYS: {problem}; allowed: ")]);
        let errors = load(&environ).expect_err("refused");
        assert!(!format!("{errors} {errors:?}").contains("secret"));
    }
    let config = load(&[("API_KEYS", "secret")]).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    assert_eq!(format!("{:?}", config.keys.regular), "[Key(..)]");
}

mod keys;

#[test]
fn origins_are_taken_in_the_form_that_browsers_send() {
    check(
        &[("CORS_ALLOWED_ORIGINS", "*")],
        field!(cors_allowed_origins),
        "Some(Any)",
    );
    check(
        &[(
            "CORS_ALLOWED_ORIGINS",
            "https://Shop.example:443, http://[::1]:3000,app://localhost",
        )],
        field!(cors_allowed_origins),
        r#"Some(List(["https://shop.example", "http://[::1]:3000", "app://localhost"]))"#,
    );
    for value in [
        "shop.example",
        "https://shop.example/",
        "https://shop.example/path",
        "https://",
        "://shop.example",
        "https://shop.example:port",
        "https://shop.example:65536",
        "https://user@shop.example",
        "https://[::1",
        "https://a,*",
        "https://a,",
        "null",
    ] {
        check_refused(
            &[("CORS_ALLOWED_ORIGINS", value)],
            &[&format!("CORS_ALLOWED_ORIGINS={value:?}: position ")],
        );
    }
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    check(
        &[("TRUSTED_PROXIES", "10.1.2.3/8, ::1")],
        |config| {
            let networks = config.trusted_proxies.iter().map(Cidr::to_string);
            networks.collect::<Vec<_>>().join(" ")
        },
        "10.0.0.0/8 ::1/128",
    );
    check_refused(
        &[("TRUSTED_PROXIES", "10.0.0.0/8,proxy")],
        &["TRUSTED_PROXIES=\"10.0.0.0/8,proxy\": position 2: not an IP address; allowed: "],
    );
}

#[test]
fn a_cpu_plan_is_read() {
    let value = "acceptors=0-1;shards=2;sequencer=3";
    let config = load(&[("CPU_PLAN", value)]).unwrap();
    assert_eq!(config.cpu_plan, Some(value.parse().unwrap()));
    check_refused(
        &[("CPU_PLAN", "acceptors=0")],
        &["CPU_PLAN=\"acceptors=0\": "],
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    check_refused(
        &[
            ("ENVIRONMENT", "prod"),
            ("API_KEYS", "a,,b"),
            ("PORT", "x"),
            ("BIND_ADDRESS", "localhost"),
            ("JOURNAL_SYNC", "yes"),
            ("TRUSTED_PROXIES", "?"),
        ],
        &[
            "ENVIRONMENT=\"prod\": ",
            "API_KEYS: ",
            "PORT=\"x\": ",
            "BIND_ADDRESS=\"localhost\": not an IP address",
            "JOURNAL_SYNC=\"yes\": ",
            "TRUSTED_PROXIES=\"?\": ",
        ],
    );
}

#[test]
fn a_value_that_is_not_utf_8_is_an_error_and_a_key_stays_hidden() {
    let errors = read(|name| match name {
        "DATA_PATH" | "API_KEYS" => Some(OsString::from_vec(b"secret\xff".to_vec())),
        _ => None,
    })
    .expect_err("not UTF-8");
    let lines: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    assert!(lines[0].starts_with("API_KEYS: not valid UTF-8; allowed: "));
    assert!(lines[1].starts_with("DATA_PATH=\"secret\u{fffd}\": not valid UTF-8; allowed: "));
    assert_eq!(lines.len(), 2);
}

#[cfg(feature = "otlp")]
mod otlp;
