//! In place of executors and clocks: tasks that run when the world says so, under a clock that the world moves.
//!
//! All executors of the server are one here. What runs between two awaits is one step; which task takes the next one
//! is the world's choice, so that every order that threads could lead to is possible.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use central_inventory::runtime::disk::Local;
use central_inventory::runtime::simulation;
use shards::Timestamp;

/// A task, by its place in the table.
pub type TaskId = usize;

/// The executors and clocks of a simulated machine.
#[derive(Default)]
pub struct Host {
    tasks: RefCell<Vec<Option<Task>>>,
    woken: RefCell<Queue>,
    timers: RefCell<BTreeMap<(Duration, u64), Rc<Signal>>>,
    timer_count: Cell<u64>,
    jobs: RefCell<VecDeque<Job>>,
    monotonic: Cell<Duration>,
    wall_ahead_ms: Cell<u64>,
}

struct Task {
    future: Option<Local<'static, ()>>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: TaskId,
    is_woken: AtomicBool,
    woken: Queue,
}

/// Tasks that were woken. A new one for each process, so that what is left of an old one wakes nobody.
type Queue = Arc<Mutex<Vec<TaskId>>>;

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            lock(&self.woken).push(self.id);
        }
    }
}

fn lock(woken: &Queue) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
    woken.lock().expect("no holder panics")
}

/// Work of the blocking thread.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    done: Rc<Signal>,
}

/// Something that happens once, and whoever waits for it.
#[derive(Default)]
struct Signal {
    has_come: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    fn come(&self) {
        self.has_come.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn wait(self: Rc<Self>) {
        poll_fn(|context| {
            if self.has_come.get() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Host {
    /// A machine whose wall clock shows `wall_ms` when its monotonic clock begins.
    pub fn new(wall_ms: u64) -> Host {
        let host = Host::default();
        host.wall_ahead_ms.set(wall_ms);
        host
    }

    /// The tasks that could run now, in the order in which they were woken.
    pub fn woken(&self) -> Vec<TaskId> {
        lock(&self.woken.borrow()).clone()
    }

    /// Whether a task could run now.
    pub fn has_woken(&self) -> bool {
        !lock(&self.woken.borrow()).is_empty()
    }

    /// Lets the task `id`, which was woken, run until it waits.
    pub fn run(&self, id: TaskId) {
        lock(&self.woken.borrow()).retain(|woken| *woken != id);
        let (mut future, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = &mut tasks[id] else { return };
            task.waker.is_woken.store(false, Ordering::Relaxed);
            let future = task.future.take().expect("a task does not run itself");
            (future, task.waker.clone())
        };
        let waker = Waker::from(waker);
        let is_over = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let mut tasks = self.tasks.borrow_mut();
        match is_over {
            true => tasks[id] = None,
            false => tasks[id].as_mut().expect("it has just run").future = Some(future),
        }
    }

    /// Whether the blocking thread has work.
    pub fn has_job(&self) -> bool {
        !self.jobs.borrow().is_empty()
    }

    /// Does the first piece of work of the blocking thread.
    pub fn run_job(&self) {
        let job = self.jobs.borrow_mut().pop_front();
        if let Some(job) = job {
            (job.work)();
            job.done.come();
        }
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Duration> {
        let timers = self.timers.borrow();
        timers.first_key_value().map(|((due, _), _)| *due)
    }

    /// The monotonic clock.
    pub fn now(&self) -> Duration {
        self.monotonic.get()
    }

    /// The wall clock, in milliseconds.
    pub fn wall_ms(&self) -> u64 {
        self.wall_ahead_ms.get() + self.monotonic.get().as_millis() as u64
    }

    /// Lets the clocks go on to `moment`; what is due then is woken.
    pub fn advance_to(&self, moment: Duration) {
        self.monotonic.set(self.monotonic.get().max(moment));
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(entry) if entry.key().0 <= self.monotonic.get() => entry.remove(),
                    _ => return,
                }
            };
            due.come();
        }
    }

    /// Sets the wall clock forward, or back, and leaves the monotonic one alone.
    pub fn jump_wall(&self, by_ms: i64) {
        let ahead = self.wall_ahead_ms.get();
        self.wall_ahead_ms.set(ahead.saturating_add_signed(by_ms));
    }

    /// The process is gone: nothing of it goes on.
    pub fn clear(&self) {
        // Dropped outside of the borrow: what is dropped may look at the host.
        let tasks = self.tasks.take();
        let jobs = self.jobs.take();
        let timers = self.timers.take();
        drop((tasks, jobs, timers));
        self.woken.replace(Queue::default());
    }
}

impl simulation::Host for Host {
    fn spawn(&self, task: Local<'static, ()>) {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.len();
        let waker = Arc::new(TaskWaker {
            id,
            is_woken: AtomicBool::new(false),
            woken: self.woken.borrow().clone(),
        });
        waker.clone().wake();
        tasks.push(Some(Task {
            future: Some(task),
            waker,
        }));
    }

    fn sleep(&self, duration: Duration) -> Local<'static, ()> {
        let signal = Rc::<Signal>::default();
        let number = self.timer_count.get();
        self.timer_count.set(number + 1);
        let due = self.monotonic.get() + duration;
        let mut timers = self.timers.borrow_mut();
        timers.insert((due, number), signal.clone());
        Box::pin(signal.wait())
    }

    fn yield_now(&self) -> Local<'static, ()> {
        let mut has_yielded = false;
        Box::pin(poll_fn(move |context| {
            if has_yielded {
                return Poll::Ready(());
            }
            has_yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> Local<'static, ()> {
        let done = Rc::<Signal>::default();
        self.jobs.borrow_mut().push_back(Job {
            work,
            done: done.clone(),
        });
        Box::pin(done.wait())
    }

    fn wall_now(&self) -> Timestamp {
        Timestamp(self.wall_ms())
    }

    fn monotonic_now(&self) -> Duration {
        self.now()
    }
}
