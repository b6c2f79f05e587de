//! Families in the messages of OTLP: the same names and numbers as on the metrics port. Counters are sums since the start,
//! so that an export that was lost is made good by the next.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::observe::metrics::{Distribution, Family, Kind, Sample, Value};

/// When the numbers were taken, and since when they count, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    start_ns: u64,
    now_ns: u64,
}

impl Times {
    /// Numbers of now, counted since `started`.
    pub(super) fn now(started: SystemTime) -> Times {
        Times {
            start_ns: since_epoch(started),
            now_ns: since_epoch(SystemTime::now()),
        }
    }
}

/// All families, as one request.
pub(super) fn request(
    families: Vec<Family>,
    resource: &Resource,
    times: Times,
) -> ExportMetricsServiceRequest {
    let families = families.into_iter();
    let scope_metrics = ScopeMetrics {
        scope: Some(InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        metrics: families
            .filter(|family| !family.samples.is_empty())
            .map(|family| metric(family, times))
            .collect(),
        schema_url: String::new(),
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![scope_metrics],
            schema_url: String::new(),
        }],
    }
}

/// A name with a text.
pub(super) fn attribute(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
    with_value(key, any_value::Value::StringValue(value.into()))
}

/// A name with a number.
pub(super) fn number(key: impl Into<String>, value: i64) -> KeyValue {
    with_value(key, any_value::Value::IntValue(value))
}

fn with_value(key: impl Into<String>, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn metric(family: Family, times: Times) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let samples = family.samples.into_iter();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: samples.filter_map(|s| point(s, times)).collect(),
            aggregation_temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: samples.filter_map(|s| point(s, times)).collect(),
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: samples.filter_map(|s| distribution(s, times)).collect(),
            aggregation_temporality,
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit(family.name).to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

/// Only what the name says, or a receiver that makes Prometheus names of units would change it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

/// None of a histogram, which no counter and no gauge has.
fn point(sample: Sample, times: Times) -> Option<NumberDataPoint> {
    let value = match sample.value {
        Value::Whole(value) => number_data_point::Value::AsInt(whole(value)),
        Value::Fraction(value) => number_data_point::Value::AsDouble(value),
        Value::Distribution(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: times.start_ns,
        time_unix_nano: times.now_ns,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn distribution(sample: Sample, times: Times) -> Option<HistogramDataPoint> {
    let Value::Distribution(read) = sample.value else {
        return None;
    };
    let count = read.count();
    let Distribution { sum, buckets } = read;
    let (bounds, bucket_counts): (Vec<f64>, Vec<u64>) = buckets.into_iter().unzip();
    Some(HistogramDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: times.start_ns,
        time_unix_nano: times.now_ns,
        count,
        sum: Some(sum),
        bucket_counts,
        // The last is not told: it is always infinite.
        explicit_bounds: bounds
            .into_iter()
            .filter(|bound| bound.is_finite())
            .collect(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(labels: crate::observe::metrics::Labels) -> Vec<KeyValue> {
    let labels = labels.into_iter();
    labels.map(|(name, value)| attribute(name, value)).collect()
}

/// OTLP has no unsigned numbers.
fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn since_epoch(time: SystemTime) -> u64 {
    let passed = time.duration_since(SystemTime::UNIX_EPOCH);
    nanoseconds(passed.unwrap_or_default())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::observe::metrics::cells;

    /// What a receiver reads of `families`.
    fn received(families: Vec<Family>) -> ResourceMetrics {
        let times = Times {
            start_ns: 5,
            now_ns: 7,
        };
        let resource = Resource {
            attributes: vec![attribute("service.name", "a"), number("process.pid", 3)],
            ..Resource::default()
        };
        let bytes = request(families, &resource, times).encode_to_vec();
        let mut request = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
        assert_eq!(1, request.resource_metrics.len());
        let received = request.resource_metrics.remove(0);
        assert_eq!(Some(resource), received.resource);
        received
    }

    fn only_metric(family: Family) -> Metric {
        let mut metrics = received(vec![family]).scope_metrics.remove(0).metrics;
        assert_eq!(1, metrics.len());
        metrics.remove(0)
    }

    fn labelled(point: &NumberDataPoint) -> Vec<(&str, Option<&number_data_point::Value>)> {
        let attributes = point.attributes.iter();
        let texts = attributes.map(|attribute| match &attribute.value {
            Some(AnyValue {
                value: Some(any_value::Value::StringValue(text)),
            }) => (&**text, point.value.as_ref()),
            other => panic!("{other:?} is no text"),
        });
        texts.collect()
    }

    #[test]
    fn a_counter_is_a_growing_sum_since_the_start() {
        let counter = Family::new("a_bytes_total", Kind::Counter, "Things");
        let metric = only_metric(counter.by("kind", [("x", 2u64), ("y", u64::MAX)]));
        let Some(Data::Sum(sum)) = metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(
            ("a_bytes_total", "Things"),
            (&*metric.name, &*metric.description)
        );
        assert_eq!("By", metric.unit);
        assert!(sum.is_monotonic);
        assert_eq!(
            AggregationTemporality::Cumulative,
            sum.aggregation_temporality()
        );
        let [two, most] = &sum.data_points[..] else {
            panic!("{sum:?}");
        };
        assert_eq!((5, 7), (two.start_time_unix_nano, two.time_unix_nano));
        let int = number_data_point::Value::AsInt;
        assert_eq!(vec![("x", Some(&int(2)))], labelled(two));
        assert_eq!(vec![("y", Some(&int(i64::MAX)))], labelled(most));
    }

    #[test]
    fn a_level_is_a_gauge() {
        let metric = only_metric(Family::new("a_ratio", Kind::Gauge, "A level").of(0.5));
        let Some(Data::Gauge(gauge)) = metric.data else {
            panic!("{metric:?}");
        };
        let half = number_data_point::Value::AsDouble(0.5);
        assert_eq!(Some(half), gauge.data_points[0].value);
        assert_eq!("", metric.unit);
    }

    #[test]
    fn a_histogram_has_a_bucket_more_than_bounds() {
        let histogram = cells::Histogram::new(&cells::SIZES);
        for value in [1, 64, 65, 5_000_000] {
            histogram.observe(value);
        }
        let family = Family::new("a_size_bytes", Kind::Histogram, "Sizes");
        let metric = only_metric(family.of(histogram.read()));
        let Some(Data::Histogram(told)) = metric.data else {
            panic!("{metric:?}");
        };
        assert_eq!(
            AggregationTemporality::Cumulative,
            told.aggregation_temporality()
        );
        let point = &told.data_points[0];
        assert_eq!((4, Some(5_000_130.0)), (point.count, point.sum));
        assert_eq!(vec![2, 1, 0, 0, 0, 0, 0, 0, 0, 1], point.bucket_counts);
        assert_eq!(9, point.explicit_bounds.len());
        assert_eq!(Some(&4_194_304.0), point.explicit_bounds.last());
    }

    #[test]
    fn a_family_without_samples_is_not_sent() {
        let families = vec![
            Family::new("a", Kind::Gauge, "Empty"),
            Family::new("b", Kind::Gauge, "Not").of(1u64),
        ];
        let scopes = received(families).scope_metrics;
        let names: Vec<&str> = scopes[0].metrics.iter().map(|m| &*m.name).collect();
        assert_eq!(vec!["b"], names);
    }

    #[test]
    fn units_are_what_the_names_say() {
        assert_eq!("s", unit("inventory_executor_cpu_seconds_total"));
        assert_eq!("By", unit("inventory_body_memory_max_bytes"));
        assert_eq!("", unit("inventory_api_response_time_by_client_type"));
    }
}
