//! The chunked coding of a request's body (RFC 9112, 7.1), taken off as the bytes come. Pure.
//!
//! Whatever two servers could read differently is a fault: a size that is not plain hexadecimal, a line that does not end in CR LF,
//! data that is longer or shorter than its size says.

/// The most bytes of all chunk extensions of a body together: they mean nothing here.
const EXTENSION_BYTES_MAX: usize = 16 << 10;
/// The most bytes of the trailers: they mean nothing here either.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// The most lines of the trailers.
const TRAILERS_MAX: usize = 64;

/// The body does not keep the coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Not a plain hexadecimal number, or one that is too large.
    #[error("a chunk must begin with its size in hexadecimal digits")]
    Size,
    /// A line that ends otherwise.
    #[error("the size of a chunk, and the chunk itself, must end with CR LF")]
    Line,
    /// Too much of it.
    #[error("the extensions of chunks may have at most {EXTENSION_BYTES_MAX} bytes")]
    Extension,
    /// They are not header lines, or too many.
    #[error("the trailers must be header lines, of at most {TRAILER_BYTES_MAX} bytes")]
    Trailers,
}

/// How far a body has been read.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    extension_bytes: usize,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Within the size; none before its first digit.
    Size(Option<u64>),
    Extension(u64),
    /// Before the LF behind the size.
    SizeEnd(u64),
    /// So many bytes of the chunk are to come.
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    End,
}

impl Default for Chunks {
    fn default() -> Chunks {
        Chunks {
            state: State::Size(None),
            extension_bytes: 0,
            trailers: Vec::new(),
        }
    }
}

impl Chunks {
    /// Takes the coding off the next bytes and appends what is left to `data`. Returns how many bytes it took: fewer than there
    /// are only where the body ends.
    ///
    /// # Errors
    /// If the bytes do not keep the coding.
    pub fn take(&mut self, bytes: &[u8], data: &mut Vec<u8>) -> Result<usize, ChunkFault> {
        let mut taken = 0;
        while taken < bytes.len() && !self.has_ended() {
            let rest = &bytes[taken..];
            taken += match self.state {
                State::Data(left) => {
                    let part = &rest[..left.min(rest.len() as u64) as usize];
                    data.extend_from_slice(part);
                    self.state = match left - part.len() as u64 {
                        0 => State::DataCr,
                        left => State::Data(left),
                    };
                    part.len()
                }
                State::Trailers => self.take_trailers(rest)?,
                _ => {
                    self.state = self.after(rest[0])?;
                    1
                }
            };
        }
        Ok(taken)
    }

    /// Whether the body, its trailers included, is whole.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::End)
    }

    fn after(&mut self, byte: u8) -> Result<State, ChunkFault> {
        Ok(match (self.state, byte) {
            (State::Size(Some(size)), b'\r') => State::SizeEnd(size),
            (State::Size(Some(size)), b';') => State::Extension(size),
            (State::Size(size), digit) => State::Size(Some(with_digit(size.unwrap_or(0), digit)?)),
            (State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(_), b'\n') => return Err(ChunkFault::Line),
            (State::Extension(size), _) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(ChunkFault::Extension);
                }
                State::Extension(size)
            }
            (State::SizeEnd(0), b'\n') => State::Trailers,
            (State::SizeEnd(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(None),
            _ => return Err(ChunkFault::Line),
        })
    }

    /// Takes bytes up to the empty line behind the trailers, or all if it is not in them.
    fn take_trailers(&mut self, bytes: &[u8]) -> Result<usize, ChunkFault> {
        for (at, byte) in bytes.iter().enumerate() {
            self.trailers.push(*byte);
            if *byte == b'\n' && ends_with_empty_line(&self.trailers) {
                check_trailers(&self.trailers)?;
                self.state = State::End;
                return Ok(at + 1);
            }
            if self.trailers.len() >= TRAILER_BYTES_MAX {
                return Err(ChunkFault::Trailers);
            }
        }
        Ok(bytes.len())
    }
}

fn with_digit(size: u64, digit: u8) -> Result<u64, ChunkFault> {
    let digit = (digit as char).to_digit(16).ok_or(ChunkFault::Size)?;
    let size = size.checked_mul(16).ok_or(ChunkFault::Size)?;
    Ok(size + u64::from(digit))
}

fn ends_with_empty_line(trailers: &[u8]) -> bool {
    matches!(trailers, [b'\r', b'\n']) || trailers.ends_with(b"\n\r\n")
}

fn check_trailers(trailers: &[u8]) -> Result<(), ChunkFault> {
    let mut lines = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    match httparse::parse_headers(trailers, &mut lines) {
        Ok(httparse::Status::Complete((length, _))) if length == trailers.len() => Ok(()),
        _ => Err(ChunkFault::Trailers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
        let (mut chunks, mut data, mut taken) = (Chunks::default(), Vec::new(), 0);
        for part in parts {
            taken += chunks.take(part, &mut data)?;
        }
        Ok((data, taken, chunks.has_ended()))
    }

    /// In all possible pairs of parts, and byte by byte; all must agree.
    #[track_caller]
    fn check(body: &str, expected: Result<(&str, usize, bool), ChunkFault>) {
        let body = body.as_bytes();
        let expected =
            expected.map(|(data, taken, ended)| (data.as_bytes().to_vec(), taken, ended));
        for cut in 0..=body.len() {
            let (left, right) = body.split_at(cut);
            assert_eq!(expected, read(&[left, right]), "cut at {cut}");
        }
        assert_eq!(expected, read(&body.chunks(1).collect::<Vec<_>>()));
    }

    #[test]
    fn chunks_are_joined() {
        check("0\r\n\r\n", Ok(("", 5, true)));
        check(
            "2\r\nab\r\n0A;x=\"y\"\r\n0123456789\r\n000\r\n\r\n",
            Ok(("ab0123456789", 36, true)),
        );
        check("1\r\na\r\n0\r\nA: b\r\n\r\n", Ok(("a", 17, true)));
        check("1\r\na\r\n0\r\n\r\nGET", Ok(("a", 11, true)));
        check("1\r\na\r\n0\r\n", Ok(("a", 9, false)));
        check("5\r\na", Ok(("a", 4, false)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "g\r\n", "+1\r\na", "-1\r\n", "0x1\r\n", "_1\r\n", "\r\n", ";a\r\n", " 1\r\n",
            "1 \r\n", "1\n",
        ] {
            check(body, Err(ChunkFault::Size));
        }
        for body in ["10000000000000000\r\n", "fffffffffffffffff\r\n"] {
            check(body, Err(ChunkFault::Size));
        }
        for body in [
            "1\ra",
            "1\r\r\n",
            "1;a\n",
            "1;a\rb",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na0\r\n",
        ] {
            check(body, Err(ChunkFault::Line));
        }
        check("0\r\njunk\r\n\r\n", Err(ChunkFault::Trailers));
    }

    #[test]
    fn what_means_nothing_has_a_bound() {
        let extension = format!("1;{}", "x".repeat(EXTENSION_BYTES_MAX + 1));
        assert_eq!(Err(ChunkFault::Extension), read(&[extension.as_bytes()]));
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(TRAILER_BYTES_MAX));
        assert_eq!(Err(ChunkFault::Trailers), read(&[trailers.as_bytes()]));
    }
}
