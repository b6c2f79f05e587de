//! A network of IP addresses, for `TRUSTED_PROXIES`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that share a prefix. An IPv4 address and its IPv6-mapped form are the same address, since a listener on `::`
/// sees IPv4 peers in that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The lowest address of the network: bits below the prefix are zero.
    network: IpAddr,
    /// Leading bits that count: 0..=32 of IPv4, 0..=128 of IPv6.
    prefix: u8,
}

impl Cidr {
    /// The network of the first `prefix` bits of `address`; `None` if the address has fewer bits.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Cidr> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) if (96..=128).contains(&prefix) => {
                (canonical, prefix - 96)
            }
            _ => (address, prefix),
        };
        (prefix <= bits(address)).then(|| Cidr {
            network: masked(address, prefix),
            prefix,
        })
    }

    /// Whether the address belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

impl FromStr for Cidr {
    type Err = String;

    /// `address/prefix`, or an address alone. Bits below the prefix may be set.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| "not an IP address".to_owned())?;
        let prefix = match prefix {
            None => bits(address),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .map_err(|_| "the prefix is not a number of bits".to_owned())?,
            Some(_) => return Err("the prefix is not a number of bits".to_owned()),
        };
        Cidr::new(address, prefix).ok_or_else(|| {
            format!(
                "the prefix is longer than the address, {} bits",
                bits(address)
            )
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with the bits below the prefix cleared. The prefix is at most the bits of the address.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let dropped = u32::from(bits(address) - prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(dropped).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let cidr: Cidr = network.parse().unwrap();
        for address in inside {
            assert!(cidr.contains(address.parse().unwrap()), "{address}");
        }
        for address in outside {
            assert!(!cidr.contains(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        check(
            "10.1.2.3/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.9.9.9"],
            &["11.0.0.0", "::10.0.0.1", "9.255.255.255"],
        );
        check("0.0.0.0/0", &["255.255.255.255"], &["::1"]);
        check("::/0", &["::1", "ffff::"], &["1.2.3.4"]);
        check("2001:db8::1/33", &["2001:db8:7fff::"], &["2001:db8:8000::"]);
        check("::ffff:192.168.7.7/112", &["192.168.0.1"], &["192.169.0.1"]);
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        check("127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]);
        check("::1", &["::1"], &["::2", "0.0.0.1"]);
        check("::ffff:1.2.3.4", &["1.2.3.4"], &["1.2.3.5"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "::/256",
            "a/8",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text:?}");
        }
    }
}
