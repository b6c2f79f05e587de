//! What a receiver is told of this process, beside the numbers.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::translate::{attribute, number};
use crate::config::Otlp;

/// This process: its name and what else the operator says of it, its version, an id that no other process has, its machine
/// and its number. What the operator says goes first.
pub(super) fn of_this_process(config: &Otlp) -> Resource {
    let own = [
        attribute("service.version", env!("CARGO_PKG_VERSION")),
        attribute("service.instance.id", random_uuid()),
        attribute("host.name", host_name()),
        number("process.pid", i64::from(std::process::id())),
    ];
    let told = config.attributes.iter();
    let mut attributes = vec![attribute("service.name", &*config.service_name)];
    let all = told
        .map(|(name, value)| attribute(&**name, &**value))
        .chain(own);
    for one in all {
        if !attributes
            .iter()
            .any(|known: &KeyValue| known.key == one.key)
        {
            attributes.push(one);
        }
    }
    Resource {
        attributes,
        ..Resource::default()
    }
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Version 4: all by chance.
fn random_uuid() -> String {
    let mut bytes = [0; 16];
    // Without chance there is still the number of the process.
    let _ = getrandom::fill(&mut bytes);
    let mut number = u128::from_be_bytes(bytes);
    number = number & !(0xf << 76) | 4 << 76;
    number = number & !(0b11 << 62) | 0b10 << 62;
    let digits = format!("{number:032x}");
    let (parts, mut at) = ([8, 4, 4, 4, 12], 0);
    let parts = parts.map(|length| {
        at += length;
        &digits[at - length..at]
    });
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instance_has_a_uuid_of_its_own() {
        let id = random_uuid();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(vec![8, 4, 4, 4, 12], lengths);
        assert_eq!(Some("4"), id.get(14..15));
        assert!(["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
        assert_ne!(id, random_uuid());
    }

    #[test]
    fn what_the_operator_says_goes_before_what_the_process_knows() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let config = Otlp {
            endpoint: "http://a/".parse().unwrap(),
            headers: Vec::new(),
            certificates: None,
            timeout: Duration::ZERO,
            interval: Duration::ZERO,
            service_name: "stock".to_owned(),
            attributes: vec![pair("host.name", "h"), pair("region", "r")],
        };
        let attributes = of_this_process(&config).attributes;
        let names: Vec<&str> = attributes.iter().map(|a| &*a.key).collect();
        let expected =
            "service.name host.name region service.version service.instance.id process.pid";
        assert_eq!(expected, names.join(" "));
        assert_eq!(attribute("host.name", "h"), attributes[1]);
    }
}
