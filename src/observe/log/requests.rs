//! Lines of requests: at most so many a second of each class, so that the log can be afforded at full load; the rest is
//! counted and told in one line a second. With `LOG_LEVEL=debug` every request has its line.
//!
//! Whether a line is written is known before anything of it is put together.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use slog::{KV, Level, Logger, Record, Serializer};

use crate::config::LogLevel;
use crate::observe::metrics::LogMetrics;

/// How often budgets begin anew.
const SECOND_MS: u64 = 1000;

/// Which budget a line is taken from, so that none keeps another from being seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It was served.
    Success,
    /// It asked for what it cannot have.
    Refusal,
    /// It was not the client's fault.
    Failure,
}

/// How many classes there are.
pub const CLASSES: usize = 3;

impl Class {
    /// Of an answer with that status.
    pub fn of(status: u16) -> Class {
        match status {
            ..400 => Class::Success,
            400..500 => Class::Refusal,
            _ => Class::Failure,
        }
    }
}

/// What is told of a request. Members that are none are left out.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What became of it.
    pub msg: &'static str,
    /// Of a single update or a batch.
    pub update: Option<&'a Told>,
    /// How long it took.
    pub took: Duration,
    /// As it stands in the answer.
    pub request_id: &'a str,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// How.
    pub method: &'a str,
    /// What for, without the query.
    pub path: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The code of the problem; of a refused update its `errorType`.
    pub code: Option<&'static str>,
    /// Of a valid `traceparent`.
    pub trace_id: Option<&'a str>,
}

/// What is told of an update.
#[derive(Clone, Debug)]
pub enum Told {
    /// Of a single one.
    Single {
        /// `storeId`
        store_id: String,
        /// `productId`
        product_id: String,
        /// `delta`
        delta: i64,
        /// `idempotencyKey`
        idempotency_key: String,
        /// Where the product stands.
        standing: Option<(u64, u64)>,
        /// `errorType`
        error_type: Option<&'static str>,
        /// Whether it had taken effect before.
        replayed: bool,
    },
    /// Of a batch.
    Batch {
        /// `storeId`
        store_id: String,
        /// Items in all.
        items: usize,
        /// Items that took effect, now or before.
        succeeded: usize,
    },
}

/// The lines of one acceptor's requests.
pub struct RequestLog {
    log: Logger,
    level: LogLevel,
    /// Lines of each class and second; none bounds them not at all.
    budget: Option<u64>,
    written: [Cell<u64>; CLASSES],
    suppressed: [Cell<u64>; CLASSES],
    since_ms: Cell<u64>,
    metrics: Arc<LogMetrics>,
}

impl RequestLog {
    /// For an acceptor that has `budget` lines of each class and second.
    pub fn new(log: Logger, level: LogLevel, budget: u64, metrics: Arc<LogMetrics>) -> RequestLog {
        RequestLog {
            log,
            level,
            budget: (level != LogLevel::Debug).then_some(budget),
            written: Default::default(),
            suppressed: Default::default(),
            since_ms: Cell::new(0),
            metrics,
        }
    }

    /// Whether a line of that level and class would be written now.
    pub fn would_write(&self, level: Level, class: Class) -> bool {
        let written = self.written[class as usize].get();
        self.is_enabled(level) && self.budget.is_none_or(|budget| written < budget)
    }

    fn is_enabled(&self, level: Level) -> bool {
        match level {
            Level::Critical | Level::Error => true,
            Level::Warning => self.level != LogLevel::Error,
            Level::Info => matches!(self.level, LogLevel::Info | LogLevel::Debug),
            Level::Debug | Level::Trace => self.level == LogLevel::Debug,
        }
    }

