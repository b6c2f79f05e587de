//! The command line: which command to run, and all commands but serving.
//! All settings come from the environment; the command line has none, so that there is one place to look. What it has
//! besides commands says which part of the data to take, where copies go to and come from, and which server to watch.

mod aside;
mod backup;
mod doctor;
mod healthcheck;
mod help;
mod journal;
mod pages;
mod progress;
mod snapshot;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::api;
use crate::config::Config;
use crate::journal::directory::Files;
use crate::plan::{Machine, Plan};
use crate::server;

pub use backup::{BackupCommand, backup};
pub use doctor::{DoctorCommand, doctor};
pub use healthcheck::healthcheck;
pub use help::variables_help;
pub use journal::{JournalCommand, journal};
pub use pages::{CompletionsCommand, ManCommand, completions, man};
pub use snapshot::{SnapshotCommand, snapshot};
pub use top::{TopCommand, top};

/// What the process was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Serve,
    /// Print which role would run on which CPU.
    Plan,
    /// Look at configuration and machine.
    Doctor(DoctorCommand),
    /// Ask the server whether it is healthy.
    Healthcheck,
    /// Print the description of the API.
    OpenApi,
    /// Look at the journal.
    Journal(JournalCommand),
    /// Copy snapshot and journal.
    Backup(BackupCommand),
    /// Copy the state out or in.
    Snapshot(SnapshotCommand),
    /// Watch a running server.
    Top(TopCommand),
    /// Print what a shell completes words with.
    Completions(CompletionsCommand),
    /// Print the manual page.
    Man(ManCommand),
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
    command: Option<Tool>,
}

#[derive(Subcommand)]
enum Tool {
    /// Print which role would run on which CPU, and exit.
    Plan,
    /// Look at configuration, machine and disk and say what could be better; exit with 1 if the server cannot run.
    Doctor(DoctorCommand),
    /// Ask the server that runs with this environment for /health; exit with 1 unless it is healthy.
    Healthcheck,
    /// Print the description of the HTTP API (OpenAPI 3.1, JSON), which a server has at /openapi.json, and exit.
    #[command(name = "openapi")]
    OpenApi,
    /// Look at the journal in EVENTS_FILE_PATH, also while a server runs; nothing is changed.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Copy snapshot and journal to a new directory that a server can start from, also while a server runs.
    Backup(BackupCommand),
    /// Copy the state to a file or begin with the state of one; no server may run.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Watch a running server by its metrics port: rates, latencies, queues, per core and role; q ends it.
    Top(TopCommand),
    /// Print what a shell needs to complete commands and options.
    Completions(CompletionsCommand),
    /// Print the manual page (troff), or write one for each command.
    Man(ManCommand),
}

/// The command of this process's arguments. For `--help`, `--version` and arguments that make no sense it prints and exits.
pub fn parse() -> Command {
    Arguments::parse().command()
}

/// The command line as clap knows it.
fn description() -> clap::Command {
    <Arguments as CommandFactory>::command()
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

/// Prints the description of the API.
pub fn openapi() -> ExitCode {
    print(&api::openapi::text(), ExitCode::SUCCESS)
}

fn read_plan() -> Result<Plan, String> {
    let config = Config::from_env().map_err(|errors| errors.to_string())?;
    plan_of(&config).map_err(|error| error.to_string())
}

/// Where the server of this environment keeps its data, or why it keeps none.
fn files() -> Result<Files, String> {
    let config = Config::from_env().map_err(|errors| errors.to_string())?;
    server::files(&config).ok_or_else(|| {
        "ENABLE_JSON_PERSISTENCE=false: such a server keeps nothing on disk. Unset it to look at DATA_PATH and \
         EVENTS_FILE_PATH."
            .to_owned()
    })
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
            Some(Tool::Plan) => Command::Plan,
            Some(Tool::OpenApi) => Command::OpenApi,
            Some(Tool::Doctor(command)) => Command::Doctor(command),
            Some(Tool::Healthcheck) => Command::Healthcheck,
            Some(Tool::Journal(command)) => Command::Journal(command),
            Some(Tool::Backup(command)) => Command::Backup(command),
            Some(Tool::Snapshot(command)) => Command::Snapshot(command),
            Some(Tool::Top(command)) => Command::Top(command),
            Some(Tool::Completions(command)) => Command::Completions(command),
            Some(Tool::Man(command)) => Command::Man(command),
        }
    }
}

#[cfg(test)]
mod tests {
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
        check(&["doctor"], Some(Command::Doctor(DoctorCommand::default())));
        check(&["healthcheck"], Some(Command::Healthcheck));
        check(&["openapi"], Some(Command::OpenApi));
        check(&["serve"], None);
        check(&["--port", "1"], None);
        check(&["plan", "doctor"], None);
        check(&["completions", "dos"], None);
        check(&["journal"], None);
        check(
            &["journal", "verify"],
            Some(Command::Journal(JournalCommand::Verify)),
        );
        let dump = |from, to| Some(Command::Journal(JournalCommand::Dump { from, to }));
        check(&["journal", "dump"], dump(None, None));
        check(
            &["journal", "dump", "--from", "3", "--to", "9"],
            dump(Some(3), Some(9)),
        );
        check(&["journal", "dump", "--from", "-3"], None);
        check(&["backup"], None);
        check(&["snapshot", "export"], None);
        let export = |force| SnapshotCommand::Export {
            file: "a".into(),
            force,
        };
        check(
            &["snapshot", "export", "a"],
            Some(Command::Snapshot(export(false))),
        );
        check(
            &["snapshot", "export", "--force", "a"],
            Some(Command::Snapshot(export(true))),
        );
        let import = SnapshotCommand::Import { file: "-".into() };
        check(
            &["snapshot", "import", "-"],
            Some(Command::Snapshot(import)),
        );
        check(&["top", "--url", "https://a/metrics"], None);
        check(&["top", "--interval", "1ms"], None);
        assert!(matches!(
            Arguments::try_parse_from(["central-inventory", "top", "--once", "--interval", "2s"])
                .map(Arguments::command),
            Ok(Command::Top(_))
        ));
    }

    #[test]
    fn the_long_help_names_every_variable() {
        let help = description().render_long_help().to_string();
        for variable in crate::config::VARIABLES {
            assert!(help.contains(variable.name), "{}", variable.name);
        }
    }

    #[test]
    fn the_description_for_clap_is_consistent() {
        description().debug_assert();
    }
}
