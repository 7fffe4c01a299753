//! Who the ends are: addresses, host names, interfaces.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{Expected, keywords};

keywords! {
    /// An address family (`hostaddrfamily`, `clientaddrfamily`).
    #[derive(PartialOrd, Ord)]
    Family, "ipv4 or ipv6" {
        /// Version 4.
        Ipv4 = "ipv4",
        /// Version 6.
        Ipv6 = "ipv6",
    }
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// Length of this family's addresses in bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

/// A host name of RFC 1123: letters, digits and hyphens, in labels of at most 63; the last label is not a number,
/// so that a mistyped IPv4 address is no name. A trailing dot is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let last_is_number = name
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        if name.len() <= 253 && name.split('.').all(is_label) && !last_is_number {
            Ok(Self(name.to_owned()))
        } else {
            Err(Expected("a host name of letters, digits, hyphens and dots"))
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A network interface's name: 1 to 15 printable characters that no path, shell or libreswan keyword is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let is_of_name =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@');
        let is_misleading = matches!(text, "." | "..") || text.starts_with('-');
        if (1..=15).contains(&text.len()) && text.bytes().all(is_of_name) && !is_misleading {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected("the name of a network interface"))
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One end of the connection (`left`, `right`) as the profile gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostAddress {
    /// A literal address, neither unspecified nor a group's.
    Ip(IpAddr),
    /// A host name, resolved when the connection is brought up and again when that changes.
    Name(HostName),
    /// `%defaultroute`: the address that the default route leaves from.
    DefaultRoute,
    /// `%eth0`: the address of this interface.
    Interface(InterfaceName),
    /// `%any`: whoever comes.
    Any,
}

/// Words behind a `%` that libreswan takes for something else than an interface.
const MAGIC: &[&str] = &[
    "any",
    "any4",
    "any6",
    "group",
    "opportunistic",
    "opportunisticgroup",
    "direct",
    "null",
    "none",
];

impl HostAddress {
    /// Parses `left`, the local end.
    ///
    /// # Errors
    /// The text is no address, name, interface or `%defaultroute`.
    pub fn parse_left(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = Expected("an IP address, a host name, %defaultroute or %<interface>");
        match text.strip_prefix('%') {
            Some("defaultroute") => Ok(Self::DefaultRoute),
            Some(magic) if MAGIC.contains(&magic) => Err(EXPECTED),
            Some(interface) => interface.parse().map(Self::Interface).map_err(|_| EXPECTED),
            None => Self::parse_host(text).ok_or(EXPECTED),
        }
    }

    /// Parses `right`, the peer.
    ///
    /// # Errors
    /// The text is no address, name or `%any`.
    pub fn parse_right(text: &str) -> Result<Self, Expected> {
        if text == "%any" {
            return Ok(Self::Any);
        }
        Self::parse_host(text).ok_or(Expected("an IP address, a host name or %any"))
    }

    /// The family of a literal address.
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Ip(address) => Some(Family::of(*address)),
            _ => None,
        }
    }

    fn parse_host(text: &str) -> Option<Self> {
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() => None,
            Ok(address) => Some(Self::Ip(address)),
            Err(_) => text.parse().ok().map(Self::Name),
        }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
            Self::DefaultRoute => formatter.write_str("%defaultroute"),
            Self::Interface(name) => write!(formatter, "%{name}"),
            Self::Any => formatter.write_str("%any"),
        }
    }
}

/// A literal address (`leftsourceip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub IpAddr);

impl FromStr for Address {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(Self(address)),
            _ => Err(Expected("an IP address")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_addresses_names_or_magic() {
        let ip = |text: &str| HostAddress::Ip(text.parse().unwrap());
        assert_eq!(HostAddress::parse_left("192.0.2.1"), Ok(ip("192.0.2.1")));
        assert_eq!(HostAddress::parse_left("2001:db8::1"), Ok(ip("2001:db8::1")));
        assert_eq!(
            HostAddress::parse_left("%defaultroute"),
            Ok(HostAddress::DefaultRoute)
        );
        assert_eq!(HostAddress::parse_right("%any"), Ok(HostAddress::Any));
        assert_eq!(
            HostAddress::parse_right("Host-B.example.org.")
                .unwrap()
                .to_string(),
            "Host-B.example.org"
        );
        assert_eq!(HostAddress::parse_left("%ppp0").unwrap().to_string(), "%ppp0");
    }

    #[test]
    fn what_is_no_end_is_refused() {
        for text in [
            "",
            "192.0.2.300",
            "1.2.3",
            "1.2.3.4/24",
            "fe80::1%eth0",
            "host_a",
            "-a.b",
            "a..b",
            ".",
            "a b",
            "a\nb",
            "a;b",
            "$(x)",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "%",
            "%any6",
            "%group",
            "%opportunistic",
            "%a/b",
            "%-x y",
            "%-x",
        ] {
            assert!(HostAddress::parse_left(text).is_err(), "{text:?}");
            assert!(HostAddress::parse_right(text).is_err(), "{text:?}");
        }
        assert!(HostAddress::parse_left("%any").is_err());
        assert!(HostAddress::parse_right("%defaultroute").is_err());
        assert!(HostAddress::parse_right("%eth0").is_err());
        assert!("a".repeat(64).parse::<HostName>().is_err());
        assert!(["a"; 127].join(".").parse::<HostName>().is_ok());
        assert!(["a"; 128].join(".").parse::<HostName>().is_err());
    }
}
