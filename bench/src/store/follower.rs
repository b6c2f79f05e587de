//! Keeps what a store holds up to date over a connection, which is made anew whenever it has to be.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::SystemTime;

use central_inventory::runtime::sockets::Near;

use super::{FeedError, Holding, Message, Messages};
use crate::client::{Connection, Requests, Streamed, last_timestamp};

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
    /// It holds what a snapshot had.
    Synced,
    /// The feed brought this.
    Followed(News),
    /// What it needs is not kept any more: the next turn begins with a snapshot.
    Expired,
    /// The server refused, with this status; try again later.
    Refused(u16),
}

/// What a turn brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// So many events.
    pub events: u64,
    /// When the last of them took effect, by the server's clock.
    pub latest: Option<SystemTime>,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The connection ended, or what came is no answer; the next turn makes a new one.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The server skipped something: that must never be.
    #[error("{0}")]
    Feed(#[from] FeedError),
}

/// A store.
pub struct Follower<H> {
    address: SocketAddr,
    near: Near,
    requests: Requests,
    way: Way,
    held: Option<H>,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// What came of the stream, if it is one.
    stream: Option<Messages>,
}

impl<H: Holding> Follower<H> {
    /// A store that goes on from what it holds, or begins with a snapshot.
    pub fn new(address: SocketAddr, requests: Requests, way: Way, held: Option<H>) -> Follower<H> {
        Follower {
            address,
            near: Near::default(),
            requests,
            way,
            held,
            open: None,
        }
    }

    /// Connects with this near end from now on.
    pub fn at(mut self, near: Near) -> Follower<H> {
        self.near = near;
        self
    }

    /// What it has, once it is synced.
    pub fn held(&self) -> Option<&H> {
        self.held.as_ref()
    }

    /// What it has in the end.
    pub fn into_held(self) -> Option<H> {
        self.held
    }

    /// Where it asks from the next turn on.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.open = None;
    }

    /// Connects if it is not connected. Returns the descriptor, for who ends connections from outside.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub async fn connect(&mut self) -> io::Result<RawFd> {
        if self.open.is_none() {
            self.open = Some(Open {
                connection: Connection::open_at(self.address, self.near).await?,
                stream: None,
            });
        }
        let open = self.open.as_ref().expect("it was just opened");
        Ok(open.connection.descriptor())
    }

    /// Whether the next turn uses the connection of the last.
    pub fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    /// Hangs up.
    pub fn disconnect(&mut self) {
        self.open = None;
    }

    /// One step: a snapshot if there is nothing to go on from, else a page or what a stream brought.
    ///
    /// A turn that is dropped before its end closes the connection and leaves what is held as it was.
    ///
    /// # Errors
    /// If the connection ends, which is daily life, or the server skips something, which is not.
    pub async fn turn(&mut self) -> Result<Turn, FollowError> {
        self.connect().await?;
        let mut open = self.open.take().expect("it is connected");
        let turn = self.turn_on(&mut open).await;
        match turn {
            Ok(Turn::Synced | Turn::Followed(_)) => self.open = Some(open),
            Ok(Turn::Expired) => self.held = None,
            _ => {}
        }
        turn
    }

    async fn turn_on(&mut self, open: &mut Open) -> Result<Turn, FollowError> {
        let Some(held) = &mut self.held else {
            let answer = open.connection.ask(self.requests.snapshot()).await?;
            if answer.status != 200 {
                return Ok(Turn::Refused(answer.status));
            }
            self.held = Some(H::from_snapshot(answer.body)?);
            return Ok(Turn::Synced);
        };
        match (self.way, &mut open.stream) {
            (Way::Poll { wait_seconds }, _) => {
                let offset = held.next_offset();
                let poll = self.requests.events(offset, PAGE_EVENTS, wait_seconds);
                let answer = open.connection.ask(poll).await?;
                match answer.status {
                    200 => Ok(Turn::Followed(News {
                        events: held.take_page(answer.body)?,
                        latest: time(answer.body),
                    })),
                    status => Ok(refused(status)),
                }
            }
            (Way::Stream, Some(messages)) => read_on(&mut open.connection, messages, held).await,
            (Way::Stream, none) => {
                let request = self.requests.stream(held.next_offset());
                match open.connection.ask_stream(request).await? {
                    Streamed::Begun => {
                        *none = Some(Messages::default());
                        Ok(Turn::Followed(News::default()))
                    }
                    Streamed::Answered(answer) => Ok(refused(answer.status)),
                }
            }
        }
    }
}

fn refused(status: u16) -> Turn {
    match status {
        410 => Turn::Expired,
        status => Turn::Refused(status),
    }
}

async fn read_on<H: Holding>(
    connection: &mut Connection,
    messages: &mut Messages,
    held: &mut H,
) -> Result<Turn, FollowError> {
    let goes_on = connection.next_piece(messages.buffer()).await?;
    let mut news = News::default();
    while let Some(message) = messages.take_next() {
        if message.event == "error" {
            return Ok(refused(status_of(&message)));
        }
        held.take_message(&message)?;
        news.events += 1;
        news.latest = time(message.data.as_bytes());
    }
    match goes_on {
        true => Ok(Turn::Followed(news)),
        // It ended well: the server stops.
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// When the last of the events in `text` took effect.
fn time(text: &[u8]) -> Option<SystemTime> {
    humantime::parse_rfc3339(last_timestamp(text)?).ok()
}

/// Of the problem that a stream ended with.
fn status_of(message: &Message<'_>) -> u16 {
    let problem: Result<serde_json::Value, _> = serde_json::from_str(&message.data);
    let status = problem.ok().and_then(|problem| problem["status"].as_u64());
    status
        .and_then(|status| status.try_into().ok())
        .unwrap_or(500)
}
