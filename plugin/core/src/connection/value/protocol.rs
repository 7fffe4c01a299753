//! Protocols and ports.

use std::{fmt, str::FromStr};

use super::Expected;

/// A protocol, or a protocol and a port (`leftprotoport`, `rightprotoport`): `tcp/22`, `17/1701`, `icmp`, `udp/%any`,
/// `%any`. Names are looked up by libreswan in /etc/protocols and /etc/services.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProtoPort(String);

impl ProtoPort {
    /// The protocol's name or number; nothing for any.
    pub fn protocol(&self) -> Option<&str> {
        let protocol = self.0.split('/').next();
        protocol.filter(|protocol| !matches!(*protocol, "%any" | "0"))
    }

    /// The port's name or number, of ICMP type and code; nothing for any.
    pub fn port(&self) -> Option<&str> {
        let (_, port) = self.0.split_once('/')?;
        Some(port).filter(|port| !matches!(*port, "%any" | "0"))
    }
}

impl FromStr for ProtoPort {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (protocol, port) = match text.split_once('/') {
            Some((protocol, port)) => (protocol, Some(port)),
            None => (text, None),
        };
        let is_protocol = protocol == "%any" || is_number_or_name(protocol, u32::from(u8::MAX));
        let is_port = port.is_none_or(|port| port == "%any" || is_number_or_name(port, u32::from(u16::MAX)));
        if is_protocol && is_port && !(protocol == "%any" && port.is_some()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected(
                "a protocol such as tcp, 17 or %any, or protocol/port such as tcp/22 or udp/%any",
            ))
        }
    }
}

fn is_number_or_name(text: &str, max: u32) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.len() <= 5 && text.parse::<u32>().is_ok_and(|number| number <= max);
    }
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for ProtoPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_and_ports_have_names_and_numbers() {
        for text in [
            "tcp",
            "17",
            "tcp/22",
            "17/1701",
            "udp/%any",
            "%any",
            "icmp/2048",
            "tcp/ssh",
            "ipv6-icmp/34816",
        ] {
            assert_eq!(text.parse::<ProtoPort>().unwrap().to_string(), text);
        }
        for (text, protocol, port) in [
            ("tcp/ssh", Some("tcp"), Some("ssh")),
            ("17/%any", Some("17"), None),
            ("udp", Some("udp"), None),
            ("%any", None, None),
            ("0/0", None, None),
        ] {
            let parsed: ProtoPort = text.parse().unwrap();
            assert_eq!((parsed.protocol(), parsed.port()), (protocol, port), "{text}");
        }
        for text in [
            "",
            "/",
            "tcp/",
            "256",
            "tcp/65536",
            "tcp/22/1",
            "%any/22",
            "tcp/%all",
            "tcp 22",
            "tcp\n",
            "-tcp",
            "tcp/1-2 ",
        ] {
            assert!(text.parse::<ProtoPort>().is_err(), "{text:?}");
        }
    }
}
