//! The disk does nothing for seconds. What does not fit into the lanes is refused at once, what fits waits, and nothing
//! else is held up.

use std::time::Duration;

use crate::client::{Client, UPDATES, update_any};
use crate::http::Request;
use crate::on_disk::{mount, server_in};
use crate::server::eventually;

/// Slots of a lane, the fewest that are allowed.
const LANE_SLOTS: usize = 100;
/// Four lanes full may be under way between an acceptor and a shard.
const WINDOW: usize = 4 * LANE_SLOTS;
const CLIENTS: usize = WINDOW + 100;
/// Longer than the requests take to be sent and refused.
const STALL: Duration = Duration::from_secs(5);

#[test]
fn a_stalled_disk_fills_the_lanes_and_the_rest_is_refused_at_once() {
    let disk = mount(1);
    let server = server_in(disk.path())
        .shards(1)
        .acceptors(1)
        .env("INVENTORY_QUEUE_BUFFER_SIZE", LANE_SLOTS)
        .start();
    let mut observer = server.client();
    observer.create(&[("item", 1000)]);
    disk.set_sync_time("events.json", STALL);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        let body = update_any("item", -1, &format!("key-{i}"));
        let request = Request::new("POST", UPDATES).json(&body);
        client.begin(&request).expect("the server reads");
    }
    let (mut answered, mut waiting) = (Vec::new(), Vec::new());
    eventually("what does not fit is refused", || {
        for mut client in std::mem::take(&mut clients) {
            match client.silent_for(Duration::from_millis(1)) {
                true => clients.push(client),
                false => answered.push(client.finish().expect("an answer")),
            }
        }
        (answered.len() >= CLIENTS - WINDOW).then_some(())
    });
    waiting.append(&mut clients);
    for reply in &answered {
        if reply.status != 200 {
            reply.problem(503, "overloaded");
            assert_eq!(Some("1"), reply.header("retry-after"));
        }
    }
    observer.get("/health").expect(200);
    disk.set_sync_time("events.json", Duration::ZERO);
    let mut applied = answered.iter().filter(|reply| reply.status == 200).count();
    assert!(applied < WINDOW, "the disk did not stall");
    for mut client in waiting {
        let reply = client.finish().expect("an answer");
        applied += usize::from(reply.status == 200);
    }
    assert!(applied < CLIENTS, "nothing was refused");
    let (available, version) = observer.state("item");
    assert_eq!(1000 - applied as u64, available);
    assert_eq!(1 + applied as u64, version);
    server.stop();
}
