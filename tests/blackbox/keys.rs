//! Keys as digests, keys in files, and keys that are rotated while the server runs.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::client::{CREATE, SET, UPDATES, update};
use crate::http::Request;
use crate::recovering::{long_journal, while_recovering};
use crate::server::{Builder, Server, SetOnDrop, eventually};

/// `printf %s st0re-7d0f | sha256sum`
const STORE: &str = "st0re-7d0f";
const STORE_DIGEST: &str =
    "sha256:ece3ccdfdea0470214a5083166a8de954b621a3f6d2c4b9f04919dadce35556f";
const DEMO_DIGEST: &str = "sha256:2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea";
const READ_AGAIN: &str = "the API keys were read again";
const NOT_READ_AGAIN: &str = "the API keys cannot be read again";

impl Builder {
    /// The file that `API_KEYS_FILE` names.
    fn keys_path(&self) -> PathBuf {
        self.directory().join("keys")
    }

    fn with_keys_file(self, keys: &str) -> Self {
        let path = self.keys_path();
        fs::write(&path, keys).expect("the file can be written");
        self.env("API_KEYS_FILE", path.display())
            .env("ADMIN_API_KEYS", "r00t-91b2")
    }
}

impl Server {
    /// What the list answers to a key, on a connection of its own.
    #[track_caller]
    fn status_for(&self, key: &str) -> u16 {
        let request = Request::new("GET", "/v1/inventory").key(key);
        self.client().send(&request).status
    }

    /// Whether `status` is what every acceptor answers to a key: a connection meets any of them.
    fn all_answer(&self, key: &str, status: u16) -> bool {
        (0..16).all(|_| self.status_for(key) == status)
    }

    /// Replaces the file of keys and tells the server.
    fn rotate(&self, keys: &str) {
        fs::write(self.builder().keys_path(), keys).expect("the file can be written");
        self.signal(Signal::HUP);
    }

    /// Waits until the log has said so, that often in all.
    #[track_caller]
    fn says(&self, what: &str, times: usize) -> String {
        eventually(&format!("it says {what:?}"), || {
            let mut said = self.stderr();
            // A line that is being written does not count yet.
            said.truncate(said.rfind('\n')? + 1);
            (said.matches(what).count() >= times).then_some(said)
        })
    }
}

#[test]
fn a_key_is_known_by_its_digest_and_the_digest_opens_nothing() {
    let upper = STORE_DIGEST.to_ascii_uppercase();
    for digest in [STORE_DIGEST, &upper] {
        let server = Builder::new().env("API_KEYS", digest).start();
        assert_eq!(server.status_for(STORE), 200);
        for key in [digest, &digest["sha256:".len()..], "", "demo", "st0re-7d0"] {
            assert_eq!(server.status_for(key), 401, "{key}");
        }
        let set = Request::new("PUT", SET).body("{}");
        server
            .client()
            .send(&set.clone().key(STORE))
            .problem(403, "forbidden");
        server.client().send(&set).expect(400);
    }
}

#[test]
fn a_key_longer_than_any_can_be_is_unknown() {
    let longest = "x".repeat(256);
    let server = Builder::new().env("API_KEYS", &longest).start();
    assert_eq!(server.status_for(&longest), 200);
    assert_eq!(server.status_for(&format!("{longest}x")), 401);
}

#[test]
fn keys_are_read_from_files() {
    let builder = Builder::new();
    let admin = builder.directory().join("admin-keys");
    fs::write(&admin, "# the office\n\nr00t-1\nr00t-2\n").expect("the file can be written");
    let server = builder
        .env("ENVIRONMENT", "production")
        .with_keys_file(&format!("one-key, two-keys\n{STORE_DIGEST}\n"))
        .env("ADMIN_API_KEYS", "")
        .env("ADMIN_API_KEYS_FILE", admin.display())
        .start();
    for key in ["one-key", "two-keys", STORE, "r00t-1", "r00t-2"] {
        assert_eq!(server.status_for(key), 200, "{key}");
    }
    for key in ["one-key, two-keys", "# the office", "demo", "admin-demo"] {
        assert_eq!(server.status_for(key), 401, "{key}");
    }
    let create = Request::new("POST", CREATE).body("{}");
    server
        .client()
        .send(&create.clone().key("one-key"))
        .expect(403);
    server.client().send(&create.key("r00t-2")).expect(400);
}

