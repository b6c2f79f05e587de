//! The disk is full when the journal needs its next segment.

use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::on_disk::{self, await_spare, server_in, stop_failed};
use crate::server::Builder;
use crate::stock::Stock;

const MIB: u64 = 1 << 20;

fn server_on(directory: &Path) -> Builder {
    server_in(directory).env("MAX_EVENTS_IN_QUEUE", 100_000)
}

#[test]
fn a_full_disk_fails_the_journal_and_loses_nothing_and_room_and_a_restart_mend_it() {
    let disk = on_disk::mount(1);
    let server = server_on(disk.path()).start();
    let mut stock = Stock::create(&server);
    await_spare(disk.path());
    disk.set_capacity(Some(disk.used()));
    stock.add_until_storage_fails();
    stock.assert_storage_failed();
    let builder = stop_failed(server);
    disk.set_capacity(None);
    let server = builder.start();
    stock.assert_nothing_lost(&server);
    stock.fill_segments(2);
    server.stop();
}

#[test]
fn room_that_comes_back_before_the_segment_is_needed_is_found() {
    let disk = on_disk::mount(1);
    let server = server_on(disk.path()).start();
    let mut stock = Stock::create(&server);
    await_spare(disk.path());
    disk.set_capacity(Some(disk.used()));
    // The spare becomes the active segment; the next cannot be made.
    stock.fill_segments(1);
    disk.set_capacity(None);
    stock.fill_segments(2);
    let builder = server.stop();
    stock.assert_nothing_lost(&builder.start());
}

#[test]
fn a_start_on_a_full_disk_serves_and_loses_nothing() {
    let disk = on_disk::mount(1);
    let server = server_on(disk.path()).start();
    let mut stock = Stock::create(&server);
    await_spare(disk.path());
    disk.set_capacity(Some(disk.used()));
    stock.add(50);
    let builder = server.kill();
    let server = builder.start();
    stock.assert_nothing_lost(&server);
    server.stop();
}

/// A small file system in memory; unmounted when dropped.
struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// None without the right to mount.
    fn mount(bytes: u64) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let size = std::ffi::CString::new(format!("size={bytes}")).expect("no zero byte");
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        mount("tmpfs", directory.path(), "tmpfs", flags, size.as_c_str()).expect("root may mount");
        Some(Self { directory })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn grow(&self, bytes: u64) {
        let size = format!("size={bytes}");
        mount_remount(
            self.path(),
            MountFlags::NODEV | MountFlags::NOSUID,
            size.as_str(),
        )
        .expect("root may remount");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server that a failed test left behind does not keep it.
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_small_file_system_of_the_kernel_fills_up_without_loss() {
    let Some(disk) = SmallDisk::mount(4 * MIB) else {
        eprintln!("not run: mounting a tmpfs takes root");
        return;
    };
    let server = server_on(disk.path()).start();
    let mut stock = Stock::create(&server);
    stock.add_until_storage_fails();
    stock.assert_storage_failed();
    let builder = stop_failed(server);
    disk.grow(64 * MIB);
    let server = builder.start();
    stock.assert_nothing_lost(&server);
    stock.fill_segments(2);
    server.stop();
}
