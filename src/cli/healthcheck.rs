//! `central-inventory healthcheck`: asks the server of this environment whether it is healthy, for container engines, whose
//! images have no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::config::Config;

/// Shorter than what engines wait.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks `/health`. Fails unless the answer is 200, and says why on standard error.
pub fn healthcheck() -> ExitCode {
    match ask() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn ask() -> Result<(), String> {
    let config = Config::from_env().map_err(|errors| errors.to_string())?;
    let url = url(&config);
    // It asks itself, and sends no secret: which name the certificate has does not matter.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let agent = Agent::config_builder()
        .proxy(None)
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .new_agent();
    let answer = agent.get(&url).call();
    let mut answer = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    if answer.status() == 200 {
        return Ok(());
    }
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = body.read_to_string().unwrap_or_default();
    Err(format!("{url}: {}: {}", answer.status(), body.trim_end()))
}

fn url(config: &Config) -> String {
    let scheme = match config.tls {
        Some(_) => "https",
        None => "http",
    };
    let address = match config.bind_address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    format!(
        "{scheme}://{}/health",
        SocketAddr::new(address, config.port)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_where_it_listens() {
        let of = |variables: &'static [(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(it, _)| *it == name);
            let config =
                Config::from_lookup(|name| value(name).map(|(_, text)| (*text).to_owned()));
            url(&config.unwrap())
        };
        assert_eq!("http://127.0.0.1:8080/health", of(&[]));
        assert_eq!(
            "http://[::1]:8081/health",
            of(&[("BIND_ADDRESS", "::"), ("PORT", "8081")])
        );
        assert_eq!(
            "http://192.0.2.7:8080/health",
            of(&[("BIND_ADDRESS", "192.0.2.7")])
        );
        let tls = [("TLS_CERT_PATH", "c"), ("TLS_KEY_PATH", "k")];
        let config = Config::from_lookup(|name| {
            let found = tls.iter().find(|(it, _)| *it == name);
            found.map(|(_, text)| (*text).to_owned())
        });
        assert_eq!("https://127.0.0.1:8080/health", url(&config.unwrap()));
    }
}
