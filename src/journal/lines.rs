//! Reads a segment line by line, in bounded memory whatever its size.

use std::io;

use crate::runtime::disk::DiskFile;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// No line of a journal is longer: ids, names, keys and stores have bounds, and an escape takes six bytes. Where so
/// much comes without a newline, it is handed out in pieces, none of which is a whole line.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The lines of a file with anything in them.
pub struct Lines<'a> {
    file: &'a dyn DiskFile,
    chunk_bytes: usize,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    /// What of the buffer is read already.
    read: usize,
    is_at_end: bool,
}

impl<'a> Lines<'a> {
    /// From byte `position` on.
    pub fn from(file: &'a dyn DiskFile, position: u64) -> Lines<'a> {
        Lines::in_chunks(file, position, CHUNK_BYTES)
    }

    /// From byte `position` on, reading `chunk_bytes` at a time.
    pub fn in_chunks(file: &'a dyn DiskFile, position: u64, chunk_bytes: usize) -> Lines<'a> {
        Lines {
            file,
            chunk_bytes,
            buffer: Vec::new(),
            buffer_at: position,
            read: 0,
            is_at_end: false,
        }
    }

    /// The byte that is read next.
    pub fn position(&self) -> u64 {
        self.buffer_at + self.read as u64
    }

    /// The next line with anything in it, without its newline, and the byte where it begins.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        if !self.skip_newlines()? {
            return Ok(None);
        }
        let length = loop {
            let rest = &self.buffer[self.read..];
            if let Some(length) = memchr::memchr(b'\n', rest) {
                break length;
            }
            if rest.len() >= LINE_BYTES_MAX || !self.fill()? {
                break self.buffer.len() - self.read;
            }
        };
        let start = self.read;
        self.read += length;
        let at = self.buffer_at + start as u64;
        Ok(Some((at, &self.buffer[start..self.read])))
    }

    /// Goes on to the next byte that is no newline; false at the end of the file.
    fn skip_newlines(&mut self) -> io::Result<bool> {
        loop {
            self.read += newlines_before(&self.buffer[self.read..]);
            if self.read < self.buffer.len() {
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads more behind what is not read yet; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        self.buffer.drain(..self.read);
        self.buffer_at += self.read as u64;
        self.read = 0;
        let kept = self.buffer.len();
        let end = self.buffer_at + kept as u64;
        let left = self.file.size()?.saturating_sub(end);
        let chunk = left.min(self.chunk_bytes as u64) as usize;
        self.buffer.resize(kept + chunk, 0);
        let read = self.file.read_at(end, &mut self.buffer[kept..])?;
        self.buffer.truncate(kept + read);
        self.is_at_end = read == 0;
        Ok(read > 0)
    }
}

/// How many newlines `bytes` begin with. Groups are padded with them to whole blocks, so that they can be most of a file.
pub(super) fn newlines_before(bytes: &[u8]) -> usize {
    /// Compared at once.
    const STRIDE: [u8; 64] = [b'\n'; 64];
    let (strides, _) = bytes.as_chunks();
    let whole = strides.iter().take_while(|stride| **stride == STRIDE);
    let before = whole.count() * STRIDE.len();
    let rest = bytes[before..].iter();
    before + rest.take_while(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_are_counted_to_the_first_other_byte() {
        for newlines in [0, 1, 63, 64, 65, 128, 200] {
            for rest in ["", "x", "x\n\n"] {
                let bytes = "\n".repeat(newlines) + rest;
                assert_eq!(newlines, newlines_before(bytes.as_bytes()));
            }
        }
    }

    fn check(content: &str, expected: &[(u64, &str)]) {
        let file = tempfile::tempfile().unwrap();
        DiskFile::write_at(&file, 0, content.as_bytes()).unwrap();
        for chunk in [1, 3, CHUNK_BYTES] {
            let mut lines = Lines::in_chunks(&file, 0, chunk);
            let mut found = Vec::new();
            while let Some((at, line)) = lines.next_line().unwrap() {
                found.push((at, String::from_utf8(line.to_vec()).unwrap()));
            }
            let found: Vec<(u64, &str)> = found.iter().map(|(at, l)| (*at, l.as_str())).collect();
            assert_eq!(expected, found);
        }
    }

    #[test]
    fn lines_come_with_their_places_however_the_file_is_read() {
        check("", &[]);
        check("\n\n\n", &[]);
        check("ab\n\n\ncd\nefg", &[(0, "ab"), (5, "cd"), (8, "efg")]);
        check("\n\nab\n", &[(2, "ab")]);
    }

    #[test]
    fn what_is_longer_than_any_line_comes_in_pieces() {
        let file = tempfile::tempfile().unwrap();
        DiskFile::write_at(&file, 0, &vec![b'x'; 3 * LINE_BYTES_MAX]).unwrap();
        let mut lines = Lines::in_chunks(&file, 0, 4096);
        let mut bytes = 0;
        while let Some((at, piece)) = lines.next_line().unwrap() {
            assert_eq!(bytes, at);
            assert!(piece.len() < LINE_BYTES_MAX + 4096);
            bytes += piece.len() as u64;
        }
        assert_eq!(3 * LINE_BYTES_MAX as u64, bytes);
    }
}
