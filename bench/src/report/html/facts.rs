//! How a run came about: the command, the machine, the versions, the set-up.

use crate::report::text::{self, UNKNOWN, escape};
use crate::report::{Report, Setup};

/// The section.
pub fn facts(report: &Report) -> String {
    let facts: String = [about(report), machine(report), load(&report.setup)].concat();
    format!(
        "<h2>Set-up</h2>\n<pre>{}</pre>\n<dl class=\"facts\">\n{facts}</dl>\n",
        escape(&report.command),
    )
}

fn about(report: &Report) -> String {
    let server = &report.server;
    let is_managed = if report.setup.is_managed {
        "started by the load generator"
    } else {
        "was running"
    };
    let build = match server.is_debug_build {
        Some(true) => "debug build",
        Some(false) => "release build",
        None => "build unknown",
    };
    let durable = match server.is_durable {
        Some(true) => "each update on disk before its answer",
        Some(false) => "not durable",
        None => "durability unknown",
    };
    let versions = format!(
        "server {}, load generator {}",
        known(&server.version),
        known(&report.bench_version)
    );
    [
        fact("versions", &versions),
        fact(
            "server",
            &format!(
                "{build}, {durable}, {is_managed}, at {}",
                known(&report.setup.url)
            ),
        ),
    ]
    .concat()
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let what = format!(
        "{}, {}, {}",
        known(&machine.cpu),
        text::plural(machine.cpus as u64, "CPU", "CPUs"),
        text::bytes(machine.memory_mib as f64 * 1_048_576.0),
    );
    let load = match machine.load_average.is_finite() {
        true => format!("{:.2} when the run began", machine.load_average),
        false => UNKNOWN.to_owned(),
    };
    let server = report.setup.server_cpus.as_deref().unwrap_or("any");
    let placed = format!(
        "server {server}, load generator {}",
        known(&report.setup.client_cpus)
    );
    [
        fact("machine", &what),
        fact("kernel", &machine.kernel),
        fact("load average", &load),
        fact("CPUs used", &placed),
    ]
    .concat()
}

fn load(setup: &Setup) -> String {
    let connections = format!(
        "{} over {}, {}",
        text::plural(setup.connections as u64, "connection", "connections"),
        text::plural(setup.threads as u64, "thread", "threads"),
        text::followers(setup),
    );
    let products = format!(
        "{}, chosen by {}",
        text::plural(setup.products as u64, "product", "products"),
        known(&setup.popularity)
    );
    [
        fact("load", &connections),
        fact("products", &products),
        fact("seed", &setup.seed.to_string()),
    ]
    .concat()
}

fn known(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

fn fact(name: &str, value: &str) -> String {
    format!("<dt>{name}</dt><dd>{}</dd>\n", escape(known(value)))
}
