//! What a machine stands still by itself. A thread on each CPU sleeps a millisecond at a time, and writes down when it woke
//! late: a virtual machine that is not run, a host that is busy, or another process in front show there as they show to whoever
//! else wants to run on that CPU. Another writes a block and syncs it, a hundred times a second, and writes down when that took
//! long: as the journal does, on the same disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

const NAP: Duration = Duration::from_millis(1);
/// What is shorter explains nothing, and is not kept.
const CPU_STALL_MIN: Duration = Duration::from_millis(2);
/// The same for a sync, which takes some milliseconds on many a disk that does not stand still.
const DISK_STALL_MIN: Duration = Duration::from_millis(20);
/// Between two syncs of the disk: often enough to be under way whenever it stands still for long.
const SYNC_EVERY: Duration = Duration::from_millis(10);
/// What is written to the disk, again and again.
const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

/// A time in which somebody did not run, from the beginning of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
}

impl Stall {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A CPU.
    Cpu(usize),
    /// The disk that a directory is on.
    Disk(PathBuf),
}

/// What was watched, and when it stood still.
#[derive(Debug)]
pub struct Seen {
    /// What.
    pub what: What,
    /// When.
    pub stalls: Vec<Stall>,
}

/// Threads that watch.
pub struct Watchers {
    threads: Vec<JoinHandle<Result<Seen, String>>>,
    is_over: Arc<AtomicBool>,
}

impl Watchers {
    /// Watches; times count from `began`.
    pub fn start(watched: impl IntoIterator<Item = What>, began: Instant) -> Watchers {
        let is_over = Arc::new(AtomicBool::new(false));
        let watch_one = |what: What| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let stalls = match &what {
                    What::Cpu(cpu) => watch_cpu(*cpu, began, &is_over),
                    What::Disk(directory) => watch_disk(directory, began, &is_over),
                };
                match stalls {
                    Ok(stalls) => Ok(Seen { what, stalls }),
                    Err(error) => Err(format!("{what:?} cannot be watched: {error}")),
                }
            })
        };
        Watchers {
            threads: watched.into_iter().map(watch_one).collect(),
            is_over,
        }
    }

    /// What they saw, in the order given.
    pub fn stop(self) -> Result<Vec<Seen>, String> {
        self.is_over.store(true, Ordering::SeqCst);
        let seen = self.threads.into_iter().map(|thread| match thread.join() {
            Ok(seen) => seen,
            Err(_) => Err("a thread that watches panicked".to_owned()),
        });
        seen.collect()
    }
}

fn watch_cpu(cpu: usize, began: Instant, is_over: &AtomicBool) -> io::Result<Vec<Stall>> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    let mut stalls = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let due = began.elapsed() + NAP;
        thread::sleep(NAP);
        keep(&mut stalls, CPU_STALL_MIN, due, began.elapsed());
    }
    Ok(stalls)
}

fn watch_disk(directory: &Path, began: Instant, is_over: &AtomicBool) -> io::Result<Vec<Stall>> {
    let file: File = tempfile::tempfile_in(directory)?;
    file.write_all_at(&vec![0; BLOCK * BLOCKS as usize], 0)?;
    file.sync_all()?;
    let mut stalls = Vec::new();
    for number in 0_u64.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let from = began.elapsed();
        let block = [number as u8; BLOCK];
        file.write_all_at(&block, number % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        keep(&mut stalls, DISK_STALL_MIN, from, began.elapsed());
        thread::sleep(SYNC_EVERY);
    }
    Ok(stalls)
}

fn keep(stalls: &mut Vec<Stall>, at_least: Duration, from: Duration, to: Duration) {
    if to.saturating_sub(from) >= at_least {
        stalls.push(Stall { from, to });
    }
}

/// How much of the time `from..to` no stall covers; where several stood still at once, that counts once.
pub fn unexplained(from: Duration, to: Duration, seen: &[Seen]) -> Duration {
    let mut within: Vec<Stall> = seen
        .iter()
        .flat_map(|seen| &seen.stalls)
        .map(|stall| Stall {
            from: stall.from.max(from),
            to: stall.to.min(to),
        })
        .filter(|stall| stall.from < stall.to)
        .collect();
    within.sort_unstable_by_key(|stall| stall.from);
    let (mut covered, mut end) = (Duration::ZERO, from);
    for stall in within {
        covered += stall.to.saturating_sub(stall.from.max(end));
        end = end.max(stall.to);
    }
    to.saturating_sub(from) - covered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn stall(from: u64, to: u64) -> Stall {
        Stall {
            from: ms(from),
            to: ms(to),
        }
    }

    #[test]
    fn what_a_machine_stood_still_explains_a_wait_once() {
        let seen = |cpu, stalls: &[Stall]| Seen {
            what: What::Cpu(cpu),
            stalls: stalls.to_vec(),
        };
        let seen = [
            seen(0, &[stall(0, 20), stall(50, 80)]),
            seen(1, &[stall(60, 100), stall(190, 400)]),
        ];
        // 10-20, 50-100 and 190-200 of 10-200.
        assert_eq!(ms(190 - 10 - 50 - 10), unexplained(ms(10), ms(200), &seen));
        assert_eq!(ms(30), unexplained(ms(100), ms(130), &seen));
        assert_eq!(ms(0), unexplained(ms(200), ms(300), &seen));
        assert_eq!(ms(7), unexplained(ms(1), ms(8), &[]));
    }

    #[test]
    fn who_watches_tells_when_it_was_late() {
        let cpu = What::Cpu(super::super::plan("x").cpus[0]);
        let disk = What::Disk(std::env::temp_dir());
        let began = Instant::now();
        let watchers = Watchers::start([cpu.clone(), disk.clone()], began);
        thread::sleep(ms(50));
        let seen = watchers.stop().unwrap();
        assert_eq!(
            vec![cpu, disk],
            seen.iter().map(|s| s.what.clone()).collect::<Vec<_>>()
        );
        let stalls = seen.iter().flat_map(|seen| &seen.stalls);
        assert!(
            stalls
                .clone()
                .all(|stall| stall.from < stall.to && stall.to <= began.elapsed())
        );
    }

    #[test]
    fn what_cannot_be_watched_is_an_error() {
        let disk = What::Disk("/nowhere/at/all".into());
        assert!(Watchers::start([disk], Instant::now()).stop().is_err());
    }
}
