//! The body of a request, read when it is asked for.

use std::io;

use bytes::Bytes;

use super::chunks::ChunkFault;
use super::inbound::Piece;
use super::wire::Wire;

/// What invites a body that the client holds back until it is wanted.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The body of the request that is being answered.
pub struct RequestBody<'a> {
    wire: &'a Wire,
    /// Whether the client waits for [`CONTINUE`].
    is_held_back: bool,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// It does not keep its coding.
    #[error(transparent)]
    Coding(#[from] ChunkFault),
    /// The client is gone.
    #[error("the connection ended before the body did")]
    Ended(#[from] io::Error),
}

impl<'a> RequestBody<'a> {
    /// Of the request that was read last from `wire`.
    pub(super) fn new(wire: &'a Wire, is_held_back: bool) -> RequestBody<'a> {
        RequestBody { wire, is_held_back }
    }

    /// The next piece; none at its end.
    ///
    /// # Errors
    /// If it breaks off, or does not keep its coding.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        if std::mem::take(&mut self.is_held_back) {
            self.wire.write(&mut [CONTINUE]).await?;
        }
        match self.wire.next_piece().await? {
            Piece::Data(data) => Ok(Some(data)),
            Piece::End => Ok(None),
            Piece::Broken(fault) => Err(fault.into()),
            Piece::Awaited => unreachable!("it was waited for"),
        }
    }
}
