//! `central-inventory`: parse, run, exit code.

use std::process::ExitCode;

use central_inventory::cli::{self, Command};
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
        Command::Doctor(command) => cli::doctor(command),
        Command::Healthcheck => cli::healthcheck(),
        Command::Journal(command) => cli::journal(&command),
        Command::Backup(command) => cli::backup(&command),
        Command::Snapshot(command) => cli::snapshot(&command),
        Command::Top(command) => cli::top(&command),
        Command::Completions(command) => cli::completions(command),
        Command::Man(command) => cli::man(&command),
    }
}
