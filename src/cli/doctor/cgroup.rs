//! The CPU quota of this process's control group: the tightest of its own and of those above, as far as they can be seen.

use std::fs;
use std::path::{Path, PathBuf};

/// So much time on CPUs in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) quota_us: u64,
    pub(super) period_us: u64,
}

impl Quota {
    /// How many CPUs it amounts to.
    pub(super) fn cpus(self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

/// The tightest quota, if there is one.
pub(super) fn quota() -> Option<Quota> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    tightest(&groups, Path::new("/sys/fs/cgroup"))
}

fn tightest(groups: &str, root: &Path) -> Option<Quota> {
    let quotas = groups.lines().flat_map(|line| quotas_of(line, root));
    quotas.min_by(|one, other| one.cpus().total_cmp(&other.cpus()))
}

/// Of a line of `/proc/self/cgroup`, `number:controllers:path`: without controllers it is of version 2.
fn quotas_of(line: &str, root: &Path) -> Vec<Quota> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let is_of_cpu = controllers.split(',').any(|name| name == "cpu");
    let (mount, read): (PathBuf, fn(&Path) -> Option<Quota>) = match controllers.is_empty() {
        true => (root.to_owned(), read_version_2),
        false if is_of_cpu => (mount_of(root, controllers), read_version_1),
        false => return Vec::new(),
    };
    let below = path.trim_start_matches('/');
    // In a container the path may be that of the host, and the group itself is what is mounted.
    let ancestors = Path::new(below).ancestors();
    ancestors
        .filter_map(|group| read(&mount.join(group)))
        .collect()
}

/// Where a hierarchy of version 1 is mounted: by the names of all its controllers, or by one.
fn mount_of(root: &Path, controllers: &str) -> PathBuf {
    let together = root.join(controllers);
    match together.is_dir() {
        true => together,
        false => root.join("cpu"),
    }
}

fn read_version_2(group: &Path) -> Option<Quota> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(Quota {
        quota_us: quota.parse().ok()?,
        period_us: period.parse().ok()?,
    })
}

fn read_version_1(group: &Path) -> Option<Quota> {
    let read = |name| fs::read_to_string(group.join(name)).ok();
    Some(Quota {
        // -1 where there is none.
        quota_us: read("cpu.cfs_quota_us")?.trim().parse().ok()?,
        period_us: read("cpu.cfs_period_us")?.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_quota_of_the_groups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a/b/cpu.max", "max 100000\n");
        write(root.path(), "a/cpu.max", "150000 100000\n");
        write(root.path(), "cpu.max", "400000 100000\n");
        let found = tightest("0::/a/b\n", root.path()).unwrap();
        assert_eq!(1.5, found.cpus());
        assert_eq!(None, tightest("0::/\n", &root.path().join("a/b")));
    }

    #[test]
    fn version_1_has_it_in_two_files_below_its_controllers() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cpu,cpuacct/x/cpu.cfs_quota_us", "50000\n");
        write(root.path(), "cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
        write(root.path(), "cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        write(root.path(), "cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        let groups = "9:name=systemd:/\n2:cpu,cpuacct:/x\n0::/\n";
        assert_eq!(0.5, tightest(groups, root.path()).unwrap().cpus());
        assert_eq!(None, tightest("2:cpu,cpuacct:/\n", root.path()));
    }
}
