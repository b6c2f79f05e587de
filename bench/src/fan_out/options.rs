//! What one measurement is told.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

use super::subject::Subject;

/// Measures how a server gives each update to thousands that wait for it.
///
/// Opens all followers, waits until the server says that they wait, publishes at a rate in an open loop, and says when the last
/// follower received each update, what that cost, and whether each received every update once and in the same order.
#[derive(Clone, Debug, Parser)]
#[command(name = "fan_out")]
pub struct Options {
    /// Who is asked, and how
    #[arg(long, value_enum)]
    pub subject: Subject,
    /// The server, as HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub address: SocketAddr,
    /// Where it says how many wait: the metrics port, or that of nchan's status
    #[arg(long, value_name = "ADDRESS")]
    pub status: SocketAddr,
    /// Processes whose CPU time is the server's; the first one's memory is told as well
    #[arg(long = "server-pid", value_name = "PID", value_delimiter = ',')]
    pub server_pids: Vec<u32>,
    /// How many wait
    #[arg(long, default_value_t = 10_000)]
    pub followers: usize,
    /// Updates a second, by the clock and not by their answers
    #[arg(long, default_value_t = 100.0, value_parser = parse_rate)]
    pub rate: f64,
    /// How long it publishes before anything counts
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// How long it publishes then
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// For all followers to receive the rest afterwards
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// Connections that publish
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Products that change in turn
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub products: u32,
    /// Bytes of a message for nchan: an answer of this server with one event in it has as many
    #[arg(long, default_value_t = 350)]
    pub message_bytes: usize,
    /// A regular key
    #[arg(long, default_value = "demo")]
    pub key: String,
    /// An admin key, to create products
    #[arg(long, default_value = "admin-demo")]
    pub admin_key: String,
}

impl Options {
    /// How many updates are due in all.
    pub fn updates(&self) -> u64 {
        self.due_in(self.warm_up + self.duration)
    }

    /// How many of them count.
    pub fn updates_that_count(&self) -> u64 {
        self.updates() - self.due_in(self.warm_up)
    }

    /// They are equally far from each other; the first is due at once.
    fn due_in(&self, time: Duration) -> u64 {
        (self.rate * time.as_secs_f64()).ceil() as u64
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        _ => Err("more than 0, at most 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn updates_are_due_for_as_long_as_it_publishes() {
        let options = |more: &[&str]| {
            let address = ["x", "--subject", "nchan-poll", "--address", "127.0.0.1:1"];
            let status = ["--status", "127.0.0.1:2"];
            Options::try_parse_from(address.iter().chain(&status).chain(more)).unwrap()
        };
        let all = options(&[]);
        assert_eq!((600, 500), (all.updates(), all.updates_that_count()));
        let few = options(&["--rate", "0.5", "--duration", "8s"]);
        assert_eq!((5, 4), (few.updates(), few.updates_that_count()));
        assert!(parse_rate("0").is_err());
    }
}
