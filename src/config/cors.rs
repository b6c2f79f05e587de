//! The origins of `CORS_ALLOWED_ORIGINS`, in the form in which browsers send them.

use std::net::Ipv6Addr;

use super::parse;
use super::variables::Variable;

/// Whose pages may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's.
    Any,
    /// Those of these origins, each `scheme://host[:port]` in lower case and without the scheme's own port.
    List(Vec<Box<str>>),
}

impl CorsOrigins {
    /// Whether the value of an `Origin` header is among them. Browsers send it in the normal form, so bytes are compared.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            CorsOrigins::Any => true,
            CorsOrigins::List(origins) => origins.iter().any(|allowed| **allowed == *origin),
        }
    }

    pub(super) fn parse(variable: &Variable, text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(CorsOrigins::Any);
        }
        let origins = parse::list::<Origin>(variable, text)?;
        Ok(CorsOrigins::List(
            origins.into_iter().map(|origin| origin.0).collect(),
        ))
    }
}

/// One origin in its normal form.
struct Origin(Box<str>);

impl std::str::FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Err("* stands alone or not at all");
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or("no scheme://")?;
        if !is_scheme(scheme) {
            return Err("not a scheme before ://");
        }
        if authority.contains(['/', '?', '#']) {
            return Err("an origin ends after host and port, without a slash");
        }
        let (host, port) = split_port(authority)?;
        if !is_host(host) {
            return Err("not a host after ://");
        }
        Ok(Origin(match port {
            Some(port) if Some(port) != scheme_port(scheme) => {
                format!("{scheme}://{host}:{port}").into()
            }
            _ => format!("{scheme}://{host}").into(),
        }))
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[host_end..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(host_end + colon);
    let digits = &port[1..];
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is not a number");
    }
    let port = digits.parse().map_err(|_| "the port is not 0-65535")?;
    Ok((host, Some(port)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A name in ASCII (others as punycode), an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    if let Some(address) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The port that a browser leaves out.
fn scheme_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
