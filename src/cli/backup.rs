//! `central-inventory backup`: a copy of snapshot and journal that a server can start from, also of a running server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::files;
use super::progress::{Progress, Unit};
use crate::journal::copy;
use crate::journal::directory::{self, Files};
use crate::journal::verify::{self, Findings};

/// Where the copy goes.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct BackupCommand {
    /// The directory to make; it must not be there yet.
    directory: PathBuf,
}

/// Copies, verifies the copy, and gives it its name.
pub fn backup(command: &BackupCommand) -> ExitCode {
    match make(&command.directory) {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn make(directory: &Path) -> Result<String, String> {
    let started = Instant::now();
    let files = files()?;
    let part = part_of(directory)?;
    let described = |error: io::Error| format!("{}: {error}", directory.display());
    fs::create_dir(&part).map_err(described)?;
    let copied = copy_and_verify(&files, &part);
    // Nothing that looks like a backup and is none stays behind.
    let (bytes, findings) = copied.inspect_err(|_| drop(fs::remove_dir_all(&part)))?;
    fs::rename(&part, directory)
        .and_then(|()| File::open(directory::parent(directory))?.sync_all())
        .map_err(described)?;
    Ok(summary(&findings, bytes, started))
}

/// Where the copy is made before it takes its name. What an interrupted backup left there is removed.
fn part_of(directory: &Path) -> Result<PathBuf, String> {
    let shown = directory.display();
    let Some(name) = directory.file_name() else {
        return Err(format!(
            "{shown}: has no name; give the backup a directory of its own"
        ));
    };
    match fs::symlink_metadata(directory) {
        Ok(_) => Err(format!("{shown}: exists; give the backup another name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut part = std::ffi::OsString::from(".");
            part.push(name);
            part.push(".part");
            let part = directory.with_file_name(part);
            match fs::remove_dir_all(&part) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(format!("{}: {error}", part.display()))
                }
                _ => Ok(part),
            }
        }
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn copy_and_verify(from: &Files, part: &Path) -> Result<(u64, Findings), String> {
    let name = |path: &Path| path.file_name().map(|name| part.join(name));
    let (Some(snapshot), Some(active)) = (name(&from.snapshot), name(&from.active)) else {
        return Err("DATA_PATH and EVENTS_FILE_PATH must name files".to_owned());
    };
    if snapshot == active {
        return Err("DATA_PATH and EVENTS_FILE_PATH have the same file name: in one directory they would be one file".to_owned());
    }
    let to = Files::new(snapshot, active);
    let mut progress = Progress::new("Copying", Unit::Bytes);
    let copied = copy::copy(from, &to, &mut |done, total| progress.tell(done, total));
    drop(progress);
    let bytes = copied.map_err(|error| error.to_string())?;
    let mut progress = Progress::new("Verifying", Unit::Bytes);
    let verified = verify::verify(&to, &mut |done, total| progress.tell(done, total));
    drop(progress);
    let findings = verified.map_err(|error| error.to_string())?;
    match findings.is_sound() && findings.unreadable.is_empty() {
        true => Ok((bytes, findings)),
        false => Err(format!(
            "the copy is not sound, and was removed: {} faults. `central-inventory journal verify` lists those of the \
             original.",
            findings.fault_count
        )),
    }
}

fn summary(findings: &Findings, bytes: u64, started: Instant) -> String {
    let segments = findings.segments.len();
    format!(
        "Backed up {segments} segment{} and the snapshot; the next offset is {}; {bytes} bytes, {:.1} s",
        if segments == 1 { "" } else { "s" },
        findings.next_offset.unwrap_or_default(),
        started.elapsed().as_secs_f64()
    )
}
