//! Bugs that a simulation can plant, to show that it finds them. Each stands where its name says, behind
//! [`is_planted`], which is always false in the server that is shipped.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A group is acknowledged when it is written, before it is synced.
    AcknowledgeBeforeSync,
    /// A line of the journal is believed whatever its checksum says.
    SkipChecksum,
    /// Recovery gives the last offset again.
    ReuseOffset,
    /// Recovery drops the tombstones of the snapshot.
    ForgetTombstones,
    /// Recovery drops the idempotency memory.
    ForgetIdentities,
    /// A read is answered before what it shows is on disk.
    ServeUnsyncedReads,
    /// A line does not say what was on disk when it was written.
    LoseGroupBoundary,
    /// A rotation does not make its new names durable.
    RotateBeforeSync,
    /// A snapshot is published before the changes that it shows are on disk.
    PublishSnapshotEarly,
    /// A segment is removed though the snapshot does not cover it.
    RemoveUncoveredSegment,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// A torn tail is left where it is, and writing goes on behind it.
    KeepTornTail,
    /// The snapshot is renamed before its bytes are on disk.
    RenameSnapshotUnsynced,
}

impl Fault {
    /// All of them.
    #[cfg(feature = "simulation")]
    pub const ALL: [Fault; 13] = [
        Fault::AcknowledgeBeforeSync,
        Fault::SkipChecksum,
        Fault::ReuseOffset,
        Fault::ForgetTombstones,
        Fault::ForgetIdentities,
        Fault::ServeUnsyncedReads,
        Fault::LoseGroupBoundary,
        Fault::RotateBeforeSync,
        Fault::PublishSnapshotEarly,
        Fault::RemoveUncoveredSegment,
        Fault::RetrySync,
        Fault::KeepTornTail,
        Fault::RenameSnapshotUnsynced,
    ];
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants `fault`, and no other, for all that runs on this thread from now on.
#[cfg(feature = "simulation")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether `fault` is planted.
#[cfg(feature = "simulation")]
pub fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether `fault` is planted: never, but in a simulation.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub fn is_planted(_fault: Fault) -> bool {
    false
}
