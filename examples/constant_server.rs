//! A yardstick: hyper on the same executor and socket adaptor as the server, answering a constant of the size of an
//! update's answer. It parses no JSON, decides nothing and stores nothing; what it reaches is what HTTP over this
//! runtime costs.
//!
//! `PORT=8090 cargo run --release --example constant_server`

mod yardstick;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use central_inventory::runtime::tcp::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    yardstick::serve(8090, |stream: Stream| async move {
        let connection = http1::Builder::new()
            .header_read_timeout(None::<Duration>)
            .serve_connection(stream, service_fn(answer));
        // A connection that ends is the client's business.
        let _ = connection.await;
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Constant>, Infallible> {
    let mut body = request.into_body();
    while std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context))
        .await
        .is_some()
    {}
    let mut response = Response::new(Constant(Bytes::from_static(yardstick::BODY.as_bytes())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

struct Constant(Bytes);

impl Body for Constant {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = std::mem::take(&mut self.0);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
