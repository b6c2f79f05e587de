//! What a role is measured on: an executor on one CPU, the CPU time of its thread, and its heartbeat.

use std::fs;
use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use central_inventory::plan::ExecutorPlan;
use central_inventory::runtime::executor::{self, Executor, HEARTBEAT};
use central_inventory::server::lanes::Bells;
use rustix::thread::{CpuSet, gettid, sched_setaffinity};

/// As the server's executors do.
const BEATS_PER_RING: u32 = 100;
/// A round that takes longer hangs.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// The role.
    pub role: usize,
    /// Who feeds it.
    pub driver: usize,
}

/// Binds the calling thread to one CPU.
pub fn pin(cpu: usize) -> Result<(), String> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(|error| format!("CPU {cpu}: {error}"))
}

/// A role at work.
pub struct Bed {
    executor: Executor,
    schedstat: String,
}

/// Time of a thread so far.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// On a CPU.
    pub cpu: Duration,
    /// Ready to run, without one.
    pub waited: Duration,
}

impl Bed {
    /// Runs `main` on `cpu`, with the heartbeat of an executor beside it.
    pub fn start<F: Future<Output = ()> + 'static>(
        cpu: usize,
        bells: Bells,
        main: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Bed, String> {
        let plan = ExecutorPlan {
            name: "role".to_owned(),
            cpus: vec![cpu],
            pinned: true,
            roles: Vec::new(),
        };
        let (say, said) = mpsc::channel();
        let executor = Executor::start(&plan, true, move || async move {
            // The main thread waits for it.
            let _ = say.send(gettid());
            executor::spawn(beat(bells));
            main().await;
        });
        let executor = executor.map_err(|error| error.to_string())?;
        let thread = said.recv().map_err(|error| error.to_string())?;
        Ok(Bed {
            executor,
            schedstat: format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero()),
        })
    }

    /// What its thread has had so far.
    pub fn times(&self) -> Result<Times, String> {
        let text = fs::read_to_string(&self.schedstat).map_err(|error| error.to_string())?;
        let mut fields = text.split_whitespace().map(str::parse::<u64>);
        match (fields.next(), fields.next()) {
            (Some(Ok(cpu)), Some(Ok(waited))) => Ok(Times {
                cpu: Duration::from_nanos(cpu),
                waited: Duration::from_nanos(waited),
            }),
            _ => Err(format!("{}: {text}", self.schedstat)),
        }
    }

    /// Waits for the role's end.
    pub fn join(self) -> Result<(), String> {
        self.executor.join().map_err(|error| error.to_string())
    }
}

async fn beat(bells: Bells) {
    let mut beats: u32 = 0;
    loop {
        executor::sleep(HEARTBEAT).await;
        beats = beats.wrapping_add(1);
        if beats.is_multiple_of(BEATS_PER_RING) {
            bells.ring_all();
        }
    }
}

/// Turns `step` until it says that all is done.
pub fn drive(mut step: impl FnMut() -> bool) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        for _ in 0..256 {
            if step() {
                return Ok(began.elapsed());
            }
            std::hint::spin_loop();
        }
        if began.elapsed() > ROUND_LIMIT {
            return Err(format!("a round is not over after {ROUND_LIMIT:?}"));
        }
    }
}
