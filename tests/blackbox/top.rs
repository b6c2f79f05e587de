//! `central-inventory top`: what an operator sees of a server, on a terminal and elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::server::{Builder, Server, SetOnDrop, eventually, free_port};

fn url(server: &Server) -> String {
    format!("http://{}/metrics", server.metrics_address())
}

/// The number behind a word.
#[track_caller]
fn number(text: &str, word: &str) -> f64 {
    let begin = text
        .find(word)
        .unwrap_or_else(|| panic!("no {word:?} in {text}"))
        + word.len();
    let digits: String = text[begin..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {word:?} in {text}"))
}

/// Something that speaks for a metrics port, with this page, until it is told to end.
struct Stand {
    is_ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Stand {
    fn start(port: u16, page: impl Fn(usize) -> String + Send + 'static) -> Stand {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let is_ended = Arc::new(AtomicBool::new(false));
        let told = is_ended.clone();
        let thread = thread::spawn(move || {
            for (count, stream) in listener.incoming().flatten().enumerate() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let page = page(count);
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length";
                // Whoever asked may have gone.
                let _ = write!(stream.get_mut(), "{head}: {}\r\n\r\n{page}", page.len());
            }
        });
        Stand { is_ended, thread }
    }

    fn end(self, port: u16) {
        self.is_ended.store(true, Ordering::SeqCst);
        // Wakes it up, unless somebody else just did.
        let _ = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        self.thread.join().expect("it ends");
    }
}

/// A program that is ended when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until there is a line with `part`.
#[track_caller]
fn read_until(lines: &mut impl Iterator<Item = std::io::Result<String>>, part: &str) -> String {
    let mut read = String::new();
    for line in lines {
        let line = line.expect("a line");
        read.push_str(&line);
        if line.contains(part) {
            return line;
        }
        read.push('\n');
    }
    panic!("no {part:?} in {read}");
}

#[test]
fn one_block_tells_of_a_server_with_traffic() {
    let (server, _) = Server::with_item(0);
    let is_enough = AtomicBool::new(false);
    let text = thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.client();
            let mut count = 0;
            while !is_enough.load(Ordering::SeqCst) {
                client.update_any("item", 1, &format!("key-{count}"));
                count += 1;
            }
        });
        let _enough = SetOnDrop(&is_enough);
        let arguments = [
            "top",
            "--once",
            "--interval",
            "500ms",
            "--url",
            &url(&server),
        ];
        Builder::new().run(&arguments).succeeded()
    });
    assert!(!text.contains('\x1b'), "{text}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        text.starts_with(&format!("central-inventory {version} (")),
        "{text}"
    );
    for part in [
        ")  ready  up ",
        "SEQUENCER AND JOURNAL\n",
        "FEED\n",
        "LIMITS AND CONNECTIONS\n",
        "EXECUTOR ",
        "SHARD ",
        "FULLEST LANES",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for rate in [
        "requests ",
        "updates ",
        "events ",
        "per group p50 ",
        "update p50 ",
        "sync p99 ",
    ] {
        let rate = rate.replace("sync p99", "p99");
        assert!(number(&text, &rate) > 0.0, "{rate}: {text}");
    }
    let decisions = text.lines().skip_while(|line| !line.starts_with("SHARD "));
    let decisions = decisions.skip(1).take_while(|line| !line.is_empty());
    let decided = decisions.filter(|row| row.split_ascii_whitespace().nth(1) != Some("0"));
    assert_eq!(1, decided.count(), "one shard has the product: {text}");
}

#[test]
fn what_cannot_be_watched_is_explained() {
    let check = |url: &str, parts: &[&str]| {
        let problem = Builder::new().run(&["top", "--url", url]).refused();
        for part in parts {
            assert!(problem.contains(part), "{part}: {problem}");
        }
    };
    let nobody = format!("http://127.0.0.1:{}", free_port());
    check(
        &nobody,
        &[&format!("{nobody}/metrics does not answer"), "METRICS_PORT"],
    );
    let server = Server::start();
    let api = format!("http://{}/metrics", server.address());
    check(
        &api,
        &[
            "is not the metrics port of a central-inventory",
            "status 404",
            "METRICS_PORT",
        ],
    );
    let health = format!("http://{}/health/live", server.address());
    check(&health, &["the page is no metrics"]);
    let port = free_port();
    let other = Stand::start(port, |_| "go_threads 5\n".to_owned());
    check(
        &format!("http://127.0.0.1:{port}"),
        &["the metrics of something else"],
    );
    other.end(port);
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_shown_as_such_in_plain_text() {
    let port = free_port();
    let page = |counted: usize| {
        format!(
            "inventory_build_info{{version=\"9\"}} 1\ninventory_ready 1\n\
             inventory_api_requests_total{{status=\"200\"}} {counted}\n"
        )
    };
    let first = Stand::start(port, move |count| page(1_000_000 + 10 * count));
    let url = format!("http://127.0.0.1:{port}");
    let top = Builder::new().piped(&["top", "--interval", "100ms", "--url", &url]);
    let mut top = Running(top);
    let mut lines = BufReader::new(top.0.stdout.take().expect("it is piped")).lines();
    let told = read_until(&mut lines, "requests ");
    assert!(is_of_a_second(number(&told, "requests ")), "{told}");
    first.end(port);
    let gone = read_until(&mut lines, "No answer for ");
    assert!(!gone.contains('\x1b'), "{gone}");
    read_until(&mut lines, "does not answer");
    let again = Stand::start(port, move |count| page(10 * count));
    read_until(&mut lines, "rates need a second reading");
    let told = read_until(&mut lines, "requests ");
    assert!(is_of_a_second(number(&told, "requests ")), "{told}");
    again.end(port);
}

/// Ten requests between two readings, some 100 ms apart: much closer if the one before was late. Far from the million that a
/// start anew takes away.
fn is_of_a_second(rate: f64) -> bool {
    (1.0..100_000.0).contains(&rate)
}

#[test]
fn a_reader_that_has_enough_ends_it_without_a_complaint() {
    let server = Server::start();
    let top = Builder::new().piped(&["top", "--interval", "100ms", "--url", &url(&server)]);
    let mut top = Running(top);
    let mut lines = BufReader::new(top.0.stdout.take().expect("it is piped")).lines();
    read_until(&mut lines, "SHARD");
    drop(lines);
    let status = eventually("it ends", || top.0.try_wait().expect("it is a child"));
    assert!(status.success(), "{status}");
}

/// How a user has enough.
enum End {
    Key,
    Signal,
}

/// A terminal and both its ends.
struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Terminal {
    fn open(columns: u16, rows: u16) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let path = name.to_str().expect("a path");
        let theirs = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path);
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).expect("it has a size");
        Terminal {
            ours,
            theirs: theirs.expect("it can be opened").into(),
        }
    }

    fn stdio(&self) -> Stdio {
        self.theirs
            .try_clone()
            .expect("descriptors can be copied")
            .into()
    }

    /// Reads until `end` was written.
    #[track_caller]
    fn read_until(&self, end: &str) -> String {
        let mut file =
            std::fs::File::from(self.ours.try_clone().expect("descriptors can be copied"));
        let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let count = file.read(&mut chunk).expect("the other end is open");
            all.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&all);
            if text.contains(end) {
                return text.into_owned();
            }
        }
    }

    fn press(&self, keys: &[u8]) {
        let ours = self.ours.try_clone().expect("descriptors can be copied");
        let written = std::fs::File::from(ours).write_all(keys);
        written.expect("the terminal takes keys");
    }

    fn shows_keys(&self) -> bool {
        let modes = tcgetattr(&self.theirs)
            .expect("it is a terminal")
            .local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

#[test]
fn on_a_terminal_it_draws_in_place_within_the_size_and_gives_the_terminal_back() {
    let server = Server::start();
    for end in [End::Key, End::Signal] {
        let terminal = Terminal::open(60, 20);
        let top = Builder::new()
            .prepare(&["top", "--interval", "100ms", "--url", &url(&server)])
            .stdin(terminal.stdio())
            .stdout(terminal.stdio())
            .spawn()
            .expect("the binary can be started");
        let mut top = Running(top);
        let begin = terminal.read_until("the terminal is too low");
        assert!(begin.starts_with("\x1b[?1049h\x1b[?25l"), "{begin:?}");
        assert!(!terminal.shows_keys());
        let drawn = begin
            .rsplit("\x1b[H")
            .next()
            .expect("it is drawn from the top");
        let lines: Vec<&str> = drawn.split("\r\n").collect();
        assert_eq!(20, lines.len(), "{lines:?}");
        let visible = |line: &str| {
            let plain = line
                .replace("\x1b[1m", "")
                .replace("\x1b[0m", "")
                .replace("\x1b[K", "");
            plain.trim_end_matches('\r').chars().count()
        };
        assert!(lines.iter().all(|line| visible(line) <= 60), "{lines:?}");
        match end {
            End::Key => terminal.press(b"q"),
            End::Signal => kill_process(Pid::from_child(&top.0), Signal::INT).expect("it runs"),
        }
        let left = terminal.read_until("\x1b[?1049l");
        assert!(left.contains("\x1b[?25h"), "{left:?}");
        let status = eventually("it ends", || top.0.try_wait().expect("it is a child"));
        assert!(status.success(), "{status}");
        assert!(terminal.shows_keys());
    }
}
