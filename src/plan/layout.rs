//! Where each kind of role may run, before the roles are dealt out.

use std::collections::BTreeSet;

use super::{CpuPlan, ExecutorPlan, Machine, PlanError, Role};

/// From here on every role has CPUs of its own; below, shards fold in with acceptors.
pub(super) const CPUS_LARGE: usize = 8;

/// Of a large machine's CPUs, one in so many runs shards at most: an acceptor costs a request some thirteen times what a shard does
/// (docs/SCALING.md), and popular products make one shard busier than the others.
const CPUS_PER_SHARD_CPU: usize = 8;

/// The CPUs of a future executor.
#[derive(Clone, Debug)]
struct Seat {
    cpus: Vec<usize>,
    pinned: bool,
}

/// Executors that may get roles, and which of them may get which. Indexes point into `seats`.
#[derive(Debug)]
pub(super) struct Layout {
    seats: Vec<Seat>,
    acceptors: Vec<usize>,
    shards: Vec<usize>,
    sequencer: usize,
}

impl Layout {
    /// The layout for a machine of which at most the number of acceptors was chosen.
    pub(super) fn of_machine(
        machine: &Machine,
        shard_count: u16,
        acceptor_count: Option<u16>,
    ) -> Result<Layout, PlanError> {
        if machine.cpus.is_empty() {
            return Err(PlanError::NoCpu);
        }
        let mut layout = match machine.planned_cpus() {
            1 => Layout::single(&machine.cpus),
            2 => Layout::pair(&machine.cpus),
            count if count < CPUS_LARGE => Layout::folded(&machine.cpus, count),
            count => Layout::spread(&machine.cpus, count, usize::from(shard_count)),
        };
        if let Some(acceptor_count) = acceptor_count {
            layout.gather_shards(usize::from(acceptor_count));
        }
        if machine.has_quota() {
            // A quota moves with the threads, and the CPUs are shared with strangers: the kernel places better than a pin.
            layout.unpin(&machine.cpus);
        }
        Ok(layout)
    }

    /// The layout that an operator asked for.
    pub(super) fn of_cpu_plan(machine: &Machine, plan: &CpuPlan) -> Result<Layout, PlanError> {
        let roles = [&plan.acceptors, &plan.shards, &plan.sequencer];
        let unknown = roles
            .into_iter()
            .flatten()
            .find(|cpu| !machine.cpus.contains(cpu));
        if let Some(&cpu) = unknown {
            let allowed = machine.cpus.clone();
            return Err(PlanError::CpuNotAllowed { cpu, allowed });
        }
        let sequencer_moves = plan.sequencer.len() > 1;
        let pinned_sequencer = plan.sequencer.iter().filter(|_| !sequencer_moves);
        let pinned: BTreeSet<usize> = plan
            .acceptors
            .iter()
            .chain(&plan.shards)
            .chain(pinned_sequencer)
            .copied()
            .collect();
        let pinned: Vec<usize> = pinned.into_iter().collect();
        let seat_of = |cpu: &usize| {
            pinned
                .binary_search(cpu)
                .expect("every CPU of a pinned role is among the pinned")
        };
        let acceptors = plan.acceptors.iter().map(seat_of).collect();
        let shards = plan.shards.iter().map(seat_of).collect();
        let mut seats: Vec<Seat> = pinned.iter().map(|&cpu| Seat::pinned(cpu)).collect();
        let sequencer = if sequencer_moves {
            seats.push(Seat::fenced(&plan.sequencer));
            seats.len() - 1
        } else {
            seat_of(&plan.sequencer[0])
        };
        Ok(Layout {
            seats,
            acceptors,
            shards,
            sequencer,
        })
    }

    /// One CPU: everything on it.
    fn single(cpus: &[usize]) -> Layout {
        Layout {
            seats: vec![Seat::pinned(cpus[0])],
            acceptors: vec![0],
            shards: vec![0],
            sequencer: 0,
        }
    }

