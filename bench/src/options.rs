//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::Arrivals;
use crate::soak;
use crate::workload::{self, PRESETS, Popularity, Preset};

/// Measures a central-inventory server, checks its answers, and draws what it saw.
///
/// Without arguments it starts a server of its own on a free port and a temporary directory, finds how many durable updates a
/// second it takes (saturation), measures latency at half of that rate, and verifies that every acknowledged change is there,
/// once, with its event.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do instead of measuring.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to measure.
    #[command(flatten)]
    pub run: RunOptions,
}

/// What is done with reports.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare two reports: ratios with their spread, and whether they exceed the noise.
    Compare {
        /// The report (--json or --html) of before.
        before: PathBuf,
        /// The report of after.
        after: PathBuf,
    },
    /// Load for a long time: what perf/soak/run uses.
    Soak {
        /// Which part.
        #[command(subcommand)]
        part: soak::Part,
    },
}

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// Which workload.
    #[arg(long, default_value = PRESETS[0].name, value_parser = parse_preset, long_help = presets_help())]
    pub preset: Preset,
    /// A server that runs already, as host:port; otherwise one is started.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub url: Option<SocketAddr>,
    /// The metrics port of the server at --url, as host:port.
    #[arg(long, value_name = "ADDRESS", requires = "url", value_parser = parse_address)]
    pub metrics_url: Option<SocketAddr>,
    /// The server to start; default: built and found beside this program.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub server: Option<PathBuf>,
    /// CPUs of the server that is started; default: all but those of --cpus.
    #[arg(long, value_name = "CPUS", conflicts_with = "url", value_parser = parse_cpus)]
    pub server_cpus: Option<Cpus>,
    /// Where the server that is started keeps its data, in a directory made there and removed at the end; default: the system's
    /// temporary directory.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "url")]
    pub data: Option<PathBuf>,
    /// A regular API key.
    #[arg(
        long,
        env = "INVENTORY_API_KEY",
        default_value = "demo",
        hide_env_values = true
    )]
    pub key: String,
    /// An admin API key, to create the products.
    #[arg(
        long,
        env = "INVENTORY_ADMIN_API_KEY",
        default_value = "admin-demo",
        hide_env_values = true
    )]
    pub admin_key: String,

    /// Send so many operations a second, whatever the answers do (open loop), and nothing else.
    #[arg(long, value_name = "OPERATIONS", conflicts_with_all = ["closed", "sweep"], value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Send as fast as answers come (closed loop), and nothing else.
    #[arg(long, conflicts_with = "sweep")]
    pub closed: bool,
    /// After saturation, measure latency at ten rates up to a tenth beyond it.
    #[arg(long)]
    pub sweep: bool,
    /// How far apart operations are in an open loop.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub arrivals: Arrivals,

    /// Connections that send, one store each.
    #[arg(long, short, alias = "concurrent", default_value_t = 64, value_parser = in_range::<1, 65_536>)]
    pub connections: usize,
    /// Length of each phase.
    #[arg(long, short, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Load before the first phase, not recorded.
    #[arg(long, default_value = "3s", value_parser = parse_duration)]
    pub warm_up: Duration,
    /// How often all phases are repeated; comparisons want at least 3.
    #[arg(long, default_value_t = 1, value_parser = in_range::<1, 100>)]
    pub rounds: usize,
    /// Products; default: the preset's.
    #[arg(long, value_parser = in_range::<1, 5_000_000>)]
    pub products: Option<usize>,
    /// `uniform`, or `zipf:` and an exponent; default: the preset's.
    #[arg(long)]
    pub popularity: Option<Popularity>,
    /// Stores that follow the feed; default: the preset's.
    #[arg(long, value_parser = in_range::<0, 100_000>)]
    pub followers: Option<usize>,
    /// How they do.
    #[arg(long, value_enum, default_value_t = FollowBy::Poll)]
    pub follow_by: FollowBy,
    /// Changes in a batch.
    #[arg(long, default_value_t = 10, value_parser = in_range::<1, 1000>)]
    pub batch: usize,
    /// Threads of the load generator, an executor each.
    #[arg(long, default_value_t = 1, value_parser = in_range::<1, 256>)]
    pub threads: usize,
    /// CPUs of the load generator; default: the last quarter, at least one.
    #[arg(long, value_name = "CPUS", value_parser = parse_cpus)]
    pub cpus: Option<Cpus>,
    /// Makes every choice the same again.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Do not check what the server did; the report says so.
    #[arg(long)]
    pub no_verify: bool,
    /// Write the report as JSON, or to standard output for -.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the plots as one picture.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the times of each second and kind as an HdrHistogram log.
    #[arg(long, value_name = "FILE")]
    pub hdr_log: Option<PathBuf>,
}

