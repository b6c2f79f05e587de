//! Lists of numbers the way Linux writes CPU lists: `0-3,8`.

use std::fmt;

/// Numbers in ascending order, shown with ranges for neighbours.
pub struct CpuList<'a>(pub &'a [usize]);

impl fmt::Display for CpuList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.0.chunk_by(|left, right| left + 1 == *right);
        for (index, range) in ranges.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match range {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                _ => write!(f, "{comma}{}", range[0])?,
            }
        }
        Ok(())
    }
}
