//! An acceptor's ends of the lanes, without the acceptor: windows, and which question an answer belongs to.

use std::collections::BTreeMap;

use central_inventory::messages::{
    ExchangeKey, FeedReply, FeedReplyTo, FeedRequest, Reply, ReplyTo, ShardRequest,
};
use central_inventory::server::lanes::{AcceptorEnds, Sizes};

use crate::book::OperationId;

/// What was asked of a shard.
#[derive(Debug)]
pub enum Question {
    /// One update.
    Update(OperationId),
    /// A batch, or an admin request: each item at its index.
    Items(Vec<OperationId>),
    /// One product.
    Read(OperationId),
    /// The products above an id, as a list or as a slice.
    Range(Range),
}

/// A question for several products.
#[derive(Debug)]
pub struct Range {
    /// Which shard was asked.
    pub shard: usize,
    /// The id they are above.
    pub after: Option<String>,
    /// The most of them.
    pub limit: u32,
    /// The step in which it was asked.
    pub invoked: u64,
}

/// What was asked of the feed.
#[derive(Debug)]
pub struct FeedQuestion {
    /// The first offset wanted; none if the end is wanted.
    pub offset: Option<u64>,
    /// The most events wanted.
    pub limit: u32,
    /// Whether it may wait.
    pub waits: bool,
    /// Whether it was told to be forgotten.
    pub is_forgotten: bool,
    /// The step in which it was asked.
    pub invoked: u64,
    /// How many reads had failed by then.
    pub reads_failed: u64,
}

/// One acceptor's place.
pub struct Front {
    index: u16,
    ends: AcceptorEnds,
    sizes: Sizes,
    in_flight: Vec<usize>,
    asked: u32,
    questions: BTreeMap<u32, Question>,
    feed_questions: BTreeMap<u32, FeedQuestion>,
    /// Whether the server was told that nothing more will come.
    pub is_done: bool,
}

impl Front {
    /// Behind the acceptor `index`.
    pub fn new(index: u16, ends: AcceptorEnds, sizes: Sizes) -> Front {
        Front {
            index,
            in_flight: vec![0; ends.requests.len()],
            ends,
            sizes,
            asked: 0,
            questions: BTreeMap::new(),
            feed_questions: BTreeMap::new(),
            is_done: false,
        }
    }

    /// Whether every question is answered.
    pub fn is_idle(&self) -> bool {
        self.questions.is_empty() && self.feed_questions.is_empty()
    }

    /// Whether `shard` can be asked something now.
    pub fn has_room(&self, shard: usize) -> bool {
        self.in_flight[shard] < self.sizes.shard_window && self.ends.requests[shard].room() > 0
    }

    /// Asks `shard`, which has room.
    pub fn ask(
        &mut self,
        shard: usize,
        question: Question,
        request: impl FnOnce(ReplyTo) -> ShardRequest,
    ) {
        let to = ReplyTo {
            exchange: self.next_exchange(),
            acceptor: self.index,
            shard: shard as u16,
        };
        self.questions.insert(to.exchange.index, question);
        self.in_flight[shard] += 1;
        let sent = self.ends.requests[shard].send(request(to));
        sent.expect("there was room");
    }

    /// Whether the feed can be asked something now.
    pub fn has_feed_room(&self) -> bool {
        self.feed_questions.len() < self.sizes.feed_window
    }

    /// Asks the feed, which has room.
    pub fn ask_feed(
        &mut self,
        question: FeedQuestion,
        request: impl FnOnce(FeedReplyTo) -> FeedRequest,
    ) {
        let exchange = self.next_exchange();
        let to = FeedReplyTo {
            exchange,
            acceptor: self.index,
        };
        self.feed_questions.insert(exchange.index, question);
        let sent = self.ends.feed_requests.send(request(to));
        sent.expect("the lane is sized for it");
    }

    /// Tells the feed that nobody waits for the `choice`-th of its waiting questions.
    pub fn forget(&mut self, choice: usize) {
        let waiting = self.feed_questions.iter_mut();
        let mut waiting = waiting.filter(|(_, question)| question.waits && !question.is_forgotten);
        let Some((index, question)) = waiting.nth(choice) else {
            return;
        };
        question.is_forgotten = true;
        let to = FeedReplyTo {
            exchange: exchange(*index),
            acceptor: self.index,
        };
        let sent = self.ends.feed_requests.send(FeedRequest::Forget(to));
        sent.expect("the lane is sized for it");
    }

    fn next_exchange(&mut self) -> ExchangeKey {
        self.asked += 1;
        exchange(self.asked)
    }

    /// The lanes with an answer in them; the last of all lanes is the feed's.
    pub fn answered_lanes(&self) -> Vec<usize> {
        let lanes = self.ends.replies.iter().map(|lane| lane.is_empty());
        let lanes = lanes.chain([self.ends.feed_replies.is_empty()]);
        let answered = lanes.enumerate().filter(|(_, is_empty)| !is_empty);
        answered.map(|(lane, _)| lane).collect()
    }

    /// Takes an answer off a lane, with its question.
    pub fn take(&mut self, lane: usize) -> Result<Taken, String> {
        match self.ends.replies.get(lane) {
            Some(lane) => {
                let reply = lane.pop().ok_or("a lane with an answer is empty")?;
                self.take_reply(reply)
            }
            None => {
                let reply = self.ends.feed_replies.pop();
                self.take_feed_reply(reply.ok_or("a lane with an answer is empty")?)
            }
        }
    }

    fn take_reply(&mut self, reply: Reply) -> Result<Taken, String> {
        let index = reply.to.exchange.index;
        let Some(question) = self.questions.remove(&index) else {
            return Err(format!("question {index} was answered twice: {reply:?}"));
        };
        self.in_flight[reply.to.shard as usize] -= 1;
        Ok(Taken::Reply(question, reply))
    }

    fn take_feed_reply(&mut self, reply: FeedReply) -> Result<Taken, String> {
        let index = reply.to.exchange.index;
        let Some(question) = self.feed_questions.remove(&index) else {
            return Err(format!(
                "feed question {index} was answered twice: {reply:?}"
            ));
        };
        Ok(Taken::Feed(question, reply))
    }

    /// The questions without an answer, for a person.
    pub fn open(&self) -> String {
        format!(
            "acceptor {}: {:?} {:?}",
            self.index, self.questions, self.feed_questions
        )
    }
}

/// An answer with its question.
#[derive(Debug)]
pub enum Taken {
    /// A shard's.
    Reply(Question, Reply),
    /// The feed's.
    Feed(FeedQuestion, FeedReply),
}

fn exchange(index: u32) -> ExchangeKey {
    ExchangeKey {
        index,
        generation: 0,
    }
}
