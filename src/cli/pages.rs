//! What shells and `man` want to know of the command line, made from its one description.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::{description, print};

/// Which shell to complete words for.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionsCommand {
    /// The shell that reads it.
    shell: Shell,
}

/// Where manual pages go.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ManCommand {
    /// Write a page for each command into this directory, such as /usr/local/share/man/man1, instead of printing the one of
    /// the program.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Prints the completions.
pub fn completions(command: CompletionsCommand) -> ExitCode {
    let mut program = description();
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut program, name, &mut text);
    print(&String::from_utf8_lossy(&text), ExitCode::SUCCESS)
}

/// Prints or writes the manual.
pub fn man(command: &ManCommand) -> ExitCode {
    match pages(command) {
        Ok(text) => print(&text, ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("the manual pages cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pages(command: &ManCommand) -> io::Result<String> {
    let program = description();
    if let Some(directory) = &command.directory {
        clap_mangen::generate_to(program, directory)?;
        return Ok(String::new());
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(program).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
