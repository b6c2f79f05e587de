//! `central-inventory snapshot`: copies the state of a stopped server to a file, and begins a data directory with such
//! a file or a catalogue. Never overwrites data.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use ahash::RandomState;
use clap::Subcommand;
use shards::{Limits, Shard};

use super::aside::{Aside, Existing};
use super::files;
use super::progress::{Progress, Unit};
use crate::journal::directory::{self, Files, Lock};
use crate::journal::foreign::{self, Content};
use crate::journal::recover::{self, FirstStart, Looked, RecoverError, Report, Settings, Target};
use crate::journal::snapshot::{self, Coverage, Snapshot};
use crate::runtime::clock;
use crate::sequencer::feed::Feed;
use crate::shard::router::Router;

/// Standard output or input.
const STANDARD: &str = "-";
/// How much of FILE is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What to do with the state.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum SnapshotCommand {
    /// Write the state as of the end of the journal to a file.
    ///
    /// Snapshot and journal are read as at a start, and not changed. The server must be stopped; of a running one,
    /// GET /v1/inventory/snapshot tells the stock.
    Export {
        /// The file to write, or - for standard output.
        file: PathBuf,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Check a snapshot or a catalogue, and let an empty data directory begin with it.
    ///
    /// Takes what `snapshot export` wrote, or any `{"products":{id:{...}}}`. Versions of deleted products and the
    /// next offset go on where the file says. Refuses to overwrite anything.
    Import {
        /// The file to read, or - for standard input.
        file: PathBuf,
    },
}

/// Runs `command`.
pub fn snapshot(command: &SnapshotCommand) -> ExitCode {
    let done = match command {
        SnapshotCommand::Export { file, force } => export(file, *force),
        SnapshotCommand::Import { file } => import(file),
    };
    match done {
        // Standard output may carry the snapshot itself.
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

/// What a command did, in figures.
struct Summary {
    products: usize,
    deleted: usize,
    next_offset: u64,
    bytes: u64,
    started: Instant,
}

impl Summary {
    fn sentence(&self, done: &str) -> String {
        let Summary {
            products,
            deleted,
            next_offset,
            bytes,
            ..
        } = self;
        let seconds = self.started.elapsed().as_secs_f64();
        format!(
            "{done} {products} products, {deleted} deleted; the next offset is {next_offset}; {bytes} bytes, {seconds:.1} s"
        )
    }
}

fn export(file: &Path, force: bool) -> Result<String, String> {
    let started = Instant::now();
    let files = files()?;
    check_there_is_something(&files)?;
    let to_file = file != Path::new(STANDARD);
    if to_file {
        check_target(&files, file, force)?;
    }
    let _lock = lock(&files)?;
    let (shard, found) = read_state(&files)?;
    let next_offset = found.next_offset;
    let coverage = Coverage {
        next_offset,
        end_offset: next_offset,
        latest_at: found.latest_at,
        kept_from: 0,
        segments: None,
    };
    let bytes = match to_file {
        true => export_to_file(&shard, &coverage, file, force),
        false => export_to(&shard, &coverage, &mut |piece| {
            io::stdout().write_all(piece)
        }),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        // A reader that has gone away (`| head`) got what it wanted.
        Err(error) if !to_file && error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => return Err(format!("{}: cannot be written: {error}", file.display())),
    };
    let summary = Summary {
        products: shard.product_count(),
        deleted: shard.tombstones().count(),
        next_offset,
        bytes,
        started,
    };
    Ok(torn_note(&files, &found.report) + &summary.sentence("Exported"))
}

fn torn_note(files: &Files, report: &Report) -> String {
    match report.torn_bytes {
        0 => String::new(),
        bytes => format!(
            "{}: {bytes} bytes at its end are torn, were never acknowledged and are left out\n",
            files.active.display()
        ),
    }
}

fn check_there_is_something(files: &Files) -> Result<(), String> {
    match is_there(&files.snapshot)? || has_journal(files)? {
        true => Ok(()),
        false => Err(format!(
            "there is nothing to export: neither a snapshot at {} nor a journal at {}; set DATA_PATH and \
             EVENTS_FILE_PATH as for the server",
            files.snapshot.display(),
            files.active.display()
        )),
    }
}

fn is_there(path: &Path) -> Result<bool, String> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: cannot be read: {error}", path.display())),
    }
}

