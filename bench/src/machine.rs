//! Where a run takes place, and what processes use of it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::report::Machine;

/// The unit of times in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// This machine.
pub fn machine() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let behind_colon = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned());
        value.unwrap_or_default()
    };
    let memory = behind_colon(&read("/proc/meminfo"), "MemTotal");
    let kibibytes = memory
        .split(' ')
        .next()
        .and_then(|text| text.parse::<u64>().ok());
    let load = read("/proc/loadavg");
    Machine {
        cpu: behind_colon(&read("/proc/cpuinfo"), "model name"),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_mib: kibibytes.unwrap_or(0) >> 10,
        load_average: load
            .split(' ')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0),
    }
}

/// The commit of the sources in the working directory, if there are some.
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changed.is_empty() {
        true => commit,
        false => format!("{commit}-dirty"),
    })
}

/// CPU time of a process.
pub fn process_cpu(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<f64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

/// Memory of a process that is in RAM, in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_and_this_machine_are_seen() {
        let machine = machine();
        assert!(machine.cpus >= 1 && machine.memory_mib > 0 && !machine.kernel.is_empty());
        let own = std::process::id();
        assert!(resident_bytes(own).is_some_and(|bytes| bytes > 1 << 20));
        assert!(process_cpu(own).is_some());
        assert_eq!(None, process_cpu(u32::MAX));
    }
}
