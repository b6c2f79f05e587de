//! Gets a page from the metrics port, or a sentence that says why not and what to do.

use std::time::{Duration, Instant};

use hyper::Uri;
use ureq::Agent;

use super::page::Page;

/// For one page. A server that is not there is noticed, and a key is heard, within this.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most that is read: a server with ten thousand stores counted apart has less than a tenth of it.
const PAGE_BYTES_MAX: u64 = 16 << 20;
/// What every server of ours tells, whatever it does.
const OWN: &str = "inventory_build_info";

/// Where pages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    url: Uri,
}

/// A page and when it came.
#[derive(Debug)]
pub(super) struct Reading {
    pub page: Page,
    pub at: Instant,
}

/// Reads pages of one source.
pub(super) struct Scraper {
    agent: Agent,
    source: Source,
}

impl Source {
    /// A URL as it was written; without a path it is that of metrics.
    pub(super) fn parse(text: &str) -> Result<Source, String> {
        let with_path = |url: &Uri| match url.path() {
            "" | "/" => format!("{}/metrics", text.trim_end_matches('/')),
            _ => text.to_owned(),
        };
        let url: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        if url.scheme_str() != Some("http") || url.authority().is_none() {
            return Err("not an http:// URL, such as http://127.0.0.1:9080/metrics".to_owned());
        }
        let url = with_path(&url)
            .parse()
            .map_err(|_| "not a URL".to_owned())?;
        Ok(Source { url })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.url.fmt(f)
    }
}

impl Scraper {
    pub(super) fn new(source: Source) -> Scraper {
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        Scraper {
            agent: agent.new_agent(),
            source,
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The page as it is now.
    pub(super) fn read(&self) -> Result<Reading, String> {
        let source = &self.source;
        let answer = self.agent.get(&source.url).call();
        let mut answer = answer.map_err(|error| {
            format!(
                "{source} does not answer ({error}). Is the server running, and is METRICS_PORT the port of --url?"
            )
        })?;
        let status = answer.status();
        if status != 200 {
            return Err(not_ours(
                source,
                &format!("it answers with status {status}"),
            ));
        }
        let body = answer
            .body_mut()
            .with_config()
            .limit(PAGE_BYTES_MAX)
            .read_to_string();
        let at = Instant::now();
        let text = body.map_err(|error| format!("the page at {source} cannot be read: {error}"))?;
        let page = Page::parse(&text).ok_or_else(|| not_ours(source, "the page is no metrics"))?;
        match page.level(OWN, &[]) {
            Some(_) => Ok(Reading { page, at }),
            None => Err(not_ours(source, "these are the metrics of something else")),
        }
    }
}

fn not_ours(source: &Source, why: &str) -> String {
    format!(
        "{source} is not the metrics port of a central-inventory: {why}. It is the one that METRICS_PORT names, 9080 \
         unless set, and the path is /metrics."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_that_of_metrics() {
        let parsed = |text| Source::parse(text).map(|source| source.to_string());
        assert_eq!(
            Ok("http://a:9080/metrics".to_owned()),
            parsed("http://a:9080")
        );
        assert_eq!(
            Ok("http://a:9080/metrics".to_owned()),
            parsed("http://a:9080/")
        );
        assert_eq!(
            Ok("http://[::1]:1/x".to_owned()),
            parsed("http://[::1]:1/x")
        );
        for text in ["a:9080", "https://a/metrics", "/metrics", "", "http://"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
