//! The disk as a program meets it: through the kernel, by ordinary system calls.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use faulty_disk::{Disk, Fault, Operation};
use rustix::fs::OFlags;

const SEEDS: u64 = 40;

fn disk() -> Disk {
    Disk::mount(1).expect("a disk can be mounted")
}

fn sync_directory(disk: &Disk) {
    let directory = File::open(disk.path()).expect("the mount is a directory");
    directory.sync_all().expect("a directory can be synced");
}

fn write_synced(path: &Path, bytes: &[u8]) -> File {
    let mut file = File::create(path).expect("a file can be made");
    file.write_all(bytes).expect("there is room");
    file.sync_all().expect("the disk is sound");
    file
}

fn lose_power(disk: &Disk, seed: u64) {
    disk.cut_power();
    disk.restore_power(seed);
}

fn names(disk: &Disk) -> Vec<String> {
    let entries = fs::read_dir(disk.path()).expect("the mount can be listed");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names are UTF-8");
    let mut names: Vec<_> = entries
        .map(|entry| name(entry.expect("an entry can be read")))
        .collect();
    names.sort();
    names
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").expect("the kernel lists its mounts")
}

#[test]
fn what_was_synced_with_its_name_survives_and_what_was_not_is_lost_with_some_seed() {
    let disk = disk();
    let path = disk.path().join("a");
    write_synced(&path, b"old old old");
    sync_directory(&disk);
    let mut lost = 0;
    for seed in 0..SEEDS {
        let before = fs::read(&path).expect("a synced name is there");
        fs::write(disk.path().join("unsynced"), b"bytes").expect("there is room");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("it exists");
        file.write_all_at(b"new", 0).expect("there is room");
        drop(file);
        lose_power(&disk, seed);
        let after = fs::read(&path).expect("a synced name is there");
        assert_eq!(
            after[3..],
            before[3..],
            "what was not written to is as it was"
        );
        lost += usize::from(!names(&disk).contains(&"unsynced".to_owned()));
        let _ = fs::remove_file(disk.path().join("unsynced"));
        write_synced(&path, b"old old old");
    }
    assert!(
        (1..SEEDS as usize).contains(&lost),
        "lost {lost} times of {SEEDS}"
    );
}

#[test]
fn a_renamed_file_whose_directory_was_not_synced_may_come_back() {
    let mut seen = Vec::new();
    for seed in 0..SEEDS {
        let disk = disk();
        write_synced(&disk.path().join("before"), b"bytes");
        sync_directory(&disk);
        fs::rename(disk.path().join("before"), disk.path().join("after")).expect("it exists");
        lose_power(&disk, seed);
        let names = names(&disk);
        assert_eq!(names.len(), 1, "a rename is whole or has not happened");
        assert_eq!(
            fs::read(disk.path().join(&names[0])).expect("it exists"),
            b"bytes"
        );
        seen.extend(names);
    }
    assert!(seen.contains(&"before".to_owned()) && seen.contains(&"after".to_owned()));
}

#[test]
fn writes_past_the_page_cache_arrive_whole() {
    let disk = disk();
    let path = disk.path().join("direct");
    write_synced(&path, &vec![b'\n'; 1 << 20]);
    let direct = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::DIRECT.bits() as i32)
        .open(&path)
        .expect("direct I/O is allowed");
    let before = disk.count(Operation::Write, "direct");
    direct
        .write_all_at(&vec![b'x'; 512 << 10], 4096)
        .expect("there is room");
    assert_eq!(disk.count(Operation::Write, "direct"), before + 1);
    let bytes = fs::read(&path).expect("it exists");
    assert_eq!(
        bytes.iter().filter(|byte| **byte == b'x').count(),
        512 << 10
    );
}

