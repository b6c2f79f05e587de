//! One run: the machine, the server on it, its clients, and what goes wrong, step by step as the seed says.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use central_inventory::config::JournalSync;
use central_inventory::journal::line::Line;
use central_inventory::journal::recover::RecoverError;
use central_inventory::runtime::simulation::{self, Entered};

use crate::answers::{Judge, Seen};
use crate::book::Book;
use crate::clients::{Clients, Desk};
use crate::disk::{SimulatedDisk, Weather};
use crate::host::{Host, TaskId};
use crate::ledger::{self, Ledger};
use crate::profile::{Kind, Profile};
use crate::random::Random;
use crate::server::{self, Server, Started};
use crate::starts::{self, Expected};
use crate::trace::Trace;

/// The wall clock at the beginning.
const BEGIN_MS: u64 = 1_750_000_000_000;
/// In so many steps a task that is starved gets no turn.
const STARVED_STEPS: u64 = 60;

/// How the last server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process was killed.
    Kill,
    /// The machine lost its power.
    PowerLoss,
    /// It stopped as it was told to.
    Stop,
}

/// Why a run is over before its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Damage was planted, and the server refused to start on it.
    DamageRefused,
}

/// A run.
pub struct World {
    pub(crate) profile: Profile,
    without: Vec<Kind>,
    pub(crate) random: Random,
    pub(crate) host: Rc<Host>,
    pub(crate) disk: SimulatedDisk,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    pub(crate) book: Book,
    pub(crate) clients: Clients,
    pub(crate) server: Option<Server>,
    pub(crate) step: u64,
    /// Whether the machine went down since the last start.
    power_was_lost: bool,
    mid_crash: End,
    rotten: Option<u64>,
    snapshot_is_rotten: bool,
    clock_back_ms: u64,
    wall_max_ms: u64,
    starved: Option<(TaskId, u64)>,
    pub(crate) over: Option<Over>,
    pub(crate) starts: u64,
    _entered: Entered,
}

/// What the world can do in a step.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Task,
    Disk,
    Job,
    Ask,
    Answer,
    Time,
}

impl World {
    /// The run of `seed`, without the kinds of events in `without`.
    pub fn new(seed: u64, without: &[Kind], trace: Trace) -> World {
        let profile = Profile::draw(&mut Random::new(seed, 1), without);
        let trace = Arc::new(Mutex::new(trace));
        let sync_per_group = profile.sync == JournalSync::Always;
        let ledger = Arc::new(Mutex::new(Ledger::new(sync_per_group)));
        let host = Rc::new(Host::new(BEGIN_MS));
        let entered = simulation::enter(host.clone());
        let disk = SimulatedDisk::new(
            Random::new(seed, 2),
            profile.writes_through,
            ledger.clone(),
            trace.clone(),
        );
        let world = World {
            without: without.to_vec(),
            random: Random::new(seed, 3),
            host,
            disk,
            ledger,
            trace,
            book: Book::default(),
            clients: Clients::default(),
            server: None,
            step: 0,
            power_was_lost: false,
            mid_crash: End::Kill,
            rotten: None,
            snapshot_is_rotten: false,
            clock_back_ms: 0,
            wall_max_ms: BEGIN_MS,
            starved: None,
            over: None,
            starts: 0,
            _entered: entered,
            profile,
        };
        let profile = format!("{:?}", world.profile);
        world.note(&[0], profile.as_bytes(), || profile.clone());
        world
    }

    /// Adds an event to the trace.
    pub(crate) fn note(&self, numbers: &[u64], bytes: &[u8], describe: impl FnOnce() -> String) {
        let mut trace = self.trace.lock().expect("no holder panics");
        trace.add(numbers, bytes, describe);
    }

    /// How long an identity is certainly remembered, by stamps: whatever the clock went back is off its time.
    pub(crate) fn certain_ttl_ms(&self) -> u64 {
        self.profile.ttl_ms.saturating_sub(self.clock_back_ms)
    }

