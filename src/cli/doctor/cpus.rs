//! The CPUs: which are allowed, how much of them, and how they run.

use std::collections::BTreeSet;
use std::fs;

use super::cgroup::{self, Quota};
use super::finding::Finding;
use crate::plan::{CpuList, Machine};

/// What a quota does, and what to do instead.
const QUOTA_ADVICE: &str = "a quota stops every thread for the rest of its period once it is spent, and nothing is pinned: \
     give whole CPUs instead (docker run --cpuset-cpus, AllowedCPUs= in systemd, Guaranteed pods with the static CPU manager)";

pub(super) fn findings() -> Vec<Finding> {
    let machine = Machine::read();
    vec![
        allowed(&machine),
        quota(cgroup::quota()),
        governor(&machine.cpus, |cpu| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
            fs::read_to_string(path).ok()
        }),
    ]
}

fn allowed(machine: &Machine) -> Finding {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let list = CpuList(&machine.cpus);
    Finding::ok("CPUs", format!("{list} allowed, {} online", online.trim()))
}

fn quota(quota: Option<Quota>) -> Finding {
    const NAME: &str = "CPU quota";
    match quota {
        None => Finding::ok(NAME, "none"),
        Some(quota) => Finding::advice(
            NAME,
            format!(
                "{:.2} CPUs in periods of {} ms",
                quota.cpus(),
                quota.period_us / 1000
            ),
            QUOTA_ADVICE,
        ),
    }
}

fn governor(cpus: &[usize], read: impl Fn(usize) -> Option<String>) -> Finding {
    const NAME: &str = "CPU governor";
    let governors = cpus.iter().filter_map(|cpu| read(*cpu));
    let governors: BTreeSet<String> = governors.map(|it| it.trim().to_owned()).collect();
    let found: Vec<&str> = governors.iter().map(String::as_str).collect();
    match found[..] {
        [] => Finding::unknown(
            NAME,
            "the kernel does not tell: a virtual machine, or no frequency scaling",
        ),
        ["performance"] => Finding::ok(NAME, "performance"),
        _ => Finding::advice(
            NAME,
            found.join(", "),
            "a core that slows down when idle answers the next request late: use `performance` (cpupower frequency-set -g \
             performance)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn every_cpu_should_run_at_full_speed() {
        let of = |names: &'static [&str]| {
            let cpus: Vec<usize> = (0..names.len()).collect();
            governor(&cpus, |cpu| Some(format!("{}\n", names[cpu])))
        };
        assert_eq!(Mark::Ok, of(&["performance", "performance"]).mark);
        let mixed = of(&["performance", "powersave"]);
        assert_eq!(
            (Mark::Advice, "performance, powersave"),
            (mixed.mark, &*mixed.found)
        );
        assert_eq!(Mark::Unknown, governor(&[0], |_| None).mark);
    }

    #[test]
    fn a_quota_is_told_in_cpus() {
        assert_eq!(Mark::Ok, quota(None).mark);
        let half = Quota {
            quota_us: 50_000,
            period_us: 100_000,
        };
        let half = quota(Some(half));
        assert_eq!("0.50 CPUs in periods of 100 ms", half.found);
        assert_eq!(Mark::Advice, half.mark);
    }
}
