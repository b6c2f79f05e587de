//! Whose request it is: the address of the peer, or, where the peer is a proxy of ours, what the proxy says.
//! Called for whatever treats clients apart.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use crate::config::Cidr;

/// The header in which each proxy appends the address that it was asked from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client, IPv4 as IPv4. `X-Forwarded-For` counts only from a peer among `trusted`: read from the
/// right, over all its lines, the first address that is not trusted. What stands left of that one, anybody can have
/// written. Where an entry is no address, nothing left of it is believed: the client is the last proxy that is known.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries.map(<[u8]>::trim_ascii) {
        // A list may have empty elements.
        if entry.is_empty() {
            continue;
        }
        let Some(address) = address(entry) else {
            break;
        };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]` or `[::1]:567`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match in_brackets {
        Some(address) => address.parse().map(IpAddr::V6).ok(),
        None => text.parse().ok(),
    };
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    Some(address.or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `peer`, the lines of the header, the trusted networks, and whose request it is.
    #[track_caller]
    fn check(peer: &str, lines: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<Cidr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let client = client_address(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(expected, client.to_string());
    }

    #[test]
    fn the_client_is_the_peer_unless_a_trusted_proxy_says_otherwise() {
        const PROXIES: &[&str] = &["10.0.0.0/8", "::1"];
        check("192.0.2.1", &[], &[], "192.0.2.1");
        check("192.0.2.1", &["203.0.113.9"], &[], "192.0.2.1");
        check("192.0.2.1", &["203.0.113.9"], PROXIES, "192.0.2.1");
        check("10.0.0.1", &[], PROXIES, "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9"], PROXIES, "203.0.113.9");
        check("::1", &["203.0.113.9"], PROXIES, "203.0.113.9");
        check("::ffff:10.0.0.1", &["203.0.113.9"], PROXIES, "203.0.113.9");
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        const PROXIES: &[&str] = &["10.0.0.0/8"];
        let check = |lines: &[&str], expected| check("10.0.0.1", lines, PROXIES, expected);
        check(&["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        check(&["1.1.1.1, 203.0.113.9, 10.0.0.7"], "203.0.113.9");
        check(&["1.1.1.1,203.0.113.9,10.0.0.7 ,\t10.0.0.8"], "203.0.113.9");
        check(
            &["1.1.1.1", "203.0.113.9, 10.0.0.7", "10.0.0.8"],
            "203.0.113.9",
        );
        check(&["203.0.113.9", "", "10.0.0.8, ,"], "203.0.113.9");
        check(&["10.0.0.9, 10.0.0.8"], "10.0.0.9");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        const PROXIES: &[&str] = &["10.0.0.0/8"];
        let check = |line, expected| check("10.0.0.1", &[line], PROXIES, expected);
        check("203.0.113.9, unknown", "10.0.0.1");
        check("203.0.113.9, unknown, 10.0.0.7", "10.0.0.7");
        check("203.0.113.9, 10.0.0.7:99999", "10.0.0.1");
        check("203.0.113.9, [10.0.0.7]", "10.0.0.1");
        check("203.0.113.9, 10.0.0.7:", "10.0.0.1");
        check("203.0.113.9; 10.0.0.7", "10.0.0.1");
    }

    #[test]
    fn addresses_may_have_brackets_and_ports() {
        const PROXIES: &[&str] = &["10.0.0.0/8"];
        let check = |line, expected| check("10.0.0.1", &[line], PROXIES, expected);
        check("203.0.113.9:567", "203.0.113.9");
        check("2001:db8::1", "2001:db8::1");
        check("[2001:db8::1]", "2001:db8::1");
        check("[2001:db8::1]:567", "2001:db8::1");
        check("::ffff:203.0.113.9", "203.0.113.9");
        check("203.0.113.9, [::ffff:10.0.0.7]:80", "203.0.113.9");
    }
}
