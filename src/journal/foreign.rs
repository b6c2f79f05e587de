//! Recognises files that are not what they are taken for, above all those of the system that the API comes from.

use std::io;

use super::directory::Files;
use super::line::Line;
use super::lines::Lines;
use crate::runtime::disk::{DiskFile, Open};
use crate::runtime::file::BLOCK;

/// Enough to see what a file is.
const START_BYTES: usize = 4096;
/// How a line of the journal begins.
const LINE_HEAD: &[u8] = b"{\"offset\":";
/// How an events file of the other system begins, but for white space.
const EVENTS_HEAD: &[u8] = b"{\"events\"";

/// What a file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Events of the other system: `{"events":[...],"nextOffset":N}`.
    OtherEvents,
    /// A journal of this server.
    Journal,
    /// Anything else.
    Other,
}

/// Recognises a file by what it begins with.
pub fn recognise(content: &[u8]) -> Content {
    let start = &content[..content.len().min(START_BYTES)];
    match begins_with(start, EVENTS_HEAD) {
        true => Content::OtherEvents,
        false if begins_with(start, b"{\"nextOffset\"") => Content::OtherEvents,
        false if begins_with(start, LINE_HEAD) => Content::Journal,
        false => Content::Other,
    }
}

/// Whether the active segment of `files` is an events file of the other system.
pub fn is_other_events_file(files: &Files) -> bool {
    let mut start = [0; START_BYTES];
    let opened = files.disk.open(&files.active, Open::Read);
    match opened.and_then(|file| file.read_at(0, &mut start)) {
        Ok(read) => recognise(&start[..read]) == Content::OtherEvents,
        Err(_) => false,
    }
}

/// Whether `start` begins with `head`, white space left out.
fn begins_with(start: &[u8], head: &[u8]) -> bool {
    let visible = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    visible.take(head.len()).eq(head)
}

/// Whether this was not written by this server: it is the events file of the system that the API comes from, or has
/// no line of ours and not the size of a segment either. What is not ours must not be cut.
pub(super) fn is_not_ours(file: &dyn DiskFile, size: u64) -> io::Result<bool> {
    let mut lines = Lines::from(file, 0);
    let Some((_, first)) = lines.next_line()? else {
        return Ok(false);
    };
    let is_head = first.starts_with(LINE_HEAD);
    let may_be_head = LINE_HEAD.starts_with(first);
    if is_head || (may_be_head && lines.next_line()?.is_none()) {
        return Ok(false);
    }
    let mut start = [0; START_BYTES];
    let read = file.read_at(0, &mut start)?;
    let is_events_file = recognise(&start[..read]) == Content::OtherEvents;
    Ok(is_events_file || (!size.is_multiple_of(BLOCK as u64) && !has_line(file)?))
}

fn has_line(file: &dyn DiskFile) -> io::Result<bool> {
    let mut lines = Lines::from(file, 0);
    while let Some((_, line)) = lines.next_line()? {
        if Line::read(line).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_beginning() {
        let check = |start: &str, expected| assert_eq!(expected, recognise(start.as_bytes()));
        check("{\n  \"events\": [", Content::OtherEvents);
        check("{\"nextOffset\":3,\"events\":[", Content::OtherEvents);
        check("{\"offset\":0,\"timestamp\"", Content::Journal);
        check("{\"products\":{", Content::Other);
        check("", Content::Other);
    }
}
