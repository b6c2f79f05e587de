//! `central-inventory journal`: is it sound, and what is in it. Takes no lock and changes nothing.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;

use super::progress::{Progress, Unit};
use super::{files, print};
use crate::journal::dump::{self, DumpError, Range};
use crate::journal::verify::{self, Findings, Found, Kind, Segment};

/// What to do with the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum JournalCommand {
    /// Read snapshot and journal whole and report all that is damaged.
    ///
    /// Checks every line as a start does, goes on behind what is damaged, and lists each fault with its file, byte and
    /// offset. Says apart what a start would cut: a torn tail, which was never acknowledged. Exits with 0 if all is sound,
    /// 1 if something is damaged, 2 if it cannot be read.
    Verify,
    /// Print events as they are served, one JSON object a line.
    ///
    /// Exits with 1 where a line is damaged, 2 if there is no journal or not the events asked for.
    Dump {
        /// Offset of the first event; default: the oldest there is.
        #[arg(long, value_name = "OFFSET")]
        from: Option<u64>,
        /// Offset of the last event; default: the latest there is.
        #[arg(long, value_name = "OFFSET")]
        to: Option<u64>,
    },
}

const DAMAGED: u8 = 1;
const UNREADABLE: u8 = 2;

/// Runs `command`.
pub fn journal(command: &JournalCommand) -> ExitCode {
    match *command {
        JournalCommand::Verify => verify(),
        JournalCommand::Dump { from, to } => dump(Range { from, to }),
    }
}

fn verify() -> ExitCode {
    let started = Instant::now();
    let mut progress = Progress::new("Verifying", Unit::Bytes);
    let verified = files().and_then(|files| {
        verify::verify(&files, &mut |done, total| progress.tell(done, total))
            .map_err(|error| error.to_string())
    });
    drop(progress);
    match verified {
        Ok(findings) => {
            for sentence in &findings.unreadable {
                eprintln!("{sentence}");
            }
            print(&report(&findings, started.elapsed()), exit_code(&findings))
        }
        Err(problem) => refuse(&problem, UNREADABLE),
    }
}

fn refuse(problem: &str, code: u8) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(code)
}

fn exit_code(findings: &Findings) -> ExitCode {
    match (findings.is_sound(), findings.unreadable.is_empty()) {
        (false, _) => ExitCode::from(DAMAGED),
        (true, false) => ExitCode::from(UNREADABLE),
        (true, true) => ExitCode::SUCCESS,
    }
}

fn report(findings: &Findings, took: Duration) -> String {
    let mut out = String::new();
    for line in report_lines(findings, took) {
        writeln!(out, "{line}").expect("memory takes it");
    }
    out
}

fn report_lines(findings: &Findings, took: Duration) -> Vec<String> {
    let mut lines: Vec<String> = findings.faults.iter().map(fault_line).collect();
    let listed = lines.len() as u64;
    if findings.fault_count > listed {
        lines.push(format!(
            "DAMAGED  and {} more",
            findings.fault_count - listed
        ));
    }
    if let Some(torn) = &findings.torn {
        lines.push(format!(
            "torn     {}: byte {}, {} bytes where offset {} would be: never acknowledged, {}",
            torn.path.display(),
            torn.byte,
            torn.bytes,
            torn.offset,
            match findings.a_server_runs {
                true => "most likely being written right now",
                false => "cut off by the next start",
            }
        ));
    }
    if findings.a_server_runs {
        lines.push("note     a server is running: its last group may look torn".to_owned());
    }
    if let Some(snapshot) = &findings.snapshot {
        lines.push(format!(
            "snapshot {} products, {} deleted, all changes below offset {}",
            snapshot.products, snapshot.deleted, snapshot.next_offset
        ));
    }
    lines.extend(findings.segments.iter().map(segment_line));
    lines.push(last_line(findings, took));
    lines
}

