//! `X-Forwarded-For`: a byte that says who the peer is, and the lines of the header. Only a trusted peer is believed, only an address
//! of the header, and nothing that stands left of an address that is not trusted changes anything.

#![no_main]

use std::net::IpAddr;

use central_inventory::acceptor::client_address::client_address;
use central_inventory::config::Cidr;
use hyper::header::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"];
const PEERS: [(&str, bool); 6] = [
    ("10.1.2.3", true),
    ("2001:db8::1", true),
    ("::ffff:192.0.2.1", true),
    ("203.0.113.9", false),
    ("::1", false),
    ("::ffff:203.0.113.9", false),
];
/// A client that is not trusted.
const CLIENT: &str = "198.51.100.7";

fuzz_target!(|input: &[u8]| {
    let Some((which, text)) = input.split_first() else {
        return;
    };
    let lines = text
        .split(|byte| *byte == b'\n')
        .map(HeaderValue::from_bytes);
    let Ok(lines) = lines.collect::<Result<Vec<HeaderValue>, _>>() else {
        return;
    };
    let (peer, is_trusted) = PEERS[*which as usize % PEERS.len()];
    let peer: IpAddr = peer.parse().expect("an address");
    let found = client(peer, &lines);
    assert_eq!(found.to_canonical(), found);
    if found != peer.to_canonical() {
        assert!(is_trusted, "a peer that is not trusted was believed");
        assert!(says(&lines, found), "{found} is nowhere in the header");
    }
    // Whatever a client sends, the proxies of ours append what they know.
    for behind in [
        vec![CLIENT.to_owned()],
        vec![format!("{CLIENT}, 10.0.0.7")],
        vec![
            format!("[::ffff:{CLIENT}]:80"),
            "[2001:db8::7], 10.0.0.7:443".to_owned(),
        ],
    ] {
        let behind = behind.iter().map(|line| line.parse().expect("a header"));
        let all: Vec<HeaderValue> = lines.iter().cloned().chain(behind).collect();
        let expected = if is_trusted {
            CLIENT.parse().expect("an address")
        } else {
            found
        };
        assert_eq!(expected, client(peer, &all));
    }
});

fn client(peer: IpAddr, lines: &[HeaderValue]) -> IpAddr {
    let trusted = TRUSTED.map(|network| network.parse::<Cidr>().expect("a network"));
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", line.clone());
    }
    client_address(peer, &headers, &trusted)
}

/// Whether an element of a line begins with the address, in whichever of its forms.
fn says(lines: &[HeaderValue], address: IpAddr) -> bool {
    let elements = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut elements = elements
        .filter_map(|element| std::str::from_utf8(element).ok())
        .map(str::trim_ascii);
    elements.any(|element| {
        let bare = element
            .trim_start_matches('[')
            .split(']')
            .next()
            .unwrap_or_default();
        let without_port = element.rsplit_once(':').map_or(element, |(start, _)| start);
        [element, bare, without_port].iter().any(|text| {
            text.parse::<IpAddr>()
                .is_ok_and(|read| read.to_canonical() == address)
        })
    })
}
