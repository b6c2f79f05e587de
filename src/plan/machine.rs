//! What the plan needs to know of the machine: which CPUs this process may use, and how much of them.

use std::thread::available_parallelism;

/// The CPUs of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs that the process may run on (its cpuset), in ascending order.
    pub cpus: Vec<usize>,
    /// How many of them it may keep busy at a time: fewer than `cpus` where a container has a CPU quota.
    pub parallelism: usize,
}

impl Machine {
    /// This machine. Call it before any thread is pinned: a pinned thread sees its own CPU only.
    pub fn read() -> Machine {
        let parallelism = available_parallelism().map_or(1, usize::from);
        let mut cpus: Vec<usize> = match core_affinity::get_core_ids() {
            Some(ids) => ids.into_iter().map(|core| core.id).collect(),
            None => (0..parallelism).collect(),
        };
        cpus.sort_unstable();
        cpus.dedup();
        Machine { cpus, parallelism }
    }

    /// How many CPUs to plan for: the allowed ones, as far as the quota goes.
    pub(super) fn planned_cpus(&self) -> usize {
        self.parallelism.clamp(1, self.cpus.len().max(1))
    }

    /// Whether a quota leaves fewer CPUs than the process is allowed to run on.
    pub(super) fn has_quota(&self) -> bool {
        self.parallelism < self.cpus.len()
    }
}
