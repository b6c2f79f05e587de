//! A body in chunks, put together as it comes.

use std::io;

/// The longest line that says how long a chunk is; more is no HTTP of ours.
const SIZE_LINE_BYTES_MAX: usize = 64;

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub struct Chunks {
    /// Bytes of the current chunk that are still to come, with the line feed behind it.
    left: usize,
    /// A line that is not whole yet.
    line: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Size,
    Data,
    Trailer,
    End,
}

impl Chunks {
    /// Whether the body is over.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::End
    }

    /// Takes what came and appends what it holds of the body. Returns what belongs to it no longer.
    ///
    /// # Errors
    /// If it is not chunked.
    pub fn take<'a>(&mut self, mut bytes: &'a [u8], body: &mut Vec<u8>) -> io::Result<&'a [u8]> {
        while !bytes.is_empty() && !self.is_over() {
            bytes = match self.stage {
                Stage::Data => self.take_data(bytes, body),
                _ => self.take_line(bytes)?,
            };
        }
        Ok(bytes)
    }

    fn take_data<'a>(&mut self, bytes: &'a [u8], body: &mut Vec<u8>) -> &'a [u8] {
        const LINE_END: usize = 2;
        let (now, rest) = bytes.split_at(bytes.len().min(self.left));
        let data = self.left.saturating_sub(LINE_END).min(now.len());
        body.extend_from_slice(&now[..data]);
        self.left -= now.len();
        if self.left == 0 {
            self.stage = Stage::Size;
        }
        rest
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (now, rest) = bytes.split_at(end);
        self.line.extend_from_slice(now);
        if self.line.len() > SIZE_LINE_BYTES_MAX {
            return Err(malformed());
        }
        if self.line.ends_with(b"\n") {
            let line = std::mem::take(&mut self.line);
            self.read_line(&line)?;
        }
        Ok(rest)
    }

    fn read_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.stage = match self.stage {
            // The parser takes no digits for 0.
            Stage::Size if !line[0].is_ascii_hexdigit() => return Err(malformed()),
            Stage::Size => match httparse::parse_chunk_size(line) {
                Ok(httparse::Status::Complete((_, 0))) => Stage::Trailer,
                Ok(httparse::Status::Complete((_, size))) => {
                    self.left = usize::try_from(size).map_err(|_| malformed())? + 2;
                    Stage::Data
                }
                _ => return Err(malformed()),
            },
            Stage::Trailer if line == b"\r\n" => Stage::End,
            stage => stage,
        };
        Ok(())
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a body that is not chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_put_together_however_it_is_cut() {
        let text = b"5\r\nhello\r\n1;x=y\r\n \r\nB\r\nwide\r\nworld\r\n0\r\n\r\nnext";
        for cut in 0..text.len() {
            let mut chunks = Chunks::default();
            let mut body = Vec::new();
            let mut rest = chunks.take(&text[..cut], &mut body).unwrap().to_vec();
            rest.extend(chunks.take(&text[cut..], &mut body).unwrap());
            assert_eq!(b"hello wide\r\nworld", body.as_slice(), "{cut}");
            assert!(chunks.is_over());
            assert_eq!(b"next", rest.as_slice(), "{cut}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_an_error() {
        for text in [&b"hello\r\n"[..], b"\r\n", &[b'0'; 100]] {
            let mut chunks = Chunks::default();
            assert!(chunks.take(text, &mut Vec::new()).is_err());
        }
    }
}
