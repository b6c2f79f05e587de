//! What the threads that serve the kernel share with the test: the volume, and whether an operation happens, hangs or
//! fails.
//!
//! One lock covers the decision and the effect, so that a freeze falls between operations and never into one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuser::Errno;

use crate::fate::Fates;
use crate::fault::{Effect, Fault, Operation};
use crate::names::Inode;
use crate::random::Random;
use crate::volume::Volume;

pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    volume: Volume,
    power: Power,
    /// How often the power was cut: who waited through a cut has failed.
    cuts: u64,
    faults: Vec<Fault>,
    counts: BTreeMap<(Operation, String), u64>,
    /// By part of a file's name; the latest that fits counts.
    sync_times: Vec<(String, Duration)>,
    refuses_direct_io: bool,
    random: Random,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    /// No operation has an effect, and none returns.
    Frozen,
    /// No operation has an effect; each fails.
    Off,
}

/// What an operation is about.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    Inode(Inode),
    Name(&'a OsStr),
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            volume: Volume::new(),
            power: Power::On,
            cuts: 0,
            faults: Vec::new(),
            counts: BTreeMap::new(),
            sync_times: Vec::new(),
            refuses_direct_io: false,
            random: Random::new(seed),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Lets an operation have its effect, unless the disk is frozen or off or a fault meets it.
    pub(crate) fn perform<T>(
        &self,
        operation: Operation,
        target: Target<'_>,
        effect: impl FnOnce(&mut Volume) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.perform_or(operation, target, effect, |_, _| ())
    }

    /// As `perform`; an injected failure leaves `damage`.
    pub(crate) fn perform_or<T>(
        &self,
        operation: Operation,
        target: Target<'_>,
        effect: impl FnOnce(&mut Volume) -> Result<T, Errno>,
        damage: impl FnOnce(&mut Volume, &mut Random),
    ) -> Result<T, Errno> {
        let mut state = self.wait_while_frozen(self.lock())?;
        match state.meet(operation, target) {
            None => {}
            Some(Effect::Fail) => {
                let State { volume, random, .. } = &mut *state;
                damage(volume, random);
                return Err(Errno::EIO);
            }
            Some(Effect::Freeze) => {
                state.power = Power::Frozen;
                self.changed.notify_all();
                state = self.wait_while_frozen(state)?;
            }
        }
        effect(&mut state.volume)
    }

    /// The time that a sync takes before it has its effect.
    pub(crate) fn spend_sync_time(&self, inode: Inode) {
        let sync_time = self.lock().sync_time(inode);
        thread::sleep(sync_time);
    }

    pub(crate) fn freeze(&self) {
        self.set_power(Power::Frozen);
    }

    pub(crate) fn is_frozen_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.power != Power::Frozen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    pub(crate) fn cut_power(&self) {
        self.lock().cuts += 1;
        self.set_power(Power::Off);
    }

    pub(crate) fn restore_power(&self, seed: u64) -> Fates {
        let mut state = self.lock();
        let fates = state.volume.lose_power(&mut Random::new(seed));
        state.faults.clear();
        state.power = Power::On;
        fates
    }

    pub(crate) fn arm(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    pub(crate) fn disarm(&self) {
        self.lock().faults.clear();
    }

    pub(crate) fn count(&self, operation: Operation, name_part: &str) -> u64 {
        let state = self.lock();
        let counts = state.counts.iter();
        let of_kind =
            counts.filter(|((kind, name), _)| *kind == operation && name.contains(name_part));
        of_kind.map(|(_, count)| count).sum()
    }

    pub(crate) fn set_sync_time(&self, name_part: &str, sync_time: Duration) {
        let mut state = self.lock();
        state.sync_times.push((name_part.to_owned(), sync_time));
    }

    pub(crate) fn refuse_direct_io(&self, refuses: bool) {
        self.lock().refuses_direct_io = refuses;
    }

    pub(crate) fn refuses_direct_io(&self) -> bool {
        self.lock().refuses_direct_io
    }

    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.lock().volume.set_capacity(capacity);
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().volume.used()
    }

    fn set_power(&self, power: Power) {
        self.lock().power = power;
        self.changed.notify_all();
    }

    fn wait_while_frozen<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, Errno> {
        let cuts = state.cuts;
        let frozen = |state: &mut State| state.power == Power::Frozen && state.cuts == cuts;
        let waited = self.changed.wait_while(state, frozen);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.power == Power::Off || state.cuts != cuts {
            return Err(Errno::EIO);
        }
        Ok(state)
    }

    /// A thread that panicked has shown its message; the disk must still come down in order.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sync_time(&self, inode: Inode) -> Duration {
        let name = self.volume.name_of(inode);
        let mut latest_first = self.sync_times.iter().rev();
        let found = latest_first.find(|(part, _)| name.contains(part));
        found.map_or(Duration::ZERO, |(_, sync_time)| *sync_time)
    }

    /// Counts an operation, and says what it meets.
    fn meet(&mut self, operation: Operation, target: Target<'_>) -> Option<Effect> {
        let name = match target {
            Target::Inode(inode) => self.volume.name_of(inode),
            Target::Name(name) => name.to_string_lossy().into_owned(),
        };
        let mut met = None;
        for fault in &mut self.faults {
            met = fault.meet(operation, &name).or(met);
        }
        *self.counts.entry((operation, name)).or_default() += 1;
        met
    }
}
