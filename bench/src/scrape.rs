//! What the server tells of itself while it is measured, from its metrics port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What is kept, summed over labels.
const KEPT: [&str; 9] = [
    "inventory_executor_busy_ratio",
    "inventory_worker_queue_size",
    "inventory_events_published_total",
    "inventory_journal_bytes_total",
    "inventory_durable_lag_events",
    "inventory_feed_waiters",
    "inventory_version_conflicts_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
];
/// A server under load answers late; a look that is missed is not repeated.
const TIMEOUT: Duration = Duration::from_millis(500);

/// One look at the metrics port.
pub fn scrape(address: SocketAddr) -> Option<String> {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build();
    let mut answer = agent
        .new_agent()
        .get(format!("http://{address}/metrics"))
        .call()
        .ok()?;
    answer.body_mut().read_to_string().ok()
}

/// What is kept of a page.
pub fn kept(page: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = series.split('{').next().unwrap_or(series);
        if let (true, Ok(value)) = (KEPT.contains(&name), value.parse::<f64>()) {
            *sums.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    sums
}

/// Whether the server says that it was built for debugging.
pub fn is_debug_build(page: &str) -> Option<bool> {
    let line = page
        .lines()
        .find(|line| line.starts_with("inventory_build_info{"))?;
    Some(line.contains("profile=\"debug\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_summed_and_the_rest_is_left() {
        let page = "# HELP x y\ninventory_build_info{version=\"1\",profile=\"debug\"} 1\n\
                    inventory_worker_queue_size{shard=\"0\"} 2\ninventory_worker_queue_size{shard=\"1\"} 3\nother 7\n";
        let kept = kept(page);
        assert_eq!(Some(&5.0), kept.get("inventory_worker_queue_size"));
        assert_eq!(1, kept.len());
        assert_eq!(Some(true), is_debug_build(page));
        assert_eq!(None, is_debug_build("x 1"));
    }
}