    /// Two CPUs: half of the acceptors and shards each. The executor with the sequencer is not pinned, because the kernel worker
    /// that syncs the journal inherits its CPUs and would wait behind the busy one.
    fn pair(cpus: &[usize]) -> Layout {
        Layout {
            seats: vec![Seat::pinned(cpus[0]), Seat::fenced(cpus)],
            acceptors: vec![0, 1],
            shards: vec![0, 1],
            sequencer: 1,
        }
    }

    /// Few CPUs: an acceptor on all but the last, the shards among them, and the sequencer free to move.
    fn folded(cpus: &[usize], count: usize) -> Layout {
        let mut seats: Vec<Seat> = cpus[..count - 1]
            .iter()
            .copied()
            .map(Seat::pinned)
            .collect();
        seats.push(Seat::fenced(cpus));
        Layout {
            acceptors: (0..count - 1).collect(),
            shards: (0..count - 1).collect(),
            sequencer: count - 1,
            seats,
        }
    }

    /// Many CPUs: some for shards, one left free for the sequencer, the rest for acceptors.
    fn spread(cpus: &[usize], count: usize, shard_count: usize) -> Layout {
        let shard_cpus = shard_count.min(count / CPUS_PER_SHARD_CPU);
        let acceptor_cpus = count - 1 - shard_cpus;
        Layout {
            shards: (acceptor_cpus..count - 1).collect(),
            acceptors: (0..acceptor_cpus).collect(),
            ..Layout::folded(cpus, count)
        }
    }

    /// Moves the shards to the seats that so few acceptors leave to them, if there are any.
    fn gather_shards(&mut self, acceptor_count: usize) {
        let taken = &self.acceptors[..acceptor_count.min(self.acceptors.len())];
        let seats = self.shards.iter().copied();
        let left: Vec<usize> = seats.filter(|seat| !taken.contains(seat)).collect();
        if !left.is_empty() {
            self.shards = left;
        }
    }

    fn unpin(&mut self, cpus: &[usize]) {
        self.seats.fill(Seat::fenced(cpus));
    }

    /// The acceptors that this layout is made for.
    pub(super) fn acceptor_count(&self) -> u16 {
        u16::try_from(self.acceptors.len()).expect("a machine has fewer than 65536 CPUs")
    }

    /// Deals the roles out, each kind round robin, and leaves out the executors that got none.
    pub(super) fn executors(&self, acceptor_count: u16, shard_count: u16) -> Vec<ExecutorPlan> {
        let mut roles: Vec<Vec<Role>> = vec![Vec::new(); self.seats.len()];
        for (number, &seat) in (0..acceptor_count).zip(self.acceptors.iter().cycle()) {
            roles[seat].push(Role::Acceptor(number));
        }
        for (number, &seat) in (0..shard_count).zip(self.shards.iter().cycle()) {
            roles[seat].push(Role::Shard(number));
        }
        roles[self.sequencer].push(Role::Sequencer);
        let seated = self.seats.iter().zip(roles);
        seated
            .filter(|(_, roles)| !roles.is_empty())
            .enumerate()
            .map(|(index, (seat, roles))| ExecutorPlan {
                name: name(index, &roles),
                cpus: seat.cpus.clone(),
                pinned: seat.pinned,
                roles,
            })
            .collect()
    }
}

impl Seat {
    fn pinned(cpu: usize) -> Seat {
        Seat {
            cpus: vec![cpu],
            pinned: true,
        }
    }

    fn fenced(cpus: &[usize]) -> Seat {
        Seat {
            cpus: cpus.to_vec(),
            pinned: false,
        }
    }
}

/// The name of an executor: of its only kind of role by the first number, of a mixed one by its place in the plan.
fn name(index: usize, roles: &[Role]) -> String {
    let acceptors = roles.iter().all(|role| matches!(role, Role::Acceptor(_)));
    let shards = roles.iter().all(|role| matches!(role, Role::Shard(_)));
    match roles[0] {
        Role::Acceptor(number) if acceptors => format!("acceptor-{number}"),
        Role::Shard(number) if shards => format!("shard-{number}"),
        Role::Sequencer => "sequencer".to_owned(),
        _ => format!("mixed-{index}"),
    }
}
