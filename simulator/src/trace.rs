//! What happened in a run: a running hash of all of it, and, where somebody will read it, the lines.

use std::fmt::Write;

/// The record of a run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    step: u64,
    lines: Option<Vec<String>>,
    is_printed: bool,
}

impl Trace {
    /// Keeps the lines where `kept`, and prints each at once where `printed`.
    pub fn new(kept: bool, printed: bool) -> Trace {
        Trace {
            lines: (kept || printed).then(Vec::new),
            is_printed: printed,
            ..Trace::default()
        }
    }

    /// The step that what follows belongs to.
    pub fn at(&mut self, step: u64) {
        self.step = step;
        self.mix(step);
    }

    /// A number for everything so far: two runs that differ in anything differ in it.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they are kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Adds an event: `numbers` and `bytes` to the hash, and what `describe` says to the lines.
    pub fn add(&mut self, numbers: &[u64], bytes: &[u8], describe: impl FnOnce() -> String) {
        numbers.iter().for_each(|number| self.mix(*number));
        self.mix(bytes.len() as u64);
        self.mix(crc32c::crc32c(bytes).into());
        if let Some(lines) = &mut self.lines {
            let mut line = String::new();
            write!(line, "{:>6}  {}", self.step, describe()).expect("a string takes it");
            if self.is_printed {
                println!("{line}");
            }
            lines.push(line);
        }
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