    /// Begins a step.
    pub(crate) fn begin_step(&mut self) {
        self.step += 1;
        ledger::lock(&self.ledger).at(self.step);
        self.trace.lock().expect("no holder panics").at(self.step);
        self.wall_max_ms = self.wall_max_ms.max(self.host.wall_ms());
    }

    /// One step of the run; fails with what was found wrong.
    pub fn step(&mut self) -> Result<(), String> {
        self.begin_step();
        if self.server.is_none() {
            let weather = self.profile.weather_at_start;
            return self.start(weather, true);
        }
        self.let_something_go_wrong();
        if self.server.is_some() {
            self.let_something_happen()?;
        }
        self.look_around()
    }

    /// What follows from anything: a crash that was set has come, the journal has failed, the server has ended.
    pub(crate) fn look_around(&mut self) -> Result<(), String> {
        if self.disk.is_dead() {
            self.end(self.mid_crash);
        }
        if let Some(complaint) = ledger::lock(&self.ledger).complaints().first() {
            return Err(format!("Journal: {complaint}"));
        }
        let end = ledger::lock(&self.ledger).end();
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        if server.lifecycle.has_failed_journal() {
            let failed_at = *server.failed_at.get_or_insert(end);
            if failed_at != end {
                return Err(format!(
                    "Poison: events up to {end} were written after the journal had failed at {failed_at}"
                ));
            }
        }
        if server.has_ended.get() {
            let is_clean = server.failed_at.is_none();
            self.end(End::Stop);
            let ledger = ledger::lock(&self.ledger);
            if is_clean && ledger.synced_end() != ledger.end() {
                return Err(format!(
                    "Lost: after a clean stop events up to {} are on disk, of {}",
                    ledger.synced_end(),
                    ledger.end()
                ));
            }
        }
        Ok(())
    }

    fn let_something_happen(&mut self) -> Result<(), String> {
        let weights = &self.profile.weights;
        let server = self.server.as_ref().expect("it runs");
        let has_answer = server.fronts.iter().any(|f| !f.answered_lanes().is_empty());
        let choices = [
            (Choice::Task, weights.task, self.host.has_woken()),
            (Choice::Disk, weights.disk, self.disk.has_pending()),
            (Choice::Job, weights.job, self.host.has_job()),
            (Choice::Ask, weights.ask, !server.lifecycle.is_draining()),
            (Choice::Answer, weights.answer, has_answer),
            (Choice::Time, weights.time, self.host.next_timer().is_some()),
        ];
        let choices = choices.map(|(choice, weight, can)| (choice, if can { weight } else { 0 }));
        let weights = choices.map(|(_, weight)| weight);
        if weights.iter().all(|weight| *weight == 0) {
            // Only where the crash has come to a role that cannot begin without its file.
            return Ok(());
        }
        let (choice, _) = choices[self.random.weighted(&weights)];
        match choice {
            Choice::Task => self.run_task(),
            Choice::Disk => {
                self.disk.complete_one();
                Ok(())
            }
            Choice::Job => self.run_job(),
            Choice::Ask => {
                self.ask();
                Ok(())
            }
            Choice::Answer => self.take_answer().map(|_| ()),
            Choice::Time => {
                self.pass_time();
                Ok(())
            }
        }
    }

    /// Lets a task that is woken run, whichever.
    pub(crate) fn run_task(&mut self) -> Result<(), String> {
        let mut woken = self.host.woken();
        if let Some((starved, until)) = self.starved
            && self.step < until
            && woken.len() > 1
        {
            woken.retain(|task| *task != starved);
        }
        let task = woken[self.random.index(woken.len())];
        self.note(&[10, task as u64], &[], || format!("task {task} runs"));
        let host = self.host.clone();
        guarded(|| host.run(task))
    }

    /// Lets the blocking thread do a piece of work.
    pub(crate) fn run_job(&mut self) -> Result<(), String> {
        self.note(&[11], &[], || "blocking work".to_owned());
        let host = self.host.clone();
        guarded(|| host.run_job())
    }

