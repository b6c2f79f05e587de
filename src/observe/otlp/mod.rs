//! Sends the metrics to an OpenTelemetry receiver, on a thread of its own: it may block as long as it wants, and no data
//! core and no scrape notices.
//!
//! One request at a time, and no queue: every export has all counters since the start, so the next one makes good for
//! one that failed.

mod report;
mod resource;
mod send;
mod translate;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Signal, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use slog::{Logger, info, warn};

use super::metrics::{Metrics, Wired};
use crate::config::Otlp;
use report::Report;
use send::Sender;
use translate::Times;

/// The most that a stop waits for the export that is under way and the last one together.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What an export is wired to.
pub struct Wiring {
    /// Where to, and how often.
    pub config: Otlp,
    /// What is told.
    pub metrics: Arc<Metrics>,
    /// What is watched beside it.
    pub wired: Arc<Wired>,
    /// How long the server has run.
    pub uptime: Duration,
    /// For what an operator must know.
    pub log: Logger,
}

/// A running export.
pub struct Export {
    stop: Signal<Instant>,
    ended: Receiver<()>,
    log: Logger,
}

/// Starts to export, for the first time when an interval has passed.
pub fn start(wiring: Wiring) -> io::Result<Export> {
    let sender = Sender::new(wiring.config.clone()).map_err(io::Error::other)?;
    let (stop, told_to_stop) = channel();
    let (end, ended) = channel();
    let log = wiring.log.clone();
    let exporter = Exporter {
        resource: resource::of_this_process(&wiring.config),
        started: SystemTime::now() - wiring.uptime,
        report: Report::default(),
        sender,
        wiring,
    };
    thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || {
            exporter.run(&told_to_stop);
            // Nobody listens where the server ended without waiting.
            let _ = end.send(());
        })?;
    Ok(Export { stop, ended, log })
}

impl Export {
    /// Exports once more and ends, within [`STOP_LIMIT`]. Call it when nothing will be counted any more.
    pub fn finish(self) {
        // Both fail only where the thread is gone already.
        let _ = self.stop.send(Instant::now() + STOP_LIMIT);
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(STOP_LIMIT) {
            warn!(
                self.log,
                "The last metrics were not sent by OTLP: the receiver does not answer in time"
            );
        }
    }
}

struct Exporter {
    wiring: Wiring,
    resource: Resource,
    started: SystemTime,
    sender: Sender,
    report: Report,
}

impl Exporter {
    fn run(mut self, told_to_stop: &Receiver<Instant>) {
        let Otlp {
            interval, timeout, ..
        } = self.wiring.config;
        info!(self.wiring.log, "Metrics are sent by OTLP"; "to" => self.receiver(),
            "interval_ms" => interval.as_millis() as u64);
        let mut next = Instant::now() + interval;
        loop {
            match told_to_stop.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => {
                    self.export(timeout);
                    // After an export that took longer than the interval, one at once, and not one for each missed.
                    next = (next + interval).max(Instant::now());
                }
                Ok(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        self.export(timeout.min(left));
                    }
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn export(&mut self, timeout: Duration) {
        let Wiring {
            metrics,
            wired,
            log,
            ..
        } = &self.wiring;
        let times = Times::now(self.started);
        let families = metrics.families(wired);
        let bytes = translate::request(families, &self.resource, times).encode_to_vec();
        let outcome = self.sender.send(&bytes, timeout);
        metrics.otlp.count(outcome.is_ok());
        self.report.tell(outcome, Instant::now(), log);
    }

    /// Without the query, which may hold a key.
    fn receiver(&self) -> String {
        let endpoint = &self.wiring.config.endpoint;
        let scheme = endpoint.scheme_str().unwrap_or_default();
        let authority = endpoint
            .authority()
            .map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", endpoint.path())
    }
}
