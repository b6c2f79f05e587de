//! `inventory-bench`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use inventory_bench::options::Options;
use inventory_bench::report::Verification;
use inventory_bench::run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    match run::run(&options.run) {
        Ok(done) => {
            println!(
                "{}",
                serde_json::to_string_pretty(&done.report).unwrap_or_default()
            );
            match done.report.verification {
                Verification::Failed { .. } => ExitCode::FAILURE,
                _ => ExitCode::SUCCESS,
            }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
