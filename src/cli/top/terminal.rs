//! A terminal that is drawn on in place, and given back as it was whichever way that ends.

use std::io::{self, Stdin, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::builder::styling::Style;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize,
    tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::lines::{Line, fit};

/// How soon a signal and a new size are noticed.
const SLICE: Duration = Duration::from_millis(100);
/// Of a terminal that does not tell.
const SIZE_UNKNOWN: (usize, usize) = (80, 24);

// Of ECMA-48 and xterm: every terminal emulator has them.
const OTHER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const SCREEN_BEFORE: &str = "\x1b[?25h\x1b[?1049l";
const TO_THE_TOP: &str = "\x1b[H";
const NEXT_LINE: &str = "\r\n";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// What happened while it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The time has come.
    Due,
    /// The terminal has another size.
    Resized,
    /// The user has seen enough.
    Quit,
}

/// The terminal of standard output, with the keys of standard input if that is one too.
pub(super) struct Terminal {
    output: Stdout,
    keys: Option<(Stdin, Termios)>,
    is_told_to_stop: Arc<AtomicBool>,
    size: (usize, usize),
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Terminal> {
        let is_told_to_stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, is_told_to_stop.clone())?;
        }
        let mut terminal = Terminal {
            output: io::stdout(),
            size: size(),
            keys: keys(io::stdin())?,
            is_told_to_stop,
        };
        // From here on dropping it gives the terminal back.
        if let Some((input, before)) = &terminal.keys {
            tcsetattr(input, OptionalActions::Now, &each_key(before.clone()))?;
        }
        terminal.write(OTHER_SCREEN)?;
        Ok(terminal)
    }

    /// Characters in a line.
    pub(super) fn columns(&self) -> usize {
        self.size.0
    }

    /// Draws over what was drawn before.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (columns, rows) = self.size;
        let bold = Style::new().bold();
        let lines = fit(lines, columns, rows);
        let mut text = TO_THE_TOP.to_owned();
        for (row, line) in lines.iter().enumerate() {
            if row > 0 {
                text.push_str(NEXT_LINE);
            }
            // Before it is written: behind a line as wide as the terminal it would take the last character.
            text.push_str(CLEAR_LINE);
            match line.is_head {
                true => text.push_str(&format!("{bold}{}{bold:#}", line.text)),
                false => text.push_str(&line.text),
            }
        }
        if lines.len() < rows {
            text.push_str(NEXT_LINE);
            text.push_str(CLEAR_BELOW);
        }
        self.write(&text)
    }

    /// Waits until `due`, or for what happens before.
    pub(super) fn wait(&mut self, due: Instant) -> io::Result<Event> {
        loop {
            if self.is_told_to_stop.load(Ordering::Relaxed) {
                return Ok(Event::Quit);
            }
            let size = size();
            if size != self.size {
                self.size = size;
                return Ok(Event::Resized);
            }
            let left = due.saturating_duration_since(Instant::now());
            let pressed = self.pressed(left.min(SLICE))?;
            // Ctrl-C and Ctrl-D come as characters where they are no signals.
            if pressed.is_some_and(|key| matches!(key, b'q' | b'Q' | 3 | 4)) {
                return Ok(Event::Quit);
            }
            if pressed.is_none() && left.is_zero() {
                return Ok(Event::Due);
            }
        }
    }

    /// A key that is pressed within `limit`.
    fn pressed(&mut self, limit: Duration) -> io::Result<Option<u8>> {
        let Some((input, _)) = &self.keys else {
            std::thread::sleep(limit);
            return Ok(None);
        };
        let mut polled = [PollFd::new(input, PollFlags::IN)];
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&limit)) {
            Err(rustix::io::Errno::INTR) | Ok(0) => return Ok(None),
            polled => polled?,
        };
        let mut key = [0];
        match rustix::io::read(input, &mut key) {
            Ok(0) => {
                // Nobody is there any more.
                self.is_told_to_stop.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Ok(_) => Ok(Some(key[0])),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only where the terminal has gone.
        let _ = self.write(SCREEN_BEFORE);
        if let Some((input, before)) = &self.keys {
            let _ = tcsetattr(input, OptionalActions::Now, before);
        }
    }
}

/// Standard input and its modes, if it is a terminal.
fn keys(input: Stdin) -> io::Result<Option<(Stdin, Termios)>> {
    if !isatty(&input) {
        return Ok(None);
    }
    let before = tcgetattr(&input)?;
    Ok(Some((input, before)))
}

/// Keys come one by one and are not shown. Ctrl-C stays a signal; Ctrl-Z, which would leave the terminal as it is, is none.
fn each_key(mut modes: Termios) -> Termios {
    modes
        .local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

/// Columns and rows.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE_UNKNOWN,
    }
}
