//! A yardstick: hyper on the same executor and socket adaptor as the server, answering a constant of the size of an
//! update's answer. It parses no JSON, decides nothing and stores nothing; what it reaches is what HTTP over this
//! runtime costs.
//!
//! `PORT=8090 cargo run --release --example constant_server`

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use central_inventory::plan::ExecutorPlan;
use central_inventory::runtime::executor::{self, Executor};
use central_inventory::runtime::tcp::{self, Listener};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

const BODY: &[u8] = br#"{"productId":"PROD-0001","newQuantity":999999,"newVersion":12345,"applied":true,"lastUpdated":"2026-11-22T17:41:02.036Z"}"#;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(8090);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = tcp::bind_listeners(address, 1)?.remove(0);
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let plan = ExecutorPlan {
        name: "constant".into(),
        cpus: vec![cpus.first().map_or(0, |cpu| cpu.id)],
        pinned: true,
        roles: Vec::new(),
    };
    eprintln!("listening on {address}");
    let executor = Executor::start(&plan, false, move || async move {
        executor::spawn(async {
            loop {
                executor::sleep(executor::HEARTBEAT).await;
            }
        });
        let listener = Listener::new(socket);
        loop {
            let Ok(stream) = listener.accept().await else {
                executor::sleep(Duration::from_millis(50)).await;
                continue;
            };
            executor::spawn(async move {
                let connection = http1::Builder::new()
                    .header_read_timeout(None::<Duration>)
                    .serve_connection(stream, service_fn(answer));
                // A connection that ends is the client's business.
                let _ = connection.await;
            });
        }
    })?;
    executor.join()
}

async fn answer(request: Request<Incoming>) -> Result<Response<Constant>, Infallible> {
    let mut body = request.into_body();
    while std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context))
        .await
        .is_some()
    {}
    let mut response = Response::new(Constant(Bytes::from_static(BODY)));
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
