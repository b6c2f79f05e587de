//! Responses, and the bodies they have.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A stream that had to break off: the client sees that the body is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off")]
pub struct BrokenOff;

/// The pieces of a body that is made as it is sent.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>>>>;

/// The body of a response.
pub enum ResponseBody {
    /// All of it; empty when it has been sent.
    Whole(Bytes),
    /// Made as it is sent, in chunks.
    Pieces(Pieces),
}

impl ResponseBody {
    /// No bytes.
    pub fn empty() -> ResponseBody {
        ResponseBody::Whole(Bytes::new())
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> ResponseBody {
        ResponseBody::Whole(bytes.into())
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> ResponseBody {
        ResponseBody::Whole(bytes)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            ResponseBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            ResponseBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            ResponseBody::Pieces(pieces) => pieces
                .as_mut()
                .poll_next(context)
                .map(|piece| piece.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ResponseBody::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            ResponseBody::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Room for a small answer.
const JSON_BYTES_USUAL: usize = 320;

/// What a handler returns.
pub type Answer = Result<Response<ResponseBody>, super::problem::Problem>;

/// JSON that is there already.
pub fn json_bytes(status: StatusCode, json: impl Into<ResponseBody>) -> Response<ResponseBody> {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `value` as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<ResponseBody> {
    let mut json = Vec::with_capacity(JSON_BYTES_USUAL);
    sonic_rs::to_writer(&mut json, value).expect("our own types can be written to memory");
    json_bytes(status, json)
}

/// No body.
pub fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// A stream of one piece after the other, each made from the state that the last left.
pub fn pieces<State, Next>(state: State, next: impl FnMut(State) -> Next + 'static) -> ResponseBody
where
    State: 'static,
    Next: Future<Output = Option<(Result<Bytes, BrokenOff>, State)>> + 'static,
{
    ResponseBody::Pieces(Box::pin(futures_lite::stream::unfold(state, next)))
}
