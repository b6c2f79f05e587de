//! A page of metrics in the classic text format of Prometheus, as the metrics port writes it.

use std::collections::HashMap;

/// Names of labels and what they must be.
pub(super) type Filter<'f> = &'f [(&'f str, &'f str)];

/// Everything on one page.
#[derive(Debug, Default)]
pub(super) struct Page(HashMap<String, Vec<Sample>>);

/// A value under its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Page {
    /// None if a line is neither a sample nor a comment.
    pub(super) fn parse(text: &str) -> Option<Page> {
        let mut page = Page::default();
        for line in text.lines() {
            if !line.is_empty() && !line.starts_with('#') {
                let (name, sample) = parse_sample(line)?;
                page.0.entry(name.to_owned()).or_default().push(sample);
            }
        }
        Some(page)
    }

    /// The samples of a name whose labels are as wanted, in the order of the page.
    pub(super) fn samples<'p>(
        &'p self,
        name: &str,
        wanted: Filter<'p>,
    ) -> impl Iterator<Item = &'p Sample> {
        let all = self.0.get(name).into_iter().flatten();
        all.filter(move |sample| sample.has(wanted))
    }

    /// The sum of these samples; none if there is none.
    pub(super) fn level(&self, name: &str, wanted: Filter) -> Option<f64> {
        let values = self.samples(name, wanted).map(|sample| sample.value);
        values.reduce(|sum, value| sum + value)
    }
}

impl Sample {
    /// The value of a label, empty if it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, wanted: Filter) -> bool {
        wanted
            .iter()
            .all(|(name, value)| self.label(name) == *value)
    }
}

fn parse_sample(line: &str) -> Option<(&str, Sample)> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time may follow.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Sample { labels, value }))
}

type Parsed<'t, T> = Option<(T, &'t str)>;

fn parse_labels(mut text: &str) -> Parsed<'_, Vec<(String, String)>> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = parse_quoted(rest)?;
        labels.push((name.to_owned(), value));
        text = rest;
    }
}

fn parse_quoted(text: &str) -> Parsed<'_, String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let page = Page::parse(
            "# HELP a Things\n# TYPE a counter\na{x=\"1\",y=\"p\"} 2\na{x=\"2\",y=\"p\"} 3e2\n\nb 0.5 1700000000\n\
             c_bucket{le=\"+Inf\"} 4\n",
        )
        .unwrap();
        assert_eq!(Some(302.0), page.level("a", &[]));
        assert_eq!(Some(2.0), page.level("a", &[("x", "1"), ("y", "p")]));
        assert_eq!(None, page.level("a", &[("x", "3")]));
        assert_eq!(Some(0.5), page.level("b", &[]));
        assert_eq!(None, page.level("d", &[]));
        let infinite = page.samples("c_bucket", &[]).next().unwrap();
        assert_eq!("+Inf", infinite.label("le"));
    }

    #[test]
    fn quotes_and_braces_may_stand_in_labels() {
        let page = Page::parse(r#"a{x="b\"},{c\\",y="\n"} 1"#).unwrap();
        let sample = page.samples("a", &[]).next().unwrap();
        assert_eq!((r#"b"},{c\"#, "\n"), (sample.label("x"), sample.label("y")));
    }

    #[test]
    fn what_is_no_metrics_is_none() {
        for text in [
            "<html>",
            "{\"a\": 1}",
            "a{x=\"1} 2",
            "a{x} 2",
            "a",
            "a b",
            "a{x=\"\\",
        ] {
            assert!(Page::parse(text).is_none(), "{text}");
        }
    }
}