#[test]
fn production_refuses_example_keys_in_whatever_form_and_says_all_that_is_wrong() {
    let production = || Builder::new().env("ENVIRONMENT", "production");
    let said = production()
        .env("API_KEYS", DEMO_DIGEST)
        .env("ADMIN_API_KEYS", "r00t-91b2")
        .run(&[])
        .refused();
    assert!(
        said.contains("API_KEYS: the key at position 1 is an example"),
        "{said}"
    );

    let builder = production()
        .with_keys_file("own-key\ndemo\n")
        .env("PORT", "none");
    let path = builder.keys_path();
    let said = builder.run(&[]).refused();
    let complaint = format!("API_KEYS_FILE={path:?}: the key at line 2, position 1 is an example");
    assert!(
        said.contains(&complaint) && said.contains("PORT="),
        "{said}"
    );
    assert!(!said.contains("own-key"), "{said}");

    let said = builder
        .env("ADMIN_API_KEYS_FILE", "/nowhere/keys")
        .env("ADMIN_API_KEYS", "")
        .run(&["doctor"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let reason = "ADMIN_API_KEYS_FILE=\"/nowhere/keys\": the file cannot be read: No such file";
    assert!(said.stdout.contains(reason), "{said:?}");
}

#[test]
fn keys_are_rotated_by_sighup_under_load_and_one_that_stays_never_fails() {
    const ROUNDS: usize = 20;
    let server = Builder::new()
        .acceptors(2)
        .with_keys_file("st4ys\nr0und-0\n")
        .start();
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _ends = SetOnDrop(&done);
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                while !done.load(Ordering::Relaxed) {
                    let request = Request::new("GET", "/v1/inventory/PROD-001").key("st4ys");
                    client.send(&request).expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=ROUNDS {
            let (old, new) = (format!("r0und-{}", round - 1), format!("r0und-{round}"));
            let before = answered.load(Ordering::Relaxed);
            server.rotate(&format!("{new}\nst4ys\n"));
            eventually("the new key opens", || {
                server.all_answer(&new, 200).then_some(())
            });
            eventually("the old key does not", || {
                server.all_answer(&old, 401).then_some(())
            });
            eventually("the load goes on", || {
                (answered.load(Ordering::Relaxed) > before).then_some(())
            });
        }
    });
    let said = server.says(READ_AGAIN, ROUNDS);
    assert!(
        said.contains("\"regular\":2") && said.contains("\"admin\":1"),
        "{said}"
    );
    for key in ["st4ys", "r0und", "r00t"] {
        assert!(!said.contains(key), "{said}");
    }
}

#[test]
fn a_file_that_has_gone_bad_changes_nothing_and_the_log_says_why() {
    let server = Builder::new()
        .env("ENVIRONMENT", "production")
        .with_keys_file("k3pt\n")
        .start();
    let mut said = String::new();
    for (times, (keys, reason)) in (1..).zip([
        ("", "the file has no key"),
        ("n3w\ndemo\n", "the key at line 2, position 1 is an example"),
        (
            &*format!("n3w\n{DEMO_DIGEST}\n"),
            "the key at line 2, position 1 is an example",
        ),
        (
            "n3w\nr00t-91b2\n",
            "the key at position 1 stands in API_KEYS_FILE too, at line 2",
        ),
        (
            "n3w\nsha256:12\n",
            "the key at line 2, position 1 is not a digest",
        ),
        ("n3w,,\n", "the key at line 1, position 2 is empty"),
    ]) {
        server.rotate(keys);
        said = server.says(NOT_READ_AGAIN, times);
        assert!(said.contains(reason), "{said}");
        assert_eq!(
            (server.status_for("k3pt"), server.status_for("n3w")),
            (200, 401)
        );
    }
    fs::remove_file(server.builder().keys_path()).expect("the file can be removed");
    server.signal(Signal::HUP);
    let all = server.says(NOT_READ_AGAIN, 7);
    assert!(all.contains("No such file"), "{all}");
    assert_eq!(server.status_for("k3pt"), 200);
    assert!(!said.contains(READ_AGAIN), "{said}");

    server.rotate("n3w\n");
    let said = server.says(READ_AGAIN, 1);
    eventually("the new key opens", || {
        server.all_answer("n3w", 200).then_some(())
    });
    assert!(server.all_answer("k3pt", 401));
    for key in ["k3pt", "n3w", "r00t"] {
        assert!(!said.contains(key), "{said}");
    }
}

#[test]
fn sighup_without_a_file_says_that_there_is_nothing_to_read() {
    let server = Server::start();
    server.signal(Signal::HUP);
    server.says("there is nothing to read again", 1);
    server.assert_working();
    server.stop();
}

#[test]
fn sighup_while_it_recovers_is_no_stop_and_is_not_lost() {
    let builder = long_journal().with_keys_file("b3fore\n");
    let server = builder.spawn();
    let mut client = server.client();
    while_recovering(&server, &mut client);
    server.rotate("aft3r\n");
    eventually("the key changes while it recovers", || {
        let reply = client.send(&Request::new("GET", "/v1/inventory/item").key("aft3r"));
        match reply.status {
            401 => None,
            _ => Some(reply.problem(503, "recovering")),
        }
    });
    eventually("it is ready", || {
        (client.get("/health").status == 200).then_some(())
    });
    assert!(server.all_answer("aft3r", 200) && server.all_answer("b3fore", 401));
    server.stop();
}

#[test]
fn sighup_while_it_stops_ends_nothing_that_is_in_flight() {
    let (server, _) = Server::with_item(10);
    let whole = Request::new("POST", UPDATES)
        .header("Expect", "100-continue")
        .json(&update("item", -1, 1, "key"))
        .encode(server.address());
    let (begun, rest) = whole.split_at(whole.len() - 5);
    let mut connection = server.connect();
    connection.write(begun).expect("sent");
    let interim = connection.read_reply("POST").expect("an interim answer");
    interim.expect(100);
    server.signal(Signal::TERM);
    server.says("Stopping", 1);
    server.signal(Signal::HUP);
    connection.write(rest).expect("sent");
    connection
        .read_reply("POST")
        .expect("an answer")
        .applied(9, 2);
    server.wait();
}
