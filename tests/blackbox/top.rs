//! `central-inventory top`: what it shows of a server is what the server does.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use crate::client::{UPDATES, update_any};
use crate::http::Request;
use crate::server::{Builder, Server};

fn url(server: &Server) -> String {
    format!("http://{}/metrics", server.metrics_address())
}

#[test]
fn one_look_shows_every_role() {
    let server = Builder::new()
        .acceptors(2)
        .env("INVENTORY_WORKER_COUNT", 3)
        .start();
    let mut client = server.client();
    client.create(&[("item", 0)]);
    // All the while, so that any interval has some.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let load = std::thread::spawn(move || {
        let mut sent = 0;
        while stopped.try_recv().is_err() {
            let body = update_any("item", 1, &format!("key-{sent}"));
            client
                .send(&Request::new("POST", UPDATES).json(&body))
                .expect(200);
            sent += 1;
        }
    });
    let shown = Builder::new()
        .run(&[
            "top",
            "--once",
            "--interval",
            "500ms",
            "--url",
            &url(&server),
        ])
        .succeeded();
    stop.send(()).expect("the load goes on until told");
    load.join().expect("every update was applied");
    assert!(
        shown.starts_with("central-inventory 0.1.0  ready "),
        "{shown}"
    );
    for part in [
        "EXECUTOR",
        "SHARD",
        "SEQUENCER",
        "JOURNAL",
        "FEED",
        "LANES",
        "CLIENTS",
        "PROCESS",
    ] {
        assert!(
            shown.lines().any(|line| line.starts_with(part)),
            "{part} in {shown}"
        );
    }
    assert!(
        !shown.contains(" 0 updates/s") && shown.contains(" updates/s"),
        "{shown}"
    );
    assert!(!shown.contains("p50 -"), "{shown}");
    for shard in ["0", "1", "2"] {
        let is_row = |line: &str| line.split_whitespace().next() == Some(shard);
        assert!(shown.lines().any(is_row), "shard {shard} in {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "a pipe is not drawn on");
}

#[test]
fn whoever_reads_gets_block_after_block_until_the_server_comes_back() {
    let server = Server::start();
    let url = url(&server);
    let mut process = Builder::new().piped(&["top", "--interval", "100ms", "--url", &url]);
    let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    let mut next_with = |text: &str| {
        let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(text)));
        assert!(found.is_some(), "no line with {text}");
    };
    next_with("  ready ");
    next_with("  ready ");
    drop(server);
    next_with("cannot be read");
    process.kill().expect("it runs until it is ended");
    process.wait().expect("a killed child can be reaped");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = gone.local_addr().expect("it has an address");
    drop(gone);
    let top = |url: &str| {
        Builder::new()
            .run(&["top", "--once", "--url", url])
            .refused()
    };
    let said = top(&format!("http://{address}/metrics"));
    assert!(said.contains("does the server run"), "{said}");
    let server = Server::start();
    for path in ["health", "nothing"] {
        let said = top(&format!("http://{}/{path}", server.address()));
        assert!(
            said.contains("is no metrics port of central-inventory"),
            "{said}"
        );
    }
    let said = Builder::new().run(&["top", "--interval", "1ms"]).refused();
    assert!(said.contains("100ms-1h"), "{said}");
}
