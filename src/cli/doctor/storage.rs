//! The disk under the data: whether it may be written, what it is, and how long it takes to make a block durable.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, Mode, OFlags, access, fdatasync, statvfs};

use super::finding::Finding;
use crate::config::Config;
use crate::runtime::file::BLOCK;

/// So many blocks are written and synced, as the journal does it, or fewer if it takes too long.
const SYNCS_MAX: usize = 200;
const SYNCS_TIME_MAX: Duration = Duration::from_secs(1);
/// Slower than this is no local disk with a cache that survives a power loss.
const SYNC_GOOD: Duration = Duration::from_millis(2);
/// Segments for which there should be room: the active one, the next, and what a snapshot takes meanwhile.
const SEGMENTS_OF_ROOM: u64 = 4;
/// What is kept in memory, in a container or across a network is not what a journal should be on.
const FILE_SYSTEM_ADVICE: [(&[&str], &str); 3] = [
    (
        &["tmpfs", "ramfs", "devtmpfs"],
        "it is kept in memory: all is lost when the machine restarts. Use a disk",
    ),
    (
        &["overlay", "aufs"],
        "it belongs to the container and goes with it: mount a volume (docker run -v inventory:/data)",
    ),
    (
        &[
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "ceph",
            "fuse.sshfs",
            "virtiofs",
        ],
        "each durable answer waits for the network, and what a sync promises depends on the other end. Use a local disk",
    ),
];

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    if !config.persistence {
        return vec![Finding::advice(
            "data",
            "ENABLE_JSON_PERSISTENCE=false: nothing is kept on disk",
            "unset it, unless losing everything at each stop is wanted",
        )];
    }
    let mut findings = vec![
        writable("DATA_PATH", &config.data_path),
        writable("EVENTS_FILE_PATH", &config.events_path),
    ];
    let directory = nearest_directory(&config.events_path);
    findings.push(file_system(directory));
    findings.push(room(directory, config.journal_segment_bytes));
    findings.extend(measured(directory));
    findings
}

/// Whether a file can be written there: its directory, or the nearest one above that exists, is writable.
fn writable(name: &'static str, path: &Path) -> Finding {
    let directory = nearest_directory(path);
    let shown = directory.display();
    if path.is_dir() {
        let found = format!("{} is a directory, not a file", path.display());
        return Finding::failed(name, found, None);
    }
    match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if directory.is_dir() => Finding::ok(name, path.display().to_string()),
        Ok(()) => Finding::failed(name, format!("{shown} is not a directory"), None),
        Err(error) => Finding::failed(
            name,
            format!("cannot write in {shown}: {}", io::Error::from(error)),
            Some("let this user write there".to_owned()),
        ),
    }
}

fn nearest_directory(path: &Path) -> &Path {
    path.ancestors()
        .skip(1)
        .map(|above| match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        })
        .find(|above| above.exists())
        .unwrap_or(Path::new("/"))
}

fn file_system(directory: &Path) -> Finding {
    const NAME: &str = "file system";
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let Some(mount) = Mount::of(&path, &mounts) else {
        return Finding::unknown(NAME, "the kernel does not tell");
    };
    let found = format!("{} at {}", mount.kind, mount.point.display());
    let advice = FILE_SYSTEM_ADVICE.iter();
    let mut advice = advice.filter(|(kinds, _)| kinds.contains(&mount.kind));
    match advice.next() {
        Some((_, advice)) => Finding::advice(NAME, found, *advice),
        None => Finding::ok(NAME, found),
    }
}

/// Where a file system is mounted, and of what kind it is.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    point: PathBuf,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    /// The one that `path` lies on: of the longest mount points above it the last, which covers the others.
    fn of(path: &Path, mounts: &'a str) -> Option<Mount<'a>> {
        let mounts = mounts.lines().filter_map(Mount::parse);
        let above = mounts.filter(|mount| path.starts_with(&mount.point));
        above.max_by_key(|mount| mount.point.components().count())
    }

    /// A line of `/proc/self/mountinfo`: see proc(5).
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (before, behind) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        // The only character of a path that cannot stand there, and is likely to be met.
        let point = point.replace("\\040", " ");
        Some(Mount {
            point: point.into(),
            kind: behind.split(' ').next()?,
        })
    }
}

fn room(directory: &Path, segment_bytes: u64) -> Finding {
    const NAME: &str = "free space";
    let Ok(space) = statvfs(directory) else {
        return Finding::unknown(NAME, "the file system does not tell");
    };
    let free = space.f_bavail * space.f_frsize;
    let needed = SEGMENTS_OF_ROOM * segment_bytes;
    let found = format!(
        "{} of {} MiB",
        free >> 20,
        (space.f_blocks * space.f_frsize) >> 20
    );
    match free >= needed {
        true => Finding::ok(NAME, found),
        false => Finding::advice(
            NAME,
            found,
            format!(
                "{SEGMENTS_OF_ROOM} segments of JOURNAL_SEGMENT_MIB need {} MiB, and EVENTS_RETENTION keeps more: make room",
                needed >> 20
            ),
        ),
    }
}