    fn ask(&mut self) {
        let harm = self.disk.harm();
        let server = self.server.as_mut().expect("it runs");
        let mut desk = Desk {
            random: &mut self.random,
            book: &mut self.book,
            profile: &self.profile,
            without: &self.without,
            router: &server.router,
            step: self.step,
            end: ledger::lock(&self.ledger).end(),
            reads_failed: harm.reads_failed,
        };
        let front = desk.random.index(server.fronts.len());
        let before = desk.book.operations.len();
        self.clients.ask(&mut server.fronts[front], &mut desk);
        for operation in &self.book.operations[before..] {
            let call = &operation.call;
            self.note(&[12], &[], || format!("asked: {call}"));
        }
    }

    /// A client looks at an answer.
    pub(crate) fn take_answer(&mut self) -> Result<Seen, String> {
        let server = self.server.as_mut().expect("it runs");
        let fronts = server.fronts.iter().enumerate();
        let lanes: Vec<(usize, usize)> = fronts
            .flat_map(|(index, front)| front.answered_lanes().into_iter().map(move |l| (index, l)))
            .collect();
        let (front, lane) = lanes[self.random.index(lanes.len())];
        let taken = server.fronts[front].take(lane)?;
        let text = format!("{taken:?}");
        let mut judge = Judge {
            book: &mut self.book,
            clients: &mut self.clients,
            ledger: &ledger::lock(&self.ledger),
            profile: &self.profile,
            router: &server.router,
            step: self.step,
            wall_max_ms: self.wall_max_ms,
            reads_failed: self.disk.harm().reads_failed,
            is_rotten: self.rotten.is_some(),
        };
        let judged = judge.take(taken);
        self.note(&[13, front as u64], text.as_bytes(), || {
            format!("answer: {text}")
        });
        judged
    }

    /// Time goes on to the next timer.
    pub(crate) fn pass_time(&mut self) {
        if let Some(next) = self.host.next_timer() {
            self.note(&[14, next.as_nanos() as u64], &[], || {
                format!("it is {next:?}")
            });
            self.host.advance_to(next);
        }
    }

    fn let_something_go_wrong(&mut self) {
        let rates = self.profile.rates.clone();
        if self.random.chance(rates.kill) {
            return self.end(End::Kill);
        }
        if self.random.chance(rates.power_loss) {
            return self.end(End::PowerLoss);
        }
        if self.random.chance(rates.mid_crash) {
            self.set_crash();
        }
        if self.random.chance(rates.stop) {
            self.tell_to_stop();
        }
        if self.random.chance(rates.full) {
            let mut weather = self.disk.weather();
            weather.is_full = !weather.is_full;
            self.note(&[15], &[], || {
                format!("the disk is full: {}", weather.is_full)
            });
            self.disk.set_weather(weather);
        }
        if self.random.chance(rates.clock_jump) {
            self.jump_clock();
        }
        if self.random.chance(rates.stall) {
            let long = Duration::from_millis(self.random.within(1, 6_000));
            self.note(&[16], &[], || format!("nothing runs for {long:?}"));
            self.host.advance_to(self.host.now() + long);
        }
        if self.random.chance(rates.starve) {
            let task = self.random.index(8);
            self.starved = Some((task, self.step + STARVED_STEPS));
        }
        self.finish_draining();
    }

    fn set_crash(&mut self) {
        let count = self.random.within(1, 12);
        self.mid_crash = match self.random.coin() && !self.leaves_out(Kind::PowerLoss) {
            true => End::PowerLoss,
            false => End::Kill,
        };
        self.note(&[17, count], &[], || {
            format!("a crash is set for the {count}th disk operation from here")
        });
        self.disk.crash_at(count);
    }

    fn leaves_out(&self, kind: Kind) -> bool {
        self.without.contains(&kind)
    }

    /// The server is to finish what it has, and end.
    pub(crate) fn tell_to_stop(&mut self) {
        self.note(&[18], &[], || "the server is told to stop".to_owned());
        let server = self.server.as_ref().expect("it runs");
        server.lifecycle.drain();
    }

