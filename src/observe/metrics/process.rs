//! What the kernel knows of this process and its threads. Read by the thread of the metrics port alone.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::family::{Family, Kind};

/// The unit of times in `/proc/PID/stat`, as every Linux shows it to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a thread ran, and waited for a CPU while it could run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// On a CPU, in nanoseconds.
    pub ran_ns: u64,
    /// For a CPU, in nanoseconds.
    pub waited_ns: u64,
}

/// Of the thread with that number; none if it is gone, or the kernel keeps no such figures.
pub fn thread_times(thread: u32) -> Option<ThreadTimes> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    parse_schedstat(&text)
}

fn parse_schedstat(text: &str) -> Option<ThreadTimes> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(ThreadTimes {
        ran_ns: numbers.next()?.ok()?,
        waited_ns: numbers.next()?.ok()?,
    })
}

/// Memory of this process that is in RAM.
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    Some(Stat::parse(&text)?.resident_pages * rustix::param::page_size() as u64)
}

/// The metrics that every Prometheus client names alike. One that cannot be read has no sample.
pub fn families() -> Vec<Family> {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let stat = stat.as_deref().and_then(Stat::parse);
    let open_files = getrlimit(Resource::Nofile).current;
    let gauge = |name, help, value: Option<u64>| {
        let family = Family::new(name, Kind::Gauge, help);
        match value {
            Some(value) => family.of(value),
            None => family,
        }
    };
    let cpu = Family::new(
        "process_cpu_seconds_total",
        Kind::Counter,
        "CPU time of the process in seconds",
    );
    let cpu = match &stat {
        Some(stat) => cpu.of(stat.cpu_ticks as f64 / TICKS_PER_SECOND),
        None => cpu,
    };
    let started = Family::new(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since the epoch",
    );
    let boot_seconds = boot_time();
    let started = match (&stat, boot_seconds) {
        (Some(stat), Some(boot)) => {
            started.of(boot as f64 + stat.started_ticks as f64 / TICKS_PER_SECOND)
        }
        _ => started,
    };
    let page = rustix::param::page_size() as u64;
    let of = |field: fn(&Stat) -> u64| stat.as_ref().map(field);
    vec![
        cpu,
        started,
        gauge(
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM",
            of(|stat| stat.resident_pages).map(|pages| pages * page),
        ),
        gauge(
            "process_virtual_memory_bytes",
            "Address space of the process",
            of(|stat| stat.virtual_bytes),
        ),
        gauge(
            "process_threads",
            "Threads of the process",
            of(|stat| stat.threads),
        ),
        gauge("process_open_fds", "Open files of the process", open_fds()),
        gauge(
            "process_max_fds",
            "Files that the process may have open",
            open_files,
        ),
    ]
}

/// What is taken from `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// The name in parentheses may hold anything, so fields are counted behind the last of them: see proc(5).
    fn parse(text: &str) -> Option<Stat> {
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The first field here is the third of the line.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_ticks: number(14)? + number(15)?,
            threads: number(20)?,
            started_ticks: number(22)?,
            virtual_bytes: number(23)?,
            resident_pages: number(24)?,
        })
    }
}

fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Linux 6.2 and later tell the number as a size; before, they are counted.
fn open_fds() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    let told = fs::metadata(DIRECTORY).ok()?.len();
    match told {
        0 => Some(fs::read_dir(DIRECTORY).ok()?.count() as u64),
        told => Some(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_process_is_called() {
        let line =
            "12 (a) b (c) S 1 12 12 0 -1 4194304 900 0 0 0 70 30 0 0 20 0 5 0 1234 99000 250 1 1";
        let expected = Stat {
            cpu_ticks: 100,
            threads: 5,
            started_ticks: 1234,
            virtual_bytes: 99000,
            resident_pages: 250,
        };
        assert_eq!(Some(expected), Stat::parse(line));
        assert_eq!(None, Stat::parse("12 (a) S 1"));
    }

    #[test]
    fn this_process_has_every_one_of_them() {
        for family in families() {
            assert_eq!(1, family.samples.len(), "{}", family.name);
        }
    }

    #[test]
    fn times_of_a_thread_are_two_numbers() {
        let times = ThreadTimes {
            ran_ns: 12,
            waited_ns: 3,
        };
        assert_eq!(Some(times), parse_schedstat("12 3 1\n"));
        assert_eq!(None, parse_schedstat("12\n"));
        let own = thread_times(std::process::id());
        assert!(own.is_some_and(|times| times.ran_ns > 0));
    }
}
