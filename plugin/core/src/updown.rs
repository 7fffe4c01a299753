//! What pluto tells its updown command: a typed view of the `PLUTO_` variables (ipsec_pluto(8), libreswan(7)).
//!
//! Name servers, domains and the banner are the peer's words: what is not of their form is dropped. Everything else is
//! pluto's own; what is not of its form is an error. Unknown variables are ignored.

use std::{collections::HashMap, net::IpAddr};

use crate::connection::{
    ConnType, Family, HostName, InterfaceName, Subnet,
    value::{self, policy::Mark},
};

/// The variables that the helper forwards to the daemon.
pub const FORWARDED: &[&str] = &[
    "PLUTO_VERB",
    "PLUTO_CONNECTION",
    "PLUTO_CONNECTION_TYPE",
    "PLUTO_INTERFACE",
    "PLUTO_VIRT_INTERFACE",
    "PLUTO_XFRMI_ROUTE",
    "PLUTO_XFRMI_FWMARK",
    "PLUTO_NEXT_HOP",
    "PLUTO_ME",
    "PLUTO_MY_CLIENT",
    "PLUTO_MY_CLIENT_NET",
    "PLUTO_MY_CLIENT_MASK",
    "PLUTO_MY_SOURCEIP",
    "PLUTO_PEER",
    "PLUTO_PEER_CLIENT",
    "PLUTO_PEER_CLIENT_NET",
    "PLUTO_PEER_CLIENT_MASK",
    "PLUTO_PEER_DNS_INFO",
    "PLUTO_PEER_DOMAIN_INFO",
    "PLUTO_PEER_BANNER",
    "PLUTO_SA_REQID",
    "PLUTO_MTU",
    "PLUTO_MOBIKE_EVENT",
    "SPI_IN",
    "SPI_OUT",
];

/// Whether a report with this `PLUTO_VERB` is of use to anybody: that a connection is up, or caught by a trap. The kernel
/// tells of what goes.
pub fn is_of_use(verb: &str) -> bool {
    parse_verb(verb).is_some_and(|verb| matches!(verb.action, Action::Up | Action::Route))
}

/// Most name servers or domains that are taken from a peer.
const MAX_PEER_LIST: usize = 16;
/// Most characters of a peer's banner.
const MAX_BANNER: usize = 1024;
/// Longest variable, in bytes.
const MAX_VARIABLE: usize = 8192;

/// What pluto is doing to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// About to route the connection.
    Prepare,
    /// Packets are to be caught; of an on-demand connection, before there are SAs.
    Route,
    /// Packets are to be caught no more.
    Unroute,
    /// The SAs are there.
    Up,
    /// The SAs are gone or going.
    Down,
    /// Anything else that pluto tells its command; nothing is to be done.
    Other,
}

/// Whether the connection is for the peer alone or for a subnet behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// From host to host.
    Host,
    /// A subnet takes part.
    Client,
}

/// `PLUTO_VERB`, such as `up-client-v6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verb {
    /// What pluto is doing.
    pub action: Action,
    /// For whom.
    pub scope: Scope,
    /// The suffix `-v6`: the family of the ends or, since libreswan 5, of the clients.
    pub family: Family,
}

