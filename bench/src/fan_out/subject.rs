//! Who is measured and how it is asked: this server or nginx with nchan, by long poll or as a stream.
//!
//! An update carries its number as its `delta`, and so does what a follower receives, whoever sends it.

use std::io::Write;
use std::net::SocketAddr;

use super::options::Options;
use crate::client::{Answer, Requests, page_end};
use crate::control::Control;
use crate::scrape::{kept, scrape};

/// The longest page that is asked for, in events.
const PAGE_EVENTS: u32 = 1000;
/// The longest that a poll may wait.
const WAIT_SECONDS: u32 = 60;

/// A server and a way to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// This server, by long poll.
    InventoryPoll,
    /// This server, as server-sent events.
    InventoryStream,
    /// nchan, by long poll, a message in each answer: what it does unless told otherwise.
    NchanPoll,
    /// nchan, by long poll, all messages that are there in one answer.
    NchanPages,
    /// nchan, as server-sent events.
    NchanStream,
}

impl Subject {
    /// As in the options.
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self).expect("none is hidden");
        value.get_name().to_owned()
    }

    /// Whether updates go to this server.
    pub fn is_inventory(self) -> bool {
        matches!(self, Subject::InventoryPoll | Subject::InventoryStream)
    }

    /// Whether an answer goes on as long as the follower stays.
    pub fn is_stream(self) -> bool {
        matches!(self, Subject::InventoryStream | Subject::NchanStream)
    }

    /// What nchan's path begins with (perf/fan-out/servers/nchan.conf).
    fn location(self) -> &'static str {
        match self {
            Subject::NchanPages => "pages",
            Subject::NchanStream => "stream",
            _ => "poll",
        }
    }
}

/// The feed of one measurement.
#[derive(Clone, Debug)]
pub struct Feed {
    subject: Subject,
    address: SocketAddr,
    status: SocketAddr,
    key: String,
    /// The products' ids begin with it; of nchan, the channel.
    run: String,
    products: u64,
    message_bytes: usize,
    first_offset: u64,
}

impl Feed {
    /// Makes what has to be there before anyone follows.
    ///
    /// # Errors
    /// If the server does not do that.
    pub fn prepare(options: &Options) -> Result<Feed, String> {
        // One server may be measured several times.
        let run = format!("fan{:x}", std::process::id());
        let mut first_offset = 0;
        if options.subject.is_inventory() {
            let control = Control::new(options.address, &options.key, &options.admin_key);
            control.create(&run, options.products as usize, |_| ())?;
            first_offset = control.next_offset()?;
        }
        Ok(Feed {
            subject: options.subject,
            address: options.address,
            status: options.status,
            key: options.key.clone(),
            run,
            products: options.products.into(),
            message_bytes: options.message_bytes,
            first_offset,
        })
    }

    /// How many wait, as the server says.
    pub fn waiting(&self) -> Option<usize> {
        match self.subject.is_inventory() {
            true => kept(&scrape(self.status)?)
                .get("inventory_feed_waiters")
                .map(|count| *count as usize),
            false => {
                let url = format!("http://{}/status", self.status);
                let page = ureq::get(url).call().ok()?.body_mut().read_to_string();
                subscribers(&page.ok()?)
            }
        }
    }

    /// Whether followers get streams.
    pub fn is_stream(&self) -> bool {
        self.subject.is_stream()
    }

    /// Where the server is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of a follower that has received nothing yet.
    pub fn cursor(&self) -> Cursor {
        match self.subject.is_inventory() {
            true => Cursor::Offset {
                requests: Box::new(self.requests("follower")),
                offset: self.first_offset,
                is_stream: self.is_stream(),
            },
            false => Cursor::Message {
                head: format!(
                    "GET /{}/{} HTTP/1.1\r\nHost: {}\r\n{}",
                    self.subject.location(),
                    self.run,
                    self.address,
                    match self.is_stream() {
                        true => "Accept: text/event-stream\r\n",
                        false => "",
                    }
                ),
                request: Vec::new(),
                seen: None,
            },
        }
    }

