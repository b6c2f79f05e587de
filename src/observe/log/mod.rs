//! The log: one line each on standard error, written by a thread of its own behind a bounded channel that drops and
//! counts rather than block a data core.
//!
//! ```text
//!   any thread ─▶ level ─▶ channel (full: counted, told later) ─▶ log thread ─▶ fields in order ─▶ JSON or text ─▶ stderr
//! ```

mod fields;
pub mod requests;
mod text;

use std::io::{self, IsTerminal, LineWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slog::{Drain, Level, LevelFilter, Logger, Never, OwnedKVList, Record, o};
use slog_async::{AsyncCore, AsyncError, AsyncGuard};

use super::metrics::LogMetrics;
use crate::config::{Environment, LogFormat, LogLevel};
use fields::InOrder;
use text::Text;

/// Lines that may wait for the log's thread.
const CHANNEL_LINES: usize = 4096;
/// A line longer than this reaches standard error in pieces; none is, since every field of a request is bounded.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The least severity.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// In development a terminal gets lines for people, unless told otherwise.
    pub environment: Environment,
}

/// A logger, and a guard that flushes it when dropped.
pub fn start(settings: Settings, metrics: Arc<LogMetrics>) -> (Logger, AsyncGuard) {
    let out = LineWriter::with_capacity(LINE_BYTES_MAX, io::stderr());
    let is_text = match settings.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => {
            settings.environment == Environment::Development && io::stderr().is_terminal()
        }
    };
    let (core, guard) = match is_text {
        true => spawn(Text::new(out, io::stderr().is_terminal())),
        false => spawn(json(out)),
    };
    let counted = Counted {
        core,
        metrics,
        untold: AtomicU64::new(0),
    };
    let filtered = LevelFilter::new(counted, slog_level(settings.level)).ignore_res();
    (Logger::root(filtered, o!()), guard)
}

fn spawn<D>(drain: D) -> (AsyncCore, AsyncGuard)
where
    D: Drain<Ok = (), Err = io::Error> + Send + 'static,
{
    // Where standard error is gone, there is nobody to tell.
    AsyncCore::custom(InOrder(drain).ignore_res())
        .chan_size(CHANNEL_LINES)
        .thread_name("log".to_owned())
        .build_with_guard()
}

/// slog gives the fields of a list last first.
fn json<W: Write + Send + 'static>(out: W) -> slog_json::Json<W> {
    slog_json::Json::new(out)
        .add_key_value(o!(
            "msg" => slog::PushFnValue(|record, serializer| serializer.emit(record.msg())),
            "level" => slog::FnValue(|record| level_name(record.level())),
            "time" => slog::PushFnValue(|_, serializer| serializer.emit(now())),
        ))
        .build()
}

fn now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

/// Counts the lines for which there is no room, and tells of them as soon as there is.
struct Counted {
    core: AsyncCore,
    metrics: Arc<LogMetrics>,
    /// Dropped, and not told yet.
    untold: AtomicU64,
}

impl Counted {
    fn tell_dropped(&self, values: &OwnedKVList) {
        let lines = self.untold.swap(0, Ordering::Relaxed);
        if lines == 0 {
            return;
        }
        let told = self.core.log(
            &slog::record!(
                Level::Warning,
                "",
                &format_args!("Lines of the log were dropped: more than could be written"),
                slog::b!("lines" => lines)
            ),
            values,
        );
        if told.is_err() {
            self.untold.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drain for Counted {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        self.tell_dropped(values);
        // Any other error says that the log's thread has ended, with the process.
        if let Err(AsyncError::Full) = self.core.log(record, values) {
            self.untold.fetch_add(1, Ordering::Relaxed);
            self.metrics.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    pub(super) struct Written(pub(super) Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_write_with_its_fields_in_order() {
        let written = Written::default();
        let out = LineWriter::with_capacity(LINE_BYTES_MAX, written.clone());
        let drain = Mutex::new(InOrder(json(out))).ignore_res();
        let log = Logger::root(drain, o!("acceptor" => 3));
        slog::info!(log, "Said \"so\""; "first" => 1, "second" => 0.25, "third" => true, "fourth" => "x\ny");
        let lines = written.0.lock().unwrap();
        assert_eq!(1, lines.len());
        let line = std::str::from_utf8(&lines[0]).unwrap();
        let behind_the_time = line.split_once(",\"level\"").expect("time comes first").1;
        assert_eq!(
            ":\"INFO\",\"msg\":\"Said \\\"so\\\"\",\"acceptor\":3,\"first\":1,\"second\":0.25,\"third\":true,\
             \"fourth\":\"x\\ny\"}\n",
            behind_the_time
        );
    }

    /// Waits to be let go at its first line.
    struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>, Mutex<Vec<String>>);

    impl Drain for &'static Stuck {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            // Let go for good once the sender is gone.
            let _ = self.0.lock().unwrap().recv();
            self.1.lock().unwrap().push(record.msg().to_string());
            Ok(())
        }
    }

    #[test]
    fn lines_without_room_are_counted_and_told_later() {
        let (go, wait) = std::sync::mpsc::channel();
        let stuck: &'static Stuck = Box::leak(Box::new(Stuck(Mutex::new(wait), Mutex::default())));
        let (core, guard) = AsyncCore::custom(stuck).chan_size(2).build_with_guard();
        let metrics = Arc::<LogMetrics>::default();
        let counted = Counted {
            core,
            metrics: metrics.clone(),
            untold: AtomicU64::new(0),
        };
        let log = Logger::root(counted.fuse(), o!());
        // One may be in the thread's hands, two in the channel.
        (0..10).for_each(|n| slog::info!(log, "{}", n));
        let dropped = metrics.dropped.load(Ordering::Relaxed);
        assert!((7..=8).contains(&dropped), "{dropped}");
        drop(go);
        while stuck.1.lock().unwrap().len() < 10 - dropped as usize {
            std::thread::yield_now();
        }
        slog::info!(log, "at last");
        drop(log);
        drop(guard);
        let lines = stuck.1.lock().unwrap();
        let told: Vec<&str> = lines[lines.len() - 2..].iter().map(|l| &**l).collect();
        assert!(told[0].contains("were dropped"), "{told:?}");
        assert_eq!("at last", told[1]);
    }
}