/// One call of the updown command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updown {
    /// `PLUTO_VERB`.
    pub verb: Verb,
    /// `PLUTO_CONNECTION`: the connection's name in pluto; compare with [`crate::render::PlutoName::owns`].
    pub connection: String,
    /// `PLUTO_PEER`: the peer's address.
    pub peer: Option<IpAddr>,
    /// `PLUTO_PEER_CLIENT_NET` and `_MASK`: the peer's side of the traffic.
    pub peer_client: Option<Subnet>,
    /// `PLUTO_ME`: this host's address.
    pub me: Option<IpAddr>,
    /// `PLUTO_MY_CLIENT_NET` and `_MASK`: this host's side of the traffic.
    pub my_client: Option<Subnet>,
    /// `PLUTO_MY_SOURCEIP`: the address that packets into the tunnel come from; the one that the peer assigned, if it did.
    pub my_sourceip: Option<IpAddr>,
    /// `PLUTO_NEXT_HOP`: where packets for the peer go next; the peer itself on the same link.
    pub next_hop: Option<IpAddr>,
    /// `PLUTO_INTERFACE`: the device that packets for the peer leave by.
    pub interface: Option<InterfaceName>,
    /// `PLUTO_VIRT_INTERFACE`: the virtual device of `ipsec-interface`, else the same as `interface`.
    pub virt_interface: Option<InterfaceName>,
    /// `PLUTO_XFRMI_ROUTE`: whether the virtual device needs routes.
    pub xfrmi_route: bool,
    /// `PLUTO_XFRMI_FWMARK`: the mark of the packets that ESP has made, where they must not enter the device again.
    pub xfrmi_fwmark: Option<Mark>,
    /// `PLUTO_PEER_DNS_INFO`: name servers that the peer offers.
    pub dns: Vec<IpAddr>,
    /// `PLUTO_PEER_DOMAIN_INFO`: domains that those servers are for.
    pub domains: Vec<HostName>,
    /// `PLUTO_PEER_BANNER`: the peer's greeting, in printable characters.
    pub banner: Option<String>,
    /// `PLUTO_SA_REQID`: the request id of the kernel's policies.
    pub reqid: Option<u32>,
    /// `PLUTO_CONNECTION_TYPE`: the mode.
    pub conn_type: Option<ConnType>,
    /// `PLUTO_MTU`: largest packet on the routes, in bytes.
    pub mtu: Option<u32>,
    /// Whether an established tunnel is moving to another address (`PLUTO_MOBIKE_EVENT`).
    pub is_mobike_move: bool,
    /// `SPI_IN`, where pluto gives one: as libreswan 5.2 fills it in, the SPI of the packets to the peer.
    pub spi_in: Option<u32>,
    /// `SPI_OUT`, where pluto gives one: the SPI of the packets from the peer.
    pub spi_out: Option<u32>,
}

/// The variables are not pluto's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpdown {
    /// A variable is missing.
    #[error("the variable {0} is missing")]
    Missing(&'static str),
    /// A variable is not of its form.
    #[error("the variable {variable} is not {expected}: {value}")]
    Malformed {
        /// Its name.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
        /// Its value, escaped and shortened.
        value: String,
    },
}

impl Updown {
    /// Reads the variables of one call; of a variable that is there twice, the last counts.
    ///
    /// # Errors
    /// The verb or the connection is missing, or a variable of pluto's own is not of its form.
    pub fn from_env<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Self, InvalidUpdown>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let known = variables.into_iter().filter_map(|(name, value)| {
            let name = FORWARDED.iter().find(|known| **known == name.as_ref())?;
            Some((*name, value.as_ref().to_owned()))
        });
        let variables = Variables(known.collect());
        Ok(Self {
            verb: variables.required("PLUTO_VERB", "a verb of pluto", parse_verb)?,
            connection: variables.required("PLUTO_CONNECTION", "a connection's name", parse_connection)?,
            peer: variables.address("PLUTO_PEER")?,
            peer_client: variables.subnet("PLUTO_PEER_CLIENT_NET", "PLUTO_PEER_CLIENT_MASK")?,
            me: variables.address("PLUTO_ME")?,
            my_client: variables.subnet("PLUTO_MY_CLIENT_NET", "PLUTO_MY_CLIENT_MASK")?,
            my_sourceip: variables.address("PLUTO_MY_SOURCEIP")?,
            next_hop: variables.address("PLUTO_NEXT_HOP")?,
            interface: variables.interface("PLUTO_INTERFACE")?,
            virt_interface: variables.interface("PLUTO_VIRT_INTERFACE")?,
            xfrmi_route: variables.text("PLUTO_XFRMI_ROUTE") == Some("yes"),
            xfrmi_fwmark: variables.optional("PLUTO_XFRMI_FWMARK", "a mark", |text| text.parse().ok())?,
            dns: variables.peer_list("PLUTO_PEER_DNS_INFO", |text| usable(text.parse().ok()?)),
            domains: variables.peer_list("PLUTO_PEER_DOMAIN_INFO", |text| text.parse().ok()),
            banner: variables.banner(),
            reqid: variables.optional("PLUTO_SA_REQID", "a number", parse_number)?,
            conn_type: variables
                .text("PLUTO_CONNECTION_TYPE")
                .and_then(|text| text.parse().ok()),
            mtu: variables
                .optional("PLUTO_MTU", "a number", parse_number)?
                .filter(|mtu| *mtu > 0),
            is_mobike_move: variables.text("PLUTO_MOBIKE_EVENT") == Some("yes"),
            spi_in: variables
                .optional("SPI_IN", "a number", parse_number)?
                .filter(|spi| *spi > 0),
            spi_out: variables
                .optional("SPI_OUT", "a number", parse_number)?
                .filter(|spi| *spi > 0),
        })
    }
}

