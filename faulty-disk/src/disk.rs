//! What a test holds: a mounted disk, and the hand on its power switch.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::fate::Fates;
use crate::fault::{Fault, Operation};
use crate::mount::Mounted;
use crate::shared::Shared;

/// Enough that slow syncs of two files and the reads beside them do not wait for each other.
const THREADS: usize = 4;

/// A mounted file system that loses power, fails and fills on command. It is unmounted when dropped.
pub struct Disk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    directory: TempDir,
}

impl Disk {
    /// Mounts an empty disk in a temporary directory. `seed` decides what failed writes and syncs leave.
    ///
    /// # Errors
    /// Where the machine does not let us mount; the message says what is needed.
    pub fn mount(seed: u64) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let shared = Arc::new(Shared::new(seed));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("faulty-disk".to_owned()),
            MountOption::NoDev,
            MountOption::NoSuid,
        ];
        config.n_threads = Some(THREADS);
        let mounted = Mounted::new(Arc::clone(&shared));
        let session =
            fuser::spawn_mount(mounted, directory.path(), &config).map_err(what_is_needed)?;
        Ok(Self {
            shared,
            session: Some(session),
            directory,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on no operation has an effect, and none returns.
    pub fn freeze(&self) {
        self.shared.freeze();
    }

    /// Waits for a fault that freezes the disk. Returns whether it came in time.
    pub fn is_frozen_within(&self, limit: Duration) -> bool {
        self.shared.is_frozen_within(limit)
    }

    /// From now on every operation fails without effect, also those that hang in a frozen disk: a killed program can
    /// only end once they have.
    pub fn cut_power(&self) {
        self.shared.cut_power();
    }

    /// What was not synced meets its fate, drawn from `seed`; what remains is all there is, and the disk works again.
    /// The program that used it must be gone.
    pub fn restore_power(&self, seed: u64) -> Fates {
        self.shared.restore_power(seed)
    }

    /// Lets something go wrong.
    pub fn arm(&self, fault: Fault) {
        self.shared.arm(fault);
    }

    /// Nothing that was armed goes wrong any more.
    pub fn disarm(&self) {
        self.shared.disarm();
    }

    /// How many operations of a kind there have been on files whose name contains `name_part`, failed ones included.
    pub fn count(&self, operation: Operation, name_part: &str) -> u64 {
        self.shared.count(operation, name_part)
    }

    /// How long a sync takes, before it has its effect, of files and directories whose name contains `name_part` (the
    /// root has an empty name). On a disk without delay, power is hardly ever lost between a write and its sync, and
    /// one file's sync never overtakes another's.
    pub fn set_sync_time(&self, name_part: &str, sync_time: Duration) {
        self.shared.set_sync_time(name_part, sync_time);
    }

    /// Whether opening a file for direct I/O fails, as on file systems that have none.
    pub fn refuse_direct_io(&self, refuses: bool) {
        self.shared.refuse_direct_io(refuses);
    }

    /// How many bytes all files may have together before growing is `ENOSPC`.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.shared.set_capacity(capacity);
    }

    /// The bytes of all files.
    pub fn used(&self) -> u64 {
        self.shared.used()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Who still waits is let go, and what is still open does not keep the mount: a test may have failed while its
        // program runs. Without the right to unmount, the session's own way is left.
        self.shared.cut_power();
        let _ = unmount(self.directory.path(), UnmountFlags::DETACH);
        drop(self.session.take());
    }
}

fn what_is_needed(error: io::Error) -> io::Error {
    let device = match fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
    {
        Ok(_) => "/dev/fuse can be opened".to_owned(),
        Err(error) => format!("/dev/fuse cannot be opened ({error})"),
    };
    let message = format!(
        "the faulty disk cannot be mounted: {error}; {device}. It needs the kernel's FUSE module (modprobe fuse; in a \
         container --device /dev/fuse --cap-add SYS_ADMIN), and root or the program fusermount3 (Debian package fuse3)"
    );
    io::Error::new(error.kind(), message)
}
