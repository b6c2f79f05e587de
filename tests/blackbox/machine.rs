//! Machines with less than usual: one CPU that is not the first, hardly any locked memory, IPv6 alone; and what the doctor and
//! the health check say of them.

use std::fs;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::thread::sched_getaffinity;
use serde_json::Value;

use crate::client::UPDATES;
use crate::http::Request;
use crate::server::{Builder, Server, eventually, free_port};

/// The least locked memory, in bytes, with which the documents promise a start.
const MEMLOCK_MIN: u64 = 512 << 10;

fn with_memlock(bytes: u64) -> Builder {
    Builder::new().under(&["prlimit", &format!("--memlock={bytes}:{bytes}"), "--"])
}

/// Sells one of ten, and starts once more.
fn assert_sells_and_remembers(server: Server) {
    let mut client = server.client();
    client.create(&[("item", 10)]);
    let update = serde_json::json!({"storeId": "s", "productId": "item", "delta": -1, "version": 1, "idempotencyKey": "k"});
    client
        .send(&Request::new("POST", UPDATES).json(&update))
        .expect(200);
    let server = server.stop().start();
    assert_eq!((9, 2), server.client().state("item"));
    server.stop();
}

#[test]
fn one_cpu_that_is_not_the_first_is_enough() {
    let allowed = sched_getaffinity(None).expect("the kernel says");
    let last = (0..1024)
        .rev()
        .find(|cpu| allowed.is_set(*cpu))
        .expect("one at least");
    let builder = Builder::new().under(&["taskset", "-c", &last.to_string()]);
    let plan = builder.run(&["plan"]).succeeded();
    assert!(plan.contains("executors 1, acceptors 1"), "{plan}");
    let said = builder.run(&["doctor"]).succeeded();
    let line = said.lines().find(|line| line.starts_with("ok       CPUs"));
    assert!(
        line.is_some_and(|line| line.contains(&format!(" {last} allowed"))),
        "{said}"
    );
    assert_sells_and_remembers(builder.start());
}

#[test]
fn the_least_locked_memory_is_enough_and_less_is_refused_in_plain_words() {
    assert_sells_and_remembers(with_memlock(MEMLOCK_MIN).start());
    let less = with_memlock(MEMLOCK_MIN - 1024);
    let said = less.run(&[]).refused();
    assert!(
        said.lines()
            .next()
            .is_some_and(|line| line.contains("locked memory is 511 KiB")),
        "{said}"
    );
    let said = less.run(&["doctor"]);
    assert_eq!(Some(1), said.code);
    assert!(said.stdout.contains("FAILED   locked memory"), "{said:?}");
}

#[test]
fn ipv6_alone_is_enough() {
    assert_sells_and_remembers(Builder::new().env("BIND_ADDRESS", "::1").start());
}

