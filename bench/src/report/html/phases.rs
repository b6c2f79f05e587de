//! The tables of all phases: every kind in every round, how operations ended, what both sides used.

use crate::report::text::{self, UNKNOWN, escape};
use crate::report::{Kind, Pacing, Phase, Report, figures, plots};

/// Phases that are compared with each other: the rounds of one, or the points of the sweep.
struct Group<'a> {
    title: &'a str,
    /// What tells one from another: `round` or `point`.
    label: &'static str,
    phases: Vec<(String, &'a Phase)>,
}

/// The section.
pub fn phases(report: &Report) -> String {
    let tables: String = groups(report).iter().map(tables).collect();
    match tables.is_empty() {
        true => "<h2>Phases</h2>\n<p>No phase was measured.</p>\n".into(),
        false => format!("<h2>Phases</h2>\n{tables}"),
    }
}

fn groups(report: &Report) -> Vec<Group<'_>> {
    let names = plots::percentile_phases(report);
    let rounds = names.into_iter().map(|name| Group {
        title: name,
        label: "round",
        phases: figures::rounds(report, name)
            .into_iter()
            .map(|phase| (phase.round.to_string(), phase))
            .collect(),
    });
    let points = report
        .phases
        .iter()
        .filter(|phase| plots::is_sweep(&phase.name));
    let sweep = Group {
        title: "sweep",
        label: "point",
        phases: points
            .map(|phase| (point_name(report, phase), phase))
            .collect(),
    };
    rounds
        .chain([sweep])
        .filter(|group| !group.phases.is_empty())
        .collect()
}

/// `60 %`, with its round where there are several.
fn point_name(report: &Report, phase: &Phase) -> String {
    let name = plots::short_name(&phase.name);
    match figures::rounds(report, &phase.name).len() {
        1 => name.to_owned(),
        _ => format!("{name}, round {}", phase.round),
    }
}

fn tables(group: &Group) -> String {
    let pacing = group.phases.first().map_or("", |(_, phase)| pacing(phase));
    format!(
        "<h3>{}</h3>\n<p class=\"faint\">{pacing}</p>\n{}{}{}",
        escape(group.title),
        latencies(group),
        outcomes(group),
        sides(group),
    )
}

fn pacing(phase: &Phase) -> &'static str {
    match phase.pacing {
        Pacing::Closed => "Closed loop: latency from sending to the answer.",
        Pacing::Open { .. } => "On a schedule: latency from when a request should have been sent.",
    }
}

fn latencies(group: &Group) -> String {
    let head = [
        "kind",
        group.label,
        "count",
        "rate",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ];
    let phases: Vec<&Phase> = group.phases.iter().map(|(_, phase)| *phase).collect();
    let mut rows = String::new();
    for name in figures::kind_names(&phases) {
        let seen = group
            .phases
            .iter()
            .filter_map(|(label, phase)| Some((label, phase, phase.kinds.get(name)?)));
        let mut title = name;
        for (label, phase, kind) in seen {
            rows += &row(title, &latency(label, phase, kind));
            title = "";
        }
    }
    table(&head, &rows)
}

fn latency(label: &str, phase: &Phase, kind: &Kind) -> Vec<String> {
    let times = &kind.latency;
    let rate = figures::per_second(kind.count as f64, phase.seconds);
    let mut cells = vec![
        label.to_owned(),
        text::thousands(kind.count),
        rate.map_or(UNKNOWN.into(), text::rate),
        text::microseconds(times.mean_us.round()),
    ];
    let percentiles = [
        times.p50_us,
        times.p90_us,
        times.p99_us,
        times.p999_us,
        times.max_us,
    ];
    cells.extend(percentiles.map(|us| text::microseconds(us as f64)));
    cells
}

fn outcomes(group: &Group) -> String {
    let phases: Vec<&Phase> = group.phases.iter().map(|(_, phase)| *phase).collect();
    let names: Vec<&str> = figures::outcomes(&phases)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        return String::new();
    }
    let rows = group.phases.iter().map(|(label, phase)| {
        let count = |name: &&str| text::thousands(phase.outcomes.get(*name).copied().unwrap_or(0));
        let cells: Vec<String> = names.iter().map(count).collect();
        row(label, &cells)
    });
    let said: Vec<String> = names.iter().map(|name| name.replace('_', " ")).collect();
    let head: Vec<&str> = [group.label]
        .into_iter()
        .chain(said.iter().map(String::as_str))
        .collect();
    table(&head, &rows.collect::<String>())
}

fn sides(group: &Group) -> String {
    let head = [
        group.label,
        "time",
        "offered",
        "achieved",
        "server CPU",
        "a request",
        "server memory",
        "client CPU",
        "busiest thread",
        "late p99",
    ];
    let rows = group
        .phases
        .iter()
        .map(|(label, phase)| row(label, &side(phase)));
    table(&head, &rows.collect::<String>())
}

fn side(phase: &Phase) -> [String; 9] {
    let unknown = || UNKNOWN.to_owned();
    let server = &phase.server;
    [
        seconds(phase.seconds),
        figures::offered(phase).map_or_else(unknown, text::rate),
        figures::request_rate(phase).map_or_else(unknown, text::rate),
        server.cpu_seconds.map_or_else(unknown, seconds),
        figures::server_cpu_us(phase).map_or_else(unknown, text::microseconds),
        server
            .resident_bytes
            .map_or_else(unknown, |bytes| text::bytes(bytes as f64)),
        seconds(phase.client.cpu_seconds),
        text::percent(phase.client.busiest_thread),
        text::microseconds(phase.client.late_p99_us as f64),
    ]
}

fn seconds(seconds: f64) -> String {
    match seconds {
        seconds if (0.0..1e9).contains(&seconds) => format!("{seconds:.1} s"),
        _ => UNKNOWN.into(),
    }
}

/// A row; one with a title begins a group.
fn row(title: &str, cells: &[String]) -> String {
    let cells: String = cells
        .iter()
        .map(|cell| format!("<td>{}</td>", escape(cell)))
        .collect();
    let class = if title.is_empty() {
        ""
    } else {
        " class=\"first\""
    };
    format!(
        "<tr{class}><th class=\"name\" scope=\"row\">{}</th>{cells}</tr>\n",
        escape(title)
    )
}

fn table(head: &[&str], rows: &str) -> String {
    let cell = |(index, name): (usize, &&str)| {
        let class = if index == 0 { " class=\"name\"" } else { "" };
        format!("<th{class} scope=\"col\">{}</th>", escape(name))
    };
    let cells: String = head.iter().enumerate().map(cell).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}
