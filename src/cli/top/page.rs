//! A page of metrics as the server's port writes it, and what became of the numbers between two of them.

use std::time::Instant;

/// One number.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A page, and when it was read.
#[derive(Clone, Debug)]
pub struct Page {
    samples: Vec<Sample>,
    at: Instant,
}

/// A label and its value; a number counts if it has all that are asked for.
pub type Label<'l> = (&'l str, &'l str);

impl Page {
    /// Reads `text`; none if it is no page of this server's metrics.
    pub fn read(text: &str, at: Instant) -> Option<Page> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(sample).collect::<Option<Vec<Sample>>>()?;
        let page = Page { samples, at };
        page.has_series("inventory_build_info", &[]).then_some(page)
    }

    fn of<'p, 'q>(
        &'p self,
        name: &'q str,
        labels: &'q [Label<'q>],
    ) -> impl Iterator<Item = &'p Sample> + use<'p, 'q> {
        let samples = self
            .samples
            .iter()
            .filter(move |sample| sample.name == name);
        samples.filter(|sample| labels.iter().all(|label| sample.has(*label)))
    }

    /// The numbers of `name` with those labels, added up; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[Label<'_>]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether `name` has a number with those labels.
    pub fn has_series(&self, name: &str, labels: &[Label<'_>]) -> bool {
        self.of(name, labels).next().is_some()
    }

    /// The values of `label` that `name` has, in the order in which they stand there.
    pub fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let mut values: Vec<&str> = Vec::new();
        for value in self.of(name, &[]).filter_map(|sample| sample.label(label)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| &**value)
    }

    fn has(&self, (name, value): Label<'_>) -> bool {
        self.label(name) == Some(value)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, read_labels(labels)?),
        None => (series, Vec::new()),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// `a="b",c="d"}`, with `\\`, `\"` and `\n` escaped.
fn read_labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.starts_with('}') {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (end, '"') => break end,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, character) => value.push(character),
            }
        };
        labels.push((name.to_owned(), value));
        text = rest[end + 1..]
            .strip_prefix(',')
            .unwrap_or(&rest[end + 1..]);
    }
    Some(labels)
}

/// Two pages of the same server, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Change<'p> {
    before: &'p Page,
    /// The later one.
    pub now: &'p Page,
}

impl<'p> Change<'p> {
    /// From `before` to `now`.
    pub fn new(before: &'p Page, now: &'p Page) -> Change<'p> {
        Change { before, now }
    }

    fn seconds(&self) -> f64 {
        let passed = self.now.at.saturating_duration_since(self.before.at);
        passed.as_secs_f64().max(1e-3)
    }

    /// How much a counter has grown. One that is lower than before began anew.
    fn growth(&self, name: &str, labels: &[Label<'_>]) -> f64 {
        let (before, now) = (self.before.sum(name, labels), self.now.sum(name, labels));
        if now < before { now } else { now - before }
    }

    /// How much a counter grows in a second.
    pub fn rate(&self, name: &str, labels: &[Label<'_>]) -> f64 {
        self.growth(name, labels) / self.seconds()
    }

    /// The value below which a share of those that came lie, within its bucket by proportion; none if none came. One
    /// above every bound is told as the highest.
    pub fn quantile(&self, histogram: &str, labels: &[Label<'_>], share: f64) -> Option<f64> {
        let name = format!("{histogram}_bucket");
        let bounds = self.now.values(&name, "le");
        let up_to = |bound: &str| {
            let with_bound: Vec<Label<'_>> =
                labels.iter().copied().chain([("le", bound)]).collect();
            self.growth(&name, &with_bound)
        };
        let counts: Vec<f64> = bounds.iter().map(|bound| up_to(bound)).collect();
        let wanted = counts.last().filter(|all| **all > 0.0)? * share;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in bounds.iter().zip(counts) {
            let high: f64 = bound.parse().ok()?;
            if count >= wanted && count > below {
                let within = (wanted - below) / (count - below);
                return Some(match high.is_finite() {
                    true => low + (high - low) * within,
                    false => low,
                });
            }
            (low, below) = (high, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BEGIN: &str = "# HELP a b\ninventory_build_info{version=\"1\"} 1\n";

    fn pages(before: &str, now: &str) -> (Page, Page) {
        let at = Instant::now();
        let read = |text: &str, at| Page::read(&format!("{BEGIN}{text}"), at).unwrap();
        (read(before, at), read(now, at + Duration::from_secs(2)))
    }

    #[test]
    fn labels_are_read_with_their_escapes() {
        let (page, _) = pages(
            "a{b=\"x\\\"}\\\\\\n\",c=\"d\"} 2.5\na{b=\"y\",c=\"d\"} 1\n",
            "",
        );
        assert_eq!(vec!["x\"}\\\n", "y"], page.values("a", "b"));
        assert_eq!(3.5, page.sum("a", &[("c", "d")]));
        assert_eq!(0.0, page.sum("a", &[("c", "e")]));
    }

    #[test]
    fn what_is_no_page_of_ours_is_none() {
        for text in ["", "<html>\n", "up 1\n", "inventory_build_info x\n"] {
            assert!(Page::read(text, Instant::now()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_per_second_and_never_negative() {
        let (before, now) = pages("a 10\nb 10\n", "a 16\nb 4\n");
        let change = Change::new(&before, &now);
        assert_eq!(
            (3.0, 2.0, 0.0),
            (
                change.rate("a", &[]),
                change.rate("b", &[]),
                change.rate("c", &[])
            )
        );
    }

    #[test]
    fn a_quantile_is_of_what_came_between() {
        let text = |first: u32, second: u32, all: u32| {
            format!(
                "h_bucket{{le=\"1.0\"}} {first}\nh_bucket{{le=\"2.0\"}} {second}\nh_bucket{{le=\"+Inf\"}} {all}\n"
            )
        };
        let (before, now) = pages(&text(100, 100, 100), &text(100, 110, 110));
        let change = Change::new(&before, &now);
        assert_eq!(Some(1.5), change.quantile("h", &[], 0.5));
        let (before, now) = pages(&text(0, 0, 0), &text(0, 0, 7));
        assert_eq!(
            Some(2.0),
            Change::new(&before, &now).quantile("h", &[], 0.5)
        );
        assert_eq!(None, Change::new(&now, &now).quantile("h", &[], 0.5));
    }
}