#[test]
fn the_doctor_finds_this_machine_fit_and_says_so_to_programs_too() {
    let builder = Builder::new();
    let said = builder.run(&["doctor"]).succeeded();
    assert!(said.contains("The server can run here"), "{said}");
    let json: Value =
        serde_json::from_str(&builder.run(&["doctor", "--json"]).succeeded()).expect("JSON");
    assert_eq!(true, json["healthy"]);
    let findings = json["findings"].as_array().expect("a list");
    let names: Vec<_> = findings
        .iter()
        .map(|it| it["name"].as_str().expect("a name"))
        .collect();
    for name in [
        "kernel",
        "io_uring",
        "locked memory",
        "open files",
        "CPUs",
        "file system",
        "direct I/O",
        "sync",
        "free space",
    ] {
        assert!(names.contains(&name), "no {name} in {names:?}");
        assert!(said.contains(name), "no {name} in {said}");
    }
    let directory = std::fs::read_dir(builder.directory()).expect("it is there");
    let left = directory.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left: Vec<_> = left.filter(|name| !name.ends_with(".log")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_health_check_succeeds_while_the_server_serves_and_says_why_it_does_not() {
    let (port, metrics_port) = (free_port(), free_port());
    let builder = Builder::new()
        .env("PORT", port)
        .env("METRICS_PORT", metrics_port)
        .env("BIND_ADDRESS", "0.0.0.0");
    let said = builder.run(&["healthcheck"]).refused();
    assert!(
        said.contains(&format!("http://127.0.0.1:{port}/health does not answer")),
        "{said}"
    );
    let server = builder.spawn();
    eventually("the server is healthy", || {
        (builder.run(&["healthcheck"]).code == Some(0)).then_some(())
    });
    server.stop();
    builder.run(&["healthcheck"]).refused();
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let builder = Builder::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = builder.run(&["completions", shell]).succeeded();
        assert!(
            said.contains("doctor") && said.contains("healthcheck"),
            "{shell}: {said}"
        );
    }
    let page = builder.run(&["man"]).succeeded();
    assert!(
        page.starts_with(".ie") && page.contains("IDEMPOTENCY_CACHE_TTL"),
        "{page}"
    );
    let directory = builder.directory().display().to_string();
    builder.run(&["man", "--directory", &directory]).succeeded();
    let page = std::fs::read_to_string(builder.directory().join("central-inventory-top.1"));
    assert!(page.expect("a page for each command").contains("interval"));
    builder.run(&["man", "--directory", "/nowhere"]).refused();
}

/// How the server, which has written a group, has the active segment open for groups, as `open(2)` has the flags: once, and once
/// more to write through.
fn flags_of_the_journal(server: &Server) -> Vec<OFlags> {
    server.client().create(&[("opener", 1)]);
    let process = PathBuf::from(format!("/proc/{}", server.pid().as_raw_pid()));
    let events = server.builder().events_path();
    let events = fs::canonicalize(events).expect("there is a journal");
    let names = fs::read_dir(process.join("fd")).expect("the process runs");
    let descriptors = names.map(|name| name.expect("it can be read").file_name());
    let flags = descriptors.filter_map(|descriptor| {
        let target = fs::read_link(process.join("fd").join(&descriptor)).ok()?;
        let told = fs::read_to_string(process.join("fdinfo").join(&descriptor)).ok()?;
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).expect("it is octal");
        (target == events).then_some(OFlags::from_bits_retain(flags))
    });
    flags.filter(|flags| flags.contains(OFlags::RDWR)).collect()
}

#[test]
fn groups_may_be_written_through_where_the_file_system_is_known_to_keep_them() {
    const EXT4_AND_XFS: [i64; 2] = [0xef53, 0x5846_5342];
    let has = |flags: &[OFlags], flag| flags.iter().any(|one| one.contains(flag));
    let server = Server::start();
    let flags = flags_of_the_journal(&server);
    if !has(&flags, OFlags::DIRECT) {
        eprintln!("the temporary directory takes no direct I/O: nothing is written through there");
        return;
    }
    let kind = rustix::fs::statfs(server.builder().directory()).expect("it is there");
    let is_known = EXT4_AND_XFS.contains(&kind.f_type);
    assert_eq!(is_known, has(&flags, OFlags::DSYNC));
    for (variable, sync, expected) in [
        ("true", "always", true),
        ("false", "always", false),
        ("true", "never", false),
        ("true", "interval:1s", false),
    ] {
        let builder = Builder::new().env("JOURNAL_WRITE_THROUGH", variable);
        let server = builder.env("JOURNAL_SYNC", sync).start();
        let is_through = has(&flags_of_the_journal(&server), OFlags::DSYNC);
        assert_eq!(expected, is_through, "{variable}, {sync}");
        assert_sells_and_remembers(server);
    }
}

/// A page fault that clears 2 MiB holds up whoever waits.
#[test]
fn huge_pages_are_refused() {
    let server = Server::start();
    let status = format!("/proc/{}/status", server.pid().as_raw_pid());
    let status = fs::read_to_string(status).expect("the process runs");
    let told = status.lines().find(|line| line.starts_with("THP_enabled:"));
    assert_eq!(Some("THP_enabled:\t0"), told);
}