fn has_journal(files: &Files) -> Result<bool, String> {
    let full = match files.full_segments() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        full => full
            .map_err(|error| format!("{}: cannot be read: {error}", files.directory().display()))?,
    };
    Ok(!full.is_empty() || is_there(&files.active)?)
}

/// Checks that `file` may be written: it is not part of the data, and nothing is overwritten without `force`.
fn check_target(files: &Files, file: &Path, force: bool) -> Result<(), String> {
    let name = file.display();
    if file.file_name().is_none() {
        return Err(format!("{name}: is a directory, not a file"));
    }
    let place = |path: &Path| {
        let directory = fs::canonicalize(directory::parent(path)).ok();
        directory.map(|directory| directory.join(path.file_name().unwrap_or_default()))
    };
    let data = [&files.snapshot, &files.active, &files.spare()].map(|path| place(path));
    let full = files.full_segments().unwrap_or_default();
    let full = full.into_iter().map(|first| place(&files.full(first)));
    if place(file).is_some() && data.into_iter().chain(full).any(|path| path == place(file)) {
        return Err(format!(
            "{name}: is one of the server's own files; give the export another name"
        ));
    }
    match fs::symlink_metadata(file) {
        Err(_) => Ok(()),
        Ok(found) if !found.is_file() => Err(format!(
            "{name}: is not a regular file; give the export another name, or - for standard output"
        )),
        Ok(_) if force => Ok(()),
        Ok(_) => Err(format!(
            "{name}: exists; give the export another name, or --force to replace it"
        )),
    }
}

fn lock(files: &Files) -> Result<Lock, String> {
    directory::lock(files).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => format!(
            "a server is running on {}: stop it first. Of a running server, GET /v1/inventory/snapshot tells the \
             stock and the offset to follow from.",
            files.snapshot.display()
        ),
        _ => error.to_string(),
    })
}

/// The state at the end of the journal, in one shard, by the code of a start.
fn read_state(files: &Files) -> Result<(Shard, Looked), String> {
    let hasher = RandomState::new();
    let router = Router::new(hasher.clone(), 1);
    // As little as can be is remembered of updates and events: neither is part of a snapshot.
    let limits = Limits {
        idempotency_ttl_ms: 1,
        idempotency_entries_max: 1,
    };
    let mut shards = [Shard::new(limits, hasher)];
    let settings = Settings {
        segment_bytes: 0,
        first_start: FirstStart::Empty,
        now: clock::wall_now(),
        idempotency_ttl_ms: 0,
        events_in_memory: 0,
    };
    let target = Target {
        router: &router,
        shards: &mut shards,
        feed: &mut Feed::new(1, 1),
    };
    let mut progress = Progress::new("Reading", Unit::Bytes);
    let looked = recover::look(files, &settings, target, &mut |p| {
        progress.tell(p.bytes, p.bytes_total);
        ControlFlow::Continue(())
    });
    let looked = looked.map_err(|error: RecoverError| error.to_string())?;
    let [shard] = shards;
    Ok((shard, looked))
}

fn export_to_file(shard: &Shard, coverage: &Coverage, file: &Path, force: bool) -> io::Result<u64> {
    let mut aside = Aside::create(file)?;
    let bytes = export_to(shard, coverage, &mut |piece| aside.write(piece))?;
    aside.publish(match force {
        true => Existing::Replace,
        false => Existing::Keep,
    })?;
    Ok(bytes)
}

fn export_to(
    shard: &Shard,
    coverage: &Coverage,
    put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let total = shard.product_count() as u64;
    let mut progress = Progress::new("Writing", Unit::Products);
    let mut done = 0;
    let known = shard.known_after(None).inspect(|_| {
        done += 1;
        progress.tell(done.min(total), total);
    });
    encode(known, coverage, put)
}

/// Encodes a snapshot and counts its bytes.
fn encode<'a>(
    known: impl Iterator<Item = shards::Known<'a>>,
    coverage: &Coverage,
    put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut bytes = 0;
    snapshot::encode(known, coverage, &mut |piece| {
        bytes += piece.len() as u64;
        put(piece)
    })?;
    Ok(bytes)
}

