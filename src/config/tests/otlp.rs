//! The standard variables of OpenTelemetry.

use super::*;

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

fn read(environ: Environ) -> Otlp {
    load(environ).unwrap().otlp.expect("metrics are sent")
}

#[test]
fn nothing_is_sent_unless_there_is_an_address() {
    check(&[], field!(otlp), "None");
    check(&[("OTEL_SERVICE_NAME", "a")], field!(otlp), "None");
    check(
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "true")],
        field!(otlp),
        "None",
    );
}

#[test]
fn an_address_for_all_signals_gets_a_path_and_one_for_metrics_does_not() {
    let of_metrics = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    let check = |environ: Environ, expected: &str| {
        assert_eq!(expected, read(environ).endpoint.to_string());
    };
    check(&[ENDPOINT], "http://collector:4318/v1/metrics");
    check(&[(ENDPOINT.0, "https://a/b/")], "https://a/b/v1/metrics");
    check(&[(of_metrics, "http://a:1")], "http://a:1/");
    check(
        &[ENDPOINT, (of_metrics, "http://a/x?y=z")],
        "http://a/x?y=z",
    );
}

#[test]
fn what_is_not_said_has_the_standard_default() {
    let otlp = read(&[ENDPOINT]);
    assert_eq!(Duration::from_secs(10), otlp.timeout);
    assert_eq!(Duration::from_secs(60), otlp.interval);
    assert_eq!("central-inventory", otlp.service_name);
    assert!(otlp.headers.is_empty() && otlp.attributes.is_empty());
}

#[test]
fn lists_are_percent_decoded_and_the_name_of_the_service_is_found_in_them() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=1%2C2, service.name=x ,,b=");
    let otlp = read(&[
        ENDPOINT,
        attributes,
        ("OTEL_EXPORTER_OTLP_HEADERS", "API-Key = s%20t"),
    ]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(vec![pair("a", "1,2"), pair("b", "")], otlp.attributes);
    assert_eq!("x", otlp.service_name);
    assert_eq!("api-key", otlp.headers[0].0);
    assert_eq!("s t", otlp.headers[0].1);
    let named = read(&[ENDPOINT, attributes, ("OTEL_SERVICE_NAME", "y")]);
    assert_eq!("y", named.service_name);
}

#[test]
fn what_cannot_be_used_is_named_and_no_secret_is_shown() {
    check_refused(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:secret@a"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret,secret"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "60s"),
            ("OTEL_RESOURCE_ATTRIBUTES", "=a"),
        ],
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT: has a user or a password",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: not an http:// or https:// URL",
            "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\": metrics are sent by http/protobuf only",
            "OTEL_EXPORTER_OTLP_HEADERS: position 2: not name=value",
            "OTEL_METRIC_EXPORT_INTERVAL=\"60s\": not a whole number",
            "OTEL_RESOURCE_ATTRIBUTES=\"=a\": position 1: not name=value",
        ],
    );
    let otlp = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret")]);
    assert!(!format!("{otlp:?}").contains("secret"));
}
