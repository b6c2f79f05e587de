//! Everything that travels between roles: one closed enum per direction, owning what it carries.
//!
//! ```text
//!   acceptor ──ShardRequest──▶ shard ──Decision──▶ sequencer ──Reply──▶ acceptor
//!                                └──────────Reply (needs no disk)──────▶ acceptor
//!   acceptor ──FeedRequest──▶ sequencer ──FeedReply──▶ acceptor
//!   sequencer ──SnapshotRequest──▶ shard ──Decision::SnapshotPart──▶ sequencer
//! ```

use std::sync::Arc;

use bytes::Bytes;
use shards::{AdminAnswer, Creation, Setting, Update, UpdateAnswer};

use crate::journal::format::Changes;
use crate::journal::snapshot::Part;
use crate::sequencer::filter::Filter;

/// Where an answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The exchange that waits for it.
    pub exchange: ExchangeKey,
    /// The acceptor it waits at.
    pub acceptor: u16,
    /// The shard that was asked: its share of the acceptor's window is free again with the answer.
    pub shard: u16,
}

/// A slot in an acceptor's table of exchanges. A slot is used again under another generation, so that an answer
/// nobody waits for any more is told from one that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeKey {
    /// Index into the table.
    pub index: u32,
    /// How often the slot had been used.
    pub generation: u32,
}

/// The position of an item in the body that it came in.
pub type ItemIndex = u32;

/// Acceptor to shard.
#[derive(Debug)]
pub enum ShardRequest {
    /// One update.
    Update(ReplyTo, Update),
    /// The updates of a batch that belong to this shard, in the order sent.
    Updates(ReplyTo, Vec<(ItemIndex, Update)>),
    /// Creations, in the order sent.
    Create(ReplyTo, Vec<(ItemIndex, Creation)>),
    /// Settings, in the order sent.
    Set(ReplyTo, Vec<(ItemIndex, Setting)>),
    /// Deletions by id, in the order sent.
    Delete(ReplyTo, Vec<(ItemIndex, Box<str>)>),
    /// One product.
    Read(ReplyTo, Box<str>),
    /// Up to `limit` products above `after` in byte order of ids, each by itself, to be merged with other shards'.
    List(ReplyTo, PageAfter),
    /// The same, joined into one piece of JSON, for the snapshot.
    Slice(ReplyTo, PageAfter),
}

/// A part of the ordered list of a shard's products.
#[derive(Debug)]
pub struct PageAfter {
    /// The id after which to begin; none begins at the first.
    pub after: Option<Box<str>>,
    /// The most products to return.
    pub limit: u32,
}

/// Shard to acceptor, straight or by way of the sequencer.
#[derive(Debug)]
pub struct Reply {
    /// Whose it is.
    pub to: ReplyTo,
    /// What it says.
    pub outcome: Outcome,
}

/// What became of a [`ShardRequest`].
#[derive(Debug)]
pub enum Outcome {
    /// Of an update.
    Update(UpdateAnswer),
    /// Of updates, each at its index.
    Updates(Vec<(ItemIndex, UpdateAnswer)>),
    /// Of creations, settings or deletions, each at its index.
    Admin(Vec<(ItemIndex, AdminAnswer)>),
    /// Of a read.
    Product(Option<FoundProduct>),
    /// Of a list.
    List(Vec<ListedProduct>),
    /// Of a slice.
    Slice(Slice),
    /// The journal failed before the change, or the change that the answer would show, was on disk.
    StorageFailed,
}

/// A product as JSON.
#[derive(Debug)]
pub struct FoundProduct {
    /// Its version, for the `ETag`.
    pub version: u64,
    /// Its JSON.
    pub json: Vec<u8>,
}

/// A product as JSON, with the id by which lists are merged.
#[derive(Debug)]
pub struct ListedProduct {
    /// Its id.
    pub id: Box<str>,
    /// Its JSON.
    pub json: Vec<u8>,
}