fn import(file: &Path) -> Result<String, String> {
    let started = Instant::now();
    let files = files()?;
    let content = read_file(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let snapshot = checked(file, &content)?;
    drop(content);
    // Before a directory is made for it, and again when nobody else can come between.
    check_is_empty(&files)?;
    let _lock = lock(&files)?;
    check_is_empty(&files)?;
    // What it says of segments holds where it was made.
    let coverage = Coverage {
        kept_from: 0,
        segments: None,
        ..snapshot.coverage
    };
    let written = write_data(&files, &snapshot, &coverage);
    let summary = Summary {
        bytes: written
            .map_err(|error| format!("{}: cannot be written: {error}", files.snapshot.display()))?,
        products: snapshot.products.len(),
        deleted: snapshot.tombstones.len(),
        next_offset: coverage.next_offset,
        started,
    };
    Ok(summary.sentence("Imported"))
}

fn write_data(files: &Files, snapshot: &Snapshot, coverage: &Coverage) -> io::Result<u64> {
    let total = snapshot.products.len() as u64;
    let mut progress = Progress::new("Writing", Unit::Products);
    let mut done = 0;
    let known = snapshot.known().inspect(|_| {
        done += 1;
        progress.tell(done.min(total), total);
    });
    let mut aside = Aside::create(&files.snapshot)?;
    let bytes = encode(known, coverage, &mut |piece| aside.write(piece))?;
    aside.publish(Existing::Keep)?;
    Ok(bytes)
}

fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new(STANDARD) {
        return read_all(&mut io::stdin().lock(), 0);
    }
    let mut opened = File::open(file)?;
    let size = opened.metadata()?.len();
    read_all(&mut opened, size)
}

fn read_all(from: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    let mut progress = Progress::new("Reading", Unit::Bytes);
    let mut bytes = Vec::with_capacity(size as usize);
    while from.take(CHUNK_BYTES as u64).read_to_end(&mut bytes)? > 0 {
        progress.tell(bytes.len() as u64, size);
    }
    Ok(bytes)
}

/// The snapshot in FILE, if it can stand alone.
fn checked(file: &Path, content: &[u8]) -> Result<Snapshot, String> {
    let refuse = |problem: String| Err(format!("{}: {problem}", file.display()));
    match foreign::recognise(content) {
        Content::Other => {}
        Content::OtherEvents => {
            return refuse(
                "is an events file of the system that the API comes from. Its events are not taken over, the feed \
                 starts anew: import that system's data file."
                    .to_owned(),
            );
        }
        Content::Journal => {
            return refuse(
                "is a journal, not a snapshot. Set DATA_PATH and EVENTS_FILE_PATH to the directory that it comes from, \
                 make a snapshot of it with `central-inventory snapshot export`, and import that."
                    .to_owned(),
            );
        }
    }
    let snapshot = match snapshot::parse(content) {
        Ok(snapshot) => snapshot,
        Err(error) => return refuse(error.to_string()),
    };
    let coverage = &snapshot.coverage;
    if coverage.end_offset > coverage.next_offset {
        return refuse(format!(
            "was written while changes went on, and is whole only together with the journal up to offset {}. Take the \
             file that `central-inventory snapshot export` makes of both.",
            coverage.end_offset - 1
        ));
    }
    Ok(snapshot)
}

/// Checks that there is nothing that could be overwritten, or that the import would stand beside.
fn check_is_empty(files: &Files) -> Result<(), String> {
    let active = files.active.display();
    if is_there(&files.active)? && foreign::is_other_events_file(files) {
        return Err(format!(
            "{active}: is an events file of the system that the API comes from. It is left as it is: set \
             EVENTS_FILE_PATH to another name. Its events are not taken over, the feed starts anew."
        ));
    }
    if has_journal(files)? {
        return Err(format!(
            "{active}: there is a journal already. To begin anew, set DATA_PATH and EVENTS_FILE_PATH to an empty \
             directory, or move all files of the journal away."
        ));
    }
    if is_there(&files.snapshot)? {
        return Err(format!(
            "{}: exists already, and a server starts from it as it is. To begin with another, set DATA_PATH and \
             EVENTS_FILE_PATH to an empty directory, or move this file away.",
            files.snapshot.display()
        ));
    }
    Ok(())
}
