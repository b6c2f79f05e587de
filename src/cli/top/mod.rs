//! `central-inventory top`: what a server does, read from its metrics port again and again. On a terminal it is drawn in
//! place, elsewhere it is blocks of plain text.

mod change;
mod format;
mod lines;
mod page;
mod scrape;
mod terminal;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use change::Change;
use lines::Line;
use scrape::{Reading, Scraper, Source};
use terminal::{Event, Terminal};

/// The shortest interval: the figures of executors are taken once a second, and a page costs the server a millisecond.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Of text that goes to no terminal.
const PLAIN_COLUMNS: usize = 120;

/// What is watched, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TopCommand {
    /// The metrics port of a server.
    #[arg(long, default_value = "http://127.0.0.1:9080/metrics", value_parser = Source::parse)]
    url: Source,
    /// Time between two readings, 100ms to 1h; rates and percentiles are of this time.
    #[arg(long, default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one block and end.
    #[arg(long)]
    once: bool,
}

/// Watches until it is told to stop.
pub fn top(command: &TopCommand) -> ExitCode {
    match watch(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn watch(command: &TopCommand) -> Result<(), String> {
    let scraper = Scraper::new(command.url.clone());
    let first = scraper.read()?;
    let watched = match (command.once, io::stdout().is_terminal()) {
        (true, _) => return once(&scraper, &first, command.interval),
        (false, true) => draw(&scraper, first, command.interval),
        (false, false) => print(&scraper, first, command.interval),
    };
    match watched {
        // A reader that has gone away (`| head`) got what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn once(scraper: &Scraper, first: &Reading, interval: Duration) -> Result<(), String> {
    thread::sleep(interval);
    let second = scraper.read()?;
    match write_block(&block(scraper, first, &second, PLAIN_COLUMNS)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// A block of text per interval, until nobody reads it.
fn print(scraper: &Scraper, first: Reading, interval: Duration) -> io::Result<()> {
    let mut watched = Watched::new(first);
    let mut due = Instant::now() + interval;
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due = (due + interval).max(Instant::now());
        watched.read(scraper);
        let mut lines = watched.lines(scraper, PLAIN_COLUMNS);
        lines.push(Line::new(""));
        write_block(&lines)?;
    }
}

/// Draws on the terminal until the user has seen enough.
fn draw(scraper: &Scraper, first: Reading, interval: Duration) -> io::Result<()> {
    let mut watched = Watched::new(first);
    let mut terminal = Terminal::enter()?;
    let mut due = Instant::now() + interval;
    loop {
        terminal.draw(&watched.lines(scraper, terminal.columns()))?;
        match terminal.wait(due)? {
            Event::Quit => return Ok(()),
            Event::Resized => {}
            Event::Due => {
                due = (due + interval).max(Instant::now());
                watched.read(scraper);
            }
        }
    }
}

/// The last readings of a server that may go away and come back.
struct Watched {
    before: Option<Reading>,
    last: Reading,
    /// Since when it does not answer, and why.
    gone: Option<(Instant, String)>,
}

impl Watched {
    fn new(first: Reading) -> Watched {
        Watched {
            before: None,
            last: first,
            gone: None,
        }
    }

    fn read(&mut self, scraper: &Scraper) {
        match scraper.read() {
            Ok(reading) => {
                let last = std::mem::replace(&mut self.last, reading);
                // A rate over the time in which nobody knows what happened would mislead.
                self.before = self.gone.take().is_none().then_some(last);
            }
            Err(problem) => {
                let since = self
                    .gone
                    .take()
                    .map_or_else(Instant::now, |(since, _)| since);
                self.gone = Some((since, problem));
            }
        }
    }

    fn lines(&self, scraper: &Scraper, width: usize) -> Vec<Line> {
        if let Some((since, problem)) = &self.gone {
            let seconds = since.elapsed().as_secs();
            return vec![
                Line::head(format!(
                    "No answer for {seconds} s; it is asked again and again."
                )),
                Line::new(problem),
            ];
        }
        match &self.before {
            Some(before) => block(scraper, before, &self.last, width),
            None => vec![Line::head(format!(
                "{} answers; rates need a second reading.",
                scraper.source()
            ))],
        }
    }
}

fn block(scraper: &Scraper, before: &Reading, after: &Reading, width: usize) -> Vec<Line> {
    let change = Change {
        before: &before.page,
        after: &after.page,
        // Never zero, for it is divided by.
        seconds: after.at.duration_since(before.at).as_secs_f64().max(1e-3),
    };
    view::draw(change, &scraper.source().to_string(), width)
}

fn write_block(lines: &[Line]) -> io::Result<()> {
    let text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect();
    let mut output = io::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        true => Ok(interval),
        false => Err("not between 100ms and 1h".to_owned()),
    }
}
