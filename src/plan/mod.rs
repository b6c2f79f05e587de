//! The plan: roles -> executors -> CPUs. Pure: the machine is an input, so that every size of machine can be tested on any.
//! `main` starts an executor per entry; `central-inventory plan` prints the same plan.
//!
//! HTTP is by far the dearest role: a request costs an acceptor about 8 us, a shard and the sequencer about 1 us each. So most
//! CPUs get acceptors, and where CPUs are few the other roles fold in with them.
//!
//! Invariant: every role stands in a plan exactly once.

mod cpu_list;
mod cpu_plan;
mod display;
mod layout;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

pub use cpu_plan::{CpuPlan, CpuPlanError};
pub use machine::Machine;

pub use cpu_list::CpuList;
use layout::Layout;

/// A part of the server that runs on one executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// HTTP, with a listener of its own. Numbered from 0.
    Acceptor(u16),
    /// Decides about the products that are its own. Numbered from 0.
    Shard(u16),
    /// Gives changes their order and writes the journal. There is one.
    Sequencer,
}

/// One thread with its event loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorPlan {
    /// Unique in the plan; at most 15 bytes, since it becomes the name of the thread.
    pub name: String,
    /// CPUs it may run on, in ascending order; exactly one if `pinned`.
    pub cpus: Vec<usize>,
    /// Whether it is bound to its one CPU; else it is fenced to `cpus` and the kernel chooses among them.
    pub pinned: bool,
    /// What it runs, at least one role: acceptors, then shards, then the sequencer.
    pub roles: Vec<Role>,
}

/// Which role runs where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The executors, those with acceptors first.
    pub executors: Vec<ExecutorPlan>,
    /// Acceptors in all, numbered from 0.
    pub acceptor_count: u16,
    /// Shards in all, numbered from 0.
    pub shard_count: u16,
    /// How long a lane's receiver spins before it sleeps.
    pub lane_spin: Duration,
}

/// Why there is no plan for this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The machine description names no CPU.
    #[error("no CPU is allowed to this process")]
    NoCpu,
    /// `CPU_PLAN` names a CPU that this process may not use.
    #[error("CPU_PLAN names CPU {cpu}, which is not allowed to this process; allowed: {}", CpuList(.allowed))]
    CpuNotAllowed {
        /// The CPU that was named.
        cpu: usize,
        /// The CPUs that may be named, in ascending order.
        allowed: Vec<usize>,
    },
}

/// What a receiver spins before it sleeps where nobody else needs its CPU: a round trip between two spinning executors takes
/// about 1 us and one that wakes a sleeper about 30 us, so that spinning longer than a wake is worth would only burn power.
const LANE_SPIN_DEFAULT: Duration = Duration::from_micros(20);

impl Plan {
    /// Plans for that machine, for `shard_count` shards and, unless given, as many acceptors as the CPUs suggest.
    /// A `cpu_plan` is obeyed as it stands, also under a CPU quota.
    ///
    /// # Panics
    ///
    /// If `shard_count` or `acceptor_count` is 0.
    pub fn new(
        machine: &Machine,
        shard_count: u16,
        acceptor_count: Option<u16>,
        cpu_plan: Option<&CpuPlan>,
        lane_spin: Option<Duration>,
    ) -> Result<Plan, PlanError> {
        assert!(shard_count > 0, "there is at least one shard");
        assert!(acceptor_count != Some(0), "there is at least one acceptor");
        let layout = match cpu_plan {
            Some(cpu_plan) => Layout::of_cpu_plan(machine, cpu_plan)?,
            None => Layout::of_machine(machine, shard_count, acceptor_count)?,
        };
        let acceptor_count = acceptor_count.unwrap_or_else(|| layout.acceptor_count());
        let executors = layout.executors(acceptor_count, shard_count);
        assert_each_role_once(&executors, acceptor_count, shard_count);
        let lane_spin = lane_spin.unwrap_or_else(|| lane_spin_default(machine, &executors));
        Ok(Plan {
            executors,
            acceptor_count,
            shard_count,
            lane_spin,
        })
    }
}

impl ExecutorPlan {
    fn has_shard(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Shard(_)))
    }
}

/// Spinning pays only where it takes the CPU from nobody: on a machine that is large enough and not under a quota, where no
/// shard delays another role, and where each executor has a CPU to itself.
fn lane_spin_default(machine: &Machine, executors: &[ExecutorPlan]) -> Duration {
    let large = machine.planned_cpus() >= layout::CPUS_LARGE && !machine.has_quota();
    let folded = executors
        .iter()
        .any(|executor| executor.has_shard() && executor.roles.len() > 1);
    if large && !folded && each_has_a_cpu(executors) {
        LANE_SPIN_DEFAULT
    } else {
        Duration::ZERO
    }
}

/// Whether the executors that are not pinned find a CPU each beside those that are.
fn each_has_a_cpu(executors: &[ExecutorPlan]) -> bool {
    let (pinned, fenced): (Vec<_>, Vec<_>) = executors.iter().partition(|executor| executor.pinned);
    let taken: HashSet<usize> = pinned.iter().flat_map(|e| e.cpus.iter().copied()).collect();
    let free: HashSet<usize> = fenced
        .iter()
        .flat_map(|executor| executor.cpus.iter().copied())
        .filter(|cpu| !taken.contains(cpu))
        .collect();
    free.len() >= fenced.len()
}

fn assert_each_role_once(executors: &[ExecutorPlan], acceptor_count: u16, shard_count: u16) {
    let roles: Vec<Role> = executors
        .iter()
        .flat_map(|executor| executor.roles.iter().copied())
        .collect();
    let distinct: HashSet<Role> = roles.iter().copied().collect();
    let expected: HashSet<Role> = (0..acceptor_count)
        .map(Role::Acceptor)
        .chain((0..shard_count).map(Role::Shard))
        .chain([Role::Sequencer])
        .collect();
    assert_eq!(distinct, expected, "the plan has every role");
    assert_eq!(roles.len(), distinct.len(), "no role stands in it twice");
}
