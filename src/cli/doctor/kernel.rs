//! The kernel: its version, io_uring, locked memory, and the clock that every core reads all the time.

use std::fs;

use super::finding::Finding;
use crate::runtime::preflight;

/// The kernel that executors need.
const OLDEST: (u32, u32) = (5, 8);
/// Where the kernel tells which clock it reads.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
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
    findings.push(clock(fs::read_to_string(CLOCK_SOURCE).ok().as_deref()));
    findings
}

fn of_check(check: preflight::Check) -> Finding {
    match check.outcome {
        Ok(found) => Finding::ok(check.name, found),
        Err(problem) => Finding::failed(check.name, problem.found, Some(problem.advice)),
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
    fn a_slow_clock_is_advised_against() {
        assert_eq!(Mark::Ok, clock(Some("tsc\n")).mark);
        assert_eq!(Mark::Advice, clock(Some("hpet\n")).mark);
        assert_eq!(Mark::Unknown, clock(None).mark);
    }
}
