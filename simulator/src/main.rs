//! Runs seeds, and tells what they found.

use std::process::ExitCode;
use std::time::Instant;

use central_inventory::faults::Fault;
use clap::Parser;
use simulator::Kind;
use simulator::run::{Plan, Verdict, run};
use simulator::shrink::shrink;

/// So many of the last lines are printed of those that have to do with a failure.
const LINES_MAX: usize = 40;

/// Runs the whole system in one thread, from a seed, on a disk that fails, and checks every promise.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from that one on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps of each, before nothing fails any more.
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Plants a bug, which is to be found. `--fault list` names them.
    #[arg(long)]
    fault: Option<String>,
    /// Leaves out a kind of events.
    #[arg(long, value_enum)]
    without: Vec<Kind>,
    /// Prints all that happens.
    #[arg(long)]
    trace: bool,
    /// Goes on behind a seed that fails, and does not make it small.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let fault = match arguments.fault.as_deref().map(find_fault).transpose() {
        Ok(fault) => fault,
        Err(names) => {
            println!("{names}");
            return ExitCode::FAILURE;
        }
    };
    let (started, mut failures, mut steps, mut starts, mut events) = (Instant::now(), 0, 0, 0, 0);
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        let plan = Plan {
            seed,
            steps: arguments.steps,
            without: arguments.without.clone(),
            fault,
            prints: arguments.trace,
            keeps_lines: false,
        };
        let verdict = run(&plan);
        steps += verdict.steps;
        starts += verdict.starts;
        events += verdict.summary.events;
        if arguments.seeds == 1 {
            println!(
                "seed {seed}: hash {:016x}, {:?}",
                verdict.hash, verdict.summary
            );
        }
        let Some(failure) = &verdict.failure else {
            continue;
        };
        failures += 1;
        println!("seed {seed} failed: {failure}");
        if !arguments.keep_going {
            tell(&plan);
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {failures} failed, {steps} steps, {starts} starts, {events} events, {seconds:.1} s",
        arguments.seeds
    );
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn find_fault(name: &str) -> Result<Fault, String> {
    let found = Fault::ALL.iter().find(|fault| format!("{fault:?}") == name);
    let names = || Fault::ALL.map(|fault| format!("{fault:?}")).join("\n");
    found.copied().ok_or_else(names)
}

/// Makes the failure of `plan` small and tells how to repeat it.
fn tell(plan: &Plan) {
    let (smallest, verdict) = shrink(plan);
    let failure = verdict.failure.as_deref().unwrap_or_default();
    println!(
        "\nSmallest failure found:\n{failure}\n\nTo repeat it:\n  {}\n",
        smallest.command()
    );
    println!("What led to it:");
    let lines = relevant(&verdict, failure);
    for line in &lines[lines.len().saturating_sub(LINES_MAX)..] {
        println!("{line}");
    }
}

/// The lines of a run that have to do with its failure: those of its product, and those about the disk's and the
/// server's ends.
fn relevant(verdict: &Verdict, failure: &str) -> Vec<String> {
    let words = failure.split(|c: char| !c.is_alphanumeric());
    let product = words.filter(|w| w.starts_with('p') && w[1..].parse::<u64>().is_ok());
    let products: Vec<&str> = product.collect();
    let is_relevant = |line: &&String| {
        let is_noise =
            line.contains("  task ") || line.contains("  it is ") || line.contains("disk: read");
        let is_asked = line.contains("asked:") || line.contains("answer:");
        !is_noise && (!is_asked || products.is_empty() || products.iter().any(|p| line.contains(p)))
    };
    verdict.lines.iter().filter(is_relevant).cloned().collect()
}
