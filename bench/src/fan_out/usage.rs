//! CPU time and memory, of the server, of this program, and of the machine.

use std::fs;
use std::time::{Duration, Instant};

use crate::machine;

/// The unit of times in `/proc/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was used so far, or between two looks.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: Instant,
    /// The time between the looks.
    pub elapsed: Duration,
    /// CPU time of the server's processes.
    pub server: Duration,
    /// CPU time of this program.
    pub driver: Duration,
    /// How long CPUs were not idle, summed over all of them.
    pub machine: Duration,
}

impl Usage {
    /// So far. A process that is gone used nothing.
    pub fn now(server_pids: &[u32]) -> Usage {
        let server = server_pids.iter().copied();
        Usage {
            at: Instant::now(),
            elapsed: Duration::ZERO,
            server: server.filter_map(machine::process_cpu).sum(),
            driver: machine::process_cpu(std::process::id()).unwrap_or_default(),
            machine: busy(&fs::read_to_string("/proc/stat").unwrap_or_default()),
        }
    }

    /// What was used since `before`.
    pub fn since(self, before: &Usage) -> Usage {
        Usage {
            at: self.at,
            elapsed: self.at - before.at,
            server: self.server.saturating_sub(before.server),
            driver: self.driver.saturating_sub(before.driver),
            machine: self.machine.saturating_sub(before.machine),
        }
    }

    /// Of the time of two CPUs, the server's and this program's, how much went to neither.
    pub fn others_share(&self) -> f64 {
        let others = self.machine.saturating_sub(self.server + self.driver);
        others.as_secs_f64() / (2.0 * self.elapsed.as_secs_f64())
    }
}

/// Memory of the first of the server's processes that is in RAM.
pub fn resident_bytes(server_pids: &[u32]) -> Option<u64> {
    machine::resident_bytes(*server_pids.first()?)
}

/// All but idle and waiting for a disk.
fn busy(stat: &str) -> Duration {
    const IDLE: [usize; 2] = [3, 4];
    const COUNTED: usize = 8;
    let fields = stat.lines().next().unwrap_or_default();
    let ticks = fields.split_ascii_whitespace().skip(1).take(COUNTED);
    let busy = ticks.enumerate().filter(|(field, _)| !IDLE.contains(field));
    let busy: u64 = busy.filter_map(|(_, text)| text.parse::<u64>().ok()).sum();
    Duration::from_secs_f64(busy as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_cpus_and_guests_do_not_count() {
        let stat = "cpu  100 1 50 9000 900 2 3 44 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(Duration::from_secs(2), busy(stat));
        assert_eq!(Duration::ZERO, busy(""));
    }

    #[test]
    fn this_program_uses_time_and_memory() {
        let own = [std::process::id()];
        let before = Usage::now(&own);
        assert!(resident_bytes(&own).is_some_and(|bytes| bytes > 1 << 20));
        let used = Usage::now(&own).since(&before);
        assert!(used.elapsed > Duration::ZERO);
        assert_eq!(None, resident_bytes(&[]));
    }
}
