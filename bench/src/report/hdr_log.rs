//! The log of latencies that HdrHistogram's tools read: a histogram for each second and kind, so that any percentile over
//! any part of a run can be had afterwards. For `--hdr-log`.
//!
//! The form is that of the Java original's `HistogramLogWriter` (version 1.3, histograms in V2, deflated), which
//! HistogramLogAnalyzer, HistogramLogProcessor and the libraries of other languages read:
//!
//! ```text
//! #[Histogram log format version 1.3]
//! #Latency in microseconds.
//! #[StartTime: 1770091506.000 (seconds since epoch)]
//! #[BaseTime: 1770091506.000 (seconds since epoch)]
//! Tag=update,12.000,1.000,3140.000,HISTFAAAA...
//!     |      |      |     |        a histogram, deflated, in base64
//!     |      |      |     its largest value
//!     |      |      seconds that it covers
//!     |      seconds after BaseTime
//!     what it is of
//! ```
//!
//! The values are microseconds. The Java tools take them for nanoseconds unless told:
//! `HistogramLogProcessor -i run.hlog -tag update -outputValueUnitRatio 1000` prints milliseconds.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use super::Phase;
use crate::engine::Recorder;

/// The log of all phases, one after another from the beginning of the run. Tags are `phase/kind`.
pub fn log(phases: &[Phase], recorders: &[Recorder], started: SystemTime) -> io::Result<Vec<u8>> {
    const SECOND: Duration = Duration::from_secs(1);
    let mut log = HdrLog::new(Vec::new(), started)?;
    let mut begin = Duration::ZERO;
    for (phase, recorder) in phases.iter().zip(recorders) {
        for (second, kind, times) in recorder.intervals() {
            let at = begin + SECOND * u32::try_from(second).unwrap_or(u32::MAX);
            log.write(&format!("{}/{kind}", phase.name), at, SECOND, times)?;
        }
        begin += Duration::try_from_secs_f64(phase.seconds).unwrap_or_default();
    }
    log.finish()
}

/// A log that is being written.
pub struct HdrLog<W> {
    writer: W,
    serializer: V2DeflateSerializer,
}

impl<W: Write> HdrLog<W> {
    /// Begins a log of a run that began at `started`.
    pub fn new(mut writer: W, started: SystemTime) -> io::Result<HdrLog<W>> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("Latency in microseconds.")
            .with_start_time(started)
            .with_base_time(started)
            .begin_log_with(&mut writer, &mut serializer)?;
        Ok(HdrLog { writer, serializer })
    }

    /// Writes what was recorded under `tag` during `length`, from `start` after the beginning of the run. Call it in the
    /// order of `start`: the tools expect that. Spaces and commas, which a tag cannot have, become `-`.
    pub fn write(
        &mut self,
        tag: &str,
        start: Duration,
        length: Duration,
        histogram: &Histogram<u64>,
    ) -> io::Result<()> {
        let tag = tag.replace([' ', ',', '\r', '\n'], "-");
        // The library's writer borrows what it writes to; one without a header is free, so each histogram has its own.
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.writer, &mut self.serializer)?
            .write_histogram(histogram, start, length, Tag::new(&tag))
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })
    }

    /// Writes what is still in memory and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::engine::Kind;
    use crate::report::sample;

    const STARTED: Duration = Duration::from_secs(1_770_091_506);

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram =
            Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound");
        values
            .iter()
            .for_each(|value| histogram.saturating_record(*value));
        histogram
    }

    fn log() -> String {
        let mut log =
            HdrLog::new(Vec::new(), SystemTime::UNIX_EPOCH + STARTED).expect("memory takes it");
        let second = Duration::from_secs(1);
        log.write("update", second, second, &histogram(&[100, 200, 300]))
            .expect("memory takes it");
        log.write("half of, saturation", 2 * second, second, &histogram(&[]))
            .expect("memory takes it");
        String::from_utf8(log.finish().expect("memory takes it")).expect("a log is text")
    }

    #[test]
    fn the_header_says_when_it_began_and_once() {
        let log = log();
        assert!(
            log.starts_with("#[Histogram log format version 1.3]\n"),
            "{log}"
        );
        let lines = log.lines().filter(|line| line.starts_with('#'));
        assert_eq!(lines.count(), 4, "{log}");
        let entries =
            IntervalLogIterator::new(log.as_bytes()).map(|entry| entry.expect("it can be read"));
        assert!(entries.take(2).all(|entry| matches!(entry, LogEntry::StartTime(at) | LogEntry::BaseTime(at) if at == STARTED)));
    }

    #[test]
    fn histograms_are_read_as_they_were_recorded() {
        let log = log();
        let entries =
            IntervalLogIterator::new(log.as_bytes()).map(|entry| entry.expect("it can be read"));
        let intervals = entries.filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        });
        let intervals: Vec<_> = intervals.collect();
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals[0].start_timestamp(), Duration::from_secs(1));
        assert_eq!(intervals[0].tag().map(|tag| tag.as_str()), Some("update"));
        assert_eq!(
            intervals[1].tag().map(|tag| tag.as_str()),
            Some("half-of--saturation")
        );
        assert_eq!(
            decode(intervals[0].encoded_histogram()),
            histogram(&[100, 200, 300])
        );
    }

    #[test]
    fn histograms_are_in_the_form_that_the_tools_read() {
        // The cookie of a deflated V2 histogram, 0x1c849314, in base64.
        assert!(log().contains(",HISTF"));
    }

    #[test]
    fn phases_follow_one_another_with_a_tag_for_each_kind() {
        let phases: Vec<Phase> = sample::report().phases.drain(..2).collect();
        let mut recorder = Recorder::default();
        recorder.time(
            Kind::Update,
            Duration::from_millis(1_500),
            Duration::from_millis(3),
        );
        recorder.time(
            Kind::Read,
            Duration::from_millis(1_600),
            Duration::from_millis(2),
        );
        let started = SystemTime::UNIX_EPOCH + STARTED;
        let log =
            super::log(&phases, &[recorder.clone(), recorder], started).expect("memory takes it");
        let log = String::from_utf8(log).expect("a log is text");
        let lines = log.lines().filter(|line| line.starts_with("Tag="));
        let lines: Vec<&str> = lines
            .filter_map(|line| Some(line.rsplit_once(',')?.0))
            .collect();
        let expected = [
            "Tag=saturation/update,1.000,1.000,3007.000",
            "Tag=saturation/read,1.000,1.000,2007.000",
            "Tag=half-of-saturation/update,21.000,1.000,3007.000",
            "Tag=half-of-saturation/read,21.000,1.000,2007.000",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_full_disk_is_told() {
        let full: &mut [u8] = &mut [];
        let error = HdrLog::new(full, SystemTime::UNIX_EPOCH)
            .err()
            .expect("there is no room");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    fn decode(text: &str) -> Histogram<u64> {
        let bytes = from_base64(text);
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .expect("it is a histogram")
    }

    /// Enough of base64 for a test.
    fn from_base64(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = text
            .bytes()
            .filter_map(|letter| ALPHABET.iter().position(|known| *known == letter));
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
        for digit in digits {
            bits = (bits << 6 | digit as u32) & 0xfff;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
            }
        }
        bytes
    }
}
