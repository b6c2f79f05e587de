//! A run from its seed to its verdict.

use central_inventory::faults::{self, Fault};

use clap::ValueEnum;

use crate::profile::Kind;
use crate::trace::Trace;
use crate::world::{Over, World};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where every choice comes from.
    pub seed: u64,
    /// Steps before nothing fails any more.
    pub steps: u64,
    /// Kinds of events to leave out.
    pub without: Vec<Kind>,
    /// A bug to plant.
    pub fault: Option<Fault>,
    /// Whether every line of the trace is printed as it comes.
    pub prints: bool,
    /// Whether the lines are kept.
    pub keeps_lines: bool,
}

impl Plan {
    /// The command that runs it.
    pub fn command(&self) -> String {
        let (seed, steps) = (self.seed, self.steps);
        let mut command =
            format!("cargo run --release -p simulator -- --seed {seed} --steps {steps}");
        for kind in &self.without {
            let value = kind.to_possible_value();
            let name = value.as_ref().map_or("", |value| value.get_name());
            command.push_str(&format!(" --without {name}"));
        }
        if let Some(fault) = self.fault {
            command.push_str(&format!(" --fault {fault:?}"));
        }
        command
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Verdict {
    /// What was found wrong, if anything.
    pub failure: Option<String>,
    /// A number for all that happened.
    pub hash: u64,
    /// Steps in all.
    pub steps: u64,
    /// Servers that started.
    pub starts: u64,
    /// What clients did.
    pub summary: history::Summary,
    /// Whether the run ended early as it should.
    pub over: Option<Over>,
    /// What happened, where it was kept.
    pub lines: Vec<String>,
}

/// Runs `plan` on this thread.
pub fn run(plan: &Plan) -> Verdict {
    faults::plant(plan.fault);
    let trace = Trace::new(plan.keeps_lines, plan.prints);
    let mut world = World::new(plan.seed, &plan.without, trace);
    let result = play(&mut world, plan.steps);
    faults::plant(None);
    let trace = world.trace.lock().expect("no holder panics");
    Verdict {
        hash: trace.hash(),
        steps: world.step,
        starts: world.starts,
        summary: result.as_ref().copied().unwrap_or_default(),
        failure: result.err(),
        over: world.over,
        lines: trace.lines().to_vec(),
    }
}

fn play(world: &mut World, steps: u64) -> Result<history::Summary, String> {
    while world.step < steps {
        world.step()?;
        if world.over.is_some() {
            break;
        }
    }
    world.finish()
}