#[test]
fn directories_locks_and_appends_work_as_elsewhere() {
    let disk = disk();
    let directory = disk.path().join("deep/er");
    fs::create_dir_all(&directory).expect("directories can be made");
    let lock = |path: PathBuf| {
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(path)
            .expect("it can be opened");
        (file.try_lock().is_ok(), file)
    };
    let (first, held) = lock(directory.join("lock"));
    let (second, _) = lock(directory.join("lock"));
    assert!(first && !second);
    (&held).write_all(b"one").expect("there is room");
    (&held).write_all(b"two").expect("there is room");
    assert_eq!(
        fs::read(directory.join("lock")).expect("it exists"),
        b"onetwo"
    );
    drop(held);
    assert!(
        fs::remove_dir(disk.path().join("deep")).is_err(),
        "it is not empty"
    );
    fs::remove_dir_all(disk.path().join("deep")).expect("all can be removed");
    assert!(names(&disk).is_empty());
    let many = 500;
    for number in 0..many {
        fs::write(disk.path().join(format!("file-{number}")), b"").expect("there is room");
    }
    assert_eq!(names(&disk).len(), many);
}

#[test]
fn a_failed_sync_and_a_failed_write_are_reported_once_and_counted() {
    let disk = disk();
    let mut file = write_synced(&disk.path().join("a"), b"old");
    disk.arm(Fault::fail(Operation::SyncFile).on("other"));
    disk.arm(Fault::fail(Operation::SyncFile).on("a").nth(2));
    file.sync_all().expect("the first is sound");
    let error = file.sync_data().expect_err("the second is not");
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
    file.sync_all().expect("the third is sound");
    assert_eq!(disk.count(Operation::SyncFile, "a"), 4);
    disk.arm(Fault::fail(Operation::Write));
    assert!(file.write_all(b"bytes").is_err());
    disk.arm(Fault::fail(Operation::Write));
    disk.disarm();
    assert!(file.write_all(b"bytes").is_ok());
}

#[test]
fn a_full_disk_refuses_to_grow_files_and_overwrites_all_the_same() {
    let disk = disk();
    let mut file = write_synced(&disk.path().join("a"), &[1; 8192]);
    disk.set_capacity(Some(disk.used()));
    let error = file.write_all(b"more").expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    file.write_all_at(b"over", 0)
        .expect("it has that room already");
    disk.set_capacity(None);
    file.write_all(b"more").expect("there is room again");
}

#[test]
fn a_frozen_disk_holds_its_program_until_the_power_is_cut_and_keeps_nothing_of_what_it_did() {
    let disk = disk();
    write_synced(&disk.path().join("a"), b"synced");
    sync_directory(&disk);
    disk.arm(Fault::freeze(Operation::Write).on("a").nth(2));
    let mut writer = Command::new("sh")
        .arg("-c")
        .arg("printf one >> a; printf two >> a; printf three >> a")
        .current_dir(disk.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    assert!(disk.is_frozen_within(Duration::from_secs(10)));
    thread::sleep(Duration::from_millis(50));
    assert!(
        writer
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    );
    writer.kill().expect("a running child can be killed");
    disk.cut_power();
    writer.wait().expect("a killed child can be reaped");
    disk.restore_power(7);
    let bytes = fs::read(disk.path().join("a")).expect("a synced name is there");
    assert!(bytes.starts_with(b"synced") && bytes.len() <= b"syncedone".len());
}

#[test]
fn nothing_stays_mounted_also_after_a_panic_with_a_program_in_the_disk() {
    let mut mount = PathBuf::new();
    let mut program = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let disk = disk();
        disk.path().clone_into(&mut mount);
        assert!(mounts().contains(&*mount.to_string_lossy()));
        let sleep = Command::new("sleep")
            .arg("60")
            .current_dir(disk.path())
            .spawn();
        program = Some(sleep.expect("there is a sleep"));
        disk.freeze();
        panic!("expected, by {}", mount.display());
    }));
    assert!(outcome.is_err());
    assert!(!mounts().contains(&*mount.to_string_lossy()));
    assert!(!mount.exists());
    let mut program = program.expect("it was started");
    program.kill().expect("a running child can be killed");
    program.wait().expect("a killed child can be reaped");
}
