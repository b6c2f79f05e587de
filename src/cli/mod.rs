//! The command line: which command to run, and the two commands that only look and print.
//! All settings come from the environment; the command line has none, so that there is one place to look.

mod check;
mod help;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::plan::{Machine, Plan};

pub use check::{CheckLine, check};
pub use help::variables_help;

/// What the process was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Serve,
    /// Print which role would run on which CPU.
    Plan,
    /// Check configuration and machine.
    Check,
}

#[derive(Parser)]
#[command(
    name = "central-inventory",
    version,
    about,
    long_about = None,
    after_help = "Without a command it serves. --help lists the environment variables.",
    after_long_help = help::after_long_help()
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<ReadOnly>,
}

#[derive(Clone, Copy, Subcommand)]
enum ReadOnly {
    /// Print which role would run on which CPU, and exit.
    Plan,
    /// Check configuration and machine without serving; exit with 1 if a check fails.
    Check,
}

/// The command of this process's arguments. For `--help`, `--version` and arguments that make no sense it prints and exits.
pub fn parse() -> Command {
    Arguments::parse().command()
}

/// Prints the plan for this machine and configuration. Call it before any thread is pinned.
pub fn plan() -> ExitCode {
    match read_plan() {
        Ok(plan) => print(&format!("{plan}\n"), ExitCode::SUCCESS),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn read_plan() -> Result<Plan, String> {
    let config = Config::from_env().map_err(|errors| errors.to_string())?;
    plan_of(&config).map_err(|error| error.to_string())
}

fn plan_of(config: &Config) -> Result<Plan, crate::plan::PlanError> {
    Plan::new(
        &Machine::read(),
        config.shard_count,
        config.acceptor_count,
        config.cpu_plan.as_ref(),
        config.lane_spin,
    )
}

/// Writes to standard output. A reader that has gone away (`| head`) got what it wanted.
fn print(text: &str, code: ExitCode) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => code,
    }
}

impl Arguments {
    fn command(self) -> Command {
        match self.command {
            None => Command::Serve,
            Some(ReadOnly::Plan) => Command::Plan,
            Some(ReadOnly::Check) => Command::Check,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Option<Command>) {
        let words = ["central-inventory"].iter().chain(arguments);
        let command = Arguments::try_parse_from(words)
            .ok()
            .map(Arguments::command);
        assert_eq!(command, expected, "{arguments:?}");
    }

    #[test]
    fn the_command_is_the_first_word_and_serving_needs_none() {
        check(&[], Some(Command::Serve));
        check(&["plan"], Some(Command::Plan));
        check(&["check"], Some(Command::Check));
        check(&["serve"], None);
        check(&["--port", "1"], None);
        check(&["plan", "check"], None);
    }

    #[test]
    fn the_long_help_names_every_variable() {
        let help = <Arguments as CommandFactory>::command()
            .render_long_help()
            .to_string();
        for variable in crate::config::VARIABLES {
            assert!(help.contains(variable.name), "{}", variable.name);
        }
    }

    #[test]
    fn the_description_for_clap_is_consistent() {
        <Arguments as CommandFactory>::command().debug_assert();
    }
}
