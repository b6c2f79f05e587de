//! `central-inventory`: parse, run, exit code.

use std::process::ExitCode;

use central_inventory::cli::{self, CheckLine, Command};
use central_inventory::runtime::preflight;
use central_inventory::server;

// An update is allocated on the acceptor's core and freed on the shard's or the sequencer's. mimalloc keeps a heap
// per thread and hands such memory back without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse() {
        Command::Serve => server::serve(),
        Command::Plan => cli::plan(),
        Command::OpenApi => cli::openapi(),
        Command::Check => cli::check(machine_checks()),
        Command::Journal(command) => cli::journal(&command),
        Command::Snapshot(command) => cli::snapshot(&command),
        Command::Top(command) => cli::top(&command),
    }
}

fn machine_checks() -> Vec<CheckLine> {
    let line = |check: preflight::Check| CheckLine {
        name: check.name,
        outcome: check.outcome,
    };
    preflight::run().into_iter().map(line).collect()
}
