//! What differs between two runs beside the figures: where and how they were made. It may be why the figures differ.

use crate::report::text;
use crate::report::{Phase, Report, Verification, figures};

/// A relative difference of two settings that is not worth a note.
const NEGLIGIBLE: f64 = 0.02;

/// What a reader of a comparison must know: what differs, a note each; none for runs that were made in the same way.
pub fn notes(before: &Report, after: &Report) -> Vec<String> {
    let mut notes = settings(before, after);
    notes.extend(phases(before, after));
    notes.extend(
        ["before", "after"]
            .into_iter()
            .zip([before, after])
            .filter_map(trust),
    );
    notes.extend(warnings(before, after));
    notes
}

fn settings(before: &Report, after: &Report) -> Vec<String> {
    let differing = described(before)
        .into_iter()
        .zip(described(after))
        .filter(|((_, was), (_, is))| was != is);
    differing
        .map(|((name, was), (_, is))| format!("{name}: {was}, then {is}"))
        .collect()
}

/// Everything that should be the same, but for the server itself.
fn described(report: &Report) -> Vec<(&'static str, String)> {
    let (machine, setup, server) = (&report.machine, &report.setup, &report.server);
    let memory = text::bytes(machine.memory_mib as f64 * 1_048_576.0);
    let unknown = || "unknown".to_owned();
    vec![
        (
            "machine",
            format!("{}, {} CPUs, {memory}", machine.cpu, machine.cpus),
        ),
        ("kernel", machine.kernel.clone()),
        ("server version", server.version.clone()),
        (
            "debug build",
            server.is_debug_build.map_or_else(unknown, yes_or_no),
        ),
        ("durable", server.is_durable.map_or_else(unknown, yes_or_no)),
        ("commit", report.commit.clone().unwrap_or_else(unknown)),
        ("load generator", report.bench_version.clone()),
        ("started by the load generator", yes_or_no(setup.is_managed)),
        (
            "CPUs of the server",
            setup.server_cpus.clone().unwrap_or_else(|| "any".into()),
        ),
        ("CPUs of the load generator", setup.client_cpus.clone()),
        ("threads", setup.threads.to_string()),
        ("connections", setup.connections.to_string()),
        ("followers", text::followers(setup)),
        ("products", setup.products.to_string()),
        ("popularity", setup.popularity.clone()),
        ("seed", setup.seed.to_string()),
        ("rounds", report.headline.len().to_string()),
    ]
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

/// Phases of different lengths, and those whose schedules differ: their latencies belong to different loads.
fn phases(before: &Report, after: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for name in figures::phase_names(before) {
        let (was, is) = (figures::rounds(before, name), figures::rounds(after, name));
        let differing = |figure: &dyn Fn(&Phase) -> Option<f64>| {
            let median = |phases: &[&Phase]| {
                figures::median(phases.iter().filter_map(|phase| figure(phase)))
            };
            let (was, is) = (median(&was)?, median(&is)?);
            ((is - was).abs() > NEGLIGIBLE * was.abs()).then_some((was, is))
        };
        if let Some((was, is)) = differing(&|phase| Some(phase.seconds)) {
            notes.push(format!("{name}, length: {was:.0} s, then {is:.0} s"));
        }
        if let Some((was, is)) = differing(&figures::offered) {
            let (was, is) = (text::rate(was), text::rate(is));
            notes.push(format!(
                "{name}, offered: {was}, then {is}; its latencies belong to different loads"
            ));
        }
    }
    notes
}

/// Why the figures of a run are not worth what they seem.
fn trust((when, report): (&str, &Report)) -> Option<String> {
    match report.verification {
        Verification::Failed { .. } => Some(format!(
            "The run {when} FAILED ITS VERIFICATION: its figures are of a server that was wrong."
        )),
        Verification::Off => Some(format!("The run {when} was not verified.")),
        Verification::Passed { .. } => None,
    }
}

/// The warnings of both runs; what both say is said once.
fn warnings(before: &Report, after: &Report) -> Vec<String> {
    let said = before
        .warnings
        .iter()
        .map(|warning| match after.warnings.contains(warning) {
            true => format!("warning, both: {warning}"),
            false => format!("warning, before: {warning}"),
        });
    let new = after
        .warnings
        .iter()
        .filter(|warning| !before.warnings.contains(warning));
    said.chain(new.map(|warning| format!("warning, after: {warning}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Checked, Pacing, sample};

    /// Without warnings.
    fn sound() -> Report {
        Report {
            warnings: Vec::new(),
            ..sample::report()
        }
    }

    #[test]
    fn warnings_are_said_once() {
        let (mut before, mut after) = (sound(), sound());
        before.warnings = vec!["One.".into(), "Two.".into()];
        after.warnings = vec!["Two.".into(), "Three.".into()];
        let expected = [
            "warning, before: One.",
            "warning, both: Two.",
            "warning, after: Three.",
        ];
        assert_eq!(notes(&before, &after), expected);
    }

    #[test]
    fn each_difference_has_a_note_and_nothing_else_has() {
        let (before, mut after) = (sound(), sound());
        assert_eq!(notes(&before, &after), Vec::<String>::new());
        after.machine.kernel = "6.12.1".into();
        after.setup.connections = 128;
        after.setup.server_cpus = None;
        after.commit = None;
        after.headline.pop();
        let expected = [
            "kernel: 6.1.0-25-cloud-amd64, then 6.12.1",
            "commit: 840d652f1c2a-dirty, then unknown",
            "CPUs of the server: 0, then any",
            "connections: 64, then 128",
            "rounds: 3, then 2",
        ];
        assert_eq!(notes(&before, &after), expected);
    }

    #[test]
    fn other_schedules_are_other_loads() {
        let (before, mut after) = (sound(), sound());
        for phase in after
            .phases
            .iter_mut()
            .filter(|phase| phase.name == "half of saturation")
        {
            phase.pacing = Pacing::Open { rate: 40_000.0 };
            phase.seconds = 60.0;
        }
        let expected = [
            "half of saturation, length: 20 s, then 60 s",
            "half of saturation, offered: 30.6 k/s, then 40.0 k/s; its latencies belong to different loads",
        ];
        assert_eq!(notes(&before, &after), expected);
    }

    #[test]
    fn a_run_that_was_wrong_is_named() {
        let (mut before, mut after) = (sound(), sound());
        before.verification = Verification::Off;
        after.verification = Verification::Failed {
            checked: Checked::default(),
            problems: Vec::new(),
        };
        let notes = notes(&before, &after).join("\n");
        assert!(
            notes.contains("The run before was not verified."),
            "{notes}"
        );
        assert!(
            notes.contains("The run after FAILED ITS VERIFICATION"),
            "{notes}"
        );
    }
}
