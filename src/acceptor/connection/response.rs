//! The body of a response, which tells the watch when hyper has all of it: hyper need not read again before the next
//! request, so nothing else says that the connection is idle.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::watch::Watch;
use crate::acceptor::Acceptor;
use crate::api::ResponseBody;

/// A body that is dropped when hyper has all of it, or the connection ends.
pub struct WatchedBody {
    body: ResponseBody,
    watch: Rc<Watch>,
    acceptor: Rc<Acceptor>,
    sent_bytes: u64,
}

impl WatchedBody {
    /// `body`, of a response on the connection of `watch`.
    pub fn new(body: ResponseBody, watch: Rc<Watch>, acceptor: Rc<Acceptor>) -> WatchedBody {
        WatchedBody {
            body,
            watch,
            acceptor,
            sent_bytes: 0,
        }
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.acceptor
            .metrics
            .response_bytes
            .observe(self.sent_bytes);
        self.watch.has_responded(self.acceptor.now_ms());
    }
}

impl Body for WatchedBody {
    type Data = <ResponseBody as Body>::Data;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
