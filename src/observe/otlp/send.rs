//! One export: a POST, and what the receiver says to it. It blocks, so only the thread of the export calls it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::Otlp;

const CONTENT_TYPE: &str = "application/x-protobuf";
/// The most of an answer that is read: it has a few numbers and a sentence.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// How much of what a receiver says is told in the log, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Where exports are sent.
pub(super) struct Sender {
    agent: Agent,
    config: Otlp,
}

/// Why an export came to nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// There was no answer.
    Unanswered(ureq::Error),
    /// The receiver refused all of it.
    Refused { status: u16, reason: String },
    /// The receiver refused some of it.
    Rejected { points: i64, reason: String },
}

impl Sender {
    /// Fails if the certificates cannot be read.
    pub(super) fn new(config: Otlp) -> Result<Sender, String> {
        let mut agent = Agent::config_builder()
            // A proxy would come from the environment, which only `config` reads.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("central-inventory/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.certificates {
            let trusted = RootCerts::Specific(Arc::new(read_certificates(path)?));
            agent = agent.tls_config(TlsConfig::builder().root_certs(trusted).build());
        }
        Ok(Sender {
            agent: agent.build().new_agent(),
            config,
        })
    }

    /// Sends `bytes` and waits for the answer, `timeout` at most.
    pub(super) fn send(&self, bytes: &[u8], timeout: Duration) -> Result<(), Failed> {
        let mut request = self.agent.post(&self.config.endpoint);
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        let request = request.content_type(CONTENT_TYPE);
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut answer = request.send(bytes).map_err(Failed::Unanswered)?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        match answer.status().as_u16() {
            200..=299 => judge(&body.unwrap_or_default()),
            status => Err(Failed::Refused {
                status,
                reason: legible(&String::from_utf8_lossy(&body.unwrap_or_default())),
            }),
        }
    }
}

/// An answer that cannot be read says nothing against an export.
fn judge(answer: &[u8]) -> Result<(), Failed> {
    let answer = ExportMetricsServiceResponse::decode(answer).unwrap_or_default();
    match answer.partial_success {
        Some(partial) if partial.rejected_data_points > 0 => Err(Failed::Rejected {
            points: partial.rejected_data_points,
            reason: legible(&partial.error_message),
        }),
        _ => Ok(()),
    }
}

/// The beginning of a text that somebody else wrote, without what could disturb a line.
fn legible(text: &str) -> String {
    let visible = text
        .chars()
        .filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER);
    visible.take(REASON_CHARS_MAX).collect()
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let told = |problem: &dyn fmt::Display| {
        format!(
            "OTEL_EXPORTER_OTLP_CERTIFICATE: {}: {problem}",
            path.display()
        )
    };
    let text = fs::read(path).map_err(|error| told(&error))?;
    let items: Result<Vec<PemItem>, _> = parse_pem(&text).collect();
    let items = items.map_err(|error| told(&error))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    match certificates.is_empty() {
        true => Err(told(&"holds no certificate in PEM")),
        false => Ok(certificates),
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Unanswered(error) => write!(f, "{error}"),
            Failed::Refused { status, reason } => write!(f, "status {status}: {reason}"),
            Failed::Rejected { points, reason } => {
                write!(f, "{points} of the numbers were rejected: {reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;

    use super::*;

    fn answer(rejected_data_points: i64) -> Vec<u8> {
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points,
            error_message: "too\nold".to_owned(),
        };
        let answer = ExportMetricsServiceResponse {
            partial_success: Some(partial),
        };
        answer.encode_to_vec()
    }

    #[test]
    fn a_receiver_that_rejects_a_part_is_heard() {
        let failed = judge(&answer(3)).unwrap_err().to_string();
        assert_eq!("3 of the numbers were rejected: tooold", failed);
        assert!(judge(&answer(0)).is_ok());
        assert!(judge(b"").is_ok());
        assert!(judge(b"{}").is_ok());
    }

    #[test]
    fn certificates_that_cannot_be_used_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let problem = read_certificates(&path).unwrap_err();
        assert!(
            problem.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: "),
            "{problem}"
        );
        fs::write(&path, "nothing").unwrap();
        let problem = read_certificates(&path).unwrap_err();
        assert!(
            problem.ends_with("holds no certificate in PEM"),
            "{problem}"
        );
    }
}
