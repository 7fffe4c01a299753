//! Subnets and traffic selectors.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{Expected, address::Family, protocol::ProtoPort};

/// A subnet. Bits behind the prefix are zero: `10.0.0.1/24` is read as `10.0.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    network: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The subnet of `address` with a prefix of `prefix` bits; nothing if there are not that many.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(address) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { network, prefix })
    }

    /// The subnet that is `address` alone.
    pub fn host(address: IpAddr) -> Self {
        Self {
            network: address,
            prefix: Family::of(address).bits(),
        }
    }

    /// All addresses of a family.
    pub fn everything(family: Family) -> Self {
        let network = match family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { network, prefix: 0 }
    }

    /// The subnet of `address` and a netmask of the same family; nothing if the mask has holes.
    pub fn with_mask(address: IpAddr, mask: IpAddr) -> Option<Self> {
        let (ones, is_prefix) = match mask {
            IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
            IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
        };
        if ones != is_prefix || mask.is_ipv4() != address.is_ipv4() {
            return None;
        }
        Self::new(address, u8::try_from(ones).ok()?)
    }

    /// The first address.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// Length of the prefix in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The family of the addresses.
    pub fn family(self) -> Family {
        Family::of(self.network)
    }

    /// Whether `address` is in the subnet.
    pub fn contains(self, address: IpAddr) -> bool {
        Self::new(address, self.prefix).is_some_and(|other| other.network == self.network)
    }

    /// Whether the subnet is one address.
    pub fn is_host(self) -> bool {
        self.prefix == self.family().bits()
    }

    /// Whether the subnet is all of its family.
    pub fn is_everything(self) -> bool {
        self.prefix == 0
    }
}

const SUBNET: Expected = Expected("a subnet such as 192.0.2.0/24 or 2001:db8::/64");

impl FromStr for Subnet {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| SUBNET)?;
        match mask {
            None => Some(Self::host(address)),
            Some(mask) => match (parse_prefix(mask), mask.parse::<Ipv4Addr>()) {
                (Some(prefix), _) => Self::new(address, prefix),
                (None, Ok(mask)) => Self::with_mask(address, IpAddr::V4(mask)),
                (None, Err(_)) => None,
            },
        }
        .ok_or(SUBNET)
    }
}

fn parse_prefix(text: &str) -> Option<u8> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}

/// Most subnets or selectors in one key.
const MAX_SUBNETS: usize = 128;

/// Several subnets (`leftsubnets`, `rightsubnets`), each becoming a connection of its own in pluto. Written with commas
/// or blanks between them and optional braces around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnets(Vec<Subnet>);

impl Subnets {
    /// The subnets, in the order of the profile; at least one.
    pub fn as_slice(&self) -> &[Subnet] {
        &self.0
    }
}

impl FromStr for Subnets {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected =
            Expected("subnets separated by commas, such as 192.0.2.0/24,198.51.100.0/24");
        let inner = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(EXPECTED)?,
            None => text,
        };
        let subnets = inner
            .split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<Vec<Subnet>, _>>()
            .map_err(|_| EXPECTED)?;
        if subnets.is_empty() || subnets.len() > MAX_SUBNETS {
            return Err(EXPECTED);
        }
        Ok(Self(subnets))
    }
}

impl fmt::Display for Subnets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(&self.0, formatter)
    }
}

/// A traffic selector of IKEv2: a subnet, limited to a protocol and a port if they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The addresses.
    pub subnet: Subnet,
    /// The protocol and port, all if none.
    pub protoport: Option<ProtoPort>,
}

/// Traffic selectors (`leftsubnet`, `rightsubnet`), separated by commas. libreswan 4 knows one, without protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selectors(Vec<Selector>);

impl Selectors {
    /// The selectors, in the order of the profile; at least one.
    pub fn as_slice(&self) -> &[Selector] {
        &self.0
    }

    /// Whether this is one subnet with all its protocols: all that libreswan 4 and IKEv1 know.
    pub fn is_simple(&self) -> bool {
        matches!(self.0.as_slice(), [Selector { protoport: None, .. }])
    }
}

impl From<Subnet> for Selectors {
    fn from(subnet: Subnet) -> Self {
        Self(vec![Selector {
            subnet,
            protoport: None,
        }])
    }
}

