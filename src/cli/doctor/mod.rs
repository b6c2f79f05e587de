//! `central-inventory doctor`: what the server would find on this machine, a line each, with advice where something could be
//! better. It leaves nothing behind: the disk is measured with a file that has no name.

mod cgroup;
mod configuration;
mod cpus;
mod finding;
mod kernel;
mod storage;

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::config::Config;
use finding::{Finding, Mark};

/// How to tell what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct DoctorCommand {
    /// Print JSON: `{"healthy":true,"findings":[{"name":...,"mark":"ok|advice|unknown|failed","found":...,"advice":...}]}`.
    #[arg(long)]
    json: bool,
}

/// Looks, and prints what it found. Fails if the server could not run.
pub fn doctor(command: DoctorCommand) -> ExitCode {
    let findings = examine();
    let is_healthy = findings.iter().all(|finding| finding.mark != Mark::Failed);
    let text = match command.json {
        true => finding::json(&findings, is_healthy),
        false => finding::text(&findings),
    };
    let code = match is_healthy {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    print(&text, code)
}

fn examine() -> Vec<Finding> {
    let config = Config::from_env();
    let mut findings = configuration::findings(&config);
    findings.extend(kernel::findings());
    findings.extend(cpus::findings());
    if let Ok(config) = &config {
        findings.push(configuration::open_files(config));
        findings.extend(storage::findings(config));
    }
    findings
}
