//! One file: what the disk holds of it for good, and what was written since and could be lost.

use crate::random::Random;

/// The least that a disk writes whole.
const SECTOR: usize = 512;

/// A file, whatever its names are.
#[derive(Clone, Debug, Default)]
pub struct Inode {
    /// What a power loss leaves for certain.
    durable: Vec<u8>,
    /// What is read.
    visible: Vec<u8>,
    /// What leads from the one to the other, in order.
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    change: Change,
    /// A sync failed after it: it is read from memory still, and no later sync will bring it to the disk.
    is_doomed: bool,
}

/// A change of a file's bytes.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing is in it any more.
    Truncate,
    /// Bytes from a place on.
    Write {
        /// The place.
        position: usize,
        /// The bytes.
        bytes: Vec<u8>,
        /// For a group of the journal, the offset behind it.
        end_offset: Option<u64>,
    },
}

/// What a power loss makes of everything that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it is gone.
    All,
    /// All of it is there.
    Nothing,
    /// Each piece by chance is gone, torn, before or after others, or with a bit that is wrong.
    Some,
}

impl Inode {
    /// What is read.
    pub fn visible(&self) -> &[u8] {
        &self.visible
    }

    /// What a power loss leaves for certain.
    pub fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Makes `change`, not for good yet.
    pub fn change(&mut self, change: Change) {
        apply(&mut self.visible, &change);
        self.pending.push(Pending {
            change,
            is_doomed: false,
        });
    }

    /// Makes everything durable that can be; returns the end offsets of the groups that now are.
    pub fn sync(&mut self) -> Vec<u64> {
        let mut synced = Vec::new();
        let mut doomed = Vec::new();
        for pending in self.pending.drain(..) {
            match pending.is_doomed {
                true => doomed.push(pending),
                false => {
                    apply(&mut self.durable, &pending.change);
                    synced.extend(pending.change.end_offset());
                }
            }
        }
        self.pending = doomed;
        synced
    }

    /// A sync that fails: each change by chance is durable all the same, lost for good, or as it was. Returns whether
    /// a group of the journal is lost.
    pub fn fail_sync(&mut self, random: &mut Random) -> bool {
        let mut is_lossy = false;
        for mut pending in std::mem::take(&mut self.pending) {
            match random.below(3) {
                0 if !pending.is_doomed => apply(&mut self.durable, &pending.change),
                1 => {
                    pending.is_doomed = true;
                    is_lossy |= pending.change.end_offset().is_some();
                    self.pending.push(pending);
                }
                _ => self.pending.push(pending),
            }
        }
        is_lossy
    }

    /// What is read is what the disk has, or will have.
    pub fn forget_cached(&mut self) {
        self.pending.retain(|pending| !pending.is_doomed);
        self.visible.clone_from(&self.durable);
        for pending in &self.pending {
            apply(&mut self.visible, &pending.change);
        }
    }

    /// The power is gone.
    pub fn lose_power(&mut self, loss: Loss, random: &mut Random) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|pending| !pending.is_doomed);
        if loss == Loss::Some {
            random.shuffle(&mut pending);
        }
        for pending in pending {
            match loss {
                Loss::All => {}
                Loss::Nothing => apply(&mut self.durable, &pending.change),
                Loss::Some => {
                    for piece in remains(pending.change, random) {
                        apply(&mut self.durable, &piece);
                    }
                }
            }
        }
        self.visible.clone_from(&self.durable);
    }

    /// A bit of what was durable is wrong from now on.
    pub fn rot(&mut self, byte: usize, bit: u8) {
        self.durable[byte] ^= 1 << bit;
        self.visible[byte] ^= 1 << bit;
    }
}

impl Change {
    fn end_offset(&self) -> Option<u64> {
        match self {
            Change::Truncate => None,
            Change::Write { end_offset, .. } => *end_offset,
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate => bytes.clear(),
        Change::Write {
            position,
            bytes: written,
            ..
        } => {
            let end = position + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*position..end].copy_from_slice(written);
        }
    }
}

/// What is left of `change` when it was interrupted: any of its sectors, some with a wrong bit.
pub fn remains(change: Change, random: &mut Random) -> Vec<Change> {
    let Change::Write {
        position,
        mut bytes,
        ..
    } = change
    else {
        return match random.coin() {
            true => vec![change],
            false => Vec::new(),
        };
    };
    if !bytes.is_empty() && random.chance(150_000) {
        let byte = random.index(bytes.len());
        bytes[byte] ^= 1 << random.below(8);
    }
    let style = random.below(5);
    let cut = random.index(bytes.len() / SECTOR + 2) * SECTOR;
    let mut kept = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // Sectors are whole where the disk has them, not where the write began.
        let sector_end = (position + at + 1).next_multiple_of(SECTOR) - position;
        let end = sector_end.min(bytes.len());
        let is_kept = match style {
            0 => false,
            1 => true,
            2 => end <= cut,
            3 => at >= cut,
            _ => random.coin(),
        };
        if is_kept {
            kept.push(Change::Write {
                position: position + at,
                bytes: bytes[at..end].to_vec(),
                end_offset: None,
            });
        }
        at = end;
    }
    kept
}
