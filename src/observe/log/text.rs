//! Lines for a person at a terminal: `14:03:21.123 INFO  Ready ms=12`.

use std::io::{self, Write};
use std::sync::Mutex;

use slog::{Drain, KV, Level, OwnedKVList, Record};

use super::fields::Fields;
use super::{level_name, now};

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";

/// Writes to `out`, with colours if that shows them.
pub struct Text<W> {
    out: Mutex<W>,
    is_coloured: bool,
}

impl<W: Write> Text<W> {
    /// To `out`.
    pub fn new(out: W, is_coloured: bool) -> Text<W> {
        Text {
            out: Mutex::new(out),
            is_coloured,
        }
    }

    fn line(&self, record: &Record<'_>, values: &OwnedKVList) -> String {
        let mut fields = Fields::default();
        // Nothing in here fails. The logger's own values come last first too, and are one at most.
        let _ = values.serialize(record, &mut fields);
        let _ = record.kv().serialize(record, &mut fields);
        let (colour, dim, reset) = match self.is_coloured {
            true => (colour(record.level()), DIM, RESET),
            false => ("", "", ""),
        };
        let time = now();
        // Without the date, and the zone.
        let time = time.get(11..23).unwrap_or(&time);
        let level = level_name(record.level());
        let mut line = format!(
            "{dim}{time}{reset} {colour}{level:<5}{reset} {}",
            record.msg()
        );
        for (key, field) in fields.0 {
            let text = field.to_string();
            let is_plain = !text.is_empty()
                && text
                    .chars()
                    .all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
            line.push_str(&match is_plain {
                true => format!(" {dim}{key}={reset}{text}"),
                // What a client sent must not draw on the terminal.
                false => format!(" {dim}{key}={reset}{text:?}"),
            });
        }
        line.push('\n');
        line
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "\x1b[31m",
        Level::Warning => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug | Level::Trace => "\x1b[34m",
    }
}

impl<W: Write> Drain for Text<W> {
    type Ok = ();
    type Err = io::Error;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> io::Result<()> {
        let line = self.line(record, values);
        let mut out = self.out.lock().expect("no holder panics");
        out.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::InOrder;
    use super::super::tests::Written;
    use super::*;
    use slog::{Logger, o};

    #[test]
    fn a_line_is_for_a_person_and_nothing_draws_on_the_terminal() {
        let written = Written::default();
        let drain = Mutex::new(InOrder(Text::new(written.clone(), false)));
        let log = Logger::root(slog::Fuse(drain), o!("acceptor" => 1));
        slog::warn!(log, "Said"; "a" => 1, "b" => "x y", "c" => "\x1b[2J");
        let lines = written.0.lock().unwrap();
        let line = std::str::from_utf8(&lines[0]).unwrap();
        let expected = " WARN  Said acceptor=1 a=1 b=\"x y\" c=\"\\u{1b}[2J\"\n";
        assert!(line.ends_with(expected), "{line:?}");
        assert_eq!(12 + expected.len(), line.len());
    }
}
