//! Whole maps for machines of every size, as `central-inventory plan` would print them.

use super::*;

/// CPUs 0..count without a quota.
fn machine(count: usize) -> Machine {
    Machine {
        cpus: (0..count).collect(),
        parallelism: count,
    }
}

fn plan(machine: &Machine, shards: u16, acceptors: Option<u16>) -> Plan {
    Plan::new(machine, shards, acceptors, None, None).expect("the machine has CPUs")
}

/// The map: its lines without the header, columns single-spaced, the summary last.
#[track_caller]
fn check(plan: &Plan, expected: &str) {
    let map: Vec<String> = plan
        .to_string()
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(map, expected);
}

#[test]
fn one_cpu_runs_everything() {
    check(
        &plan(&machine(1), 4, None),
        "mixed-0 pinned 0 acceptor 0 + shard 0-3 + sequencer
         executors 1, acceptors 1, shards 4, lane spin 0 us",
    );
}

#[test]
fn two_cpus_share_the_roles_and_the_sequencer_may_move() {
    check(
        &plan(&machine(2), 4, None),
        "mixed-0 pinned 0 acceptor 0 + shard 0,2
         mixed-1 fenced 0-1 acceptor 1 + shard 1,3 + sequencer
         executors 2, acceptors 2, shards 4, lane spin 0 us",
    );
}

#[test]
fn four_cpus_fold_the_shards_in_with_the_acceptors() {
    check(
        &plan(&machine(4), 4, None),
        "mixed-0 pinned 0 acceptor 0 + shard 0,3
         mixed-1 pinned 1 acceptor 1 + shard 1
         mixed-2 pinned 2 acceptor 2 + shard 2
         sequencer fenced 0-3 sequencer
         executors 4, acceptors 3, shards 4, lane spin 0 us",
    );
}

#[test]
fn eight_cpus_give_every_role_cpus_of_its_own() {
    check(
        &plan(&machine(8), 4, None),
        "acceptor-0 pinned 0 acceptor 0
         acceptor-1 pinned 1 acceptor 1
         acceptor-2 pinned 2 acceptor 2
         acceptor-3 pinned 3 acceptor 3
         acceptor-4 pinned 4 acceptor 4
         acceptor-5 pinned 5 acceptor 5
         shard-0 pinned 6 shard 0-3
         sequencer fenced 0-7 sequencer
         executors 8, acceptors 6, shards 4, lane spin 0 us",
    );
}

/// The plan of a machine where acceptors and shards have CPUs of their own.
fn apart(acceptors: u16, shards: &[&str], lane_spin_us: u16) -> String {
    let mut expected = String::new();
    for cpu in 0..acceptors {
        expected += &format!("acceptor-{cpu} pinned {cpu} acceptor {cpu}\n");
    }
    for (executor, numbers) in shards.iter().enumerate() {
        let cpu = usize::from(acceptors) + executor;
        expected += &format!("shard-{executor} pinned {cpu} shard {numbers}\n");
    }
    expected
        + &format!(
            "sequencer fenced 0-{0} sequencer\n",
            usize::from(acceptors) + shards.len()
        )
        + &format!(
            "executors {}, acceptors {acceptors}, shards 4, lane spin {lane_spin_us} us",
            usize::from(acceptors) + shards.len() + 1
        )
}

#[test]
fn sixteen_cpus_have_two_for_shards() {
    let expected = apart(13, &["0,2", "1,3"], 0);
    check(&plan(&machine(16), 4, None), &expected);
}

#[test]
fn thirty_two_cpus_give_each_of_four_shards_a_cpu() {
    let expected = apart(27, &["0", "1", "2", "3"], 20);
    check(&plan(&machine(32), 4, None), &expected);
}

#[test]
fn sixty_four_cpus_are_acceptors_but_for_the_shards_and_the_sequencer() {
    let expected = apart(59, &["0", "1", "2", "3"], 20);
    check(&plan(&machine(64), 4, None), &expected);

    let many_shards = plan(&machine(64), 256, None);
    assert_eq!(many_shards.acceptor_count, 55);
    assert_eq!(many_shards.executors[55].roles.len(), 256 / 8);
}

#[test]
fn odd_cpusets_are_used_as_they_are() {
    let machine = Machine {
        cpus: vec![3, 7],
        parallelism: 2,
    };
    check(
        &plan(&machine, 2, None),
        "mixed-0 pinned 3 acceptor 0 + shard 0
         mixed-1 fenced 3,7 acceptor 1 + shard 1 + sequencer
         executors 2, acceptors 2, shards 2, lane spin 0 us",
    );
}

