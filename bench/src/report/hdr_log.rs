//! The times of each second and kind as an HdrHistogram log, which the usual tools read.

use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Phase;
use crate::engine::Recorder;

/// Times are kept in microseconds, and the tools expect milliseconds by this divisor.
const MAX_VALUE_DIVISOR: f64 = 1_000.0;

/// The log of all phases. Tags are `phase name/kind`, blanks as `_`; intervals begin with the run.
pub fn log(phases: &[Phase], recorders: &[Recorder], started: SystemTime) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .with_start_time(started)
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(io::Error::other)?;
    let mut begin = Duration::ZERO;
    for (phase, recorder) in phases.iter().zip(recorders) {
        for (second, kind, times) in recorder.intervals() {
            let tag = format!("{}/{kind}", phase.name.replace([' ', ','], "_"));
            let at = begin + Duration::from_secs(second as u64);
            writer
                .write_histogram(times, at, Duration::from_secs(1), Tag::new(&tag))
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        begin += Duration::from_secs_f64(phase.seconds);
    }
    Ok(out)
}
