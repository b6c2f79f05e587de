//! The text that Prometheus reads: OpenMetrics as prometheus-client writes it, or the classic format made of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::family::{Family, Kind, Value};

/// The media type of the classic format, and what distinguishes its version.
pub const CLASSIC: &str = "text/plain";
/// `Content-Type` of the classic format.
pub const CLASSIC_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The media type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text";
/// `Content-Type` of OpenMetrics.
pub const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const TOTAL: &str = "_total";
const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;
const IN_MEMORY: &str = "memory takes every text";

/// `families` as OpenMetrics.
pub fn open_metrics(families: Vec<Family>) -> String {
    let mut out = String::new();
    text::encode(&mut out, &registry(families)).expect(IN_MEMORY);
    out
}

/// `families` in the classic format, in which a counter is described under its whole name, and no type is unknown.
pub fn classic(families: Vec<Family>) -> String {
    let counters: HashSet<&str> = families
        .iter()
        .filter(|family| family.kind == Kind::Counter)
        .map(|family| family.name)
        .collect();
    let mut written = String::new();
    text::encode_registry(&mut written, &registry(families)).expect(IN_MEMORY);
    let mut out = String::with_capacity(written.len());
    for line in written.lines() {
        out.push_str(&classic_line(line, &counters));
        out.push('\n');
    }
    out
}

fn classic_line<'l>(line: &'l str, counters: &HashSet<&str>) -> Cow<'l, str> {
    let mut words = line.splitn(4, ' ');
    let (Some("#"), Some(word), Some(name), rest) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return line.into();
    };
    let rest = match (word, rest.unwrap_or_default()) {
        // Only a counter that is not named like one: see `encode`.
        ("TYPE", "unknown") => "counter",
        (_, rest) => rest,
    };
    let whole = format!("{name}{TOTAL}");
    let name = match counters.contains(&*whole) {
        true => &*whole,
        false => name,
    };
    format!("# {word} {name} {rest}").into()
}

fn registry(families: Vec<Family>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(families)));
    registry
}

#[derive(Debug)]
struct Gathered(Vec<Family>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, metric_type) = match (family.kind, family.name.strip_suffix(TOTAL)) {
        (Kind::Counter, Some(name)) => (name, MetricType::Counter),
        // OpenMetrics has no counter whose name does not end so.
        (Kind::Counter, None) => (family.name, MetricType::Unknown),
        (Kind::Gauge, _) => (family.name, MetricType::Gauge),
        (Kind::Histogram, _) => (family.name, MetricType::Histogram),
    };
    let mut metric = encoder.encode_descriptor(name, family.help, None, metric_type)?;
    for sample in &family.samples {
        match sample.labels.is_empty() {
            true => encode_value(&mut metric, metric_type, &sample.value)?,
            false => {
                let mut labelled = metric.encode_family(&sample.labels)?;
                encode_value(&mut labelled, metric_type, &sample.value)?;
            }
        }
    }
    Ok(())
}

fn encode_value(
    encoder: &mut MetricEncoder<'_>,
    metric_type: MetricType,
    value: &Value,
) -> fmt::Result {
    match (metric_type, value) {
        (MetricType::Counter, Value::Whole(value)) => encoder.encode_counter(value, NO_EXEMPLAR),
        (MetricType::Counter, Value::Fraction(value)) => encoder.encode_counter(value, NO_EXEMPLAR),
        (_, Value::Whole(value)) => encoder.encode_gauge(value),
        (_, Value::Fraction(value)) => encoder.encode_gauge(value),
        (_, Value::Distribution(read)) => {
            encoder.encode_histogram::<NoLabelSet>(read.sum, read.count(), &read.buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::cells::{GROUPS, Histogram};

    fn families() -> Vec<Family> {
        let histogram = Histogram::new(&GROUPS);
        histogram.observe(3);
        vec![
            Family::new("a_total", Kind::Counter, "Things").by("kind", [("x\"y", 2), ("z", 1u64)]),
            Family::new("b", Kind::Counter, "Named by the brief").of(4),
            Family::new("c", Kind::Gauge, "A level").of(0.5),
            Family::new("d", Kind::Histogram, "Sizes").of(histogram.read()),
        ]
    }

    #[test]
    fn the_classic_format_describes_counters_under_their_whole_names() {
        let text = classic(families());
        let begins = "# HELP a_total Things\n# TYPE a_total counter\n\
                      a_total{kind=\"x\\\"y\"} 2\na_total{kind=\"z\"} 1\n\
                      # HELP b Named by the brief\n# TYPE b counter\nb 4\n\
                      # HELP c A level\n# TYPE c gauge\nc 0.5\n\
                      # HELP d Sizes\n# TYPE d histogram\n";
        assert!(text.starts_with(begins), "{text}");
        assert!(text.contains("d_bucket{le=\"4.0\"} 1\n"), "{text}");
        assert!(text.ends_with("d_bucket{le=\"+Inf\"} 1\n"), "{text}");
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        let text = open_metrics(families());
        assert!(text.contains("# TYPE a counter\na_total{"), "{text}");
        assert!(text.contains("# TYPE b unknown\nb 4\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
