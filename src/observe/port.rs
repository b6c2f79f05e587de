//! The metrics port: `GET /metrics`, on an executor of its own that no data core waits for. It reads what the roles
//! have counted, and once a second takes the figures that need a rate or may block.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use slog::{Logger, debug, warn};

use super::metrics::{Metrics, Wired, text};
use super::service_manager::ServiceManager;
use crate::api::{ResponseBody, preferred};
use crate::lifecycle::Lifecycle;
use crate::runtime::clock::Uptime;
use crate::runtime::executor;
use crate::runtime::tcp::{self, Listener, Stream};

/// How often the port looks at the time, and whether the server has ended.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two samples.
const TICKS_PER_SAMPLE: u32 = 10;
/// Connections that may be open: a few scrapers, and people who look.
const CONNECTIONS_MAX: usize = 64;
/// A connection on which nothing was asked for so long is closed, whatever it is doing.
const IDLE: Duration = Duration::from_secs(90);
/// How long accepting pauses after an error, such as too many open files.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
/// The most bytes of a request head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What the port is wired to.
pub struct Wiring {
    /// Its listening socket.
    pub socket: OwnedFd,
    /// What is told.
    pub metrics: Arc<Metrics>,
    /// What is watched beside it.
    pub wired: Arc<Wired>,
    /// The server.
    pub lifecycle: Arc<Lifecycle>,
    /// For what an operator must know.
    pub log: Logger,
    /// Who is told that the server is alive.
    pub manager: ServiceManager,
}

struct Port {
    manager: ServiceManager,
    metrics: Arc<Metrics>,
    wired: Arc<Wired>,
    log: Logger,
    uptime: Uptime,
    open: RefCell<Vec<Rc<Open>>>,
    is_sampling_disk: Cell<bool>,
}

/// An open connection.
struct Open {
    descriptor: RawFd,
    asked_at: Cell<Duration>,
}

/// Runs until the server has ended.
pub async fn run(wiring: Wiring) {
    let port = Rc::new(Port {
        metrics: wiring.metrics,
        wired: wiring.wired,
        log: wiring.log,
        manager: wiring.manager,
        uptime: Uptime::start(),
        open: RefCell::default(),
        is_sampling_disk: Cell::new(false),
    });
    let listener = Listener::new(wiring.socket).expect("a thread may watch its listener");
    let descriptor = listener.descriptor();
    executor::spawn(accept(port.clone(), listener));
    let mut ticks: u32 = 0;
    while !wiring.lifecycle.has_ended() {
        if ticks.is_multiple_of(TICKS_PER_SAMPLE) {
            port.sample();
        }
        ticks = ticks.wrapping_add(1);
        executor::sleep(TICK).await;
        port.close_idle(IDLE);
    }
    tcp::stop_listening(descriptor);
    port.close_idle(Duration::ZERO);
}

async fn accept(port: Rc<Port>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(_) if port.open.borrow().len() >= CONNECTIONS_MAX => {}
            Ok(stream) => executor::spawn(serve(port.clone(), stream)),
            Err(error) => {
                warn!(port.log, "A connection to the metrics port could not be accepted"; "error" => %error);
                executor::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

async fn serve(port: Rc<Port>, stream: Stream) {
    let open = Rc::new(Open {
        descriptor: stream.descriptor(),
        asked_at: Cell::new(port.uptime.elapsed()),
    });
    port.open.borrow_mut().push(open.clone());
    let service = service_fn(|request| {
        open.asked_at.set(port.uptime.elapsed());
        let response = port.answer(&request);
        debug!(port.log, "Request served"; "method" => request.method().as_str(), "path" => request.uri().path(),
            "status" => response.status().as_u16());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None::<Duration>)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    // How it ended is the peer's business.
    let _ = connection.as_mut().await;
    // Off the list before the descriptor is closed.
    port.open
        .borrow_mut()
        .retain(|other| !Rc::ptr_eq(other, &open));
}

impl Port {
    fn answer(&self, request: &Request<Incoming>) -> Response<ResponseBody> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match request.uri().path() {
            "/metrics" if is_read => self.metrics(request),
            "/metrics" => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD /metrics\n");
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            _ => plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<ResponseBody> {
        let families = self.metrics.families(&self.wired);
        let wanted = preferred(request.headers(), &[text::CLASSIC, text::OPEN_METRICS]);
        let (written, content_type) = match wanted {
            text::OPEN_METRICS => (text::open_metrics(families), text::OPEN_METRICS_TYPE),
            _ => (text::classic(families), text::CLASSIC_TYPE),
        };
        respond(StatusCode::OK, written.into_bytes(), content_type)
    }

    fn close_idle(&self, idle: Duration) {
        let now = self.uptime.elapsed();
        for open in self.open.borrow().iter() {
            if now.saturating_sub(open.asked_at.get()) >= idle {
                tcp::shutdown(open.descriptor);
            }
        }
    }

    fn sample(self: &Rc<Self>) {
        let now_ns = u64::try_from(self.uptime.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // 0 stands for never.
        self.metrics.sample(now_ns.max(1));
        if !self.metrics.has_stalled_executor() {
            self.manager.alive();
        }
        if let Some(directory) = self.wired.directory.clone()
            && !self.is_sampling_disk.replace(true)
        {
            let port = self.clone();
            executor::spawn(async move {
                // A disk that stalls must not stop the port.
                let space = executor::blocking(move || rustix::fs::statvfs(&directory)).await;
                if let Ok(space) = space {
                    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
                    let (free, total) = (bytes(space.f_bavail), bytes(space.f_blocks));
                    port.metrics.sample_disk(free, total);
                }
                port.is_sampling_disk.set(false);
            });
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    respond(
        status,
        text.as_bytes().to_vec(),
        "text/plain; charset=utf-8",
    )
}

fn respond(
    status: StatusCode,
    body: Vec<u8>,
    content_type: &'static str,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
