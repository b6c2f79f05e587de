//! Reads a report back: from JSON, or from the page that holds it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::report::html::{JSON_BEGINS, JSON_ENDS};
use crate::report::{Report, SCHEMA};

/// The largest file that is read, in bytes. A report of an hour with all metrics has a few megabytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The report in a file that `--json` or `--html` wrote. The error is a sentence that says what is wrong with it.
pub fn read(path: impl AsRef<Path>) -> Result<Report, String> {
    let path = path.as_ref();
    let name = path.display();
    let cannot = |error: std::io::Error| format!("{name} cannot be read: {error}.");
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!(
            "{name} is too large for a report: {length} bytes, at most {FILE_BYTES_MAX}."
        ));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    let text =
        String::from_utf8(bytes).map_err(|_| format!("{name} is not a report: it is not text."))?;
    parse(&text).map_err(|what| format!("{name} {what}"))
}

/// The report in a text; the error continues a sentence that begins with the file's name.
fn parse(text: &str) -> Result<Report, String> {
    let value: Value =
        serde_json::from_str(json(text)?).map_err(|error| format!("is not JSON: {error}."))?;
    match value.get("schema").map(Value::as_u64) {
        None => return Err("is JSON, but not a report: it has no schema.".into()),
        Some(schema) if schema != Some(u64::from(SCHEMA)) => {
            let schema =
                schema.map_or("another schema".into(), |schema| format!("schema {schema}"));
            return Err(format!(
                "has {schema}; this inventory-bench reads schema {SCHEMA}."
            ));
        }
        Some(_) => {}
    }
    Report::deserialize(value).map_err(|error| format!("is not a whole report: {error}."))
}

/// The JSON in a page, or the text itself if it is no page.
fn json(text: &str) -> Result<&str, String> {
    if !text.trim_start().starts_with('<') {
        return Ok(text);
    }
    let (_, json) = text
        .split_once(JSON_BEGINS)
        .ok_or("is a page without a report in it.")?;
    let (json, _) = json
        .split_once(JSON_ENDS)
        .ok_or("is a page that was cut off.")?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{html, json, sample};

    #[test]
    fn a_report_is_read_from_json_and_from_its_page() {
        let report = sample::sweep();
        let written = json::pretty(&report);
        for text in [&written, &html::page(&report)] {
            let again = parse(text).expect("it can be read");
            assert!(json::pretty(&again) == written);
        }
    }

    #[test]
    fn a_file_is_read_and_its_name_is_in_every_error() {
        let directory =
            std::env::temp_dir().join(format!("inventory-bench-read-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("there is room");
        let path = directory.join("run.json");
        let missing = read(&path).expect_err("it is not there");
        assert!(missing.contains("run.json cannot be read: "), "{missing}");
        std::fs::write(&path, json::pretty(&sample::report())).expect("there is room");
        assert_eq!(read(&path).expect("it is a report").phases.len(), 6);
        std::fs::write(&path, [0xff, 0xfe]).expect("there is room");
        assert!(
            read(&path)
                .expect_err("it is no text")
                .ends_with("it is not text.")
        );
        std::fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let whole = json::pretty(&sample::report());
        let page = html::page(&sample::report());
        let cases = [
            ("", "is not JSON: "),
            ("{\"schema\": 1", "is not JSON: "),
            ("[]", "is JSON, but not a report"),
            (
                "{\"schema\": 7}",
                "has schema 7; this inventory-bench reads schema 1.",
            ),
            ("{\"schema\": \"x\"}", "has another schema"),
            ("{\"schema\": 1}", "is not a whole report: missing field"),
            ("<html></html>", "is a page without a report in it."),
            (&page[..page.len() - 60], "is a page that was cut off."),
            (
                &whole.replace("\"seconds\": 20.0", "\"seconds\": null"),
                "is not a whole report: ",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err("something is wrong");
            assert!(error.starts_with(expected), "{error}, not {expected}");
        }
    }
}
