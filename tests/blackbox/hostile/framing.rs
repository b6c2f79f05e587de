//! Requests that two servers could read differently, each with another request hidden behind it that must never be
//! answered: a table of what is sent and what becomes of it.

use std::time::{Duration, Instant};

use super::beside::beside_a_well_behaved_client;
use crate::client::{Client, UPDATES, update_any};
use crate::http::Request;
use crate::server::{Server, unique};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// 400 with a problem, and the end of the connection.
    Refused,
    /// As `Refused`, but hyper cannot parse it either: the 400 may come without a problem.
    Broken,
    /// It takes effect once, and what follows is not looked at: the connection ends.
    ServedAndClosed,
    /// It takes effect once, and the connection goes on. Nothing is hidden behind it.
    Served,
}
use Outcome::{Broken, Refused, Served, ServedAndClosed};

/// What stands in the head of a `POST` whose body is `LENGTH` bytes long; `BODY` follows it as it is.
const LENGTHS: [(&str, Outcome); 24] = [
    ("Content-Length: LENGTH\r\n", Served),
    ("content-length:LENGTH\r\n", Served),
    ("Content-Length: \t LENGTH \t\r\n", Served),
    ("Content-Length: 00LENGTH\r\n", Served),
    (
        "Content-Length: LENGTH\r\nTransfer_Encoding: chunked\r\n",
        Served,
    ),
    (
        "Content-Length: LENGTH\r\nContent-Length: LENGTH\r\n",
        Refused,
    ),
    ("Content-Length: LENGTH\r\nContent-Length: 0\r\n", Broken),
    ("Content-Length: 0\r\nContent-Length: LENGTH\r\n", Broken),
    ("Content-Length: LENGTH, LENGTH\r\n", Broken),
    ("Content-Length: LENGTH,\r\n", Broken),
    ("Content-Length: +LENGTH\r\n", Broken),
    ("Content-Length: -LENGTH\r\n", Broken),
    ("Content-Length: -1\r\n", Broken),
    ("Content-Length: 0xLENGTH\r\n", Broken),
    ("Content-Length: LENGTH.0\r\n", Broken),
    ("Content-Length: 1e2\r\n", Broken),
    ("Content-Length: LENGTH LENGTH\r\n", Broken),
    ("Content-Length: LENGTHx\r\n", Broken),
    ("Content-Length: \"LENGTH\"\r\n", Broken),
    ("Content-Length:\r\n", Broken),
    ("Content-Length: 18446744073709551616\r\n", Broken),
    ("Content-Length: 99999999999999999999999999\r\n", Broken),
    ("Content-Length : LENGTH\r\n", Broken),
    ("Content-Length\r\n: LENGTH\r\n", Broken),
];

/// As `LENGTHS`, with the body in one chunk.
const ENCODINGS: [(&str, Outcome); 20] = [
    ("Transfer-Encoding: chunked\r\n", ServedAndClosed),
    ("transfer-encoding:CHUNKED\r\n", ServedAndClosed),
    ("Transfer-Encoding: \t chunked \r\n", ServedAndClosed),
    (
        "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        Broken,
    ),
    (
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        Refused,
    ),
    ("Transfer-Encoding: chunked, chunked\r\n", Refused),
    ("Transfer-Encoding: gzip, chunked\r\n", Refused),
    ("Transfer-Encoding: chunked, identity\r\n", Broken),
    ("Transfer-Encoding: identity\r\n", Broken),
    ("Transfer-Encoding: xchunked\r\n", Broken),
    ("Transfer-Encoding: chunked;q=1\r\n", Broken),
    ("Transfer-Encoding: \"chunked\"\r\n", Broken),
    ("Transfer-Encoding:\r\n", Broken),
    ("Transfer-Encoding: \x0bchunked\r\n", Broken),
    ("Transfer-Encoding : chunked\r\n", Broken),
    ("Transfer-Encoding:\r\n chunked\r\n", Broken),
];