    /// Of a connection that publishes.
    pub fn pen(&self, connection: usize) -> Pen {
        match self.subject.is_inventory() {
            true => Pen::Update {
                requests: Box::new(self.requests(&format!("store-{connection}"))),
                products: self.products,
            },
            false => Pen::Message {
                head: format!(
                    "POST /publish/{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    self.run, self.address, self.message_bytes
                ),
                message_bytes: self.message_bytes,
                request: Vec::new(),
            },
        }
    }

    fn requests(&self, store: &str) -> Requests {
        let authority = self.address.to_string();
        Requests::new(&authority, &self.key, store.to_owned(), self.run.clone())
    }
}

/// Where a follower is, as its server counts.
pub enum Cursor {
    /// This server: the next offset.
    Offset {
        /// Writes requests.
        requests: Box<Requests>,
        /// The next one.
        offset: u64,
        /// How the events are wanted.
        is_stream: bool,
    },
    /// nchan: what came with the latest message.
    Message {
        /// A request, up to its conditions.
        head: String,
        /// The latest whole request.
        request: Vec<u8>,
        /// `Last-Modified` and `Etag`.
        seen: Option<(String, String)>,
    },
}

impl Cursor {
    /// Asks for what comes next.
    pub fn request(&mut self) -> &[u8] {
        match self {
            Cursor::Offset {
                requests,
                offset,
                is_stream: true,
            } => requests.stream(*offset),
            Cursor::Offset {
                requests, offset, ..
            } => requests.events(*offset, PAGE_EVENTS, WAIT_SECONDS),
            Cursor::Message {
                head,
                request,
                seen,
            } => {
                request.clear();
                request.extend_from_slice(head.as_bytes());
                if let Some((modified, tag)) = seen {
                    write_to(
                        request,
                        format_args!("If-Modified-Since: {modified}\r\nIf-None-Match: {tag}\r\n"),
                    );
                }
                request.extend_from_slice(b"\r\n");
                request
            }
        }
    }

    /// An answer begins, with `head`.
    ///
    /// # Errors
    /// If it should say which message it is, and does not.
    pub fn begin(&mut self, head: &[u8]) -> Result<(), String> {
        if let Cursor::Message { seen, .. } = self {
            let modified = header(head, "last-modified").ok_or("no Last-Modified")?;
            let tag = header(head, "etag").ok_or("no Etag")?;
            *seen = Some((modified, tag));
        }
        Ok(())
    }

    /// Goes on behind an answer in which `count` updates were, and which ends with `tail`.
    ///
    /// # Errors
    /// If it should say where that is, and does not, or says otherwise.
    pub fn end(&mut self, tail: &[u8], count: u64) -> Result<(), String> {
        let answer = Answer {
            status: 200,
            is_replay: false,
            body: tail,
        };
        match self {
            Cursor::Offset { offset, .. } => {
                let (said, next) =
                    page_end(answer.body).ok_or("a page without count and nextOffset")?;
                if said != count || next != *offset + count {
                    return Err(format!(
                        "a page from offset {offset} on has {count} events, but says count {said} and nextOffset {next}"
                    ));
                }
                *offset = next;
            }
            Cursor::Message { .. } => {}
        }
        Ok(())
    }
}

/// Writes what a connection publishes.
pub enum Pen {
    /// A durable change of stock.
    Update {
        /// Writes requests.
        requests: Box<Requests>,
        /// How many change in turn.
        products: u64,
    },
    /// A message to a channel.
    Message {
        /// A request, up to its body.
        head: String,
        /// How long the body is.
        message_bytes: usize,
        /// The latest whole request.
        request: Vec<u8>,
    },
}

impl Pen {
    /// Update `number`.
    pub fn write(&mut self, number: u64) -> &[u8] {
        match self {
            Pen::Update { requests, products } => {
                let product = (number % *products) as usize;
                requests.update(product, delta_of(number), None, number)
            }
            Pen::Message {
                head,
                message_bytes,
                request,
            } => {
                request.clear();
                request.extend_from_slice(head.as_bytes());
                let end = request.len() + *message_bytes;
                write_to(request, format_args!("{{\"padding\":\""));
                let number = format!("\",\"delta\":{}}}", delta_of(number));
                request.resize(end.saturating_sub(number.len()), b'x');
                request.extend_from_slice(number.as_bytes());
                request
            }
        }
    }

