//! What clients asked and were told, in the form in which it is checked at the end.

use history::{Call, Event, Operation, Outcome, Poll};

/// An operation, by its place in the book.
pub type OperationId = usize;

/// The record of all clients.
#[derive(Debug, Default)]
pub struct Book {
    /// Operations, in the order in which they were begun.
    pub operations: Vec<Operation>,
    /// Answered polls.
    pub polls: Vec<Poll>,
    /// The steps in which a server was gone.
    pub crashes: Vec<u64>,
}

impl Book {
    /// A client asks.
    pub fn ask(&mut self, step: u64, call: Call) -> OperationId {
        self.operations.push(Operation {
            call,
            invoked: step,
            ended: None,
        });
        self.operations.len() - 1
    }

    /// A client is told.
    pub fn answer(&mut self, step: u64, id: OperationId, outcome: Outcome) {
        self.operations[id].ended = Some((step, outcome));
    }

    /// A client read a page.
    pub fn read_page(&mut self, poll: Poll) {
        self.polls.push(poll);
    }

    /// What was there at `offset` when `invoked` had passed: nothing.
    pub fn saw_end(&mut self, invoked: u64, returned: u64, offset: u64) {
        self.read_page(Poll {
            invoked,
            returned,
            offset,
            events: Vec::<Event>::new(),
            more: false,
        });
    }

    /// What was told in `step` or later need not be true any more: the server said at its start that a power loss could
    /// take it back.
    pub fn take_back_since(&mut self, step: u64) {
        for operation in &mut self.operations {
            operation.ended = operation.ended.take_if(|(returned, _)| *returned < step);
        }
        self.polls.retain(|poll| poll.returned < step);
    }
}
