//! What is asked of the server: which operations, in which proportions, on which products.

mod popularity;

use rand::RngExt;
use rand::rngs::SmallRng;

pub use popularity::{Popularity, Sampler};

/// What is asked for, in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One stock change, with the version that this store knows; tried again where it was stale.
    Update,
    /// One stock change of whatever version is current.
    UpdateAny,
    /// Several stock changes of whatever versions are current.
    Batch,
    /// One product.
    Read,
}

/// Operations and how often each comes, in parts of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// [`Operation::Update`]
    pub updates: u32,
    /// [`Operation::UpdateAny`]
    pub any_version: u32,
    /// [`Operation::Batch`]
    pub batches: u32,
    /// [`Operation::Read`]
    pub reads: u32,
}

impl Mix {
    /// The next operation.
    pub fn draw(&self, random: &mut SmallRng) -> Operation {
        let parts = [
            (Operation::Update, self.updates),
            (Operation::UpdateAny, self.any_version),
            (Operation::Batch, self.batches),
            (Operation::Read, self.reads),
        ];
        let sum: u32 = parts.iter().map(|(_, part)| part).sum();
        let mut left = random.random_range(0..sum);
        for (operation, part) in parts {
            match left.checked_sub(part) {
                None => return operation,
                Some(rest) => left = rest,
            }
        }
        unreachable!("what is left is below the sum of the parts")
    }
}

/// A workload with a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// As on the command line.
    pub name: &'static str,
    /// What it stands for.
    pub meaning: &'static str,
    /// The operations.
    pub mix: Mix,
    /// How products are chosen.
    pub popularity: Popularity,
    /// Products, unless chosen otherwise.
    pub products: usize,
    /// Stores that follow the feed, unless chosen otherwise.
    pub followers: usize,
}

const ZIPF: Popularity = Popularity::Zipf(0.99);

const fn mix(updates: u32, any_version: u32, batches: u32, reads: u32) -> Mix {
    Mix {
        updates,
        any_version,
        batches,
        reads,
    }
}

const fn preset(
    name: &'static str,
    meaning: &'static str,
    mix: Mix,
    popularity: Popularity,
    products: usize,
    followers: usize,
) -> Preset {
    Preset {
        name,
        meaning,
        mix,
        popularity,
        products,
        followers,
    }
}

/// Every preset; the first is what runs without a choice.
pub const PRESETS: [Preset; 8] = [
    preset(
        "canonical",
        "a store fleet: 70 % updates, 25 % reads, 5 % batches; few products are popular; 50 stores follow the feed",
        mix(70, 0, 5, 25),
        ZIPF,
        10_000,
        50,
    ),
    preset(
        "updates",
        "single updates with a version, all products alike",
        mix(1, 0, 0, 0),
        Popularity::Uniform,
        1_000,
        0,
    ),
    preset(
        "any-version",
        "single updates of whatever version is current, all products alike",
        mix(0, 1, 0, 0),
        Popularity::Uniform,
        1_000,
        0,
    ),
    preset(
        "hot-item",
        "everybody sells the same product, with versions: conflicts and retries",
        mix(1, 0, 0, 0),
        Popularity::Uniform,
        1,
        0,
    ),
    preset(
        "reads",
        "single products are read, all alike",
        mix(0, 0, 0, 1),
        Popularity::Uniform,
        1_000,
        0,
    ),
    preset(
        "batch",
        "batches of changes of whatever version is current",
        mix(0, 0, 1, 0),
        Popularity::Uniform,
        1_000,
        0,
    ),
    preset(
        "fleet",
        "updates while 1,000 stores follow the feed: how long until each has each event",
        mix(0, 1, 0, 0),
        ZIPF,
        10_000,
        1_000,
    ),
    preset(
        "mixed",
        "half reads, half updates of all kinds",
        mix(20, 20, 10, 50),
        ZIPF,
        10_000,
        10,
    ),
];

/// The preset of that name.
pub fn named(name: &str) -> Option<Preset> {
    PRESETS.into_iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn operations_come_as_often_as_their_part_says() {
        let mut random = SmallRng::seed_from_u64(1);
        let canonical = PRESETS[0].mix;
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[canonical.draw(&mut random) as usize] += 1;
        }
        assert_eq!(0, counts[Operation::UpdateAny as usize]);
        for (operation, percent) in [
            (Operation::Update, 70),
            (Operation::Read, 25),
            (Operation::Batch, 5),
        ] {
            let share = counts[operation as usize].div_ceil(1000);
            assert!(share.abs_diff(percent) <= 1, "{operation:?}: {share} %");
        }
    }
}