impl FromStr for Selector {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let end_of_subnet = text
            .match_indices('/')
            .nth(1)
            .map_or(text.len(), |(position, _)| position);
        let (subnet, rest) = text.split_at(end_of_subnet);
        let protoport = rest.strip_prefix('/').map(str::parse).transpose()?;
        Ok(Self {
            subnet: subnet.parse()?,
            protoport,
        })
    }
}

impl FromStr for Selectors {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = Expected(
            "subnets such as 192.0.2.0/24 or 2001:db8::/64, several separated by commas, each with /protocol/port if need be",
        );
        let selectors = text
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<Selector>, _>>()
            .map_err(|_| EXPECTED)?;
        if selectors.len() > MAX_SUBNETS {
            return Err(EXPECTED);
        }
        Ok(Self(selectors))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.protoport {
            None => self.subnet.fmt(formatter),
            Some(protoport) => write!(formatter, "{}/{protoport}", self.subnet),
        }
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(&self.0, formatter)
    }
}

fn join<T: fmt::Display>(parts: &[T], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            formatter.write_str(",")?;
        }
        part.fmt(formatter)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_normalised() {
        for (text, rendered) in [
            ("192.0.2.252/32", "192.0.2.252/32"),
            ("192.0.2.252", "192.0.2.252/32"),
            ("10.0.0.1/24", "10.0.0.0/24"),
            ("10.0.0.0/255.255.0.0", "10.0.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("::/0", "::/0"),
            ("2001:DB8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), rendered, "{text}");
        }
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/255.0.255.0",
            "::/129",
            "::/255.0.0.0",
            "10.0.0.0/-1",
            "10.0/8",
            "10.0.0.0/+8",
            "%any",
            "10.0.0.0/8\n",
            "vhost:%no",
            "host/32",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text:?}");
        }
        assert!(Subnet::everything(Family::Ipv6).is_everything());
        let subnet: Subnet = "10.1.0.0/16".parse().unwrap();
        assert!(subnet.contains("10.1.255.255".parse().unwrap()));
        assert!(!subnet.contains("10.2.0.0".parse().unwrap()) && !subnet.contains("::".parse().unwrap()));
        assert!(Subnet::host("::1".parse().unwrap()).is_host());
    }

    #[test]
    fn lists_have_several_spellings() {
        for text in [
            "10.0.0.0/8,10.1.0.0/16",
            "{10.0.0.0/8 10.1.0.0/16}",
            "10.0.0.0/8, 10.1.0.0/16",
            "{10.0.0.0/8,10.1.0.0/16,}",
        ] {
            assert_eq!(
                text.parse::<Subnets>().unwrap().to_string(),
                "10.0.0.0/8,10.1.0.0/16",
                "{text}"
            );
        }
        for text in [
            "",
            "{}",
            "{10.0.0.0/8",
            "10.0.0.0/8}",
            "10.0.0.0/8;10.1.0.0/16",
            ",",
        ] {
            assert!(text.parse::<Subnets>().is_err(), "{text:?}");
        }
        assert!(
            vec!["10.0.0.0/8"; MAX_SUBNETS + 1]
                .join(",")
                .parse::<Subnets>()
                .is_err()
        );
    }

    #[test]
    fn selectors_may_have_protocol_and_port() {
        for (text, rendered, simple) in [
            ("192.0.2.1/32", "192.0.2.1/32", true),
            ("10.0.0.0/24,2001:db8::/64", "10.0.0.0/24,2001:db8::/64", false),
            (
                "1.2.3.4/31/tcp/22,1:2::/128/tcp",
                "1.2.3.4/31/tcp/22,1:2::/128/tcp",
                false,
            ),
        ] {
            let selectors: Selectors = text.parse().unwrap();
            assert_eq!(selectors.to_string(), rendered);
            assert_eq!(selectors.is_simple(), simple, "{text}");
        }
        for text in [
            "",
            "10.0.0.0/8,",
            "10.0.0.0/8/",
            "10.0.0.0/8/tcp/",
            "10.0.0.0/8/tcp/22/1",
            "10.0.0.0/8 10.1.0.0/16",
        ] {
            assert!(text.parse::<Selectors>().is_err(), "{text:?}");
        }
    }
}
