//! Stores, administrators, readers and followers at work on one server until it is gone, and the record of all of it,
//! over as many servers as run on the directory. What ends a server is the caller's: a signal, a fault, a loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use history::{Call, History, Outcome, Poll, Summary, check};

use crate::client::Client;
use crate::recorder::{Gone, Recorder, event, nanoseconds_since, states};
use crate::server::Random;

const STORES: usize = 6;
/// Everybody wants these two.
const HOT: usize = 2;
const COLD: usize = 30;
/// These come and go.
const FLEETING: usize = 4;
/// Few enough that a shelf is empty at times.
const STOCK: u64 = 25;
/// So many times a store tries one update before it gives up.
const TRIES: usize = 4;

/// What is recorded of one directory.
pub struct Record {
    clock: Instant,
    history: History,
    /// Where the follower of the whole feed goes on.
    followed: u64,
    /// Updates that never got an answer, by store and product.
    unanswered: BTreeMap<(String, String), Call>,
    rounds: usize,
}

impl Record {
    /// Begins with a server that has no history yet.
    pub fn begin(client: &mut Client, ttl: Duration) -> Self {
        let snapshot = client.get("/v1/inventory/snapshot").expect(200).json();
        assert_eq!(snapshot["nextOffset"], 0, "the server is not new");
        let history = History {
            initial: states(&snapshot["products"]),
            ttl_ms: ttl.as_millis() as u64,
            ..History::default()
        };
        Self {
            clock: Instant::now(),
            history,
            followed: 0,
            unanswered: BTreeMap::new(),
            rounds: 0,
        }
    }

    /// Has everybody work on the server until `end` has ended it.
    pub fn round(&mut self, address: SocketAddr, seed: u64, end: impl FnOnce()) {
        let work = Work {
            clock: self.clock,
            address,
            seed,
            round: self.rounds,
            followed: self.followed,
            unanswered: Mutex::new(self.unanswered.values().cloned().collect()),
        };
        thread::scope(|scope| {
            let mut workers = vec![
                scope.spawn(|| work.administrate()),
                scope.spawn(|| work.read()),
                scope.spawn(|| work.look_back()),
                scope.spawn(|| work.follow()),
            ];
            for number in 0..STORES {
                let work = &work;
                workers.push(scope.spawn(move || work.sell(number)));
            }
            end();
            self.history.crashes.push(nanoseconds_since(self.clock));
            for worker in workers {
                self.add(worker.join().expect("a worker met a wrong answer"));
            }
        });
        self.rounds += 1;
    }

    /// Reads what is there at the end, and checks everything so far against it.
    pub fn verify(&mut self, client: &mut Client) -> Result<Summary, String> {
        self.history.feed = client.feed(0).iter().map(event).collect();
        self.history.products = states(&client.listing().into());
        check(&self.history).map_err(|violations| {
            let sentences: Vec<String> = violations.iter().map(ToString::to_string).collect();
            sentences.join("\n")
        })
    }

    /// Sends what never got an answer once more, with the same keys.
    pub fn repeat_unanswered(&mut self, address: SocketAddr) {
        let mut recorder = Recorder::new(self.clock, address);
        for call in self.unanswered.values() {
            recorder.call(call.clone()).expect("the server answers");
        }
        self.add(recorder);
    }

    fn add(&mut self, recorder: Recorder) {
        for operation in &recorder.operations {
            if let (Call::Update { store, product, .. }, None) = (&operation.call, operation.ended)
            {
                let identity = (store.clone(), product.clone());
                self.unanswered.insert(identity, operation.call.clone());
            }
        }
        for operation in &recorder.operations {
            if let (Call::Update { store, product, .. }, Some(_)) =
                (&operation.call, operation.ended)
            {
                self.unanswered.remove(&(store.clone(), product.clone()));
            }
        }
        let ends = recorder.polls.iter().map(Poll::next);
        self.followed = ends.fold(self.followed, u64::max);
        self.history.operations.extend(recorder.operations);
        self.history.polls.extend(recorder.polls);
    }
}

/// What the workers of one round share.
struct Work {
    clock: Instant,
    address: SocketAddr,
    seed: u64,
    round: usize,
    followed: u64,
    /// Updates of earlier rounds that never got an answer.
    unanswered: Mutex<Vec<Call>>,
}

impl Work {
    /// A store: sells and restocks, with a version or without, alone, twice at once or in batches.
    fn sell(&self, number: usize) -> Recorder {
        let mut store = Store {
            recorder: self.recorder(),
            random: self.random(number),
            versions: BTreeMap::new(),
            name: format!("{}-{number}", self.round),
            sent: 0,
        };
        // Fails once the server is gone, which is the end of the round.
        let _: Result<(), Gone> = self.repeat_unanswered(&mut store).and_then(|()| {
            loop {
                store.work()?;
            }
        });
        store.recorder
    }

    fn repeat_unanswered(&self, store: &mut Store) -> Result<(), Gone> {
        loop {
            let next = self.unanswered.lock().expect("no holder panics").pop();
            match next {
                Some(call) => store.insist(call)?,
                None => return Ok(()),
            }
        }
    }

