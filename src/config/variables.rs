//! The table of every environment variable: the one home of each name, default and bound.
//! The reader parses the defaults and the bounds out of it, and `--help` and the errors print it.

/// One environment variable, as it is documented and as it is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What an unset or empty value means: a value as it would be written, or, for a variable that may stay unset, a word for
    /// what happens then.
    pub default: &'static str,
    /// What is allowed. Of a number or duration it begins with `low-high`, both included: that text *is* the bound.
    pub allowed: &'static str,
    /// What the variable decides.
    pub meaning: &'static str,
}

const fn variable(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        default,
        allowed,
        meaning,
    }
}

const KEYS_ALLOWED: &str = "a comma list of at most 1024 keys, each 1-256 bytes without control characters, or \
                            sha256: and the 64 hex digits of its digest; in production it, or its file, is required \
                            and the defaults are refused";
const KEYS_FILE_ALLOWED: &str = "the path of a file of at most 1 MiB, instead of the variable: keys as there, a line \
                                 each or with commas; lines that begin with # are ignored";

/// Every variable that the server reads, in the order in which `--help` shows them.
pub const VARIABLES: &[Variable] = &[
    variable(
        "PORT",
        "8080",
        "1-65535, other than METRICS_PORT",
        "port of the API",
    ),
    variable(
        "METRICS_PORT",
        "9080",
        "1-65535, other than PORT",
        "port of /metrics",
    ),
    variable(
        "METRICS_MAX_STORES",
        "100",
        "0-10000",
        "stores whose applied updates are counted apart, those met first; the rest are counted as other",
    ),
    variable(
        "BIND_ADDRESS",
        "0.0.0.0",
        "an IPv4 or IPv6 address",
        "address that both ports listen on",
    ),
    variable(
        "LOG_LEVEL",
        "info",
        "debug, info, warn, error",
        "least severity that is logged",
    ),
    variable(
        "LOG_FORMAT",
        "auto",
        "auto, json, text",
        "how a line looks; auto is text in development where standard error is a terminal, else json",
    ),
    variable(
        "LOG_REQUESTS_PER_SECOND",
        "100",
        "0-1000000",
        "requests of each class (success, refusal, failure) that have a line of their own; more are counted",
    ),
    variable(
        "ENVIRONMENT",
        "development",
        "development, staging, production",
        "production demands keys of your own; development starts from a sample if there is no data",
    ),
    variable(
        "API_KEYS",
        "demo,dev-key,central-api-key",
        KEYS_ALLOWED,
        "keys that open the regular endpoints",
    ),
    variable(
        "API_KEYS_FILE",
        "none",
        KEYS_FILE_ALLOWED,
        "file of keys that open the regular endpoints; SIGHUP reads it again",
    ),
    variable(
        "ADMIN_API_KEYS",
        "admin-demo,admin-dev-key,admin-central-key",
        KEYS_ALLOWED,
        "keys that open the admin endpoints as well",
    ),
    variable(
        "ADMIN_API_KEYS_FILE",
        "none",
        KEYS_FILE_ALLOWED,
        "file of keys that open the admin endpoints as well; SIGHUP reads it again",
    ),
    variable(
        "TLS_CERT_PATH",
        "none",
        "the path of a file, together with TLS_KEY_PATH",
        "chain of certificates in PEM; turns TLS on for the API, read again on SIGHUP",
    ),
    variable(
        "TLS_KEY_PATH",
        "none",
        "the path of a file, together with TLS_CERT_PATH",
        "the certificate's private key in PEM",
    ),
    variable(
        "INVENTORY_WORKER_COUNT",
        "4",
        "1-256",
        "shards that the products are divided among",
    ),
    variable(
        "INVENTORY_ACCEPTOR_COUNT",
        "from the plan",
        "1-256",
        "acceptors, each with a listener of its own",
    ),
    variable(
        "INVENTORY_QUEUE_BUFFER_SIZE",
        "500",
        "100-65536",
        "slots of a lane between two roles; a full lane answers 503",
    ),
    variable(
        "IDEMPOTENCY_CACHE_TTL",
        "2m",
        "1s-24h",
        "how long an applied update answers its repeats",
    ),
    variable(
        "IDEMPOTENCY_CACHE_CLEANUP_INTERVAL",
        "30s",
        "1s-1h",
        "how often expired entries are swept out",
    ),
    variable(
        "IDEMPOTENCY_CACHE_MAX_ENTRIES",
        "16777216",
        "1024-4294967296",
        "entries over all shards, some 120 bytes each with keys of 20; full of unexpired ones, new updates get 503",
    ),
    variable(
        "MAX_EVENTS_IN_QUEUE",
        "10000",
        "100-10000000",
        "newest events kept in memory, always readable",
    ),
    variable(
        "EVENTS_RETENTION",
        "24h",
        "0s-8760h",
        "how long older events stay readable from disk",
    ),
    variable(
        "JOURNAL_SEGMENT_MIB",
        "64",
        "1-4096",
        "size of a journal segment, in MiB",
    ),
    variable(
        "SNAPSHOT_JOURNAL_MIB",
        "64",
        "1-65536",
        "journal written between two snapshots, in MiB",
    ),
    variable(
        "JOURNAL_SYNC",
        "always",
        "always, interval:<duration of 1ms-60s>, never",
        "when the journal is synced; all but always may lose acknowledged updates in a crash",
    ),
    variable(
        "JOURNAL_WRITE_THROUGH",
        "auto",
        "auto, true, false",
        "whether a write may be synced as part of it (O_DSYNC), where that was quicker of late than to sync behind it; as durable where the file system keeps that: auto is true on ext4 and XFS. Needs JOURNAL_SYNC=always and direct I/O",
    ),
    variable(
        "DATA_PATH",
        "./data/inventory.json",
        "the path of a file, other than EVENTS_FILE_PATH",
        "the snapshot of the products",
    ),
    variable(
        "EVENTS_FILE_PATH",
        "./data/events.json",
        "the path of a file, other than DATA_PATH",
        "the journal's active segment; full ones lie beside it",
    ),
    variable(
        "ENABLE_JSON_PERSISTENCE",
        "true",
        "true, false",
        "false keeps everything in memory only",
    ),
    variable(
        "RATE_LIMIT_ENABLED",
        "true",
        "true, false",
        "whether requests are limited at all",
    ),
    variable(
        "RATE_LIMIT_TYPE",
        "ip",
        "ip, global, both",
        "a budget per client address, one for all, or both",
    ),
    variable(
        "RATE_LIMIT_REQUESTS_PER_MINUTE",
        "100",
        "1-1000000000",
        "budget of one client on the regular endpoints",
    ),
    variable(
        "RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE",
        "as RATE_LIMIT_REQUESTS_PER_MINUTE",
        "1-1000000000",
        "budget of all clients together on the regular endpoints",
    ),
    variable(
        "RATE_LIMIT_WINDOW_MINUTES",
        "1",
        "1-60",
        "length of the sliding window; budgets grow with it",
    ),
    variable(
        "RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE",
        "50",
        "1-1000000000",
        "budget on the admin endpoints, of each client and of all as RATE_LIMIT_TYPE says",
    ),
    variable(
        "RATE_LIMIT_MAX_CLIENTS",
        "65536",
        "1024-16777216",
        "addresses counted at a time, some 370 bytes each; past it, the least recently seen start anew",
    ),
    variable(
        "HEADER_TIMEOUT",
        "10s",
        "1s-10m",
        "for a whole request head to arrive",
    ),
    variable(
        "BODY_TIMEOUT",
        "30s",
        "1s-10m",
        "for a whole request body to arrive",
    ),
    variable(
        "WRITE_TIMEOUT",
        "30s",
        "1s-10m",
        "for a client to take some of its response",
    ),
    variable(
        "IDLE_TIMEOUT",
        "60s",
        "1s-10m",
        "between two requests of a connection",
    ),
    variable(
        "MAX_BODY_MEMORY_MIB",
        "256",
        "1-65536",
        "request bodies held at a time, in MiB; more get 503. Clients sending at once x their bodies",
    ),
    variable(
        "MAX_CONNECTIONS",
        "65536",
        "16-1000000",
        "open connections in all; more get 503. Clients x their connections, below the limit of open files",
    ),
    variable(
        "MAX_CONNECTIONS_PER_IP",
        "16384",
        "16-1000000",
        "open connections of one address, trusted proxies excepted; more get 503. Of the stores behind one address",
    ),
    variable(
        "MAX_WAITERS",
        "65536",
        "16-1000000",
        "long polls and streams that wait for events at a time",
    ),
    variable(
        "CPU_PLAN",
        "from the machine",
        "acceptors=<cpus>;shards=<cpus>;sequencer=<cpus>, with CPUs like 0-3 or 4,5",
        "which CPUs the roles run on; try it with `central-inventory plan`",
    ),
    variable(
        "LANE_SPIN_US",
        "from the plan",
        "0-1000",
        "microseconds a lane's receiver spins before it sleeps; 0 where CPUs are shared",
    ),
    variable(
        "CORS_ALLOWED_ORIGINS",
        "none",
        "*, or a comma list of scheme://host[:port]",
        "web pages that may call the API from a browser",
    ),
    variable(
        "TRUSTED_PROXIES",
        "none",
        "a comma list of addresses and CIDR networks",
        "peers whose X-Forwarded-For is believed",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "none",
        "an http:// or https:// URL without user, password and query",
        "OpenTelemetry receiver that metrics are sent to, at /v1/metrics below it",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "as OTEL_EXPORTER_OTLP_ENDPOINT",
        "an http:// or https:// URL without user and password",
        "the same as a whole address, to which nothing is added",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "http/protobuf",
        "how metrics are sent",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "none",
        "a comma list of at most 64 name=value, values percent-encoded",
        "headers of each export, such as credentials",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "none",
        "the path of a file",
        "certificates in PEM that https trusts, instead of the public authorities",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "1-600000",
        "milliseconds that an export may take",
    ),
    variable(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "60000",
        "100-86400000",
        "milliseconds between two exports",
    ),
    variable(
        "OTEL_SERVICE_NAME",
        "central-inventory",
        "any text",
        "name of this server where its metrics are sent (service.name)",
    ),
    variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "none",
        "a comma list of at most 64 name=value, values percent-encoded",
        "what else is told of this server there, such as deployment.environment.name=production",
    ),
    variable(
        "OTEL_SDK_DISABLED",
        "false",
        "true, false",
        "true sends nothing, whatever the other OTEL_ variables say",
    ),
];

/// The variable of that name.
///
/// # Panics
///
/// If the table has none: the code names a variable that it does not document.
pub(super) fn named(name: &str) -> &'static Variable {
    VARIABLES
        .iter()
        .find(|variable| variable.name == name)
        .expect("every variable that the code names stands in the table")
}