/// The forwarded variables by name.
struct Variables(HashMap<&'static str, String>);

impl Variables {
    /// A variable that is there and not empty.
    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn optional<T>(
        &self,
        variable: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, InvalidUpdown> {
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        let parsed = if text.len() <= MAX_VARIABLE {
            parse(text)
        } else {
            None
        };
        parsed.map(Some).ok_or_else(|| InvalidUpdown::Malformed {
            variable,
            expected,
            value: text.chars().take(80).flat_map(char::escape_debug).collect(),
        })
    }

    fn required<T>(
        &self,
        variable: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, InvalidUpdown> {
        self.optional(variable, expected, parse)?
            .ok_or(InvalidUpdown::Missing(variable))
    }

    /// An address; the unspecified one is pluto's way to say that there is none.
    fn address(&self, variable: &'static str) -> Result<Option<IpAddr>, InvalidUpdown> {
        let address = self.optional(variable, "an IP address", |text| text.parse::<IpAddr>().ok())?;
        Ok(address.filter(|address| !address.is_unspecified()))
    }

    fn subnet(&self, net: &'static str, mask: &'static str) -> Result<Option<Subnet>, InvalidUpdown> {
        let network = self.optional(net, "an IP address", |text| text.parse::<IpAddr>().ok())?;
        let mask_address = self.optional(mask, "a netmask", |text| text.parse::<IpAddr>().ok())?;
        match (network, mask_address) {
            (Some(network), Some(address)) => {
                Subnet::with_mask(network, address)
                    .map(Some)
                    .ok_or_else(|| InvalidUpdown::Malformed {
                        variable: mask,
                        expected: "a netmask of the network's family",
                        value: address.to_string(),
                    })
            }
            _ => Ok(None),
        }
    }

    /// A device; `NULL` is pluto's way to say that there is none.
    fn interface(&self, variable: &'static str) -> Result<Option<InterfaceName>, InvalidUpdown> {
        if self.text(variable) == Some("NULL") {
            return Ok(None);
        }
        self.optional(variable, "the name of a network interface", |text| {
            text.parse().ok()
        })
    }

    /// A list of the peer's making.
    fn peer_list<T: PartialEq>(&self, variable: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let mut list = Vec::new();
        let text = self
            .text(variable)
            .filter(|text| text.len() <= MAX_VARIABLE)
            .unwrap_or_default();
        for item in text.split([' ', ',', '\t']).filter_map(parse) {
            if !list.contains(&item) && list.len() < MAX_PEER_LIST {
                list.push(item);
            }
        }
        list
    }

    fn banner(&self) -> Option<String> {
        let banner: String = self
            .text("PLUTO_PEER_BANNER")?
            .chars()
            .filter(|character| value::is_printable(*character))
            .take(MAX_BANNER)
            .collect();
        let banner = banner.trim();
        (!banner.is_empty()).then(|| banner.to_owned())
    }
}

/// An address that a host can have.
fn usable(address: IpAddr) -> Option<IpAddr> {
    let is_host = !address.is_unspecified() && !address.is_multicast();
    is_host.then_some(address)
}

fn parse_verb(text: &str) -> Option<Verb> {
    let (rest, family) = match text.strip_suffix("-v6") {
        Some(rest) => (rest, Family::Ipv6),
        None => (text, Family::Ipv4),
    };
    let (word, scope) = rest.rsplit_once('-')?;
    let scope = match scope {
        "host" => Scope::Host,
        "client" => Scope::Client,
        _ => return None,
    };
    let action = match word {
        "prepare" => Action::Prepare,
        "route" => Action::Route,
        "unroute" => Action::Unroute,
        "up" => Action::Up,
        "down" => Action::Down,
        _ if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()) => Action::Other,
        _ => return None,
    };
    Some(Verb {
        action,
        scope,
        family,
    })
}

fn parse_connection(text: &str) -> Option<String> {
    let is_of_name = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b'[' | b']' | b'#')
    };
    (text.len() <= 255 && text.bytes().all(is_of_name)).then(|| text.to_owned())
}

fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

#[cfg(test)]
mod tests;
