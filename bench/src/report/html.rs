//! The report as one page that needs nothing else: pictures inside, no scripts, no requests.

use std::fmt::Write as _;

use super::{Phase, Report, Verification, plots};

/// Where the report itself stands in the page, for programs.
const JSON_BEGIN: &str = "<script type=\"application/json\" id=\"report\">";
const JSON_END: &str = "</script>";

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
code, pre { font: 13px/1.4 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.headline { display: flex; flex-wrap: wrap; gap: 1rem; }
.headline div { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1.25rem; }
.headline b { display: block; font-size: 1.6rem; }
.good { border-left: .3rem solid #009e73; padding-left: .75rem; }
.bad { border-left: .3rem solid #d55e00; padding-left: .75rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; border-radius: .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { opacity: .7; } dd { margin: 0; }
@media print { body { max-width: none; margin: 0; } figure { break-inside: avoid; } }
";

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("inventory-bench: {}", escaped(&report.preset));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    out.push_str(&headline(report));
    out.push_str(&verification(&report.verification));
    for warning in &report.warnings {
        let _ = writeln!(out, "<p class=\"bad\">{}</p>", escaped(warning));
    }
    let _ = writeln!(
        out,
        "<h2>Run</h2>\n<pre>{}</pre>\n{}",
        escaped(&report.command),
        facts(report)
    );
    out.push_str("<h2>Pictures</h2>\n");
    for picture in plots::all(report) {
        let _ = writeln!(out, "<figure>{picture}</figure>");
    }
    out.push_str("<h2>Phases</h2>\n");
    report
        .phases
        .iter()
        .for_each(|phase| out.push_str(&table(phase)));
    let json = serde_json::to_string(report)
        .unwrap_or_default()
        .replace('<', "\\u003c");
    let _ = write!(out, "{JSON_BEGIN}{json}{JSON_END}\n</body>\n</html>\n");
    out
}

/// The report inside a page, as JSON.
pub fn json_of(page: &str) -> Option<&str> {
    let (_, behind) = page.split_once(JSON_BEGIN)?;
    behind.split_once(JSON_END).map(|(json, _)| json)
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn headline(report: &Report) -> String {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let rounds = &report.headline;
    if rounds.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"headline\"><div><b>{:.0}</b>durable updates a second at saturation</div>\
         <div><b>{:.2} ms</b>p99 at half of that</div></div>\n",
        median(rounds.iter().map(|it| it.updates_per_second).collect()),
        median(rounds.iter().map(|it| it.p99_at_half_us as f64).collect()) / 1e3
    )
}

fn verification(verification: &Verification) -> String {
    match verification {
        Verification::Off => {
            "<p class=\"bad\">The answers were not verified (--no-verify).</p>\n".to_owned()
        }
        Verification::Passed { checked } => format!(
            "<p class=\"good\">Verified: {} products, {} updates, {} repeats, {} events, {} followers: nothing lost, nothing twice.</p>\n",
            checked.products, checked.updates, checked.replays, checked.events, checked.followers
        ),
        Verification::Failed { problems, .. } => {
            let items: String = problems
                .iter()
                .map(|it| format!("<li>{}</li>", escaped(it)))
                .collect();
            format!("<div class=\"bad\"><b>Verification failed</b><ul>{items}</ul></div>\n")
        }
    }
}

fn facts(report: &Report) -> String {
    let (setup, machine) = (&report.setup, &report.machine);
    let rows = [
        ("started", report.started.clone()),
        (
            "server",
            format!("{} at {}", report.server.version, setup.url),
        ),
        (
            "durable",
            report
                .server
                .is_durable
                .map_or("not known".to_owned(), |it| it.to_string()),
        ),
        (
            "load generator",
            format!(
                "{}, commit {}",
                report.bench_version,
                report.commit.as_deref().unwrap_or("not known")
            ),
        ),
        (
            "machine",
            format!(
                "{}, {} CPUs, {} MiB, load {:.1}",
                machine.cpu, machine.cpus, machine.memory_mib, machine.load_average
            ),
        ),
        ("kernel", machine.kernel.clone()),
        (
            "CPUs",
            format!(
                "server {}, load generator {} ({} threads)",
                setup.server_cpus.as_deref().unwrap_or("not chosen here"),
                setup.client_cpus,
                setup.threads
            ),
        ),
        (
            "load",
            format!(
                "{} connections, {} followers, {} products, {}, seed {}",
                setup.connections, setup.followers, setup.products, setup.popularity, setup.seed
            ),
        ),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escaped(value)))
        .collect();
    format!("<dl>{rows}</dl>\n")
}

fn table(phase: &Phase) -> String {
    let mut out = format!(
        "<h3>{}, round {}, {:.1} s</h3>\n<table><tr><th></th><th>count</th><th>per s</th><th>mean</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>most</th></tr>\n",
        escaped(&phase.name),
        phase.round,
        phase.seconds
    );
    for (name, kind) in &phase.kinds {
        let latency = &kind.latency;
        let times = [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ];
        let times: String = times.iter().map(|us| format!("<td>{us}</td>")).collect();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{:.0}</td><td>{:.0}</td>{times}</tr>",
            escaped(name),
            kind.count,
            kind.count as f64 / phase.seconds.max(f64::MIN_POSITIVE),
            latency.mean_us
        );
    }
    let outcomes: Vec<String> = phase
        .outcomes
        .iter()
        .map(|(name, count)| format!("{} {count}", escaped(&name.replace('_', " "))))
        .collect();
    let _ = write!(
        out,
        "</table>\n<p>Times in microseconds. {}.",
        outcomes.join(", ")
    );
    if let Some(cpu) = phase.server.cpu_seconds {
        let _ = write!(
            out,
            " CPU time: server {cpu:.2} s, load generator {:.2} s.",
            phase.client.cpu_seconds
        );
    }
    out.push_str("</p>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::report;

    #[test]
    fn the_page_needs_nothing_else_and_has_the_report_inside() {
        let mut report = report(1.0);
        report.command = "bench </script><b>".to_owned();
        let page = page(&report);
        assert!(page.contains("<svg") && page.contains("Verified: "));
        assert!(page.contains("bench &lt;/script&gt;&lt;b&gt;"));
        assert!(
            !page.contains("http://www.w3.org/1999")
                && !page.contains("src=")
                && !page.contains("href=")
        );
        let json = json_of(&page).unwrap();
        let again: Report = serde_json::from_str(json).unwrap();
        assert_eq!(
            (report.command, report.phases.len()),
            (again.command, again.phases.len())
        );
    }

    #[test]
    fn what_was_wrong_is_seen_and_an_empty_report_is_a_page() {
        let mut report = report(1.0);
        report.phases.clear();
        report.headline.clear();
        report.verification = Verification::Failed {
            checked: Default::default(),
            problems: vec!["<lost>".to_owned()],
        };
        let page = page(&report);
        assert!(page.contains("Verification failed") && page.contains("&lt;lost&gt;"));
    }
}
