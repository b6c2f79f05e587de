//! What a run is like, drawn from its seed: sizes, speeds, and how often what goes wrong.

use std::time::Duration;

use central_inventory::config::JournalSync;

use crate::disk::Weather;
use crate::random::Random;

/// Kinds of events that can be left out of a run, to see which of them a failure needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Ends of the process.
    Kill,
    /// Ends of the machine.
    PowerLoss,
    /// Crashes in the middle of a disk operation.
    MidCrash,
    /// Clean stops.
    Stop,
    /// Writes and syncs that fail.
    IoError,
    /// Reads that fail.
    ReadError,
    /// A full disk.
    Full,
    /// Bits that go wrong on the disk.
    Rot,
    /// Jumps of the wall clock.
    ClockJump,
    /// Long stretches of time in which nothing runs.
    Stall,
    /// Tasks that get no turn for long.
    Starve,
    /// Creations beyond the first, settings, deletions.
    Admin,
    /// Batches.
    Batch,
    /// Operations sent again.
    Repeat,
    /// Reads, lists and slices.
    Read,
    /// Polls of the feed.
    Poll,
}

impl Kind {
    /// All of them, those first that explain most when they are not needed.
    pub const ALL: [Kind; 16] = [
        Kind::Rot,
        Kind::PowerLoss,
        Kind::Kill,
        Kind::MidCrash,
        Kind::Stop,
        Kind::IoError,
        Kind::ReadError,
        Kind::Full,
        Kind::ClockJump,
        Kind::Stall,
        Kind::Starve,
        Kind::Batch,
        Kind::Repeat,
        Kind::Admin,
        Kind::Read,
        Kind::Poll,
    ];
}

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The journal's promise.
    pub sync: JournalSync,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// A snapshot is due after so much journal.
    pub snapshot_journal_bytes: u64,
    /// Events are kept so long.
    pub retention_ms: u64,
    /// Identities are remembered so long.
    pub ttl_ms: u64,
    /// So many identities, by shard.
    pub identities_max: usize,
    /// So many events in memory.
    pub events_in_memory: usize,
    /// Slots of a lane.
    pub lane_slots: usize,
    /// So many polls may wait.
    pub waiters_max: usize,
    /// So many products.
    pub products: u64,
    /// So many changes may be on their way: a group of all of them fits a segment.
    pub changes_in_flight_max: usize,
    /// How often each thing is chosen, against the others that are possible.
    pub weights: Weights,
    /// What goes wrong while the server runs, in parts of a million steps.
    pub rates: Rates,
    /// What goes wrong with the disk while the server runs.
    pub weather: Weather,
    /// What goes wrong with the disk while it starts.
    pub weather_at_start: Weather,
    /// Whether groups are written and synced in one operation.
    pub writes_through: bool,
}

/// How often each thing is chosen.
#[derive(Clone, Debug)]
pub struct Weights {
    /// A task runs.
    pub task: u32,
    /// The disk completes an operation.
    pub disk: u32,
    /// The blocking thread does a piece of work.
    pub job: u32,
    /// A client asks.
    pub ask: u32,
    /// A client looks at an answer.
    pub answer: u32,
    /// Time goes on to the next timer.
    pub time: u32,
}

/// How often things happen, in parts of a million steps.
#[derive(Clone, Debug)]
pub struct Rates {
    /// The process ends.
    pub kill: u32,
    /// The machine ends.
    pub power_loss: u32,
    /// A crash is set for a disk operation to come.
    pub mid_crash: u32,
    /// The server is told to stop.
    pub stop: u32,
    /// The disk fills, or is emptied.
    pub full: u32,
    /// The wall clock jumps.
    pub clock_jump: u32,
    /// Nothing runs for some time.
    pub stall: u32,
    /// Some task gets no turn for some time.
    pub starve: u32,
    /// A bit goes wrong; of each power loss.
    pub rot: u32,
}

impl Profile {
    /// Of a run without the kinds in `without`.
    pub fn draw(random: &mut Random, without: &[Kind]) -> Profile {
        let segment_bytes = 4096 * random.pick(&[3, 4, 6, 12]);
        let is_gentle = random.chance(250_000);
        let mut profile = Profile {
            sync: match random.below(8) {
                0 => JournalSync::Never,
                1 => JournalSync::Interval(Duration::from_millis(random.within(1, 100))),
                _ => JournalSync::Always,
            },
            segment_bytes,
            snapshot_journal_bytes: 4096 * random.pick(&[2, 4, 8, 20]),
            retention_ms: random.pick(&[0, 0, 2_000, 20_000, 600_000]),
            ttl_ms: random.pick(&[500, 2_000, 5_000, 20_000]),
            identities_max: random.pick(&[4, 20, 10_000, 10_000]),
            events_in_memory: random.within(5, 50) as usize,
            lane_slots: random.pick(&[1, 3, 8]),
            waiters_max: random.pick(&[1, 4, 10]),
            products: random.within(1, 6),
            changes_in_flight_max: (segment_bytes / 600) as usize,
            weights: Weights {
                task: random.pick(&[20, 60]),
                disk: random.pick(&[1, 4, 15]),
                job: random.pick(&[2, 10]),
                ask: random.pick(&[3, 8, 16]),
                answer: random.pick(&[4, 15]),
                time: random.pick(&[1, 3]),
            },
            rates: Rates {
                kill: random.pick(&[0, 500, 2_000]),
                power_loss: random.pick(&[0, 1_000, 4_000]),
                mid_crash: random.pick(&[0, 1_000, 3_000]),
                stop: random.pick(&[0, 300, 1_500]),
                full: random.pick(&[0, 0, 2_000]),
                clock_jump: random.pick(&[0, 0, 3_000]),
                stall: random.pick(&[500, 5_000]),
                starve: random.pick(&[0, 3_000]),
                rot: random.pick(&[0, 100_000, 400_000]),
            },
            weather: Weather {
                write: random.pick(&[0, 0, 0, 3_000]),
                sync: random.pick(&[0, 0, 0, 3_000]),
                read: random.pick(&[0, 0, 3_000]),
                is_full: false,
            },
            weather_at_start: Weather {
                write: random.pick(&[0, 0, 10_000]),
                sync: random.pick(&[0, 0, 20_000]),
                read: random.pick(&[0, 20_000]),
                is_full: false,
            },
            writes_through: false,
        };
        profile.writes_through = random.coin() && profile.sync == JournalSync::Always;
        if is_gentle {
            profile.weather = Weather::default();
        }
        without.iter().for_each(|kind| profile.leave_out(*kind));
        profile
    }

    fn leave_out(&mut self, kind: Kind) {
        let rates = &mut self.rates;
        match kind {
            Kind::Kill => rates.kill = 0,
            Kind::PowerLoss => rates.power_loss = 0,
            Kind::MidCrash => rates.mid_crash = 0,
            Kind::Stop => rates.stop = 0,
            Kind::Full => rates.full = 0,
            Kind::Rot => rates.rot = 0,
            Kind::ClockJump => rates.clock_jump = 0,
            Kind::Stall => rates.stall = 0,
            Kind::Starve => rates.starve = 0,
            Kind::IoError => {
                for weather in [&mut self.weather, &mut self.weather_at_start] {
                    weather.write = 0;
                    weather.sync = 0;
                }
            }
            Kind::ReadError => {
                self.weather.read = 0;
                self.weather_at_start.read = 0;
            }
            // The clients leave these out.
            Kind::Admin | Kind::Batch | Kind::Repeat | Kind::Read | Kind::Poll => {}
        }
    }
}
