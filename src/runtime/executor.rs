//! Executors: one thread with its own io_uring each, placed as the plan says.
//!
//! Traps this module keeps everyone out of: an executor can park with a runnable task, so each runs a heartbeat
//! that bounds such a stall; task queues with a latency target hang, so there are none; spawning takes a lock
//! shared by the whole process, so it is done per connection and never per request.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{CpuSet, LocalExecutorBuilder, Placement};

use crate::plan::ExecutorPlan;

/// How often an executor's heartbeat beats. 10 ms costs 0.4 % of a core; no stall lasts longer.
pub const HEARTBEAT: Duration = Duration::from_millis(10);

/// Registered buffer memory of an executor that does no file I/O: the least that glommio takes.
const IO_MEMORY_SOCKETS_ONLY: usize = 64 << 10;
/// Registered buffer memory of the executor that writes the journal.
const IO_MEMORY_JOURNAL: usize = 4 << 20;

/// A thread that runs an executor.
pub struct Executor {
    thread: JoinHandle<io::Result<()>>,
    name: String,
}

impl Executor {
    /// Starts an executor as `plan` says and runs `main` on it. The future is made on the executor's thread, so it
    /// need not be `Send`.
    ///
    /// # Errors
    /// If the thread, its placement or its rings cannot be had.
    pub fn start<F>(
        plan: &ExecutorPlan,
        writes_files: bool,
        main: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Executor>
    where
        F: Future<Output = ()> + 'static,
    {
        let placement = placement(plan)?;
        let name = plan.name.clone();
        let io_memory = match writes_files {
            true => IO_MEMORY_JOURNAL,
            false => IO_MEMORY_SOCKETS_ONLY,
        };
        let (started, has_started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(plan.name.clone())
            .spawn(move || {
                let made = LocalExecutorBuilder::new(placement)
                    .io_memory(io_memory)
                    .make();
                let executor = match made {
                    Ok(executor) => executor,
                    Err(error) => return Err(io::Error::other(error)),
                };
                // Only gone if the starting thread is.
                let _ = started.send(());
                executor.run(async move {
                    main().await;
                    blocking_is_done().await;
                });
                Ok(())
            })?;
        // An executor that could not be made has dropped its end; its thread says why.
        if has_started.recv().is_err() {
            return Err(
                match (Executor {
                    thread,
                    name: name.clone(),
                })
                .join()
                {
                    Err(error) => {
                        io::Error::other(format!("executor {name} cannot start: {error}"))
                    }
                    Ok(()) => unreachable!("it ends well only after it has started"),
                },
            );
        }
        Ok(Executor { thread, name })
    }

    /// Whether `main` has returned.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until `main` has returned.
    pub fn join(self) -> io::Result<()> {
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other(format!("executor {} panicked", self.name))),
        }
    }
}

fn placement(plan: &ExecutorPlan) -> io::Result<Placement> {
    if plan.pinned {
        return Ok(Placement::Fixed(plan.cpus[0]));
    }
    let online = CpuSet::online().map_err(io::Error::other)?;
    let allowed = online.filter(|location| plan.cpus.contains(&location.cpu));
    Ok(Placement::Fenced(allowed))
}

/// Runs `task` beside the current one, on the same executor, until it ends.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        return host.spawn(Box::pin(task));
    }
    glommio::spawn_local(task).detach();
}

/// Lets other tasks of this executor run.
pub async fn yield_now() {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        return host.yield_now().await;
    }
    glommio::executor().yield_task_queue_now().await;
}

/// Waits for `duration`. Costs a timer: not for the path of a request.
pub async fn sleep(duration: Duration) {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        return host.sleep(duration).await;
    }
    glommio::timer::sleep(duration).await;
}

thread_local! {
    /// Who waits for the next beat of this executor.
    static BEAT: Beat = const { Beat { is_running: Cell::new(false), count: Cell::new(0), wakers: RefCell::new(Vec::new()) } };
}

struct Beat {
    is_running: Cell<bool>,
    count: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

/// Waits for the next beat of this executor, within [`HEARTBEAT`]. All who wait are woken together, so that an idle executor
/// wakes once a beat and not once for each of them.
pub async fn beat() {
    #[cfg(feature = "simulation")]
    if super::simulation::host().is_some() {
        return sleep(HEARTBEAT).await;
    }
    if !BEAT.with(|beat| beat.is_running.replace(true)) {
        spawn(run_beat());
    }
    let before = BEAT.with(|beat| beat.count.get());
    poll_fn(|context| {
        BEAT.with(|beat| {
            if beat.count.get() != before {
                return Poll::Ready(());
            }
            beat.wakers.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
    })
    .await;
}

async fn run_beat() {
    loop {
        sleep(HEARTBEAT).await;
        BEAT.with(|beat| {
            beat.count.set(beat.count.get() + 1);
            beat.wakers.borrow_mut().drain(..).for_each(Waker::wake);
        });
    }
}

/// Lets all tasks of this executor run that can, and what they wait for outside come in: I/O is only seen when nothing
/// is left to run, which never comes about beside a task that only yields.
pub async fn let_io_run() {
    // A timer that is due at once, and only seen together with I/O.
    sleep(Duration::from_micros(1)).await;
}

thread_local! {
    /// How many pieces of work this executor has given to its blocking thread and not heard of again.
    static BLOCKING: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` on the executor's blocking thread.
pub async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    #[cfg(feature = "simulation")]
    if let Some(host) = super::simulation::host() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let send = move || sender.send(work()).expect("the receiver waits below");
        host.blocking(Box::new(send)).await;
        return receiver.recv().expect("the host has run the work");
    }
    BLOCKING.set(BLOCKING.get() + 1);
    let result = glommio::executor().spawn_blocking(work).await;
    BLOCKING.set(BLOCKING.get() - 1);
    result
}

/// Waits for what is on the blocking thread: it panics if it finds the executor gone.
async fn blocking_is_done() {
    while BLOCKING.get() > 0 {
        sleep(HEARTBEAT).await;
    }
}

/// A bell between tasks of one executor: [`Notify::wait`] returns after the next [`Notify::ring`].
#[derive(Clone, Default)]
pub struct Notify {
    state: Rc<RefCell<NotifyState>>,
}

#[derive(Default)]
struct NotifyState {
    rung: bool,
    waker: Option<Waker>,
}

impl Notify {
    /// Wakes the waiting task, or the next that waits.
    pub fn ring(&self) {
        let mut state = self.state.borrow_mut();
        state.rung = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Waits for a ring; one that came before counts.
    pub async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if std::mem::take(&mut state.rung) {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
