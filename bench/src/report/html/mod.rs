//! A report as one page that stands by itself: no scripts that run, nothing fetched, light and dark, made for print too.
//! The report is in it as JSON, so that a program reads the page as well as a person does.

mod facts;
mod phases;

use super::figures::{self, Spread};
use super::text::{self, escape};
use super::{Report, Verification, json, plots, table};

const STYLE: &str = include_str!("page.css");

/// What stands before the report's JSON in a page, and what ends it: for whoever reads it again.
pub const JSON_BEGINS: &str = "<script type=\"application/json\" id=\"report\">";
/// See [`JSON_BEGINS`].
pub const JSON_ENDS: &str = "</script>";

/// The page.
pub fn page(report: &Report) -> String {
    let title = format!("inventory-bench: {}", report.preset);
    let parts = [
        header(report, &title),
        headline(report),
        verification(&report.verification),
        warnings(&report.warnings),
        facts::facts(report),
        drawings(report),
        phases::phases(report),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         {JSON_BEGINS}{}{JSON_ENDS}\n</body>\n</html>\n",
        escape(&title),
        parts.concat(),
        json::for_page(report),
    )
}

fn header(report: &Report, title: &str) -> String {
    let commit = report.commit.as_deref().unwrap_or("unknown");
    format!(
        "<h1>{}</h1>\n<p class=\"faint\">{}, commit {}</p>\n",
        escape(title),
        escape(&report.started),
        escape(commit),
    )
}

fn headline(report: &Report) -> String {
    let figures = [
        (
            "durable updates at saturation",
            figures::updates_per_second(report),
            text::rate as fn(f64) -> String,
        ),
        (
            "p99 at half of that, from the intended time",
            figures::p99_at_half_us(report),
            text::microseconds,
        ),
    ];
    let known = figures
        .into_iter()
        .filter_map(|(name, spread, unit)| Some((name, spread?, unit)));
    let cards: String = known
        .map(|(name, spread, unit)| card(name, spread, unit))
        .collect();
    match cards.is_empty() {
        true => String::new(),
        false => format!("<div class=\"headline\">\n{cards}</div>\n"),
    }
}

fn card(name: &str, spread: Spread, unit: fn(f64) -> String) -> String {
    let rounds = match spread.rounds {
        1 => "one round".to_owned(),
        rounds => format!(
            "median of {rounds} rounds, {} to {}",
            unit(spread.min),
            unit(spread.max)
        ),
    };
    format!(
        "<div>{name}<strong>{}</strong><span class=\"faint\">{rounds}</span></div>\n",
        unit(spread.median)
    )
}

fn verification(verification: &Verification) -> String {
    match verification {
        Verification::Off => notice(
            "warn",
            "Not verified",
            "whether the server was right is not known (--no-verify).",
        ),
        Verification::Passed { checked } => notice(
            "good",
            "Verified",
            &format!("{}. Nothing lost, nothing twice.", table::said(checked)),
        ),
        Verification::Failed { checked, problems } => {
            let items: String = problems
                .iter()
                .map(|problem| format!("<li>{}</li>\n", escape(problem)))
                .collect();
            format!(
                "<div class=\"notice bad\" role=\"alert\"><strong>Verification failed</strong>: the figures are of a server that \
                 was wrong. Compared: {}.\n<ul>\n{items}</ul></div>\n",
                escape(&table::said(checked)),
            )
        }
    }
}

fn warnings(warnings: &[String]) -> String {
    warnings
        .iter()
        .map(|warning| notice("warn", "Warning", warning))
        .collect()
}

fn notice(class: &str, head: &str, sentence: &str) -> String {
    format!(
        "<p class=\"notice {class}\"><strong>{head}</strong>: {}</p>\n",
        escape(sentence)
    )
}

fn drawings(report: &Report) -> String {
    let mut html = String::new();
    if plots::has_sweep(report) {
        html += "<h2>Sweep</h2>\n";
        html += &figure(&plots::latency_over_throughput(report));
    }
    let names = plots::percentile_phases(report);
    if !names.is_empty() {
        html += "<h2>Latency</h2>\n";
        html.extend(
            names
                .iter()
                .map(|name| figure(&plots::percentiles(report, name))),
        );
    }
    if report.phases.iter().any(|phase| !phase.series.is_empty()) {
        html += "<h2>Over time</h2>\n";
        let plots = [
            plots::latency_over_time(report),
            plots::throughput_over_time(report),
            plots::failures_over_time(report),
        ];
        html.extend(plots.iter().map(|plot| figure(plot)));
    }
    let metrics = plots::server_metrics(report);
    if !metrics.is_empty() {
        let small: String = metrics.iter().map(|plot| figure(plot)).collect();
        html +=
            &format!("<h2>Server metrics over time</h2>\n<div class=\"small\">\n{small}</div>\n");
    }
    html
}

