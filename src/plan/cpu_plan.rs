//! `CPU_PLAN`: the CPUs of each role, as an operator writes them. Whether they exist is judged by the plan.

use std::str::FromStr;

/// Above the number of any CPU that can be pinned to; keeps a mistyped range from filling the memory.
const CPU_COUNT_MAX: usize = 1024;

/// CPUs per role, as in `acceptors=0-3;shards=4,5;sequencer=6`. Each list is in ascending order, not empty and without
/// repetitions; the lists may overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPlan {
    /// CPUs that run acceptors.
    pub acceptors: Vec<usize>,
    /// CPUs that run shards.
    pub shards: Vec<usize>,
    /// The CPU of the sequencer, or several that it may move among.
    pub sequencer: Vec<usize>,
}

/// What is wrong with the text of a CPU plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuPlanError {
    /// A part is not of the form `role=cpus`.
    #[error("{0:?} is not of the form role=cpus")]
    NotAPart(String),
    /// A part names something that is no role.
    #[error("{0:?} is none of acceptors, shards, sequencer")]
    UnknownRole(String),
    /// A role is named twice.
    #[error("{0} is named twice")]
    RoleTwice(&'static str),
    /// A role is not named.
    #[error("{0} is missing")]
    RoleMissing(&'static str),
    /// A CPU or range cannot be read.
    #[error("{0:?} is not a CPU from 0 to 1023 or an ascending range of them")]
    NotACpu(String),
    /// A list names a CPU twice.
    #[error("{role} names CPU {cpu} twice")]
    CpuTwice {
        /// The role.
        role: &'static str,
        /// The CPU.
        cpu: usize,
    },
}

const ROLES: [&str; 3] = ["acceptors", "shards", "sequencer"];

impl FromStr for CpuPlan {
    type Err = CpuPlanError;

    fn from_str(text: &str) -> Result<Self, CpuPlanError> {
        let mut lists: [Option<Vec<usize>>; 3] = [None, None, None];
        for part in text.split(';').map(str::trim) {
            let (name, cpus) = part
                .split_once('=')
                .ok_or_else(|| CpuPlanError::NotAPart(part.to_owned()))?;
            let index = role_index(name.trim())?;
            if lists[index].is_some() {
                return Err(CpuPlanError::RoleTwice(ROLES[index]));
            }
            lists[index] = Some(parse_cpus(ROLES[index], cpus)?);
        }
        let [acceptors, shards, sequencer] = lists;
        Ok(CpuPlan {
            acceptors: acceptors.ok_or(CpuPlanError::RoleMissing(ROLES[0]))?,
            shards: shards.ok_or(CpuPlanError::RoleMissing(ROLES[1]))?,
            sequencer: sequencer.ok_or(CpuPlanError::RoleMissing(ROLES[2]))?,
        })
    }
}

fn role_index(name: &str) -> Result<usize, CpuPlanError> {
    ROLES
        .iter()
        .position(|role| role.eq_ignore_ascii_case(name))
        .ok_or_else(|| CpuPlanError::UnknownRole(name.to_owned()))
}

/// The CPUs of a list like `0-3,8`, in ascending order.
fn parse_cpus(role: &'static str, text: &str) -> Result<Vec<usize>, CpuPlanError> {
    let mut cpus = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (parse_cpu(first), parse_cpu(last)) {
            (Some(first), Some(last)) if first <= last => cpus.extend(first..=last),
            _ => return Err(CpuPlanError::NotACpu(item.to_owned())),
        }
    }
    cpus.sort_unstable();
    match cpus.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(CpuPlanError::CpuTwice { role, cpu: pair[0] }),
        None => Ok(cpus),
    }
}

fn parse_cpu(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let cpu = text.parse().ok().filter(|_| digits)?;
    (cpu < CPU_COUNT_MAX).then_some(cpu)
}