    /// An acceptor without a question left says that nothing more will come.
    pub(crate) fn finish_draining(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if !server.lifecycle.is_draining() {
            return;
        }
        for front in &mut server.fronts {
            if front.is_idle() && !front.is_done {
                front.is_done = true;
                server.lifecycle.acceptor_done();
            }
        }
    }

    fn jump_clock(&mut self) {
        let by_ms = match self.random.below(4) {
            0 => -(self.random.within(1, 300) as i64),
            1 => -(self.random.within(1, 30_000) as i64),
            _ => self.random.within(1, 30_000) as i64,
        };
        if by_ms < 0 {
            self.clock_back_ms += by_ms.unsigned_abs();
        }
        self.note(&[19, by_ms as u64], &[], || {
            format!("the wall clock jumps by {by_ms} ms")
        });
        self.host.jump_wall(by_ms);
    }

    /// The server is gone.
    pub(crate) fn end(&mut self, end: End) {
        self.host.clear();
        self.server = None;
        self.book.crashes.push(self.step);
        self.clients.forget_in_flight();
        self.starved = None;
        let loss = match end {
            End::PowerLoss => Some(self.disk.lose_power()),
            End::Kill | End::Stop => {
                self.disk.kill();
                None
            }
        };
        self.power_was_lost |= end == End::PowerLoss;
        self.note(&[20, end as u64], &[], || {
            format!("the server is gone: {end:?}, of what was not synced is lost: {loss:?}")
        });
        if end == End::PowerLoss && self.random.chance(self.profile.rates.rot) {
            self.let_rot();
        }
    }

