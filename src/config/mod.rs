//! The configuration: environment variables, read once at start, checked all together.
//! Whatever is wrong is reported in one go, each line with the variable, its value and what is allowed.
//! After start nothing reads the environment again; the roles get the fields that they need.

mod cidr;
mod cors;
mod errors;
mod keys;
mod otlp;
mod parse;
mod reader;
#[cfg(test)]
mod tests;
mod values;
mod variables;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

pub use cidr::Cidr;
pub use cors::CorsOrigins;
pub use errors::{ConfigError, ConfigErrors};
pub use keys::{Key, KeyLists, KeySources};
pub use otlp::Otlp;
pub use values::{
    Environment, JournalSync, LogFormat, LogLevel, RateLimit, RateLimitKind, TlsPaths,
};
pub use variables::{VARIABLES, Variable};

use crate::plan::CpuPlan;
use parse::{
    address, duration, file_path, itself, list, mebibytes, microseconds, truth, truth_or_auto,
    whole,
};
use reader::Reader;

/// All that can be set from outside. [`VARIABLES`] has the meaning, the default and the bounds of each.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port of the API.
    pub port: u16,
    /// Port of `/metrics`; never that of the API.
    pub metrics_port: u16,
    /// Stores whose applied updates are counted apart.
    pub metrics_stores_max: usize,
    /// Address that both ports listen on.
    pub bind_address: IpAddr,
    /// Least severity that is logged.
    pub log_level: LogLevel,
    /// How a line of the log looks.
    pub log_format: LogFormat,
    /// Lines of requests, of each class.
    pub log_requests_per_second: u64,
    /// What kind of installation this is.
    pub environment: Environment,
    /// Keys that open the API, as they were at the start.
    pub keys: KeyLists,
    /// Where they come from, to read them again.
    pub key_sources: KeySources,
    /// Shards that the products are divided among.
    pub shard_count: u16,
    /// Acceptors, if not left to the plan.
    pub acceptor_count: Option<u16>,
    /// Slots of a lane.
    pub lane_slots: usize,
    /// How long an applied update answers its repeats.
    pub idempotency_ttl: Duration,
    /// How often expired entries are swept out.
    pub idempotency_cleanup_interval: Duration,
    /// Entries that may be remembered, over all shards.
    pub idempotency_entries_max: u64,
    /// Newest events kept in memory.
    pub events_in_memory_max: usize,
    /// How long older events stay readable from disk.
    pub events_retention: Duration,
    /// Size of a journal segment.
    pub journal_segment_bytes: u64,
    /// Journal written between two snapshots.
    pub snapshot_journal_bytes: u64,
    /// When the journal is synced.
    pub journal_sync: JournalSync,
    /// Whether groups are written and synced in one operation; none where the file system decides.
    pub journal_write_through: Option<bool>,
    /// The snapshot file.
    pub data_path: PathBuf,
    /// The journal's active segment; never the snapshot file.
    pub events_path: PathBuf,
    /// Certificate and key of TLS; `None` speaks in clear.
    pub tls: Option<TlsPaths>,
    /// Whether anything is written to disk.
    pub persistence: bool,
    /// The rate limits.
    pub rate_limit: RateLimit,
    /// For a whole request head to arrive.
    pub header_timeout: Duration,
    /// For a whole request body to arrive.
    pub body_timeout: Duration,
    /// For a client to take some of its response.
    pub write_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Bytes of request bodies held at a time, in all.
    pub body_memory_bytes_max: u64,
    /// Open connections in all.
    pub connections_max: usize,
    /// Open connections of one address.
    pub connections_per_ip_max: usize,
    /// Long polls and streams that wait at a time.
    pub waiters_max: usize,
    /// Which CPUs the roles run on, if not left to the plan. Not yet held against the machine.
    pub cpu_plan: Option<CpuPlan>,
    /// How long a lane's receiver spins before it sleeps, if not left to the plan.
    pub lane_spin: Option<Duration>,
    /// Whose pages may call the API from a browser; `None` turns CORS off.
    pub cors_allowed_origins: Option<CorsOrigins>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Where metrics are sent, if anywhere.
    pub otlp: Option<Otlp>,
}

impl Config {
    /// The configuration of this process's environment. A value that is not UTF-8 is an error.
    pub fn from_env() -> Result<Config, ConfigErrors> {
        read(|name| std::env::var_os(name))
    }

    /// The configuration of any other source; an empty value is as if unset.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
        read(|name| lookup(name).map(OsString::from))
    }
}

fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(lookup);
    let r = &mut reader;
    let environment = r.read("ENVIRONMENT", Environment::parse);
    let environment_known = (!r.refused("ENVIRONMENT")).then_some(environment);
    let (keys, key_sources) = keys::read(r, environment_known);
    let config = Config {
        port: r.read("PORT", whole),
        metrics_port: r.read("METRICS_PORT", whole),
        metrics_stores_max: r.read("METRICS_MAX_STORES", whole),
        bind_address: r.read("BIND_ADDRESS", address),
        log_level: r.read("LOG_LEVEL", LogLevel::parse),
        log_format: r.read("LOG_FORMAT", LogFormat::parse),
        log_requests_per_second: r.read("LOG_REQUESTS_PER_SECOND", whole),
        environment,
        keys,
        key_sources,
        shard_count: r.read("INVENTORY_WORKER_COUNT", whole),
        acceptor_count: r.read_optional("INVENTORY_ACCEPTOR_COUNT", whole),
        lane_slots: r.read("INVENTORY_QUEUE_BUFFER_SIZE", whole),
        idempotency_ttl: r.read("IDEMPOTENCY_CACHE_TTL", duration),
        idempotency_cleanup_interval: r.read("IDEMPOTENCY_CACHE_CLEANUP_INTERVAL", duration),
        idempotency_entries_max: r.read("IDEMPOTENCY_CACHE_MAX_ENTRIES", whole),
        events_in_memory_max: r.read("MAX_EVENTS_IN_QUEUE", whole),
        events_retention: r.read("EVENTS_RETENTION", duration),
        journal_segment_bytes: r.read("JOURNAL_SEGMENT_MIB", mebibytes),
        snapshot_journal_bytes: r.read("SNAPSHOT_JOURNAL_MIB", mebibytes),
        journal_sync: r.read("JOURNAL_SYNC", JournalSync::parse),
        journal_write_through: r.read("JOURNAL_WRITE_THROUGH", truth_or_auto),
        data_path: r.read("DATA_PATH", file_path),
        events_path: r.read("EVENTS_FILE_PATH", file_path),
        tls: read_tls(r),
        persistence: r.read("ENABLE_JSON_PERSISTENCE", truth),
        rate_limit: read_rate_limit(r),
        header_timeout: r.read("HEADER_TIMEOUT", duration),
        body_timeout: r.read("BODY_TIMEOUT", duration),
        write_timeout: r.read("WRITE_TIMEOUT", duration),
        idle_timeout: r.read("IDLE_TIMEOUT", duration),
        body_memory_bytes_max: r.read("MAX_BODY_MEMORY_MIB", mebibytes),
        connections_max: r.read("MAX_CONNECTIONS", whole),
        connections_per_ip_max: r.read("MAX_CONNECTIONS_PER_IP", whole),
        waiters_max: r.read("MAX_WAITERS", whole),
        cpu_plan: r.read_optional("CPU_PLAN", itself),
        lane_spin: r.read_optional("LANE_SPIN_US", microseconds),
        cors_allowed_origins: r.read_optional("CORS_ALLOWED_ORIGINS", CorsOrigins::parse),
        trusted_proxies: r.read_optional("TRUSTED_PROXIES", list).unwrap_or_default(),
        otlp: otlp::read(r),
    };
    refuse_equal_ports(r, &config);
    refuse_equal_paths(r, &config);
    reader.finish(config)
}

fn read_tls<F: Fn(&str) -> Option<OsString>>(r: &mut Reader<F>) -> Option<TlsPaths> {
    let certificates = r.read_optional("TLS_CERT_PATH", file_path);
    let key = r.read_optional("TLS_KEY_PATH", file_path);
    let refused = r.refused("TLS_CERT_PATH") || r.refused("TLS_KEY_PATH");
    match (certificates, key) {
        (Some(certificates), Some(key)) => return Some(TlsPaths { certificates, key }),
        (None, Some(_)) if !refused => {
            r.refuse("TLS_CERT_PATH", None, "not set, but TLS_KEY_PATH is");
        }
        (Some(_), None) if !refused => {
            r.refuse("TLS_KEY_PATH", None, "not set, but TLS_CERT_PATH is");
        }
        _ => {}
    }
    None
}

fn read_rate_limit<F: Fn(&str) -> Option<OsString>>(r: &mut Reader<F>) -> RateLimit {
    let requests_per_minute = r.read("RATE_LIMIT_REQUESTS_PER_MINUTE", whole);
    RateLimit {
        enabled: r.read("RATE_LIMIT_ENABLED", truth),
        kind: r.read("RATE_LIMIT_TYPE", RateLimitKind::parse),
        requests_per_minute,
        global_requests_per_minute: r
            .read_optional("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", whole)
            .unwrap_or(requests_per_minute),
        admin_requests_per_minute: r.read("RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE", whole),
        window_minutes: r.read("RATE_LIMIT_WINDOW_MINUTES", whole),
        clients_max: r.read("RATE_LIMIT_MAX_CLIENTS", whole),
    }
}

fn refuse_equal_ports<F: Fn(&str) -> Option<OsString>>(r: &mut Reader<F>, config: &Config) {
    let both_read = !r.refused("PORT") && !r.refused("METRICS_PORT");
    if both_read && config.port == config.metrics_port {
        let value = Some(config.metrics_port.to_string());
        r.refuse("METRICS_PORT", value, "the same as PORT");
    }
}

fn refuse_equal_paths<F: Fn(&str) -> Option<OsString>>(r: &mut Reader<F>, config: &Config) {
    let both_read = !r.refused("DATA_PATH") && !r.refused("EVENTS_FILE_PATH");
    if both_read && plain(&config.data_path) == plain(&config.events_path) {
        let value = Some(config.events_path.display().to_string());
        r.refuse("EVENTS_FILE_PATH", value, "the same as DATA_PATH");
    }
}

/// The path without `.` in it, so that `./a` and `a` are the same.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .collect()
}
