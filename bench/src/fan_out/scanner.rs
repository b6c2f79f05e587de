//! Finds the numbers of updates in an answer while it comes, however it is cut: a page of 350 KB for each of 10,000
//! followers is never in memory as a whole. Pure.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Stands before the number of an update.
static NUMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\":"));
/// So much of the end is kept: behind the events of a page stands where to go on.
const TAIL_BYTES: usize = 160;

/// How far an answer was looked through.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The latest bytes.
    tail: Vec<u8>,
    /// How many of them need not be looked at again.
    done: usize,
}

impl Scanner {
    /// Goes on with what came next, and tells every number that is whole: one ends where its digits do.
    ///
    /// # Errors
    /// What `tell` says.
    pub fn take(
        &mut self,
        piece: &[u8],
        scratch: &mut Vec<u8>,
        mut tell: impl FnMut(u64) -> Result<(), String>,
    ) -> Result<(), String> {
        scratch.clear();
        scratch.extend_from_slice(&self.tail);
        scratch.extend_from_slice(piece);
        let mut next = self.done;
        let mut cut = None;
        for at in NUMBER.find_iter(&scratch[self.done..]) {
            let start = self.done + at;
            let digits = &scratch[start + NUMBER.needle().len()..];
            let Some(length) = digits.iter().position(|byte| !byte.is_ascii_digit()) else {
                cut = Some(start);
                break;
            };
            tell(number(&digits[..length]))?;
            next = start + NUMBER.needle().len() + length;
        }
        // What stands before a number may be cut as well.
        let beginning = scratch.len().saturating_sub(NUMBER.needle().len() - 1);
        let next = cut.unwrap_or(next.max(beginning));
        let kept = scratch.len().saturating_sub(TAIL_BYTES).min(next);
        self.tail.clear();
        self.tail.extend_from_slice(&scratch[kept..]);
        self.done = next - kept;
        Ok(())
    }

    /// The end of what came.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }
}

/// The number of the update with this change of stock, as `Pen` writes it.
fn number(digits: &[u8]) -> u64 {
    let delta = digits.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    // Not a change of ours: no update has that number.
    delta.checked_sub(1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> (Vec<u64>, Scanner) {
        let (mut scanner, mut scratch) = (Scanner::default(), Vec::new());
        let mut found = Vec::new();
        for piece in pieces {
            let told = scanner.take(piece, &mut scratch, |number| {
                found.push(number);
                Ok(())
            });
            told.unwrap();
        }
        (found, scanner)
    }

    #[test]
    fn numbers_are_found_once_however_the_answer_is_cut() {
        let text =
            br#"{"events":[{"a":"b","delta":1},{"delta":420},{"x":"delta","delta":77}],"count":3}"#;
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let (found, scanner) = scan(&pieces);
                assert_eq!(vec![0, 419, 76], found, "{first} {second}");
                assert_eq!(text.as_slice(), scanner.tail(), "{first} {second}");
            }
        }
    }

    #[test]
    fn of_a_long_answer_the_end_is_kept() {
        let long = [b"x".repeat(100_000), br#""delta":5}"count":1}"#.to_vec()].concat();
        let (found, scanner) = scan(&[&long]);
        assert_eq!((vec![4], TAIL_BYTES), (found, scanner.tail().len()));
        assert!(scanner.tail().ends_with(br#""count":1}"#));
    }

    #[test]
    fn no_change_and_an_endless_one_are_no_updates() {
        let (found, _) = scan(&[br#""delta":0}"delta":99999999999999999999999}"#]);
        assert_eq!(vec![u64::MAX, u64::MAX - 1], found);
    }
}