/// Direct I/O and the time of a sync, on a file without a name.
fn measured(directory: &Path) -> Vec<Finding> {
    const DIRECT: &str = "direct I/O";
    const SYNC: &str = "sync";
    let file = match tempfile::tempfile_in(directory) {
        Ok(file) => file,
        Err(error) => {
            let found = format!("no file can be made in {}: {error}", directory.display());
            return vec![
                Finding::unknown(DIRECT, found.clone()),
                Finding::unknown(SYNC, found),
            ];
        }
    };
    let direct = open_direct(&file);
    let is_direct = direct.is_ok();
    let writes_to = direct.unwrap_or(file);
    let direct = match is_direct {
        true => Finding::ok(DIRECT, "allowed"),
        false => Finding::advice(
            DIRECT,
            "refused by the file system: the journal is written through the page cache",
            "use ext4 or XFS on a local disk: syncs are quicker, and memory is left to others",
        ),
    };
    let sync = match sync_times(&writes_to) {
        Ok(times) => judge_sync(&times),
        Err(error) => Finding::failed(
            SYNC,
            format!("writing in {} failed: {error}", directory.display()),
            None,
        ),
    };
    vec![direct, sync]
}

/// The same file once more, past the page cache.
fn open_direct(file: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Aligned as direct I/O demands.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// How long each write of a block with its sync took, in ascending order; at least one. The file is filled first, as a
/// segment is, so that no sync changes metadata.
fn sync_times(file: &File) -> io::Result<Vec<Duration>> {
    let block = Block([b'\n'; BLOCK]);
    let position = |number: usize| (number * BLOCK) as u64;
    for number in 0..SYNCS_MAX {
        file.write_all_at(&block.0, position(number))?;
    }
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS_MAX);
    let started = Instant::now();
    while times.len() < SYNCS_MAX && (times.is_empty() || started.elapsed() < SYNCS_TIME_MAX) {
        let before = Instant::now();
        file.write_all_at(&block.0, position(times.len()))?;
        fdatasync(file)?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn judge_sync(times: &[Duration]) -> Finding {
    const NAME: &str = "sync";
    let microseconds = |part: usize| times[(times.len() - 1) * part / 100].as_micros();
    let found = format!(
        "p50 {} us, p99 {} us, most {} us ({} times 4 KiB)",
        microseconds(50),
        microseconds(99),
        microseconds(100),
        times.len()
    );
    match times[(times.len() - 1) / 2] <= SYNC_GOOD {
        true => Finding::ok(NAME, found),
        false => Finding::advice(
            NAME,
            found,
            "each durable answer waits for one: use a local NVMe or SSD whose cache survives a power loss",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn a_path_is_good_if_its_nearest_directory_is_writable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let mark = |path: &Path| writable("DATA_PATH", path).mark;
        assert_eq!(Mark::Ok, mark(&file));
        assert_eq!(Mark::Ok, mark(&directory.path().join("to/be/made.json")));
        assert_eq!(Mark::Failed, mark(directory.path()));
        assert_eq!(Mark::Failed, mark(&file.join("below")));
        assert_eq!(Path::new("."), nearest_directory(Path::new("name")));
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let found = measured(directory.path());
        assert_ne!(Mark::Failed, found[1].mark);
        assert!(found[1].found.starts_with("p50 "), "{found:?}");
        assert_eq!(0, fs::read_dir(directory.path()).unwrap().count());
        let nowhere = measured(&directory.path().join("nowhere"));
        assert!(nowhere.iter().all(|it| it.mark == Mark::Unknown));
    }

    #[test]
    fn slow_syncs_and_little_room_are_advised_against() {
        let times = [1, 2, 3].map(Duration::from_millis);
        assert_eq!(Mark::Ok, judge_sync(&times).mark);
        assert_eq!(Mark::Advice, judge_sync(&times[2..]).mark);
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Mark::Ok, room(directory.path(), 1).mark);
        assert_eq!(Mark::Advice, room(directory.path(), 1 << 50).mark);
    }

    #[test]
    fn the_nearest_mount_above_a_path_is_its_file_system() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      30 22 0:26 / /data rw - tmpfs tmpfs rw\n\
                      31 30 8:1 / /data/my\\040disk rw - xfs /dev/sda1 rw\n\
                      32 22 8:1 / /dat rw - btrfs /dev/sda1 rw\n";
        let kind = |path: &str| Mount::of(Path::new(path), mounts).map(|mount| mount.kind);
        assert_eq!(Some("ext4"), kind("/var"));
        assert_eq!(Some("tmpfs"), kind("/data/x"));
        assert_eq!(Some("xfs"), kind("/data/my disk/x"));
        assert_eq!(Some("btrfs"), kind("/dat"));
        assert_eq!(None, Mount::of(Path::new("/x"), ""));
    }
}
