//! Where metrics are sent by OTLP: the standard variables of OpenTelemetry, as far as they make sense for a server that
//! sends metrics only. No message and no debug output shows a header, which is where credentials are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::parse::{file_path, milliseconds, one_of, truth};
use super::reader::Reader;
use super::variables::{Variable, named};

/// What stands behind an endpoint for all signals.
const METRICS_PATH: &str = "/v1/metrics";
const SERVICE_NAME: &str = "service.name";
/// Headers and attributes that may be set: more than anyone needs, and little to send.
const PAIRS_MAX: usize = 64;

/// Where metrics are sent, how often, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Where metrics are posted: the whole address, of `http` or `https`.
    pub endpoint: Uri,
    /// Of each request; their values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Certificates in PEM that are trusted instead of those that browsers trust.
    pub certificates: Option<PathBuf>,
    /// For one export, from looking up the name to the end of the answer.
    pub timeout: Duration,
    /// From the start of one export to that of the next.
    pub interval: Duration,
    /// What this server is called.
    pub service_name: String,
    /// What else is told of it, without its name.
    pub attributes: Vec<(String, String)>,
}

/// All variables are judged, also where nothing is sent.
pub(super) fn read<F: Fn(&str) -> Option<OsString>>(r: &mut Reader<F>) -> Option<Otlp> {
    let is_disabled = r.read("OTEL_SDK_DISABLED", truth);
    // No error shows an address: it may hold a password.
    let of_all = r.read_secret("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint_of_all);
    let of_metrics = r.read_secret("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint);
    r.read("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    let headers = r.read_secret("OTEL_EXPORTER_OTLP_HEADERS", headers);
    let certificates = r.read_optional("OTEL_EXPORTER_OTLP_CERTIFICATE", file_path);
    let timeout = r.read("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds);
    let interval = r.read("OTEL_METRIC_EXPORT_INTERVAL", milliseconds);
    let service_name = r.read_optional("OTEL_SERVICE_NAME", |_, text| Ok(text.to_owned()));
    let attributes = r.read_optional("OTEL_RESOURCE_ATTRIBUTES", pairs);
    let mut attributes = attributes.unwrap_or_default();
    let named_there = attributes.iter().position(|(name, _)| name == SERVICE_NAME);
    let named_there = named_there.map(|index| attributes.remove(index).1);
    let is_of_metrics = of_metrics.is_some();
    let endpoint = of_metrics.or(of_all).filter(|_| !is_disabled)?;
    if !cfg!(feature = "otlp") {
        let name = match is_of_metrics {
            true => "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            false => "OTEL_EXPORTER_OTLP_ENDPOINT",
        };
        r.refuse(name, None, "this binary was built without the feature otlp");
    }
    Some(Otlp {
        endpoint,
        headers: headers.unwrap_or_default(),
        certificates,
        timeout,
        interval,
        service_name: service_name
            .or(named_there)
            .unwrap_or_else(|| named("OTEL_SERVICE_NAME").default.to_owned()),
        attributes,
    })
}

fn endpoint(_: &Variable, text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
    let authority = uri.authority().map(|authority| authority.as_str());
    match (uri.scheme_str(), authority) {
        (Some("http" | "https"), Some(authority)) if authority.contains('@') => Err(
            "has a user or a password: credentials go into OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
        ),
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("not an http:// or https:// URL".to_owned()),
    }
}

fn endpoint_of_all(variable: &Variable, text: &str) -> Result<Uri, String> {
    let base = endpoint(variable, text)?;
    if base.query().is_some() {
        return Err("has a query".to_owned());
    }
    let path = format!("{}{METRICS_PATH}", base.path().trim_end_matches('/'));
    let mut parts = base.into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).map_err(|_| "not a URL".to_owned())
}

fn protocol(_: &Variable, text: &str) -> Result<(), String> {
    one_of(text, &[("http/protobuf", ())])
        .map_err(|_| "metrics are sent by http/protobuf only, not by grpc or http/json".to_owned())
}

fn headers(variable: &Variable, text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let pairs = pairs(variable, text)?.into_iter().zip(1..);
    pairs
        .map(|((name, value), position)| {
            let name = name
                .parse()
                .map_err(|_| format!("position {position}: not the name of a header"))?;
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| format!("position {position}: not the value of a header"))?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}

/// A comma list of `name=value`, in which values may be percent-encoded.
fn pairs(_: &Variable, text: &str) -> Result<Vec<(String, String)>, String> {
    let items = text.split(',').map(str::trim).zip(1..);
    let pairs: Result<Vec<_>, _> = items
        .filter(|(item, _)| !item.is_empty())
        .map(|(item, position)| {
            pair(item).ok_or_else(|| format!("position {position}: not name=value"))
        })
        .collect();
    pairs.and_then(|pairs| match pairs.len() <= PAIRS_MAX {
        true => Ok(pairs),
        false => Err(format!("more than {PAIRS_MAX} pairs")),
    })
}

fn pair(item: &str) -> Option<(String, String)> {
    let (name, value) = item.split_once('=')?;
    let name = name.trim_end();
    let value = percent_decode_str(value.trim_start()).decode_utf8().ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}