/// What stands for the chunks; `SIZE` is the body's length in hexadecimal.
const CHUNKS: [(&str, Outcome); 31] = [
    ("SIZE\r\nBODY\r\n0\r\n\r\n", ServedAndClosed),
    ("000SIZE\r\nBODY\r\n000\r\n\r\n", ServedAndClosed),
    ("1\r\n \r\nSIZE\r\nBODY\r\n0\r\n\r\n", ServedAndClosed),
    ("SIZE\r\nBODY\r\n0\r\nTrailer: x\r\n\r\n", ServedAndClosed),
    // Behind the end: it belongs to the next request, and there is none.
    ("SIZE\r\nBODY\r\n0\r\n\r\njunk", ServedAndClosed),
    ("SIZE;a=b\r\nBODY\r\n0\r\n\r\n", ServedAndClosed),
    ("SIZE;a=\"b\r\nBODY\r\n0\r\n\r\n", ServedAndClosed),
    ("SIZE\r\nBODY\r\n0;a=b\r\n\r\n", ServedAndClosed),
    ("SIZE;a\nb\r\nBODY\r\n0\r\n\r\n", Refused),
    ("SIZE;a\rb\r\nBODY\r\n0\r\n\r\n", Refused),
    ("0xSIZE\r\nBODY\r\n0\r\n\r\n", Refused),
    ("+SIZE\r\nBODY\r\n0\r\n\r\n", Refused),
    ("-SIZE\r\nBODY\r\n0\r\n\r\n", Refused),
    ("-1\r\nBODY\r\n0\r\n\r\n", Refused),
    ("_SIZE\r\nBODY\r\n0\r\n\r\n", Refused),
    ("g\r\nBODY\r\n0\r\n\r\n", Refused),
    ("\r\nBODY\r\n0\r\n\r\n", Refused),
    (";a=b\r\nBODY\r\n0\r\n\r\n", Refused),
    ("10000000000000000\r\nBODY\r\n0\r\n\r\n", Refused),
    ("ffffffffffffffffff\r\nBODY\r\n0\r\n\r\n", Refused),
    ("1000000000000000SIZE\r\nBODY\r\n0\r\n\r\n", Refused),
    ("SIZE\nBODY\r\n0\r\n\r\n", Refused),
    ("SIZE\rBODY\r\n0\r\n\r\n", Refused),
    ("SIZE\r\r\nBODY\r\n0\r\n\r\n", Refused),
    ("SIZE\r\nBODY0\r\n\r\n", Refused),
    ("SIZE\r\nBODY\n0\r\n\r\n", Refused),
    ("SIZE\r\nBODYXX\r\n0\r\n\r\n", Refused),
    ("SIZE\r\nBODYXX0\r\n\r\n", Refused),
    ("SIZE\r\nBODY\r\n0\n\n", Refused),
    ("SIZE\r\nBODY\r\n0\r\nTrailer: x\n\r\n", ServedAndClosed),
    ("SIZE\r\nBODY\r\n0\r\njunk\r\n\r\n", Refused),
];

/// Heads that are broken in ways of their own, `HEAD` being one that is sound so far.
const HEADS: [(&str, Outcome); 23] = [
    ("HEADX: y\r\n\r\n", Served),
    ("\r\n\r\nHEADX: y\r\n\r\n", Served),
    ("HEADFolded: x\r\n y\r\n\r\n", Broken),
    ("HEADFolded: x\r\n\ty\r\n\r\n", Broken),
    (
        "POST PATH HTTP/1.1\r\n Host: a\r\nX-API-Key: demo\r\nContent-Length: LENGTH\r\n\r\n",
        Broken,
    ),
    ("\n\nHEADX: y\r\n\r\n", Broken),
    ("HEADX: y\n\r\n", Refused),
    ("HEADX: y\r\n\n", Refused),
    ("HEADX: y\n\n", Refused),
    (
        "POST PATH HTTP/1.1\nHost: a\nX-API-Key: demo\nContent-Length: LENGTH\n\n",
        Refused,
    ),
    (
        "POST PATH HTTP/1.1\r\nHost: a\nContent-Length: LENGTH\r\nX-API-Key: demo\r\n\r\n",
        Refused,
    ),
    ("HEADX: y\rz: a\r\n\r\n", Broken),
    ("HEADX: y\r\r\n\r\n", Broken),
    ("HEADX: y\0z\r\n\r\n", Broken),
    ("HEADX\0: y\r\n\r\n", Broken),
    ("HEADX : y\r\n\r\n", Broken),
    ("HEADX\t: y\r\n\r\n", Broken),
    ("HEADX y\r\n\r\n", Broken),
    ("HEAD: y\r\n\r\n", Broken),
    (
        "POST PATH#x HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: LENGTH\r\n\r\n",
        Broken,
    ),
    (
        "POST  PATH HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: LENGTH\r\n\r\n",
        Broken,
    ),
    (
        "POST PATH HTTP/1.0\r\nHost: a\r\nX-API-Key: demo\r\nTransfer-Encoding: chunked\r\n\r\n",
        Broken,
    ),
    (
        "POST PATH HTTP/1.2\r\nHost: a\r\nX-API-Key: demo\r\nContent-Length: LENGTH\r\n\r\n",
        Broken,
    ),
];

/// How soon a connection that must end has ended: nothing is waited out.
const CLOSED_BY: Duration = Duration::from_secs(5);

const HEAD: &str = "POST PATH HTTP/1.1\r\nHost: a\r\nX-API-Key: demo\r\n";

#[test]
fn lengths_that_could_be_read_in_two_ways_are_refused() {
    check_all(LENGTHS.map(|(headers, outcome)| (format!("{HEAD}{headers}\r\nBODY"), outcome)));
}

