//! A store that begins with the snapshot of a large catalogue while it changes, and how the changes fare meanwhile.

use std::sync::mpsc;
use std::time::Duration;

use central_inventory::runtime::executor::{self, Executor};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::sender::{Ask, Load, Sender, latency_ms, milliseconds, series};
use super::{Server, plan, unix_ms};
use crate::client::{Connection, Requests, sockets};
use crate::store::{Follower, Holding, Replica, Turn, Way};

/// Connections that update.
const CONNECTIONS: usize = 16;
/// Products of a page of the listing: the most.
const PAGE_PRODUCTS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

/// The phases, by the time at which each ended, from the beginning of the updates.
#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    snapshot_asked: Duration,
    streamed: Duration,
    read: Duration,
    caught_up: Duration,
}

/// What a store did.
struct Store {
    follower: Follower<Replica>,
    snapshot_bytes: usize,
    snapshot_offset: u64,
    phases: Phases,
    streaming_unix_ms: (u64, u64),
}

/// Has a store begin while updates go on at `rate`, for `seconds` before and after.
pub fn run(server: &Server, rate: f64, seconds: f64) -> Result<Value, String> {
    let (server, pause) = (server.clone(), Duration::from_secs_f64(seconds));
    let (sender, came) = mpsc::channel();
    let store = Executor::start(&plan("soak-store"), false, move || async move {
        let (result, told) = mpsc::channel();
        executor::spawn(async move {
            // The receiver is in the task below, which outlives this one.
            let _ = result.send(bootstrap(&server, rate, pause).await);
        });
        let mut outcome = None;
        let driven = sockets::drive(|| {
            outcome = told.try_recv().ok();
            outcome.is_none()
        });
        let driven = driven.await.map_err(|error| error.to_string());
        let outcome = driven.and_then(|()| outcome.unwrap_or_else(|| Err("no outcome".to_owned())));
        let _ = sender.send(outcome);
    });
    let store = store.map_err(|error| error.to_string())?;
    let outcome = came.recv().map_err(|error| error.to_string())?;
    store.join().map_err(|error| error.to_string())?;
    outcome
}

async fn bootstrap(server: &Server, rate: f64, pause: Duration) -> Result<Value, String> {
    let began = unix_ms();
    let updates = Sender::start(Load {
        server: server.clone(),
        name: "soak-updates",
        ask: Ask::Updates,
        rate,
        connections: CONNECTIONS,
        requests: None,
    })?;
    sockets::sleep(pause).await;
    let mut store = begin(server, &updates).await?;
    let streamed_to = end_of_feed(server).await?;
    follow_to(&mut store.follower, streamed_to).await?;
    store.phases.caught_up = updates.elapsed();
    follow_for(&mut store.follower, pause).await?;
    let sent = updates.stop()?;
    let end = end_of_feed(server).await?;
    follow_to(&mut store.follower, end).await?;

    let replica = store.follower.held().ok_or("the store lost its events")?;
    let listed = compare(server, replica).await?;
    let Phases {
        snapshot_asked,
        streamed,
        read,
        caught_up,
    } = store.phases;
    let within = |from: Duration, to: Duration| {
        let took = sent.took.iter();
        latency_ms(took.filter(move |took| took.due >= from && took.due < to))
    };
    Ok(json!({
        "beganMs": began,
        "endedMs": unix_ms(),
        "products": listed,
        "snapshotBytes": store.snapshot_bytes,
        "snapshotNextOffset": store.snapshot_offset,
        "endOffset": end,
        "streamingFromMs": store.streaming_unix_ms.0,
        "streamingToMs": store.streaming_unix_ms.1,
        "streamingSeconds": milliseconds(streamed - snapshot_asked) / 1e3,
        "readingSeconds": milliseconds(read - streamed) / 1e3,
        "catchingUpSeconds": milliseconds(caught_up - read) / 1e3,
        "updates": sent.applied,
        "refused": sent.refused,
        "updatesMs": {
            "before": within(Duration::ZERO, snapshot_asked),
            "whileStreaming": within(snapshot_asked, streamed),
            "after": within(read, Duration::MAX),
        },
        "series": series(&sent.took),
        "replicaEqualsListing": true,
    }))
}

