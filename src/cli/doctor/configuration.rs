//! The configuration, and what follows from it alone.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::cli::plan_of;
use crate::config::{Config, ConfigErrors};
use crate::runtime::tls::Tls;
use crate::server::DESCRIPTORS_OWN;

/// A line for each error, or what the configuration leads to.
pub(super) fn findings(config: &Result<Config, ConfigErrors>) -> Vec<Finding> {
    match config {
        Ok(config) => vec![
            Finding::ok(
                "configuration",
                format!("ENVIRONMENT={}", config.environment.name()),
            ),
            plan(config),
            tls(config),
        ],
        Err(errors) => errors
            .iter()
            .map(|error| Finding::failed("configuration", error.to_string(), None))
            .collect(),
    }
}

fn plan(config: &Config) -> Finding {
    match plan_of(config) {
        Ok(plan) => Finding::ok(
            "plan",
            format!(
                "executors {}, acceptors {}, shards {}",
                plan.executors.len(),
                plan.acceptor_count,
                plan.shard_count
            ),
        ),
        Err(error) => Finding::failed("plan", error.to_string(), None),
    }
}

/// Whether certificate and key can be read and belong together.
fn tls(config: &Config) -> Finding {
    let Some(paths) = &config.tls else {
        return Finding::ok("TLS", "off: keys cross the network in clear");
    };
    match Tls::read(&paths.certificates, &paths.key) {
        Ok(_) => Finding::ok("TLS", paths.certificates.display().to_string()),
        Err(error) => Finding::failed("TLS", error.to_string(), None),
    }
}

/// How far the limit on open files can be raised. Too low a one stops nobody from starting, so it fails only where hardly
/// any connection would be left.
pub(super) fn open_files(config: &Config) -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum;
    judge_open_files(limit, config.connections_max as u64)
}

fn judge_open_files(limit: Option<u64>, connections_max: u64) -> Finding {
    const NAME: &str = "open files";
    let needed = connections_max + DESCRIPTORS_OWN;
    let raise = format!("raise the hard limit (ulimit -Hn, LimitNOFILE= in systemd) to {needed}");
    match limit {
        None => Finding::ok(NAME, "unlimited"),
        Some(limit) if limit >= needed => Finding::ok(NAME, limit.to_string()),
        Some(limit) if limit > DESCRIPTORS_OWN => Finding::advice(
            NAME,
            format!(
                "{limit}, room for {} of MAX_CONNECTIONS={connections_max}",
                limit - DESCRIPTORS_OWN
            ),
            format!("for all, {raise}"),
        ),
        Some(limit) => Finding::failed(
            NAME,
            format!("{limit} leaves no room for connections"),
            Some(raise),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn too_few_open_files_are_told_and_fail_only_if_none_is_left_for_connections() {
        let mark = |limit| judge_open_files(limit, 16).mark;
        assert_eq!(Mark::Ok, mark(None));
        assert_eq!(Mark::Ok, mark(Some(528)));
        assert_eq!(Mark::Failed, mark(Some(512)));
        let some = judge_open_files(Some(527), 16);
        assert_eq!(Mark::Advice, some.mark);
        assert_eq!("527, room for 15 of MAX_CONNECTIONS=16", some.found);
    }

    #[test]
    fn a_configuration_that_is_wrong_is_a_line_per_error() {
        let errors = Config::from_lookup(|name| (name != "API_KEYS").then(|| "?".to_owned()));
        let findings = findings(&errors);
        assert!(findings.len() > 20);
        assert!(findings.iter().all(|it| it.mark == Mark::Failed));
    }
}