#[test]
fn under_a_quota_nothing_is_pinned() {
    let quota = |parallelism| Machine {
        cpus: (0..16).collect(),
        parallelism,
    };
    check(
        &plan(&quota(1), 2, None),
        "mixed-0 fenced 0-15 acceptor 0 + shard 0-1 + sequencer
         executors 1, acceptors 1, shards 2, lane spin 0 us",
    );
    check(
        &plan(&quota(3), 2, None),
        "mixed-0 fenced 0-15 acceptor 0 + shard 0
         mixed-1 fenced 0-15 acceptor 1 + shard 1
         sequencer fenced 0-15 sequencer
         executors 3, acceptors 2, shards 2, lane spin 0 us",
    );
    let large = plan(&quota(8), 4, None);
    assert_eq!((large.executors.len(), large.acceptor_count), (8, 6));
    assert!(large.executors.iter().all(|executor| !executor.pinned));
    assert_eq!(large.lane_spin, Duration::ZERO);
}

#[test]
fn fewer_acceptors_leave_cpus_to_the_shards_where_these_fold() {
    check(
        &plan(&machine(2), 4, Some(1)),
        "acceptor-0 pinned 0 acceptor 0
         mixed-1 fenced 0-1 shard 0-3 + sequencer
         executors 2, acceptors 1, shards 4, lane spin 0 us",
    );
    check(
        &plan(&machine(4), 4, Some(1)),
        "acceptor-0 pinned 0 acceptor 0
         shard-0 pinned 1 shard 0,2
         shard-1 pinned 2 shard 1,3
         sequencer fenced 0-3 sequencer
         executors 4, acceptors 1, shards 4, lane spin 0 us",
    );
    check(
        &plan(&machine(4), 4, Some(2)),
        "acceptor-0 pinned 0 acceptor 0
         acceptor-1 pinned 1 acceptor 1
         shard-0 pinned 2 shard 0-3
         sequencer fenced 0-3 sequencer
         executors 4, acceptors 2, shards 4, lane spin 0 us",
    );
}

#[test]
fn fewer_acceptors_leave_cpus_idle_where_shards_have_their_own() {
    check(
        &plan(&machine(8), 2, Some(2)),
        "acceptor-0 pinned 0 acceptor 0
         acceptor-1 pinned 1 acceptor 1
         shard-0 pinned 6 shard 0-1
         sequencer fenced 0-7 sequencer
         executors 4, acceptors 2, shards 2, lane spin 0 us",
    );
}

#[test]
fn more_acceptors_than_cpus_fold_on_them() {
    check(
        &plan(&machine(1), 1, Some(5)),
        "mixed-0 pinned 0 acceptor 0-4 + shard 0 + sequencer
         executors 1, acceptors 5, shards 1, lane spin 0 us",
    );
    check(
        &plan(&machine(2), 2, Some(5)),
        "mixed-0 pinned 0 acceptor 0,2,4 + shard 0
         mixed-1 fenced 0-1 acceptor 1,3 + shard 1 + sequencer
         executors 2, acceptors 5, shards 2, lane spin 0 us",
    );
    check(
        &plan(&machine(4), 1, Some(5)),
        "mixed-0 pinned 0 acceptor 0,3 + shard 0
         acceptor-1 pinned 1 acceptor 1,4
         acceptor-2 pinned 2 acceptor 2
         sequencer fenced 0-3 sequencer
         executors 4, acceptors 5, shards 1, lane spin 0 us",
    );
}

#[test]
fn every_size_of_machine_has_a_plan_with_short_unique_names() {
    for cpus in 1..=130 {
        for (shards, acceptors) in [(1, None), (4, Some(1)), (256, Some(256)), (7, None)] {
            // Plan::new asserts that every role stands in the plan once.
            let plan = plan(&machine(cpus), shards, acceptors);
            let names: HashSet<&str> = plan.executors.iter().map(|e| &*e.name).collect();
            assert_eq!(names.len(), plan.executors.len());
            assert!(names.iter().all(|name| name.len() <= 15));
            assert!(plan.executors.len() <= cpus);
            for executor in &plan.executors {
                assert!(!executor.pinned || executor.cpus.len() == 1);
            }
        }
    }
}

#[test]
fn a_lane_spin_that_is_set_is_obeyed() {
    let spin = Some(Duration::from_micros(7));
    let plan = Plan::new(&machine(1), 1, None, None, spin).unwrap();
    assert_eq!(plan.lane_spin, Duration::from_micros(7));
    let plan = Plan::new(&machine(8), 1, None, None, Some(Duration::ZERO)).unwrap();
    assert_eq!(plan.lane_spin, Duration::ZERO);
}

#[test]
fn a_machine_without_cpus_has_no_plan() {
    let nowhere = Machine {
        cpus: Vec::new(),
        parallelism: 1,
    };
    assert_eq!(
        Plan::new(&nowhere, 1, None, None, None),
        Err(PlanError::NoCpu)
    );
}

#[test]
fn this_machine_has_a_plan() {
    let machine = Machine::read();
    assert!(machine.cpus.is_sorted() && machine.parallelism >= 1);
    plan(&machine, 4, None);
}

