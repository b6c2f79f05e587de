//! Stores that follow through everything that happens to them and to the server, and end exact.

mod binaries;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use central_inventory::plan::{ExecutorPlan, Machine};
use central_inventory::runtime::executor::{self, Executor};
use futures_lite::future;
use inventory_bench::client::{Requests, sockets};
use inventory_bench::store::{FollowError, Follower, Holding, Replica, Turn, Way};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json, value::RawValue};
use tempfile::TempDir;

/// A busy machine may be slow.
const LIMIT: Duration = Duration::from_secs(300);
/// No end is known yet.
const NO_END: u64 = u64::MAX;

/// A server that can be killed and started again, elsewhere each time.
struct Server {
    process: Child,
    address: SocketAddr,
    directory: PathBuf,
    settings: Vec<(&'static str, &'static str)>,
}

impl Server {
    fn start(directory: &Path, settings: &[(&'static str, &'static str)]) -> Server {
        let free_port = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            listener.local_addr().expect("it is bound").port()
        };
        let (port, metrics_port) = (free_port(), free_port());
        let process = Command::new(binaries::server())
            .env("PORT", port.to_string())
            .env("METRICS_PORT", metrics_port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_PATH", directory.join("inventory.json"))
            .env("EVENTS_FILE_PATH", directory.join("events.json"))
            .env("RATE_LIMIT_ENABLED", "false")
            .envs(settings.iter().copied())
            .stderr(File::create(directory.join(format!("log-{port}"))).expect("a log"))
            .spawn()
            .expect("the server starts");
        let server = Server {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            directory: directory.to_owned(),
            settings: settings.to_vec(),
        };
        let begun = Instant::now();
        while server.get("/health").is_none() {
            assert!(begun.elapsed() < LIMIT, "the server is not ready");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn killed_and_started(mut self) -> Server {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
        let (directory, settings) = (self.directory.clone(), self.settings.clone());
        Server::start(&directory, &settings)
    }

    fn get(&self, target: &str) -> Option<Vec<u8>> {
        let mut answer = ureq::get(format!("http://{}{target}", self.address))
            .header("X-API-Key", "demo")
            .call()
            .ok()?;
        answer.body_mut().read_to_vec().ok()
    }

    fn create(&self, ids: &[String]) {
        let product = |id| json!({"productId": id, "name": "A", "available": 1000, "price": 1.5});
        let products: Vec<Value> = ids.iter().map(product).collect();
        self.admin("POST", "create", &json!({"products": products}));
    }

    fn admin(&self, method: &str, what: &str, body: &Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/v1/admin/products/{what}", self.address))
            .header("X-API-Key", "admin-demo")
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .expect("a request");
        ureq::run(request).expect("an answer");
    }

    fn update(&self, product: &str, key: u64) {
        let body = json!({"storeId": "s", "productId": product, "delta": 1, "anyVersion": true,
            "idempotencyKey": key.to_string()});
        let answer = ureq::post(format!("http://{}/v1/inventory/updates", self.address))
            .header("X-API-Key", "demo")
            .send(body.to_string());
        match answer {
            // The product may be gone.
            Ok(_) | Err(ureq::Error::StatusCode(404)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Changes with these keys, of all products in turn.
    fn batch(&self, products: &[String], keys: Range<u64>) {
        let update = |key: u64| {
            let product = &products[key as usize % products.len()];
            json!({"productId": product, "delta": 1, "anyVersion": true, "idempotencyKey": key.to_string()})
        };
        let updates: Vec<Value> = keys.map(update).collect();
        ureq::post(format!("http://{}/v1/inventory/updates", self.address))
            .header("X-API-Key", "demo")
            .send(json!({"storeId": "s", "updates": updates}).to_string())
            .expect("a batch is answered");
    }

    fn snapshot(&self) -> Replica {
        let snapshot = self.get("/v1/inventory/snapshot").expect("a snapshot");
        Replica::from_snapshot(&snapshot).expect("it can be read")
    }

    /// Every product as the listing has it.
    fn listing(&self) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/inventory?limit=100{cursor}"));
            let page = page.expect("a page");
            let page: BTreeMap<String, Box<RawValue>> =
                serde_json::from_slice(&page).expect("it is JSON");
            let items: Vec<Box<RawValue>> =
                serde_json::from_str(page["items"].get()).expect("a list");
            for item in items {
                let product: Value = serde_json::from_str(item.get()).expect("a product");
                let id = product["productId"].as_str().expect("an id");
                listing.insert(id.to_owned(), item.get().to_owned());
            }
            let Some(next) = page.get("nextCursor") else {
                return listing;
            };
            cursor = format!("&cursor={}", next.get().trim_matches('"'));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What stores are told from outside, and tell.
struct Told {
    address: Mutex<SocketAddr>,
    end: AtomicU64,
    /// How often a store was told that its events are gone.
    expired: AtomicU64,
}

impl Told {
    fn of(server: &Server) -> Arc<Told> {
        Arc::new(Told {
            address: Mutex::new(server.address),
            end: AtomicU64::new(NO_END),
            expired: AtomicU64::new(0),
        })
    }

    fn address(&self) -> SocketAddr {
        *self.address.lock().expect("nobody panics with it")
    }
}

/// Follows to the end with so many stores on one thread. Each does as `way` says of its number, and one in `unsteady` turns is
/// broken off.
fn follow(
    told: &Arc<Told>,
    count: usize,
    unsteady: u32,
    way: impl Fn(usize) -> Way + Send + 'static,
) -> mpsc::Receiver<Vec<Replica>> {
    let plan = ExecutorPlan {
        name: "stores".to_owned(),
        cpus: Machine::read().cpus,
        pinned: false,
        roles: Vec::new(),
    };
    let (sender, replicas) = mpsc::channel();
    let told = told.clone();
    Executor::start(&plan, false, move || async move {
        let exact = Rc::new(RefCell::new(Vec::new()));
        let running = Rc::new(Cell::new(count));
        for number in 0..count {
            let (told, exact, running) = (told.clone(), exact.clone(), running.clone());
            let way = way(number);
            executor::spawn(async move {
                let replica = follow_one(&told, number, unsteady, way).await;
                exact.borrow_mut().push(replica);
                running.set(running.get() - 1);
            });
        }
        sockets::drive(|| running.get() > 0).await.expect("sockets");
        // Nobody listens any more if the test has failed.
        let _ = sender.send(exact.take());
    })
    .expect("an executor");
    replicas
}

async fn follow_one(told: &Told, number: usize, unsteady: u32, way: Way) -> Replica {
    let mut random = SmallRng::seed_from_u64(number as u64);
    let requests = || Requests::new("h", "demo", String::new(), String::new());
    let mut store = Follower::<Replica>::new(told.address(), requests(), way, None);
    loop {
        if let Some(replica) = store.held()
            && replica.next_offset() >= told.end.load(Ordering::SeqCst)
        {
            return replica.clone();
        }
        let breaks_off = unsteady > 0 && random.random_range(0..unsteady) == 0;
        let patience = Duration::from_millis(match breaks_off {
            true => random.random_range(0..50),
            false => 5_000,
        });
        let broken_off = async {
            sockets::sleep(patience).await;
            None
        };
        let turn = future::or(async { Some(store.turn().await) }, broken_off).await;
        match turn {
            Some(Ok(Turn::Synced | Turn::Followed(_))) => {}
            Some(Ok(Turn::Expired)) => {
                told.expired.fetch_add(1, Ordering::SeqCst);
            }
            Some(Ok(Turn::Refused(status))) => {
                assert_eq!(503, status, "store {number}");
                sockets::sleep(Duration::from_millis(50)).await;
            }
            Some(Err(FollowError::Feed(skipped))) => {
                panic!("store {number}: {skipped}")
            }
            Some(Err(_)) => {
                sockets::sleep(Duration::from_millis(random.random_range(10..100))).await;
                store.move_to(told.address());
            }
            None => {
                // One in four comes back as if started anew.
                let saved = store.held().map(Replica::save);
                if let Some(saved) = saved.filter(|_| random.random_range(0..4) == 0) {
                    let replica = Replica::from_snapshot(&saved).expect("what was saved");
                    store = Follower::new(told.address(), requests(), way, Some(replica));
                }
                store.disconnect();
            }
        }
    }
}

fn polls_and_streams(number: usize) -> Way {
    match number % 2 {
        0 => Way::Poll { wait_seconds: 2 },
        _ => Way::Stream,
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number}")).collect()
}

fn check(server: &Server, replicas: &[Replica], count: usize) {
    assert_eq!(count, replicas.len());
    let (snapshot, listing) = (server.snapshot(), server.listing());
    for replica in replicas {
        assert_eq!(&snapshot, replica);
    }
    let products = snapshot.products().iter();
    let products = products.map(|(id, product)| (id.clone(), product.json.to_string()));
    assert_eq!(listing, products.collect());
}

#[test]
fn five_hundred_stores_stay_exact_through_disconnects_rotation_and_a_kill() {
    const STORES: usize = 500;
    const CHANGES: u64 = 1_500;
    let directory = TempDir::new().expect("a directory");
    // Memory holds little and segments are small, so that stores read across both.
    let settings = [
        ("MAX_EVENTS_IN_QUEUE", "100"),
        ("JOURNAL_SEGMENT_MIB", "1"),
        ("SNAPSHOT_JOURNAL_MIB", "2"),
        ("INVENTORY_WORKER_COUNT", "2"),
    ];
    let mut server = Server::start(directory.path(), &settings);
    let products = ids(40);
    server.create(&products);
    let told = Told::of(&server);
    let replicas = follow(&told, STORES, 10, polls_and_streams);
    for change in 0..CHANGES {
        let product = &products[change as usize * 7 % products.len()];
        match change {
            750 => {
                server = server.killed_and_started();
                *told.address.lock().expect("nobody panics with it") = server.address;
            }
            _ if change % 100 == 50 => {
                server.admin("DELETE", "delete", &json!({"productIds": [product]}));
                server.create(std::slice::from_ref(product));
            }
            _ => server.update(product, change),
        }
    }
    told.end
        .store(server.snapshot().next_offset(), Ordering::SeqCst);
    let replicas = replicas.recv_timeout(LIMIT).expect("all stores get there");
    check(&server, &replicas, STORES);
    let segments = directory.path().read_dir().expect("a directory");
    let is_segment = |name: &str| name.starts_with("events.") && name.ends_with(".json");
    let segments = segments.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        is_segment(&name.to_string_lossy())
    });
    assert!(segments.count() > 3, "it rotated");
}

#[test]
fn stores_whose_events_are_gone_begin_with_the_snapshot_again() {
    const STORES: usize = 20;
    let directory = TempDir::new().expect("a directory");
    let settings = [
        ("MAX_EVENTS_IN_QUEUE", "100"),
        ("ENABLE_JSON_PERSISTENCE", "false"),
    ];
    let server = Server::start(directory.path(), &settings);
    let products = ids(5);
    server.create(&products);
    let told = Told::of(&server);
    // Turns that are broken off so often leave stores far behind.
    let replicas = follow(&told, STORES, 2, |number| match number % 2 {
        0 => Way::Poll { wait_seconds: 0 },
        _ => Way::Stream,
    });
    for first in (0..6_000).step_by(200) {
        server.batch(&products, first..first + 200);
    }
    told.end
        .store(server.snapshot().next_offset(), Ordering::SeqCst);
    let replicas = replicas.recv_timeout(LIMIT).expect("all stores get there");
    check(&server, &replicas, STORES);
    assert!(told.expired.load(Ordering::SeqCst) > 0, "some fell behind");
}

/// A million products take minutes in a debug build; this is the same in small, while they change.
#[test]
fn a_snapshot_and_the_feed_behind_it_are_exact_while_everything_changes() {
    let directory = TempDir::new().expect("a directory");
    let server = Server::start(directory.path(), &[("MAX_EVENTS_IN_QUEUE", "100")]);
    let products = ids(5_000);
    products.chunks(500).for_each(|chunk| server.create(chunk));
    let told = Told::of(&server);
    let mut waiting = Vec::new();
    for change in 0..600_u64 {
        if change % 100 == 0 {
            waiting.push(follow(&told, 2, 0, polls_and_streams));
        }
        let product = &products[change as usize * 4999 % products.len()];
        match change % 10 {
            9 => {
                server.admin("DELETE", "delete", &json!({"productIds": [product]}));
            }
            _ => server.update(&products[change as usize * 37 % products.len()], change),
        }
    }
    told.end
        .store(server.snapshot().next_offset(), Ordering::SeqCst);
    for replicas in waiting {
        let replicas = replicas.recv_timeout(LIMIT).expect("all stores get there");
        check(&server, &replicas, 2);
    }
}
