//! `central-inventory check`: what would keep the server from starting, one line per check.
//! Reads and looks only: it creates no file and opens no port.

use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::{plan_of, print};
use crate::config::{Config, ConfigErrors};
use crate::runtime::tls::Tls;
use crate::server::DESCRIPTORS_OWN;

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckLine {
    /// What was checked, in a word or two.
    pub name: &'static str,
    /// What was found; as an error, what is wrong and what to do about it.
    pub outcome: Result<String, String>,
}

/// Checks configuration and machine and prints a line for each check, then for each of `further`, which come from whoever knows
/// how to look deeper (whether io_uring works, say). Fails if any of them failed.
pub fn check(further: Vec<CheckLine>) -> ExitCode {
    let mut lines = configuration_lines(Config::from_env());
    lines.extend(further);
    let failed = lines.iter().any(|line| line.outcome.is_err());
    let code = if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    print(&rendered(&lines), code)
}

/// The checks that follow from the configuration: what is wrong with it, or else what it needs of the machine.
fn configuration_lines(config: Result<Config, ConfigErrors>) -> Vec<CheckLine> {
    match config {
        Ok(config) => vec![
            line("configuration", Ok(environment_name(&config))),
            line("plan", check_plan(&config)),
            line("DATA_PATH", check_path(&config, &config.data_path)),
            line("EVENTS_FILE_PATH", check_path(&config, &config.events_path)),
            line("TLS", check_tls(&config)),
            line("open files", check_open_files(config.connections_max)),
        ],
        Err(errors) => errors
            .iter()
            .map(|error| line("configuration", Err(error.to_string())))
            .collect(),
    }
}

fn line(name: &'static str, outcome: Result<String, String>) -> CheckLine {
    CheckLine { name, outcome }
}

fn environment_name(config: &Config) -> String {
    format!("ENVIRONMENT={}", config.environment.name())
}

fn check_plan(config: &Config) -> Result<String, String> {
    let plan = plan_of(config).map_err(|error| error.to_string())?;
    Ok(format!(
        "executors {}, acceptors {}, shards {}",
        plan.executors.len(),
        plan.acceptor_count,
        plan.shard_count
    ))
}

/// Whether certificate and key can be read and belong together.
fn check_tls(config: &Config) -> Result<String, String> {
    let Some(paths) = &config.tls else {
        return Ok("off: keys cross the network in clear".to_owned());
    };
    let read = Tls::read(&paths.certificates, &paths.key).map_err(|error| error.to_string())?;
    drop(read);
    Ok(paths.certificates.display().to_string())
}

/// Whether a file can be written there: its directory, or the nearest one above that exists, is writable.
fn check_path(config: &Config, path: &Path) -> Result<String, String> {
    if !config.persistence {
        return Ok("not used: ENABLE_JSON_PERSISTENCE=false".to_owned());
    }
    if path.is_dir() {
        return Err(format!("{} is a directory, not a file", path.display()));
    }
    let directory = nearest_directory(path);
    match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if directory.is_dir() => Ok(path.display().to_string()),
        Ok(()) => Err(format!("{} is not a directory", directory.display())),
        Err(error) => Err(format!(
            "cannot write in {}: {}; let this user write there",
            directory.display(),
            std::io::Error::from(error)
        )),
    }
}

fn nearest_directory(path: &Path) -> &Path {
    path.ancestors()
        .skip(1)
        .map(|above| {
            if above.as_os_str().is_empty() {
                Path::new(".")
            } else {
                above
            }
        })
        .find(|above| above.exists())
        .unwrap_or(Path::new("/"))
}

/// How far the limit on open files can be raised. Too low a one stops nobody from starting, so it fails only where hardly any
/// connection would be left; otherwise it is said.
fn check_open_files(connections_max: usize) -> Result<String, String> {
    open_files_outcome(getrlimit(Resource::Nofile).maximum, connections_max as u64)
}

fn open_files_outcome(limit: Option<u64>, connections_max: u64) -> Result<String, String> {
    let needed = connections_max + DESCRIPTORS_OWN;
    match limit {
        None => Ok("unlimited".to_owned()),
        Some(limit) if limit >= needed => Ok(format!("{limit}")),
        Some(limit) if limit > DESCRIPTORS_OWN => Ok(format!(
            "{limit}, room for {} of MAX_CONNECTIONS={connections_max}: for all, raise the hard limit to {needed}",
            limit - DESCRIPTORS_OWN
        )),
        Some(limit) => Err(format!(
            "{limit} leaves no room for connections: raise the hard limit (ulimit -Hn, LimitNOFILE= in systemd) to {needed}"
        )),
    }
}

fn rendered(lines: &[CheckLine]) -> String {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    lines
        .iter()
        .map(|line| match &line.outcome {
            Ok(text) => format!("ok      {:width$}  {text}\n", line.name),
            Err(text) => format!("FAILED  {:width$}  {text}\n", line.name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data_path: &Path) -> Config {
        Config::from_lookup(|name| (name == "DATA_PATH").then(|| data_path.display().to_string()))
            .unwrap()
    }

    #[track_caller]
    fn check_data_path(path: &Path, expected: Result<(), &str>) {
        let outcome = check_path(&config(path), path);
        match expected {
            Ok(()) => assert_eq!(outcome, Ok(path.display().to_string())),
            Err(part) => assert!(outcome.unwrap_err().contains(part)),
        }
    }

    #[test]
    fn a_path_is_good_if_its_nearest_directory_is_writable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        check_data_path(&file, Ok(()));
        check_data_path(&directory.path().join("to/be/made.json"), Ok(()));
        check_data_path(directory.path(), Err("is a directory"));
        check_data_path(&file.join("below"), Err("not "));
    }

    #[test]
    fn a_relative_file_name_lies_in_the_working_directory() {
        assert_eq!(nearest_directory(Path::new("name")), Path::new("."));
    }

    #[test]
    fn too_few_open_files_are_told_and_fail_only_if_none_is_left_for_connections() {
        assert_eq!(open_files_outcome(None, 16), Ok("unlimited".to_owned()));
        assert_eq!(open_files_outcome(Some(528), 16), Ok("528".to_owned()));
        let some = open_files_outcome(Some(527), 16).unwrap();
        assert!(some.starts_with("527, room for 15 of MAX_CONNECTIONS=16: "));
        assert!(open_files_outcome(Some(512), 16).is_err());
    }

    #[test]
    fn each_line_says_how_it_came_out() {
        let lines = [
            line("plan", Ok("fine".to_owned())),
            line("open files", Err("too few".to_owned())),
        ];
        assert_eq!(
            rendered(&lines),
            "ok      plan        fine\nFAILED  open files  too few\n"
        );
    }

    #[test]
    fn a_configuration_that_is_wrong_is_a_line_per_error() {
        let errors = Config::from_lookup(|name| (name != "API_KEYS").then(|| "?".to_owned()));
        let lines = configuration_lines(errors);
        assert!(lines.len() > 20);
        assert!(lines.iter().all(|line| line.outcome.is_err()));
    }
}
