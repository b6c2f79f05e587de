//! `inventory-bench`: parse, run, exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use inventory_bench::options::{Options, RunOptions};
use inventory_bench::report::{Verification, table};
use inventory_bench::run::{self, Done};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Standard output, as the name of a file.
const STANDARD: &str = "-";

fn main() -> ExitCode {
    let options = Options::parse();
    match run::run(&options.run).and_then(|done| write(&options.run, &done).map(|()| done)) {
        Ok(done) => match done.report.verification {
            Verification::Failed { .. } => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        },
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The report in every form that was asked for.
fn write(options: &RunOptions, done: &Done) -> Result<(), String> {
    let json =
        serde_json::to_string_pretty(&done.report).map_err(|error| error.to_string())? + "\n";
    let table = table::table(&done.report);
    match &options.json {
        Some(path) if path == Path::new(STANDARD) => {
            eprint!("{table}");
            print!("{json}");
            return Ok(());
        }
        Some(path) => to_file(path, &json)?,
        None => {}
    }
    print!("{table}");
    Ok(())
}

fn to_file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
