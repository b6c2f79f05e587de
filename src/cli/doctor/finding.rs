//! What was found of one thing, and how it is told.

use serde::Serialize;

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    /// What was found.
    pub(super) found: String,
    /// What to do, where there is something to do.
    pub(super) advice: Option<String>,
}

/// What it means for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    Ok,
    /// It runs, and would run better otherwise.
    Advice,
    /// It cannot be seen from here.
    Unknown,
    /// The server cannot start, or cannot do its work.
    Failed,
}

impl Finding {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(name, Mark::Ok, found, None)
    }

    pub(super) fn advice(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding::new(name, Mark::Advice, found, Some(advice.into()))
    }

    pub(super) fn unknown(name: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(name, Mark::Unknown, found, None)
    }

    pub(super) fn failed(
        name: &'static str,
        found: impl Into<String>,
        advice: Option<String>,
    ) -> Finding {
        Finding::new(name, Mark::Failed, found, advice)
    }

    fn new(
        name: &'static str,
        mark: Mark,
        found: impl Into<String>,
        advice: Option<String>,
    ) -> Finding {
        Finding {
            name,
            mark,
            found: found.into(),
            advice,
        }
    }
}

/// A line for each finding, its advice on a line of its own, and a line that sums up.
pub(super) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max();
    let width = width.unwrap_or(0);
    let mut lines: String = findings.iter().map(|it| lines_of(it, width)).collect();
    let count = |mark| findings.iter().filter(|it| it.mark == mark).count();
    let (failed, advice) = (count(Mark::Failed), count(Mark::Advice));
    let verdict = match (failed, advice) {
        (0, 0) => "The server can run here, and nothing is to be improved.".to_owned(),
        (0, advice) => format!("The server can run here; {advice} could be better."),
        (failed, advice) => {
            format!("The server cannot run here: {failed} failed; {advice} could be better.")
        }
    };
    lines.push_str(&format!("\n{verdict}\n"));
    lines
}

fn lines_of(finding: &Finding, width: usize) -> String {
    let Finding { name, found, .. } = finding;
    let mark = match finding.mark {
        Mark::Ok => "ok",
        Mark::Advice => "advice",
        Mark::Unknown => "unknown",
        Mark::Failed => "FAILED",
    };
    let advice = finding.advice.as_ref();
    let advice = advice.map_or_else(String::new, |advice| {
        format!("{:7}  {:width$}  -> {advice}\n", "", "")
    });
    format!("{mark:7}  {name:width$}  {found}\n{advice}")
}

#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

/// All of it for programs.
pub(super) fn json(findings: &[Finding], healthy: bool) -> String {
    let report = Report { healthy, findings };
    let mut text = serde_json::to_string_pretty(&report).expect("only strings and a bool");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok("plan", "fine"),
            Finding::advice("open files", "20000", "raise it"),
            Finding::failed("io_uring", "forbidden", Some("allow it".to_owned())),
        ]
    }

    #[test]
    fn each_line_says_how_it_came_out_and_what_to_do() {
        let expected = "ok       plan        fine\n\
                        advice   open files  20000\n                     -> raise it\n\
                        FAILED   io_uring    forbidden\n                     -> allow it\n\
                        \nThe server cannot run here: 1 failed; 1 could be better.\n";
        assert_eq!(expected, text(&findings()));
        assert!(text(&findings()[..1]).ends_with("nothing is to be improved.\n"));
    }

    #[test]
    fn programs_get_the_same() {
        let json: serde_json::Value = serde_json::from_str(&json(&findings(), false)).unwrap();
        assert_eq!(false, json["healthy"]);
        assert_eq!("advice", json["findings"][1]["mark"]);
        assert_eq!("allow it", json["findings"][2]["advice"]);
        assert!(json["findings"][0]["advice"].is_null());
    }
}
