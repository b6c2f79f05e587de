//! `inventory-bench`: parse, run, exit code.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use inventory_bench::compare;
use inventory_bench::options::{Command, Options, RunOptions};
use inventory_bench::report::{Verification, hdr_log, html, json, plots, table};
use inventory_bench::run::{self, Done};
use inventory_bench::soak;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Standard output, as the name of a file.
const STANDARD: &str = "-";

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        Some(Command::Compare { before, after }) => compare(before, after),
        Some(Command::Soak { part }) => {
            soak::run(part).and_then(|came| say(&format!("{came}\n")).map(|()| true))
        }
        None => run::run(&options.run)
            .and_then(|done| write(&options.run, &done).map(|()| is_sound(&done))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn is_sound(done: &Done) -> bool {
    !matches!(done.report.verification, Verification::Failed { .. })
}

fn compare(before: &Path, after: &Path) -> Result<bool, String> {
    let comparison = compare::compare(&compare::read(before)?, &compare::read(after)?)?;
    say(&comparison.to_string())?;
    Ok(true)
}

/// The report in every form that was asked for.
fn write(options: &RunOptions, done: &Done) -> Result<(), String> {
    let report = &done.report;
    if let Some(path) = &options.html {
        to_file(path, html::page(report))?;
    }
    if let Some(path) = &options.svg {
        to_file(path, plots::overview(report))?;
    }
    if let Some(path) = &options.hdr_log {
        let log = hdr_log::log(&report.phases, &done.recorders, done.started);
        to_file(
            path,
            log.map_err(|error| format!("{}: {error}", path.display()))?,
        )?;
    }
    let table = table::table(report);
    let json = json::pretty(report);
    match &options.json {
        // Standard output is for programs then.
        Some(path) if path == Path::new(STANDARD) => {
            eprint!("{table}");
            say(&json)?;
        }
        Some(path) => {
            to_file(path, json)?;
            say(&table)?;
        }
        None => say(&table)?,
    }
    Ok(())
}

/// Prints `text`; who reads only its beginning has had enough.
fn say(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

fn to_file(path: &Path, content: impl AsRef<[u8]>) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
