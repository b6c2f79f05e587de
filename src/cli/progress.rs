//! How far a command is, on a terminal and only if it takes a while.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What is done sooner needs no bar.
const QUIET: Duration = Duration::from_millis(500);

/// What the numbers of a bar count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Products,
}

/// A bar on standard error; nothing where that is not a terminal.
pub(super) struct Progress {
    what: &'static str,
    unit: Unit,
    is_seen: bool,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(what: &'static str, unit: Unit) -> Progress {
        Progress {
            what,
            unit,
            is_seen: io::stderr().is_terminal(),
            started: Instant::now(),
            bar: None,
        }
    }

    /// So much of `total` is done.
    pub(super) fn tell(&mut self, done: u64, total: u64) {
        if !self.is_seen || self.started.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.what, self.unit));
        bar.set_length(total.max(done));
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, unit: Unit) -> ProgressBar {
    let template = match unit {
        Unit::Bytes => "{msg} [{bar:40}] {percent} %  {bytes} of {total_bytes}  {eta} left",
        Unit::Products => "{msg} [{bar:40}] {percent} %  {pos} of {len} products  {eta} left",
    };
    let style = ProgressStyle::with_template(template).expect("the template is tested");
    let bar = ProgressBar::no_length().with_style(style.progress_chars("=> "));
    bar.set_message(what);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_understood() {
        bar("Reading", Unit::Bytes).finish_and_clear();
        bar("Writing", Unit::Products).finish_and_clear();
    }

    #[test]
    fn what_is_quick_or_unseen_has_no_bar() {
        let mut progress = Progress::new("Reading", Unit::Bytes);
        progress.tell(1, 2);
        assert!(progress.bar.is_none());
    }
}