/// A run of products as JSON.
#[derive(Debug)]
pub struct Slice {
    /// The products, joined by commas.
    pub json: Vec<u8>,
    /// How many they are.
    pub count: u32,
    /// The last one's id if there may be more.
    pub more_after: Option<Box<str>>,
}

/// Shard to sequencer.
#[derive(Debug)]
pub enum Decision {
    /// To be put in order.
    Ordered(Ordered),
    /// A part of the snapshot, which shows changes that went before it in the same lane, and no others.
    SnapshotPart(Box<SnapshotPart>),
}

/// What takes its place in the order of all changes.
#[derive(Debug)]
pub enum Ordered {
    /// Changes to be ordered and written; the reply follows when they are on disk.
    Changes(Changes, Reply),
    /// A reply that shows an earlier change of the same shard, to be released behind it.
    Held(Reply),
}

/// Sequencer to shard: what is known of the ids after `after`, in byte order; none begins at the first. One is under
/// way at a time.
#[derive(Debug)]
pub struct SnapshotRequest {
    /// The last id of the part before.
    pub after: Option<Box<str>>,
}

/// A part of the snapshot.
#[derive(Debug)]
pub struct SnapshotPart {
    /// Its products and tombstones.
    pub part: Part,
    /// The last id of it if there may be more.
    pub more_after: Option<Box<str>>,
}

/// Acceptor to sequencer.
#[derive(Debug)]
pub enum FeedRequest {
    /// Events from `offset` on.
    Poll(Poll),
    /// Nobody waits for this poll any more. If it was still waiting it is answered [`FeedAnswer::Forgotten`], so
    /// that every question has exactly one answer and the lanes can be sized for it.
    Forget(FeedReplyTo),
    /// The offset from which a snapshot begun now must be followed.
    End(FeedReplyTo),
}

/// What an answer of the feed is put together as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A page of JSON.
    Page,
    /// Messages of a stream of server-sent events.
    Stream,
}

/// A question to the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Who asks.
    pub to: FeedReplyTo,
    /// The first offset wanted.
    pub offset: u64,
    /// The most events wanted.
    pub limit: u32,
    /// How long to wait for the first of them, in milliseconds.
    pub wait_ms: u32,
    /// How they are wanted.
    pub form: Form,
    /// Which are wanted; none wants all.
    pub filter: Option<Arc<Filter>>,
}

/// Where a feed answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedReplyTo {
    /// The exchange that waits for it.
    pub exchange: ExchangeKey,
    /// The acceptor it waits at.
    pub acceptor: u16,
}

/// Sequencer to acceptor.
#[derive(Debug, PartialEq, Eq)]
pub struct FeedReply {
    /// Whose it is.
    pub to: FeedReplyTo,
    /// What it says.
    pub answer: FeedAnswer,
}

/// What became of a [`FeedRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedAnswer {
    /// A page.
    Page {
        /// As it is served.
        bytes: Bytes,
        /// How many events are on it.
        events: u32,
        /// Where to go on.
        next: u64,
    },
    /// The offset is older than what is kept.
    Expired {
        /// The first readable offset.
        oldest: u64,
        /// The end of the feed.
        end: u64,
    },
    /// The offset is beyond the end of the feed.
    BeyondEnd {
        /// The end of the feed.
        end: u64,
    },
    /// As many polls wait as may.
    TooManyWaiters,
    /// The end of the feed.
    End(u64),
    /// It is on disk, and cannot be read there.
    Unreadable,
    /// It waited and was told not to.
    Forgotten,
}

// A message is moved twice per hop: its size is part of the cost of a request.
const _: () = assert!(size_of::<ShardRequest>() <= 72);
const _: () = assert!(size_of::<Reply>() <= 64);
const _: () = assert!(size_of::<Decision>() <= 104);
const _: () = assert!(size_of::<FeedRequest>() <= 48);
const _: () = assert!(size_of::<FeedReply>() <= 64);