    /// Writes the line that `line` makes, or counts that there was no room for it.
    pub fn write<'a>(&self, level: Level, class: Class, line: impl FnOnce() -> Line<'a>) {
        if !self.is_enabled(level) {
            return;
        }
        let counted = match self.would_write(level, class) {
            true => &self.written,
            false => &self.suppressed,
        };
        let count = &counted[class as usize];
        count.set(count.get() + 1);
        if !std::ptr::eq(counted, &self.written) {
            return;
        }
        let line = line();
        let msg = line.msg;
        match level {
            Level::Critical | Level::Error => slog::error!(self.log, "{}", msg; line),
            Level::Warning => slog::warn!(self.log, "{}", msg; line),
            Level::Info => slog::info!(self.log, "{}", msg; line),
            Level::Debug | Level::Trace => slog::debug!(self.log, "{}", msg; line),
        }
    }

    /// Begins budgets anew when a second is over, and tells what was only counted meanwhile.
    pub fn beat(&self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.since_ms.get());
        if passed_ms < SECOND_MS {
            return;
        }
        self.written.iter().for_each(|written| written.set(0));
        self.tell_suppressed(now_ms);
    }

    /// Tells what was only counted up to `now_ms`, if anything was.
    pub fn tell_suppressed(&self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.since_ms.replace(now_ms));
        let [success, refusal, failure] = self.suppressed.each_ref().map(Cell::take);
        if success + refusal + failure == 0 {
            return;
        }
        for (class, count) in [success, refusal, failure].into_iter().enumerate() {
            self.metrics.suppress(class, count);
        }
        macro_rules! tell {
            ($at:ident) => {
                slog::$at!(self.log, "More requests than LOG_REQUESTS_PER_SECOND: only counted here";
                    "success" => success, "refusal" => refusal, "failure" => failure,
                    "seconds" => passed_ms as f64 / 1e3)
            };
        }
        // Never below the level: what was counted would have had a line.
        match (failure, self.level) {
            (0, _) => tell!(info),
            (_, LogLevel::Error) => tell!(error),
            _ => tell!(warn),
        }
    }
}

/// Last first, as slog's own lists: see `fields`.
impl KV for Line<'_> {
    fn serialize(&self, _: &Record<'_>, out: &mut dyn Serializer) -> slog::Result {
        if let Some(trace_id) = self.trace_id {
            out.emit_str("trace_id", trace_id)?;
        }
        let of_update = self.update.and_then(Told::error_type);
        if let Some(code) = self.code.or(of_update) {
            out.emit_str("code", code)?;
        }
        out.emit_u16("status", self.status)?;
        out.emit_str("path", self.path)?;
        out.emit_str("method", self.method)?;
        if let Some(client) = self.client {
            out.emit_arguments("client_ip", &format_args!("{client}"))?;
        }
        out.emit_str("request_id", self.request_id)?;
        let ms = (self.took.as_secs_f64() * 1e6).round() / 1e3;
        out.emit_f64("processing_time_ms", ms)?;
        self.update.map_or(Ok(()), |told| told.serialize(out))
    }
}

impl Told {
    fn error_type(&self) -> Option<&'static str> {
        match self {
            Told::Single { error_type, .. } => *error_type,
            Told::Batch { .. } => None,
        }
    }

    fn serialize(&self, out: &mut dyn Serializer) -> slog::Result {
        match self {
            Told::Single {
                store_id,
                product_id,
                delta,
                idempotency_key,
                standing,
                error_type: _,
                replayed,
            } => {
                if *replayed {
                    out.emit_bool("replayed", true)?;
                }
                out.emit_str("store_id", store_id)?;
                out.emit_str("idempotency_key", idempotency_key)?;
                if let Some((quantity, version)) = standing {
                    out.emit_u64("new_version", *version)?;
                    out.emit_u64("new_quantity", *quantity)?;
                }
                out.emit_i64("delta", *delta)?;
                out.emit_str("product_id", product_id)
            }
            Told::Batch {
                store_id,
                items,
                succeeded,
            } => {
                out.emit_str("store_id", store_id)?;
                out.emit_usize("failed", items - succeeded)?;
                out.emit_usize("succeeded", *succeeded)?;
                out.emit_usize("items", *items)
            }
        }
    }
}

