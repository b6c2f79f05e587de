//! Keeps a replica up to date over a connection, which is made anew whenever it has to be.

use std::io;
use std::net::SocketAddr;

use super::{Message, Messages, Replica, ReplicaError};
use crate::client::{Connection, Requests, Streamed};

/// Events asked for at a time.
const PAGE_EVENTS: u32 = 1000;

/// How a store follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By polls that wait so many seconds.
    Poll {
        /// From 0 to 60.
        wait_seconds: u32,
    },
    /// By server-sent events.
    Stream,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The replica is as of a snapshot.
    Synced,
    /// So many events more are in it.
    Followed(usize),
    /// What it needs is not kept any more: the next turn begins with a snapshot.
    Expired,
    /// The server refused, with this status; try again later.
    Refused(u16),
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The connection ended, or what came is no answer; the next turn makes a new one.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The server skipped something: that must never be.
    #[error("{0}")]
    Replica(#[from] ReplicaError),
}

/// A store.
pub struct Follower {
    address: SocketAddr,
    requests: Requests,
    way: Way,
    replica: Option<Replica>,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// What came of the stream, if it is one.
    stream: Option<Messages>,
}

impl Follower {
    /// A store that goes on from `replica`, or begins with a snapshot.
    pub fn new(
        address: SocketAddr,
        requests: Requests,
        way: Way,
        replica: Option<Replica>,
    ) -> Follower {
        Follower {
            address,
            requests,
            way,
            replica,
            open: None,
        }
    }

    /// What it has, once it is synced.
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// Where it asks from the next turn on.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.open = None;
    }

    /// Hangs up.
    pub fn disconnect(&mut self) {
        self.open = None;
    }

    /// One step: a snapshot if there is nothing to go on from, else a page or what a stream brought.
    ///
    /// # Errors
    /// If the connection ends, which is daily life, or the server skips something, which is not.
    pub async fn turn(&mut self) -> Result<Turn, FollowError> {
        let turn = self.turn_connected().await;
        if !matches!(turn, Ok(Turn::Synced | Turn::Followed(_))) {
            self.open = None;
        }
        if matches!(turn, Ok(Turn::Expired)) {
            self.replica = None;
        }
        turn
    }

    async fn turn_connected(&mut self) -> Result<Turn, FollowError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open {
                connection: Connection::open(self.address).await?,
                stream: None,
            },
        };
        let turn = match (&mut self.replica, self.way) {
            (None, _) => {
                let answer = open.connection.ask(self.requests.snapshot()).await?;
                match answer.status {
                    200 => self.replica = Some(Replica::from_snapshot(answer.body)?),
                    status => return Ok(Turn::Refused(status)),
                }
                Turn::Synced
            }
            (Some(replica), Way::Poll { wait_seconds }) => {
                let offset = replica.next_offset();
                let poll = self.requests.events(offset, PAGE_EVENTS, wait_seconds);
                let answer = open.connection.ask(poll).await?;
                match answer.status {
                    200 => Turn::Followed(replica.apply_page(answer.body)?),
                    status => refused(status),
                }
            }
            (Some(replica), Way::Stream) => match &mut open.stream {
                Some(messages) => read_on(&mut open.connection, messages, replica).await?,
                None => {
                    let request = self.requests.stream(replica.next_offset());
                    match open.connection.ask_stream(request).await? {
                        Streamed::Begun => {
                            open.stream = Some(Messages::default());
                            Turn::Followed(0)
                        }
                        Streamed::Answered(answer) => refused(answer.status),
                    }
                }
            },
        };
        self.open = Some(open);
        Ok(turn)
    }
}

fn refused(status: u16) -> Turn {
    match status {
        410 => Turn::Expired,
        status => Turn::Refused(status),
    }
}

async fn read_on(
    connection: &mut Connection,
    messages: &mut Messages,
    replica: &mut Replica,
) -> Result<Turn, FollowError> {
    let goes_on = connection.next_piece(messages.buffer()).await?;
    let mut count = 0;
    while let Some(message) = messages.take_next() {
        if message.event == "error" {
            return Ok(refused(status_of(&message)));
        }
        replica.apply_event(message.data.as_bytes())?;
        count += 1;
    }
    match goes_on {
        true => Ok(Turn::Followed(count)),
        // It ended well: the server stops.
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// Of the problem that a stream ended with.
fn status_of(message: &Message) -> u16 {
    let problem: Result<serde_json::Value, _> = serde_json::from_str(&message.data);
    let status = problem.ok().and_then(|problem| problem["status"].as_u64());
    status
        .and_then(|status| status.try_into().ok())
        .unwrap_or(500)
}
