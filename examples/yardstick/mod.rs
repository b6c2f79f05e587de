//! What the yardsticks share: one executor on one CPU, a listener, and the answer that each of them gives.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use central_inventory::plan::ExecutorPlan;
use central_inventory::runtime::executor::{self, Executor};
use central_inventory::runtime::tcp::{self, Listener, Stream};

/// A constant of the size of an update's answer.
pub const BODY: &str = r#"{"productId":"PROD-0001","newQuantity":999999,"newVersion":12345,"applied":true,"lastUpdated":"2026-11-22T17:41:02.036Z"}"#;

/// Listens on `PORT` (or on `default_port`) of the loopback address, on the first CPU that this process may use, and
/// spawns `connection` for each client. Ends only if it cannot listen.
pub fn serve<F>(default_port: u16, connection: fn(Stream) -> F) -> std::io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(default_port);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = tcp::bind_listeners(address, 1)?.remove(0);
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let plan = ExecutorPlan {
        name: "yardstick".into(),
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
        let listener = Listener::new(socket).expect("a thread may watch its listener");
        loop {
            let Ok(stream) = listener.accept().await else {
                executor::sleep(Duration::from_millis(50)).await;
                continue;
            };
            executor::spawn(connection(stream));
        }
    })?;
    executor.join()
}
