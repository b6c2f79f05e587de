//! Makes a failure small: fewer steps, fewer kinds of events, as long as it still fails.

use crate::profile::Kind;
use crate::run::{Plan, Verdict, run};

/// Tries so many runs at most.
const RUNS_MAX: usize = 120;

/// The smallest run found that fails as `plan` does, and what comes of it, with its lines.
pub fn shrink(plan: &Plan) -> (Plan, Verdict) {
    let mut shrinking = Shrinking {
        smallest: Plan {
            keeps_lines: false,
            prints: false,
            ..plan.clone()
        },
        runs: 0,
    };
    let first = run(&shrinking.smallest);
    // Nothing before the failure depends on how many steps would have followed.
    let steps = first.steps.min(plan.steps);
    shrinking.try_plan(Plan {
        steps,
        ..shrinking.smallest.clone()
    });
    shrinking.drop_kinds();
    shrinking.cut_steps();
    shrinking.drop_kinds();
    let smallest = Plan {
        keeps_lines: true,
        ..shrinking.smallest
    };
    let verdict = run(&smallest);
    (smallest, verdict)
}

struct Shrinking {
    smallest: Plan,
    runs: usize,
}

impl Shrinking {
    /// Keeps `plan` if it fails.
    fn try_plan(&mut self, plan: Plan) -> bool {
        self.runs += 1;
        let fails = self.runs <= RUNS_MAX && run(&plan).failure.is_some();
        if fails {
            self.smallest = plan;
        }
        fails
    }

    fn drop_kinds(&mut self) {
        for kind in Kind::ALL {
            if self.smallest.without.contains(&kind) {
                continue;
            }
            let mut plan = self.smallest.clone();
            plan.without.push(kind);
            self.try_plan(plan);
        }
    }

    /// Bisects; a failure need not be there at every length above the least, so this finds one that is small.
    fn cut_steps(&mut self) {
        let (mut low, mut high) = (0, self.smallest.steps);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let plan = Plan {
                steps: middle,
                ..self.smallest.clone()
            };
            match self.try_plan(plan) {
                true => high = middle,
                false => low = middle,
            }
        }
    }
}