fn figure(svg: &str) -> String {
    format!("<figure>\n{svg}</figure>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Checked, sample};

    /// The tags of a page, which must close in the order in which they were opened.
    fn assert_well_formed(page: &str) {
        const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
        let (before, rest) = page.split_once(JSON_BEGINS).expect("the report is in it");
        let (_, after) = rest.split_once(JSON_ENDS).expect("the report ends");
        let mut open: Vec<&str> = Vec::new();
        let page = format!("{before}{after}");
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag
                .split_once('>')
                .unwrap_or_else(|| panic!("an unclosed tag: {tag}"));
            let name = tag.split([' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') || VOID.contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_page_of_every_report_is_well_formed() {
        for report in [
            sample::report(),
            sample::sweep(),
            sample::empty(),
            sample::odd(),
        ] {
            let page = page(&report);
            assert_well_formed(&page);
            let (shown, _) = page.split_once(JSON_BEGINS).expect("the report is in it");
            assert!(!shown.contains("NaN") && !shown.contains(">inf"), "{shown}");
        }
    }

    #[test]
    fn it_stands_by_itself() {
        let page = page(&sample::sweep());
        assert_eq!(page.matches("<script").count(), 1, "only the report's data");
        for fetched in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn everything_that_was_said_from_outside_is_escaped() {
        let evil = "</script><img src=x onerror='alert(1)'>\"&";
        let mut report = sample::report();
        for text in [
            &mut report.preset,
            &mut report.started,
            &mut report.command,
            &mut report.server.version,
            &mut report.machine.cpu,
            &mut report.machine.kernel,
            &mut report.setup.url,
            &mut report.setup.popularity,
            &mut report.setup.client_cpus,
        ] {
            *text = evil.into();
        }
        report.commit = Some(evil.into());
        report.warnings = vec![evil.into()];
        report.verification = Verification::Failed {
            checked: Checked::default(),
            problems: vec![evil.into()],
        };
        let mut phase = report.phases[0].clone();
        phase.name = evil.into();
        phase
            .kinds
            .insert(evil.into(), phase.kinds["update"].clone());
        phase.outcomes.insert(evil.into(), 1);
        phase.server.metrics.insert(evil.into(), vec![(0.0, 1.0)]);
        report.phases.push(phase);
        let page = page(&report);
        assert!(!page.contains("<img"), "{page}");
        assert_well_formed(&page);
    }

    #[test]
    fn a_failure_cannot_be_overlooked() {
        let mut report = sample::report();
        assert!(page(&report).contains("<strong>Verified</strong>"));
        report.verification = Verification::Failed {
            checked: Checked::default(),
            problems: vec!["BENCH-0007 has 4 of 5.".into()],
        };
        let failed = page(&report);
        assert!(
            failed.contains("role=\"alert\"") && failed.contains("<li>BENCH-0007 has 4 of 5.</li>")
        );
        assert!(failed.find("role=\"alert\"") < failed.find("<h2>"));
    }

    #[test]
    fn it_holds_the_headline_the_command_and_each_round() {
        let page = page(&sample::report());
        for part in [
            "<strong>61.2 k/s</strong>",
            "median of 3 rounds, 60.4 k/s to 62.9 k/s",
            "--key &#39;a&lt;b&gt;&amp;c&#39;",
            "6.1.0-25-cloud-amd64",
            "840d652f1c2a-dirty",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    /// `cargo test -p inventory-bench --lib page_for_looking_at -- --ignored` writes pages into the directory that
    /// `BENCH_PAGES` names.
    #[test]
    #[ignore = "for looking at a page"]
    fn page_for_looking_at() {
        let Some(directory) = std::env::var_os("BENCH_PAGES") else {
            return;
        };
        let directory = std::path::Path::new(&directory);
        for (name, report) in [
            ("sample", sample::sweep()),
            ("odd", sample::odd()),
            ("empty", sample::empty()),
        ] {
            std::fs::write(directory.join(name).with_extension("html"), page(&report))
                .expect("it is written");
            std::fs::write(
                directory.join(name).with_extension("svg"),
                plots::overview(&report),
            )
            .expect("it is written");
        }
    }
}
