//! The kernel: its version, io_uring, locked memory, and the clock that every core reads all the time.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::runtime::{preflight, tcp};

/// The kernel that executors need.
const OLDEST: (u32, u32) = (5, 8);
/// Where the kernel tells which clock it reads.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// How many connections may wait to be accepted.
const ACCEPT_QUEUE: &str = "/proc/sys/net/core/somaxconn";
/// Clocks that are read without entering the kernel.
const FAST_CLOCKS: [&str; 4] = [
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
];

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![version(
        &rustix::system::uname().release().to_string_lossy(),
    )];
    findings.extend(preflight::run().into_iter().map(of_check));
    let locked = getrlimit(Resource::Memlock).current;
    findings.extend(registered_buffers(locked));
    findings.push(accept_queue(
        fs::read_to_string(ACCEPT_QUEUE).ok().as_deref(),
    ));
    findings.push(clock(fs::read_to_string(CLOCK_SOURCE).ok().as_deref()));
    findings
}

fn of_check(check: preflight::Check) -> Finding {
    match check.outcome {
        Ok(found) => Finding::ok(check.name, found),
        Err(problem) => Finding::failed(check.name, problem.found, Some(problem.advice)),
    }
}

/// Root may lock what it likes, whatever the limit says; that cannot be told apart cheaply, and the advice does no harm.
fn registered_buffers(limit: Option<u64>) -> Option<Finding> {
    let enough = preflight::MEMLOCK_MIN..preflight::MEMLOCK_AMPLE;
    let limit = limit.filter(|limit| enough.contains(limit))?;
    Some(Finding::advice(
        "registered buffers",
        format!("locked memory of {} KiB is enough to start", limit >> 10),
        format!(
            "with {} MiB (ulimit -l, LimitMEMLOCK=, --ulimit memlock) the kernel can keep the journal's buffers mapped",
            preflight::MEMLOCK_AMPLE >> 20
        ),
    ))
}

fn accept_queue(found: Option<&str>) -> Finding {
    const NAME: &str = "accept queue";
    match found.and_then(|text| text.trim().parse::<i32>().ok()) {
        None => Finding::unknown(NAME, "the kernel does not tell"),
        Some(length) if length >= tcp::BACKLOG => Finding::ok(NAME, length.to_string()),
        Some(length) => Finding::advice(
            NAME,
            format!("net.core.somaxconn cuts it to {length}"),
            format!(
                "when all stores connect at once, some wait for seconds: sysctl -w net.core.somaxconn={}",
                tcp::BACKLOG
            ),
        ),
    }
}

fn version(release: &str) -> Finding {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST => Finding::failed(
            "kernel",
            release,
            Some(format!(
                "Linux {}.{} or later is needed",
                OLDEST.0, OLDEST.1
            )),
        ),
        (Some(Ok(_)), Some(Ok(_))) => Finding::ok("kernel", release),
        _ => Finding::unknown("kernel", release),
    }
}

fn clock(source: Option<&str>) -> Finding {
    const NAME: &str = "clock source";
    match source.map(str::trim) {
        None => Finding::unknown(NAME, "the kernel does not tell"),
        Some(source) if FAST_CLOCKS.contains(&source) => Finding::ok(NAME, source),
        Some(source) => Finding::advice(
            NAME,
            source,
            "reading it enters the kernel, several times a request: boot with a stable TSC (clocksource=tsc, where the \
             processor has one)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_their_numbers() {
        assert_eq!(Mark::Failed, version("5.4.0-150-generic").mark);
        assert_eq!(Mark::Failed, version("4.18.0-553.el8_10.x86_64").mark);
        assert_eq!(Mark::Ok, version("5.8.0").mark);
        assert_eq!(Mark::Ok, version("6.18.44-fc-v657").mark);
        assert_eq!(Mark::Ok, version("10.0-rc1").mark);
        assert_eq!(Mark::Unknown, version("custom").mark);
    }

    #[test]
    fn what_is_enough_to_start_may_be_little() {
        assert_eq!(None, registered_buffers(None));
        assert_eq!(None, registered_buffers(Some(64 << 20)));
        assert_eq!(None, registered_buffers(Some(256 << 10)));
        assert_eq!(
            Some(Mark::Advice),
            registered_buffers(Some(8 << 20)).map(|it| it.mark)
        );
        assert_eq!(Mark::Advice, accept_queue(Some("128\n")).mark);
        assert_eq!(Mark::Ok, accept_queue(Some("4096\n")).mark);
        assert_eq!(Mark::Unknown, accept_queue(None).mark);
    }

    #[test]
    fn a_slow_clock_is_advised_against() {
        assert_eq!(Mark::Ok, clock(Some("tsc\n")).mark);
        assert_eq!(Mark::Advice, clock(Some("hpet\n")).mark);
        assert_eq!(Mark::Unknown, clock(None).mark);
    }
}