fn fault_line(fault: &Found) -> String {
    let byte = fault.byte.map(|byte| format!("byte {byte}"));
    let offset = fault.offset.map(|offset| format!("offset {offset}"));
    let place: Vec<String> = byte.into_iter().chain(offset).collect();
    let path = fault.path.display();
    match place.is_empty() {
        true => format!("DAMAGED  {path}: {}", fault.problem),
        false => format!("DAMAGED  {path}: {}: {}", place.join(", "), fault.problem),
    }
}

fn segment_line(segment: &Segment) -> String {
    let path = segment.path.display();
    let what = match (segment.kind, segment.next_offset.checked_sub(1)) {
        (Kind::LeftOver, _) => "left over, a start ignores it".to_owned(),
        (_, Some(last)) if last >= segment.first_offset => {
            format!(
                "offsets {} to {last}, {} events",
                segment.first_offset, segment.events
            )
        }
        _ => "no events".to_owned(),
    };
    format!("segment  {path}: {what}, {} bytes", segment.bytes)
}

fn last_line(findings: &Findings, took: Duration) -> String {
    let verdict = match (findings.fault_count, findings.unreadable.len()) {
        (0, 0) => "sound   ".to_owned(),
        (0, _) => "not all of it could be read:".to_owned(),
        (1, _) => "damaged: 1 fault;".to_owned(),
        (count, _) => format!("damaged: {count} faults;"),
    };
    let events: u64 = findings.segments.iter().map(|s| s.events).sum();
    let bytes: u64 = findings.segments.iter().map(|s| s.bytes).sum();
    let segments = match findings.segments.len() {
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    };
    let seconds = took.as_secs_f64();
    let next = findings
        .next_offset
        .map_or_else(String::new, |next| format!(", next offset {next}"));
    format!("{verdict} {segments}, {events} events, {bytes} bytes{next}, {seconds:.1} s")
}

fn dump(range: Range) -> ExitCode {
    let files = match files() {
        Ok(files) => files,
        Err(problem) => return refuse(&problem, UNREADABLE),
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let dumped = dump::dump(&files, range, &mut |bytes| out.write_all(bytes));
    // What came before a fault is handed out in any case.
    let flushed = out.flush().map_err(DumpError::Put);
    match dumped.and_then(|torn| flushed.map(|()| torn)) {
        Ok(Some(torn)) => {
            eprintln!(
                "{}: what begins at byte {} is torn, was never acknowledged and is left out",
                files.active.display(),
                torn.byte
            );
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        // A reader that has gone away (`| head`) got what it wanted.
        Err(DumpError::Put(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in the buffer has nowhere to go either.
            drop(out.into_parts());
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error.to_string(), dump_code(&error)),
    }
}

fn dump_code(error: &DumpError) -> u8 {
    match error {
        DumpError::Damaged { .. } | DumpError::Missing { .. } | DumpError::Put(_) => DAMAGED,
        DumpError::Scene(_)
        | DumpError::Read { .. }
        | DumpError::TooOld(_)
        | DumpError::Beyond(_) => UNREADABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(fault_count: u64) -> Findings {
        let found = Found {
            path: "events.json".into(),
            byte: Some(12),
            offset: Some(3),
            problem: "it is wrong".to_owned(),
        };
        Findings {
            faults: vec![found; 2],
            fault_count,
            segments: vec![Segment {
                path: "events.json".into(),
                kind: Kind::Active,
                first_offset: 2,
                next_offset: 9,
                events: 7,
                bytes: 4096,
            }],
            next_offset: Some(9),
            ..Findings::default()
        }
    }

    #[test]
    fn a_report_lists_faults_and_segments_and_ends_with_the_sum() {
        let report = report(&findings(5), Duration::from_millis(1500));
        let expected = "\
DAMAGED  events.json: byte 12, offset 3: it is wrong
DAMAGED  events.json: byte 12, offset 3: it is wrong
DAMAGED  and 3 more
segment  events.json: offsets 2 to 8, 7 events, 4096 bytes
damaged: 5 faults; 1 segment, 7 events, 4096 bytes, next offset 9, 1.5 s
";
        assert_eq!(expected, report);
    }
}