/// How stores follow the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FollowBy {
    /// By long polls.
    Poll,
    /// By server-sent events.
    Stream,
}

impl fmt::Display for FollowBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FollowBy::Poll => "poll",
            FollowBy::Stream => "stream",
        })
    }
}

/// CPUs by number, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(pub Vec<usize>);

impl RunOptions {
    /// How many products there are.
    pub fn products(&self) -> usize {
        self.products.unwrap_or(self.preset.products)
    }

    /// How many stores follow the feed.
    pub fn followers(&self) -> usize {
        self.followers.unwrap_or(self.preset.followers)
    }

    /// How products are chosen.
    pub fn popularity(&self) -> Popularity {
        self.popularity.unwrap_or(self.preset.popularity)
    }
}

fn presets_help() -> String {
    let lines = PRESETS
        .iter()
        .map(|preset| format!("\n- {}: {}", preset.name, preset.meaning));
    format!("Which workload:\n{}", lines.collect::<String>())
}

fn parse_preset(name: &str) -> Result<Preset, String> {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    workload::named(name).ok_or_else(|| format!("none of {}", names.join(", ")))
}

pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let text = text
        .strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/');
    let text = text.replace("localhost", "127.0.0.1");
    text.parse()
        .map_err(|_| "not an address and port like 127.0.0.1:8081".to_owned())
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    let rate = rate.filter(|rate: &f64| (0.1..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "not a number from 0.1 to 10000000".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: Duration = text
        .parse::<humantime::Duration>()
        .map_err(|error| error.to_string())?
        .into();
    match (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&duration) {
        true => Ok(duration),
        false => Err("not from 100ms to 24h".to_owned()),
    }
}

fn in_range<const LOW: usize, const HIGH: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (LOW..=HIGH).contains(number));
    number.ok_or_else(|| format!("not a number from {LOW} to {HIGH}"))
}

pub(crate) fn parse_cpus(text: &str) -> Result<Cpus, String> {
    let mut cpus = Vec::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < 1024 => cpus.extend(first..=last),
            _ => return Err(format!("{item:?} is no CPU or range of CPUs like 0-3")),
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(Cpus(cpus))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_description_for_clap_is_consistent() {
        Options::command().debug_assert();
        let _ = Arguments::try_parse_from(["inventory-bench"]).unwrap();
    }

    type Arguments = Options;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let is_taken = |words: &[&str]| {
            let words = ["inventory-bench"].iter().chain(words);
            Options::try_parse_from(words).is_ok()
        };
        assert!(is_taken(&[
            "--rate", "1000", "--preset", "reads", "--cpus", "1,3-4"
        ]));
        assert!(is_taken(&["compare", "a", "b"]));
        assert!(is_taken(&["--url", "http://localhost:8081/"]));
        assert!(!is_taken(&["--rate", "0"]));
        assert!(!is_taken(&["--rate", "1", "--sweep"]));
        assert!(!is_taken(&["--preset", "none"]));
        assert!(!is_taken(&["--connections", "0"]));
        assert!(!is_taken(&["--cpus", "3-1"]));
        assert!(!is_taken(&["--duration", "1ms"]));
        assert!(!is_taken(&["--url", "1.2.3.4:5", "--server", "x"]));
    }
}