    /// An administrator: creates and deletes what comes and goes, and corrects quantities of the rest.
    fn administrate(&self) -> Recorder {
        let mut recorder = self.recorder();
        let mut random = self.random(100);
        loop {
            let call = if self.round == 0 && recorder.operations.len() < HOT + COLD {
                let product = lasting(recorder.operations.len());
                Call::Create {
                    product,
                    available: STOCK,
                }
            } else {
                admin_call(&mut random)
            };
            if recorder.call(call).is_err() {
                return recorder;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A reader: single products, and now and then all of them.
    fn read(&self) -> Recorder {
        let mut recorder = self.recorder();
        let mut random = self.random(101);
        let known: Vec<String> = (0..HOT + COLD)
            .map(lasting)
            .chain((0..FLEETING).map(fleeting))
            .collect();
        loop {
            let heard = if random.one_in(50) {
                recorder.snapshot(&known)
            } else {
                let product = any_product(&mut random);
                recorder.call(Call::Read { product }).map(drop)
            };
            if heard.is_err() {
                return recorder;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A follower that goes on where it was when the last server went.
    fn follow(&self) -> Recorder {
        let mut recorder = self.recorder();
        let mut offset = self.followed;
        while let Ok(next) = recorder.poll(offset, 1000, 1) {
            offset = next;
        }
        recorder
    }

    /// A follower that reads old pages again.
    fn look_back(&self) -> Recorder {
        let mut recorder = self.recorder();
        let mut random = self.random(102);
        loop {
            let offset = random.below(self.followed as usize + 1) as u64;
            let limit = 1 + random.below(30);
            if recorder.poll(offset, limit, 0).is_err() {
                return recorder;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.clock, self.address)
    }

    fn random(&self, worker: usize) -> Random {
        Random::new(self.seed.wrapping_add(worker as u64))
    }
}

struct Store {
    recorder: Recorder,
    random: Random,
    /// The versions that it heard of last.
    versions: BTreeMap<String, u64>,
    name: String,
    sent: usize,
}

impl Store {
    fn work(&mut self) -> Result<(), Gone> {
        match self.random.below(10) {
            0 => self.sell_several(),
            1 => {
                let call = self.next_call();
                self.recorder.call_twice(call).map(drop)
            }
            // A repeat of what was answered a moment ago.
            2 => {
                let call = self.next_call();
                self.insist(call.clone())?;
                self.recorder.call(call).map(drop)
            }
            _ => {
                let call = self.next_call();
                self.insist(call)
            }
        }
    }

    /// Tries again with the same key, and the version that the refusal showed.
    fn insist(&mut self, mut call: Call) -> Result<(), Gone> {
        for _ in 0..TRIES {
            let outcome = self.recorder.call(call.clone())?;
            self.learn(&call, outcome);
            let (
                Call::Update { version, .. },
                Outcome::Shown {
                    version: current, ..
                },
            ) = (&mut call, outcome)
            else {
                return Ok(());
            };
            if version.is_none_or(|version| version == current) {
                return Ok(());
            }
            *version = Some(current);
        }
        Ok(())
    }

    fn sell_several(&mut self) -> Result<(), Gone> {
        let mut products = BTreeSet::new();
        for _ in 0..6 {
            products.insert(any_product(&mut self.random));
        }
        let store = self.next_name();
        let calls: Vec<Call> = products
            .into_iter()
            .map(|product| self.update(&store, product))
            .collect();
        let outcomes = self.recorder.batch(&calls)?;
        for (call, outcome) in calls.iter().zip(outcomes) {
            self.learn(call, outcome);
        }
        Ok(())
    }

    fn learn(&mut self, call: &Call, outcome: Outcome) {
        if let Outcome::Changed { version, .. } | Outcome::Shown { version, .. } = outcome {
            self.versions.insert(call.product().to_owned(), version);
        }
    }

    fn next_call(&mut self) -> Call {
        let product = any_product(&mut self.random);
        let store = self.next_name();
        self.update(&store, product)
    }

    /// The feed shows the store and not the key, so each operation comes from a store of its own.
    fn next_name(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}", self.name, self.sent)
    }

    fn update(&mut self, store: &str, product: String) -> Call {
        let size = 1 + self.random.below(5) as i64;
        let delta = if self.random.one_in(2) { size } else { -size };
        let version = self
            .versions
            .get(&product)
            .copied()
            .filter(|_| !self.random.one_in(3));
        let store = store.to_owned();
        let key = format!("key-{store}");
        Call::Update {
            store,
            product,
            key,
            delta,
            version,
        }
    }
}

fn admin_call(random: &mut Random) -> Call {
    let available = random.below(STOCK as usize) as u64;
    let number = random.below(FLEETING);
    match random.below(5) {
        0 | 1 => Call::Create {
            product: fleeting(number),
            available,
        },
        2 | 3 => Call::Delete {
            product: fleeting(number),
        },
        _ => Call::Set {
            product: any_product(random),
            available,
        },
    }
}

fn any_product(random: &mut Random) -> String {
    match random.below(8) {
        0..=3 => lasting(random.below(HOT)),
        4 => fleeting(random.below(FLEETING)),
        _ => lasting(HOT + random.below(COLD)),
    }
}

fn lasting(number: usize) -> String {
    format!("lasting-{number:02}")
}

fn fleeting(number: usize) -> String {
    format!("fleeting-{number}")
}
