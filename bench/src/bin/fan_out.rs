//! `fan_out`: one measurement of one server, as JSON on standard output. `perf/fan-out/run` is who calls it.

use std::process::ExitCode;

use clap::Parser;
use inventory_bench::fan_out::{self, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let measured = fan_out::measure(&Options::parse());
    match measured {
        Ok(report) => {
            println!("{}", report.json());
            match report.problems.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