/// The trace id of a `traceparent` (W3C Trace Context, version 00); none if it is not valid.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits: usize| {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == digits && text.bytes().all(is_digit)
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_valid = version == "00"
        && is_hex(trace, 32)
        && is_set(trace)
        && is_hex(parent, 16)
        && is_set(parent)
        && is_hex(flags, 2)
        && parts.next().is_none();
    is_valid.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slog::{Discard, o};

    fn requests(level: LogLevel, budget: u64) -> RequestLog {
        RequestLog::new(Logger::root(Discard, o!()), level, budget, Arc::default())
    }

    fn line<'a>() -> Line<'a> {
        Line {
            msg: "",
            update: None,
            took: Duration::ZERO,
            request_id: "",
            client: None,
            method: "",
            path: "",
            status: 200,
            code: None,
            trace_id: None,
        }
    }

    #[test]
    fn each_class_has_its_own_budget_and_it_begins_anew_each_second() {
        let log = requests(LogLevel::Info, 2);
        let write = |class, times: u64| {
            let made = Cell::new(0);
            (0..times).for_each(|_| {
                log.write(Level::Info, class, || {
                    made.set(made.get() + 1);
                    line()
                })
            });
            made.get()
        };
        log.beat(5_000);
        assert_eq!(2, write(Class::Success, 5));
        assert_eq!(1, write(Class::Refusal, 1));
        assert_eq!(2, write(Class::Failure, 3));
        log.beat(5_999);
        assert_eq!(0, write(Class::Success, 1));
        log.beat(6_000);
        assert_eq!(2, write(Class::Success, 3));
        log.tell_suppressed(6_000);
        let load =
            |class: usize| log.metrics.suppressed[class].load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!([5, 0, 1], [load(0), load(1), load(2)]);
    }

    #[test]
    fn below_the_level_nothing_is_made_or_counted() {
        let log = requests(LogLevel::Warn, 1);
        for _ in 0..3 {
            log.write(Level::Info, Class::Success, || panic!("it was made"));
        }
        assert_eq!(0, log.suppressed[0].get());
        assert!(log.would_write(Level::Warning, Class::Failure));
    }

    /// Keeps the level and the fields of what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<std::sync::Mutex<Vec<(Level, String)>>>);

    impl slog::Drain for Kept {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
            let mut fields = crate::observe::log::fields::Fields::default();
            record.kv().serialize(record, &mut fields).unwrap();
            let fields = fields
                .0
                .iter()
                .rev()
                .map(|(key, value)| format!("{key}={value}"));
            let fields: Vec<String> = fields.collect();
            self.0
                .lock()
                .unwrap()
                .push((record.level(), fields.join(" ")));
            Ok(())
        }
    }

    #[test]
    fn what_was_counted_is_told_at_a_level_that_is_logged() {
        let check = |of_log, of_line, class, expected: &[(Level, &str)]| {
            let kept = Kept::default();
            let log = Logger::root(slog::Drain::fuse(kept.clone()), o!());
            let log = RequestLog::new(log, of_log, 0, Arc::default());
            log.beat(5_000);
            log.write(of_line, class, || panic!("there is no budget"));
            log.beat(6_500);
            let kept = kept.0.lock().unwrap();
            let told: Vec<_> = kept.iter().map(|(level, text)| (*level, &**text)).collect();
            assert_eq!(expected, told, "{of_log:?}");
        };
        let success = "success=1 refusal=0 failure=0 seconds=1.5";
        let failure = "success=0 refusal=0 failure=1 seconds=1.5";
        check(
            LogLevel::Info,
            Level::Info,
            Class::Success,
            &[(Level::Info, success)],
        );
        check(
            LogLevel::Info,
            Level::Error,
            Class::Failure,
            &[(Level::Warning, failure)],
        );
        check(
            LogLevel::Warn,
            Level::Error,
            Class::Failure,
            &[(Level::Warning, failure)],
        );
        check(
            LogLevel::Error,
            Level::Error,
            Class::Failure,
            &[(Level::Error, failure)],
        );
        check(LogLevel::Error, Level::Warning, Class::Failure, &[]);
        check(LogLevel::Warn, Level::Info, Class::Success, &[]);
    }

    #[test]
    fn debug_has_a_line_for_every_request() {
        let log = requests(LogLevel::Debug, 0);
        let made = Cell::new(0);
        for _ in 0..100 {
            log.write(Level::Debug, Class::Success, || {
                made.set(made.get() + 1);
                line()
            });
        }
        assert_eq!(100, made.get());
    }

    #[test]
    fn a_trace_id_is_taken_from_a_valid_traceparent_only() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |header: &str, expected| assert_eq!(expected, trace_id(header), "{header}");
        check(&format!("00-{id}-00f067aa0ba902b7-01"), Some(id));
        check(&format!("01-{id}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{id}-00f067aa0ba902b7-01-x"), None);
        check(&format!("00-{id}-0000000000000000-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(
            &format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            None,
        );
        check(&format!("00-{}-00f067aa0ba902b7-01", &id[1..]), None);
        check("", None);
    }
}