/// The snapshot, and a store that goes on from there.
async fn begin(server: &Server, updates: &Sender) -> Result<Store, String> {
    let mut phases = Phases {
        snapshot_asked: updates.elapsed(),
        ..Phases::default()
    };
    let from = unix_ms();
    let described = |error: std::io::Error| format!("the snapshot: {error}");
    let mut connection = Connection::open(server.url).await.map_err(described)?;
    let mut asking = requests(server);
    let answer = connection.ask(asking.snapshot()).await.map_err(described)?;
    let streaming_unix_ms = (from, unix_ms());
    phases.streamed = updates.elapsed();
    if answer.status != 200 {
        return Err(format!("the snapshot: status {}", answer.status));
    }
    let replica = Replica::from_snapshot(answer.body).map_err(|error| error.to_string())?;
    phases.read = updates.elapsed();
    Ok(Store {
        snapshot_bytes: answer.body.len(),
        snapshot_offset: replica.next_offset(),
        follower: Follower::new(
            server.url,
            requests(server),
            Way::Poll { wait_seconds: 1 },
            Some(replica),
        ),
        phases,
        streaming_unix_ms,
    })
}

fn requests(server: &Server) -> Requests {
    let authority = server.url.to_string();
    Requests::new(
        &authority,
        &server.key,
        "soak-store".to_owned(),
        server.prefix.clone(),
    )
}

/// The end of the feed: beyond it is 410, which says where it is.
async fn end_of_feed(server: &Server) -> Result<u64, String> {
    const BEYOND: u64 = (1 << 53) - 1;
    let described = |error: std::io::Error| format!("the end of the feed: {error}");
    let mut connection = Connection::open(server.url).await.map_err(described)?;
    let mut asking = requests(server);
    let answer = connection.ask(asking.events(BEYOND, 1, 0)).await;
    let answer = answer.map_err(described)?;
    let problem: Value = serde_json::from_slice(answer.body)
        .map_err(|error| format!("the end of the feed: {error}"))?;
    let end = problem["nextOffset"].as_u64();
    end.ok_or_else(|| format!("the end of the feed: {problem}"))
}

async fn follow_to(store: &mut Follower<Replica>, end: u64) -> Result<(), String> {
    while store.held().is_none_or(|it| it.next_offset() < end) {
        step(store).await?;
    }
    Ok(())
}

async fn follow_for(store: &mut Follower<Replica>, time: Duration) -> Result<(), String> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {
        step(store).await?;
    }
    Ok(())
}

async fn step(store: &mut Follower<Replica>) -> Result<(), String> {
    match store.turn().await {
        Ok(Turn::Synced | Turn::Followed(_)) => Ok(()),
        Ok(turn) => Err(format!("the store could not follow: {turn:?}")),
        Err(error) => Err(format!("the store could not follow: {error}")),
    }
}

/// Walks the listing and compares every product, byte for byte. Returns how many there are.
async fn compare(server: &Server, replica: &Replica) -> Result<usize, String> {
    let described = |error: std::io::Error| format!("the listing: {error}");
    let mut connection = Connection::open(server.url).await.map_err(described)?;
    let mut held = replica.products().iter();
    let (mut cursor, mut count) = (String::new(), 0);
    loop {
        let request = format!(
            "GET /v1/inventory?limit={PAGE_PRODUCTS}{cursor} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\n\r\n",
            server.url, server.key
        );
        let answer = connection
            .ask(request.as_bytes())
            .await
            .map_err(described)?;
        let page: Page<'_> = serde_json::from_slice(answer.body)
            .map_err(|error| format!("the listing: status {}, {error}", answer.status))?;
        for item in page.items {
            let (id, product) = held
                .next()
                .ok_or_else(|| format!("the replica lacks {}", item.get()))?;
            if *product.json != *item.get() {
                return Err(format!(
                    "{id}: the replica has {}, the listing {}",
                    product.json,
                    item.get()
                ));
            }
            count += 1;
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    match held.next() {
        None => Ok(count),
        Some((id, _)) => Err(format!("the replica has {id}, the listing does not")),
    }
}
