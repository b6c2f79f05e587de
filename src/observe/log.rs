//! The log: one JSON object a line on standard error, written by a thread of its own through a bounded channel that
//! drops and reports rather than block a data core.

use slog::{Drain, Level, LevelFilter, Logger, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};

use crate::config::LogLevel;

/// Lines that may wait for the log's thread.
const CHANNEL_LINES: usize = 4096;

/// A logger, and a guard that flushes it when dropped.
pub fn start(level: LogLevel) -> (Logger, AsyncGuard) {
    let json = slog_json::Json::new(std::io::stderr())
        .add_key_value(o!(
            "time" => slog::PushFnValue(|_, serializer| {
                serializer.emit(humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string())
            }),
            "level" => slog::FnValue(|record| level_name(record.level())),
            "msg" => slog::PushFnValue(|record, serializer| serializer.emit(record.msg())),
        ))
        .build()
        .ignore_res();
    let filtered = LevelFilter::new(json, slog_level(level)).ignore_res();
    let (drain, guard) = Async::new(filtered)
        .chan_size(CHANNEL_LINES)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .build_with_guard();
    (Logger::root(drain.ignore_res(), o!()), guard)
}

fn slog_level(level: LogLevel) -> Level {
    match level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warning,
        LogLevel::Error => Level::Error,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARN",
        Level::Error | Level::Critical => "ERROR",
    }
}