#[test]
fn encodings_that_could_be_read_in_two_ways_are_refused() {
    let chunked = "SIZE\r\nBODY\r\n0\r\n\r\n";
    check_all(
        ENCODINGS.map(|(headers, outcome)| (format!("{HEAD}{headers}\r\n{chunked}"), outcome)),
    );
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    check_all(CHUNKS.map(|(chunks, outcome)| (format!("{head}{chunks}"), outcome)));
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    let head = format!("{HEAD}Content-Length: LENGTH\r\n");
    check_all(
        HEADS.map(|(form, outcome)| (format!("{}BODY", form.replace("HEAD", &head)), outcome)),
    );
}

#[test]
fn a_chunk_extension_without_end_is_refused() {
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nSIZE;");
    check_all([(
        format!("{head}{}\r\nBODY\r\n0\r\n\r\n", "x".repeat(100_000)),
        Refused,
    )]);
}

#[test]
fn trailers_without_end_are_refused() {
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nSIZE\r\nBODY\r\n0\r\n");
    check_all([(format!("{head}{}\r\n", "X: y\r\n".repeat(20_000)), Refused)]);
}

fn check_all<const COUNT: usize>(forms: [(String, Outcome); COUNT]) {
    let server = Server::start();
    beside_a_well_behaved_client(&server, |server| {
        let mut wrong = Vec::new();
        for (form, outcome) in forms {
            if let Err(what) = Sale::of(server).check(&form, outcome) {
                let start: String = form.chars().take(200).collect();
                wrong.push(format!("{outcome:?}, but {what}:\n  {start:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// A sale of one product in a form of its own, and that of another hidden behind it.
struct Sale<'a> {
    server: &'a Server,
    client: Client,
    sold: String,
    hidden: String,
}

impl<'a> Sale<'a> {
    fn of(server: &'a Server) -> Self {
        let (sold, hidden) = (unique("sold"), unique("hidden"));
        let mut client = server.client();
        client.create(&[(&sold, 10), (&hidden, 10)]);
        Self {
            server,
            client,
            sold,
            hidden,
        }
    }

    /// Says what is otherwise.
    fn check(mut self, form: &str, outcome: Outcome) -> Result<(), String> {
        let mut connection = self.server.connect();
        let begun = Instant::now();
        connection.write(self.bytes(form, outcome)).expect("sent");
        if outcome == Served {
            let reply = connection.read_reply("POST").expect("an answer");
            demand(reply.status == 200, || format!("the answer was {reply:?}"))?;
        } else {
            let answer = connection.read_to_end();
            let took = begun.elapsed();
            check_answer(&String::from_utf8_lossy(&answer), outcome)?;
            demand(took < CLOSED_BY, || format!("it was open for {took:?}"))?;
        }
        let expected = match outcome {
            Refused | Broken => (10, 1),
            Served | ServedAndClosed => (9, 2),
        };
        let (sold, hidden) = (
            self.client.state(&self.sold),
            self.client.state(&self.hidden),
        );
        demand(sold == expected, || format!("the stock is {sold:?}"))?;
        demand(hidden == (10, 1), || {
            format!("the hidden stock is {hidden:?}")
        })
    }

    fn bytes(&self, form: &str, outcome: Outcome) -> Vec<u8> {
        let body = update_any(&self.sold, -1, &unique("key")).to_string();
        let bytes = form
            .replace("PATH", UPDATES)
            .replace("LENGTH", &body.len().to_string())
            .replace("SIZE", &format!("{:x}", body.len()))
            .replace("BODY", &body);
        let mut bytes = bytes.into_bytes();
        if outcome != Served {
            let hidden = update_any(&self.hidden, -1, &unique("key"));
            let hidden = Request::new("POST", UPDATES).json(&hidden);
            bytes.extend_from_slice(&hidden.encode(self.server.address()));
        }
        bytes
    }
}

fn demand(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

/// Checks all that the server said before it ended the connection: one answer.
fn check_answer(answer: &str, outcome: Outcome) -> Result<(), String> {
    let otherwise = || format!("the answer was {answer:?}");
    demand(answer.matches("HTTP/1.1 ").count() == 1, otherwise)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(otherwise)?;
    let status = if outcome == ServedAndClosed {
        "200"
    } else {
        "400"
    };
    demand(head.split(' ').nth(1) == Some(status), otherwise)?;
    demand(
        head.to_ascii_lowercase().contains("\r\nconnection: close"),
        otherwise,
    )?;
    let is_problem = body.contains("\"code\":\"validation_error\"");
    match outcome {
        Refused => demand(is_problem, otherwise),
        Broken => demand(is_problem || body.is_empty(), otherwise),
        Served | ServedAndClosed => Ok(()),
    }
}
