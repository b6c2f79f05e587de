//! The map that `central-inventory plan` prints: a line per executor, and a summary.

use std::fmt;

use super::{CpuList, ExecutorPlan, Plan, Role};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["executor", "placement", "cpus", "roles"].map(str::to_owned);
        let rows: Vec<[String; 4]> = [header]
            .into_iter()
            .chain(self.executors.iter().map(row))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (first, second, third) = (width(0), width(1), width(2));
        for [executor, placement, cpus, roles] in &rows {
            writeln!(
                f,
                "{executor:first$}  {placement:second$}  {cpus:third$}  {roles}"
            )?;
        }
        write!(
            f,
            "\nexecutors {}, acceptors {}, shards {}, lane spin {} us",
            self.executors.len(),
            self.acceptor_count,
            self.shard_count,
            self.lane_spin.as_micros()
        )
    }
}

fn row(executor: &ExecutorPlan) -> [String; 4] {
    let placement = if executor.pinned { "pinned" } else { "fenced" };
    [
        executor.name.clone(),
        placement.to_owned(),
        CpuList(&executor.cpus).to_string(),
        executor.describe_roles(),
    ]
}

impl ExecutorPlan {
    /// The roles by kind, as in `acceptor 0 + shard 0,2`.
    pub fn describe_roles(&self) -> String {
        let numbers = |number: fn(&Role) -> Option<u16>| -> Vec<usize> {
            let numbers = self.roles.iter().filter_map(number);
            numbers.map(usize::from).collect()
        };
        let acceptors = numbers(|role| match role {
            Role::Acceptor(number) => Some(*number),
            _ => None,
        });
        let shards = numbers(|role| match role {
            Role::Shard(number) => Some(*number),
            _ => None,
        });
        let mut kinds = Vec::new();
        if !acceptors.is_empty() {
            kinds.push(format!("acceptor {}", CpuList(&acceptors)));
        }
        if !shards.is_empty() {
            kinds.push(format!("shard {}", CpuList(&shards)));
        }
        if self.roles.contains(&Role::Sequencer) {
            kinds.push("sequencer".to_owned());
        }
        kinds.join(" + ")
    }
}
