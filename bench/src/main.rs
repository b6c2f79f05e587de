//! `inventory-bench`: a first, small load generator. It sends durable updates over keep-alive connections in a
//! closed loop and prints the rate, the latency and what was refused.
//!
//! Threads and blocking sockets: one thread per connection is dear, so it is for tens of connections. The figures in
//! `perf/` are taken with `wrk`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use hdrhistogram::Histogram;

/// Sends durable updates in a closed loop.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The server's address.
    #[arg(long, default_value = "127.0.0.1:8081")]
    address: String,
    /// A regular API key.
    #[arg(long, default_value = "demo")]
    key: String,
    /// An admin API key, to create the products.
    #[arg(long, default_value = "admin-demo")]
    admin_key: String,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds to run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Products to spread the updates over.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1000))]
    products: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    create_products(&options)?;
    let start = Barrier::new(options.connections);
    let results: Vec<io::Result<Tally>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.connections)
            .map(|index| {
                scope.spawn({
                    let (options, start) = (&options, &start);
                    move || run_connection(options, index as u64, start)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a connection does not panic"))
            .collect()
    });
    let mut total = Tally::new();
    for result in results {
        total.add(&result?);
    }
    total.print(options.seconds);
    Ok(())
}

/// What was seen.
struct Tally {
    latency_us: Histogram<u64>,
    applied: u64,
    refused: u64,
}

impl Tally {
    fn new() -> Tally {
        let latency_us =
            Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound");
        Tally {
            latency_us,
            applied: 0,
            refused: 0,
        }
    }

    fn add(&mut self, other: &Tally) {
        self.latency_us
            .add(&other.latency_us)
            .expect("the bounds are the same");
        self.applied += other.applied;
        self.refused += other.refused;
    }

    fn print(&self, seconds: u64) {
        let at = |quantile| self.latency_us.value_at_quantile(quantile);
        println!(
            "applied   {:>10}   {:>10} per second",
            self.applied,
            self.applied / seconds.max(1)
        );
        println!("refused   {:>10}", self.refused);
        println!(
            "latency   p50 {} us   p99 {} us   p99.9 {} us   max {} us",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}

fn run_connection(options: &Options, index: u64, start: &Barrier) -> io::Result<Tally> {
    let connected = Connection::open(&options.address);
    start.wait();
    let mut connection = connected?;
    let mut tally = Tally::new();
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut choice = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for number in 0_u64.. {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        // xorshift: which product is next need only look random.
        choice ^= choice << 13;
        choice ^= choice >> 7;
        choice ^= choice << 17;
        let product = choice % options.products;
        let body = format!(
            r#"{{"storeId":"bench-{index}","productId":"BENCH-{product:04}","delta":1,"anyVersion":true,"idempotencyKey":"{run}-{number}"}}"#
        );
        let status = connection.request("POST", "/v1/inventory/updates", &options.key, &body)?;
        let took = sent.elapsed().as_micros() as u64;
        tally.latency_us.saturating_record(took);
        match status {
            200 => tally.applied += 1,
            _ => tally.refused += 1,
        }
    }
    Ok(tally)
}

fn create_products(options: &Options) -> io::Result<()> {
    let product = |n| {
        format!(r#"{{"productId":"BENCH-{n:04}","name":"Bench","available":1000000,"price":9.99}}"#)
    };
    let products: Vec<String> = (0..options.products).map(product).collect();
    let body = format!(r#"{{"products":[{}]}}"#, products.join(","));
    let mut connection = Connection::open(&options.address)?;
    match connection.request(
        "POST",
        "/v1/admin/products/create",
        &options.admin_key,
        &body,
    )? {
        200 => Ok(()),
        status => Err(io::Error::other(format!(
            "creating the products was answered {status}"
        ))),
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::new(stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request and returns the status of its response.
    fn request(&mut self, method: &str, path: &str, key: &str, body: &str) -> io::Result<u16> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.response()
    }

    fn response(&mut self) -> io::Result<u16> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            self.line.clear();
            if self.stream.read_line(&mut self.line)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            head.extend_from_slice(self.line.as_bytes());
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(&head).map_err(io::Error::other)?;
        let length = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
        self.body.resize(length.unwrap_or(0), 0);
        let status = response.code.unwrap_or(0);
        self.stream.read_exact(&mut self.body)?;
        Ok(status)
    }
}
