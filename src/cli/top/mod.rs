//! `central-inventory top`: what a server does, live, from its metrics port.

mod page;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use page::{Change, Page};

/// The port answers at once, or something is wrong.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a page: thousands of series.
const PAGE_BYTES_MAX: u64 = 64 << 20;
/// To the upper left, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What to look at, and how often.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TopCommand {
    /// The metrics of a server: its METRICS_PORT.
    #[arg(long, default_value = "http://127.0.0.1:9080/metrics")]
    url: String,
    /// Between two looks: 1s, 500ms, 1m.
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Show what happens in one interval, and exit.
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    match allowed.contains(&interval) {
        true => Ok(interval),
        false => Err("allowed: 100ms-1h".to_owned()),
    }
}

/// Shows the server until the process is ended. A terminal is drawn over; anything else gets block after block.
pub fn top(command: &TopCommand) -> ExitCode {
    let mut before = match fetch(&command.url) {
        Ok(page) => page,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let is_live = io::stdout().is_terminal() && !command.once;
    loop {
        std::thread::sleep(command.interval);
        let shown = match fetch(&command.url) {
            Ok(now) => {
                let block = view::block(&Change::new(&before, &now));
                before = now;
                block
            }
            Err(error) if command.once => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
            // It may come back.
            Err(error) => format!("{error}\n"),
        };
        let begin = if is_live { CLEAR } else { "" };
        let end = if is_live || command.once { "" } else { "\n" };
        let written =
            write!(io::stdout(), "{begin}{shown}{end}").and_then(|()| io::stdout().flush());
        // Whoever read it has gone.
        if command.once || written.is_err() {
            return ExitCode::SUCCESS;
        }
    }
}

fn fetch(url: &str) -> Result<Page, String> {
    let no_metrics =
        || format!("{url} is no metrics port of central-inventory: is it METRICS_PORT?");
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build();
    let answer = ureq::Agent::new_with_config(agent).get(url).call();
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(ureq::Error::StatusCode(_)) => return Err(no_metrics()),
        Err(error) => {
            return Err(format!(
                "{url} cannot be read ({error}): does the server run, and is this its METRICS_PORT?"
            ));
        }
    };
    let body = answer
        .body_mut()
        .with_config()
        .limit(PAGE_BYTES_MAX)
        .read_to_string();
    let text = body.map_err(|error| format!("{url} broke off: {error}"))?;
    Page::read(&text, Instant::now()).ok_or_else(no_metrics)
}