    /// A bit goes wrong in a line that was on disk for good, and that is not in the last group of the active segment: the
    /// documented rule cannot tell that one from what a crash leaves.
    fn let_rot(&mut self) {
        if self.rotten.is_some() {
            return;
        }
        if self.random.chance(200_000) {
            return self.let_snapshot_rot();
        }
        let synced_end = ledger::lock(&self.ledger).synced_end();
        let mut lines = Vec::new();
        for (path, bytes) in self.disk.durable_files() {
            let name = path.to_string_lossy();
            if !name.contains("events") || name.contains("spare") {
                continue;
            }
            let is_active = path == server::files(&self.disk).active;
            let found = places(&bytes);
            let whole = found.iter().filter(|line| line.is_whole);
            let last_batch = whole.filter_map(|line| self.batch_of(line.offset)).max();
            for line in found {
                let is_proven = !is_active || last_batch.is_some_and(|batch| batch > line.offset);
                if line.offset < synced_end && is_proven {
                    lines.push((path.clone(), line));
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        let (path, line) = &lines[self.random.index(lines.len())];
        let byte = line.at + self.random.index(line.length);
        let bit = self.random.below(8) as u8;
        self.disk.rot(path, byte, bit);
        self.rotten = Some(line.offset);
        self.note(&[21, line.offset, byte as u64], &[], || {
            let (path, offset) = (path.display(), line.offset);
            format!(
                "bit {bit} of byte {byte} in {path} is wrong now, in the event with offset {offset}"
            )
        });
    }

    /// A bit goes wrong in the snapshot. A start refuses it; or it holds what it held, where the bit was of no importance.
    fn let_snapshot_rot(&mut self) {
        let path = server::files(&self.disk).snapshot;
        let files = self.disk.durable_files();
        let Some((_, bytes)) = files.iter().find(|(found, _)| *found == path) else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        let byte = self.random.index(bytes.len());
        let bit = self.random.below(8) as u8;
        self.disk.rot(&path, byte, bit);
        self.snapshot_is_rotten = true;
        self.note(&[24, byte as u64], &[], || {
            format!("bit {bit} of byte {byte} in the snapshot is wrong now")
        });
    }

    fn batch_of(&self, offset: u64) -> Option<u64> {
        ledger::lock(&self.ledger)
            .get(offset)
            .map(|entry| entry.batch)
    }

    /// Lets a server start.
    pub(crate) fn start(&mut self, weather: Weather, may_crash: bool) -> Result<(), String> {
        self.disk.set_weather(weather);
        if may_crash
            && self
                .random
                .chance(self.profile.rates.mid_crash.saturating_mul(50))
        {
            self.set_crash();
        }
        let failed_before = self.disk.harm().failed;
        let now_ms = self.host.wall_ms();
        let started = {
            let (disk, profile, random) = (&self.disk, &self.profile, &mut self.random);
            guarded(|| server::recover(disk, profile, random, now_ms))?
        };
        if self.disk.is_dead() {
            self.end(self.mid_crash);
            return Ok(());
        }
        match started {
            Ok(started) => self.started(started),
            Err(error) => self.refused(&error, self.disk.harm().failed > failed_before),
        }
    }

    fn refused(&mut self, error: &RecoverError, has_reason: bool) -> Result<(), String> {
        self.note(&[22], error.to_string().as_bytes(), || {
            format!("no start: {error}")
        });
        match error {
            RecoverError::File { .. } | RecoverError::Snapshot { .. } if has_reason => {
                self.end(End::Kill);
                Ok(())
            }
            _ if self.rotten.is_some() || self.snapshot_is_rotten => {
                self.over = Some(Over::DamageRefused);
                Ok(())
            }
            _ => Err(format!("Refused: {error}")),
        }
    }

    fn started(&mut self, started: Started) -> Result<(), String> {
        let end = started.recovered.next_offset;
        self.note(&[23, end], &[], || {
            let recovered = &started.recovered;
            format!("a start finds the events up to {end}: {recovered:?}")
        });
        self.judge_rot(&started)?;
        let expected = Expected {
            at_least: self.certain_end(),
            ttl_ms: self.profile.ttl_ms,
            clock_is_steady: self.clock_back_ms == 0,
            rotten: self.rotten,
        };
        starts::check(&started, &expected, &ledger::lock(&self.ledger), &self.disk)?;
        self.take_back(end);
        ledger::lock(&self.ledger).restart_at(end);
        self.disk.set_weather(self.profile.weather);
        self.starts += 1;
        self.power_was_lost = false;
        let server = started.run(&self.disk, &self.profile, &mut self.random);
        self.server = Some(server);
        Ok(())
    }

    /// A start that reads what is damaged refuses it.
    fn judge_rot(&mut self, started: &Started) -> Result<(), String> {
        let Some(rotten) = self.rotten else {
            return Ok(());
        };
        if rotten < starts::oldest(started) {
            self.rotten = None;
        } else if !starts::was_skipped(started, rotten) {
            return Err(format!(
                "Damage: the event with offset {rotten} is damaged, and a start did not notice"
            ));
        }
        Ok(())
    }

    /// A start must find everything below.
    fn certain_end(&self) -> u64 {
        let ledger = ledger::lock(&self.ledger);
        match self.power_was_lost || ledger.is_lossy() {
            true => ledger.synced_end(),
            false => ledger.written_end(),
        }
    }

    /// Without a sync per group, what was acknowledged may be gone after a power loss, from `end` on.
    fn take_back(&mut self, end: u64) {
        let ledger = ledger::lock(&self.ledger);
        let shown_from = ledger.get(end).and_then(|entry| entry.shown_from);
        if let Some(step) = shown_from
            && self.profile.sync != JournalSync::Always
        {
            self.book.take_back_since(step);
        }
    }
}

/// Where a line stands in a file.
struct Place {
    offset: u64,
    at: usize,
    length: usize,
    /// Whether it is as it was written.
    is_whole: bool,
}

fn places(bytes: &[u8]) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(offset) = ledger::offset_of(line) {
            found.push(Place {
                offset,
                at,
                length: line.len(),
                is_whole: Line::read(line).is_ok(),
            });
        }
        at += line.len() + 1;
    }
    found
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `work`; a panic in it, which ends the real server, is what is found wrong.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    hook_panics();
    IS_GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(false);
    result.map_err(|_| {
        let text = PANIC.take().unwrap_or_default();
        format!("Panic: {text}")
    })
}

/// Panics of the code under test are told by whoever asked for them, and all others as ever.
fn hook_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match IS_GUARDED.get() {
            true => PANIC.set(Some(panic.to_string())),
            false => report(panic),
        }));
    });
}