    /// Whether `status` says that it was taken.
    pub fn is_taken(&self, status: u16) -> bool {
        match self {
            Pen::Update { .. } => status == 200,
            Pen::Message { .. } => status == 201 || status == 202,
        }
    }
}

/// No change is 0.
fn delta_of(number: u64) -> i64 {
    i64::try_from(number).expect("updates are fewer") + 1
}

/// The value of a header, by its name in lower case.
fn header(head: &[u8], name: &str) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.to_owned())
}

/// What nchan's status says.
fn subscribers(page: &str) -> Option<usize> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("subscribers: "))?;
    line.trim().parse().ok()
}

fn write_to(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    bytes.write_fmt(text).expect("memory takes it");
}

#[cfg(test)]
mod tests {
    use super::super::scanner::Scanner;
    use super::*;

    fn feed(subject: Subject) -> Feed {
        Feed {
            subject,
            address: "127.0.0.1:80".parse().unwrap(),
            status: "127.0.0.1:81".parse().unwrap(),
            key: "demo".to_owned(),
            run: "r".to_owned(),
            products: 10,
            message_bytes: 100,
            first_offset: 7,
        }
    }

    fn numbers(text: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        let tell = |number| {
            found.push(number);
            Ok(())
        };
        let mut scanner = Scanner::default();
        scanner.take(text, &mut Vec::new(), tell).unwrap();
        found
    }

    #[test]
    fn a_number_comes_back_as_it_was_written() {
        for subject in [Subject::InventoryPoll, Subject::NchanPoll] {
            let mut pen = feed(subject).pen(0);
            for number in [0, 9, 123_456] {
                assert_eq!(vec![number], numbers(pen.write(number)), "{subject:?}");
            }
        }
    }

    #[test]
    fn every_message_is_as_long_as_was_asked_for() {
        let mut pen = feed(Subject::NchanStream).pen(0);
        for number in [0, 9, 99_999] {
            let text = String::from_utf8(pen.write(number).to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(100, body.len());
            assert!(head.contains("Content-Length: 100"), "{head}");
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }

    #[test]
    fn a_poll_goes_on_where_the_page_ends() {
        let mut cursor = feed(Subject::InventoryPoll).cursor();
        assert!(
            cursor
                .request()
                .starts_with(b"GET /v1/inventory/events?offset=7&")
        );
        let page = br#"],"nextOffset":9,"hasMore":false,"count":2}"#;
        cursor.end(page, 2).unwrap();
        assert!(
            cursor
                .request()
                .starts_with(b"GET /v1/inventory/events?offset=9&")
        );
        let skipped = cursor.end(page, 2).unwrap_err();
        assert!(skipped.contains("from offset 9 on"), "{skipped}");
    }

    #[test]
    fn a_poll_of_nchan_names_the_message_before() {
        let mut cursor = feed(Subject::NchanPages).cursor();
        let first = String::from_utf8(cursor.request().to_vec()).unwrap();
        assert_eq!(
            "GET /pages/r HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
            first.as_str()
        );
        let head =
            b"HTTP/1.1 200 OK\r\nLast-Modified: Mon, 23 Nov 2026 13:06:44 GMT\r\nEtag: 3\r\n\r\n";
        cursor.begin(head).unwrap();
        cursor.end(b"", 1).unwrap();
        let next = String::from_utf8(cursor.request().to_vec()).unwrap();
        assert!(
            next.ends_with(
                "\r\nIf-Modified-Since: Mon, 23 Nov 2026 13:06:44 GMT\r\nIf-None-Match: 3\r\n\r\n"
            ),
            "{next}"
        );
        assert!(cursor.begin(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn the_status_of_nchan_says_how_many_wait() {
        let page = "stored messages: 4\nchannels: 1\nsubscribers: 10000\nredis x: 0\n";
        assert_eq!(Some(10_000), subscribers(page));
        assert_eq!(None, subscribers("channels: 1\n"));
    }
}