#[track_caller]
fn check_cpu_plan(cpus: usize, text: &str, acceptors: Option<u16>, expected: &str) {
    let cpu_plan: CpuPlan = text.parse().unwrap();
    let plan = Plan::new(&machine(cpus), 4, acceptors, Some(&cpu_plan), None).unwrap();
    check(&plan, expected);
}

#[test]
fn a_cpu_plan_is_obeyed() {
    check_cpu_plan(
        8,
        "acceptors=0-3;shards=4,5;sequencer=6",
        None,
        "acceptor-0 pinned 0 acceptor 0
         acceptor-1 pinned 1 acceptor 1
         acceptor-2 pinned 2 acceptor 2
         acceptor-3 pinned 3 acceptor 3
         shard-0 pinned 4 shard 0,2
         shard-1 pinned 5 shard 1,3
         sequencer pinned 6 sequencer
         executors 7, acceptors 4, shards 4, lane spin 0 us",
    );
    check_cpu_plan(
        8,
        " Sequencer = 1 ; shards = 2, 0 ; acceptors = 0-1 ",
        Some(3),
        "mixed-0 pinned 0 acceptor 0,2 + shard 0,2
         mixed-1 pinned 1 acceptor 1 + sequencer
         shard-1 pinned 2 shard 1,3
         executors 3, acceptors 3, shards 4, lane spin 0 us",
    );
}

#[test]
fn a_cpu_plan_may_let_the_sequencer_move() {
    check_cpu_plan(
        8,
        "acceptors=0;shards=0;sequencer=0-1",
        None,
        "mixed-0 pinned 0 acceptor 0 + shard 0-3
         sequencer fenced 0-1 sequencer
         executors 2, acceptors 1, shards 4, lane spin 0 us",
    );
    check_cpu_plan(
        8,
        "acceptors=0-4;shards=5-7;sequencer=6-7",
        None,
        "acceptor-0 pinned 0 acceptor 0
         acceptor-1 pinned 1 acceptor 1
         acceptor-2 pinned 2 acceptor 2
         acceptor-3 pinned 3 acceptor 3
         acceptor-4 pinned 4 acceptor 4
         shard-0 pinned 5 shard 0,3
         shard-1 pinned 6 shard 1
         shard-2 pinned 7 shard 2
         sequencer fenced 6-7 sequencer
         executors 9, acceptors 5, shards 4, lane spin 0 us",
    );
}

#[test]
fn a_cpu_plan_pins_also_under_a_quota() {
    let quota = Machine {
        cpus: (0..4).collect(),
        parallelism: 2,
    };
    let cpu_plan: CpuPlan = "acceptors=2;shards=3;sequencer=3".parse().unwrap();
    check(
        &Plan::new(&quota, 1, None, Some(&cpu_plan), None).unwrap(),
        "acceptor-0 pinned 2 acceptor 0
         mixed-1 pinned 3 shard 0 + sequencer
         executors 2, acceptors 1, shards 1, lane spin 0 us",
    );
}

#[test]
fn a_cpu_plan_with_a_cpu_that_is_not_allowed_is_refused() {
    let machine = Machine {
        cpus: vec![0, 1, 2, 5],
        parallelism: 4,
    };
    let cpu_plan: CpuPlan = "acceptors=0;shards=1;sequencer=2-3".parse().unwrap();
    let error = Plan::new(&machine, 1, None, Some(&cpu_plan), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CPU_PLAN names CPU 3, which is not allowed to this process; allowed: 0-2,5"
    );
}

#[test]
fn a_cpu_plan_that_cannot_be_read_says_why() {
    for (text, expected) in [
        ("", "\"\" is not of the form role=cpus"),
        (
            "acceptors=0;shards",
            "\"shards\" is not of the form role=cpus",
        ),
        (
            "acceptor=0",
            "\"acceptor\" is none of acceptors, shards, sequencer",
        ),
        ("acceptors=0;acceptors=1", "acceptors is named twice"),
        ("acceptors=0;shards=1", "sequencer is missing"),
        ("sequencer=0;shards=1", "acceptors is missing"),
        (
            "acceptors=",
            "\"\" is not a CPU from 0 to 1023 or an ascending range of them",
        ),
        (
            "acceptors=3-1",
            "\"3-1\" is not a CPU from 0 to 1023 or an ascending range of them",
        ),
        (
            "acceptors=0-1024",
            "\"0-1024\" is not a CPU from 0 to 1023 or an ascending range of them",
        ),
        (
            "acceptors=+1",
            "\"+1\" is not a CPU from 0 to 1023 or an ascending range of them",
        ),
        ("shards=0-3,2", "shards names CPU 2 twice"),
    ] {
        let error = text.parse::<CpuPlan>().unwrap_err();
        assert_eq!(error.to_string(), expected, "{text:?}");
    }
}
