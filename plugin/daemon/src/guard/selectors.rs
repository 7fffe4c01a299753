//! From where to where a connection encrypts, as far as its profile says so and its names have been resolved.

use std::net::IpAddr;

use nmstate_ipsec_core::connection::{
    Connection, Family, HostAddress, ProtoPort, Selectors, Subnet, Subnets,
};

/// Protocols that have ports, by name and number.
const WITH_PORTS: &[&str] = &[
    "tcp", "6", "udp", "17", "dccp", "33", "sctp", "132", "udplite", "136",
];

/// Packets of one family that a connection encrypts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// The family.
    pub family: Family,
    /// Where they come from.
    pub from: Place,
    /// Where they go.
    pub to: Vec<Subnet>,
    /// What they are; nothing if it does not matter.
    pub protocol: Option<Protocol>,
}

/// Where packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Any address of this host: which of them it will be is for pluto to find, or for the peer to say.
    Own,
    /// These.
    In(Vec<Subnet>),
}

/// A protocol, and ports of it, by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    /// The protocol.
    pub protocol: String,
    /// The port that they come from; nothing if it does not matter.
    pub from_port: Option<String>,
    /// The port that they go to, likewise.
    pub to_port: Option<String>,
}

/// One side of the protected traffic that has one protocol and port.
struct Side<'a> {
    place: Place,
    protoport: Option<&'a ProtoPort>,
}

impl Side<'_> {
    /// What is in it of a family, unless that is nothing.
    fn of(&self, family: Family) -> Option<Place> {
        match &self.place {
            Place::Own => Some(Place::Own),
            Place::In(subnets) => {
                let of_family = subnets.iter().filter(|subnet| subnet.family() == family);
                let subnets: Vec<Subnet> = of_family.copied().collect();
                (!subnets.is_empty()).then_some(Place::In(subnets))
            }
        }
    }
}

/// What the connection encrypts. That is nothing yet if the peer is a name of which no address is known.
pub(super) fn flows(connection: &Connection, peers: &[IpAddr]) -> Vec<Flow> {
    let (ours, theirs) = (ours(connection), theirs(connection, peers));
    let mut flows = Vec::new();
    for (ours, theirs) in ours
        .iter()
        .flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)))
    {
        for family in [Family::Ipv4, Family::Ipv6] {
            if let (Some(from), Some(Place::In(to))) = (ours.of(family), theirs.of(family)) {
                let protocol = protocol(ours.protoport, theirs.protoport);
                flows.push(Flow {
                    family,
                    from,
                    to,
                    protocol,
                });
            }
        }
    }
    flows
}

/// This host's side. Where it is the host itself, only a literal address is taken at its word: an interface, a name or the
/// default route may have another address tomorrow, before anybody has looked, and a peer may give one.
fn ours(connection: &Connection) -> Vec<Side<'_>> {
    let protoport = connection.leftprotoport.as_ref();
    let declared = declared(
        connection.leftsubnet.as_ref(),
        connection.leftsubnets.as_ref(),
        protoport,
    );
    if !declared.is_empty() {
        return declared;
    }
    let place = match connection.left {
        HostAddress::Ip(address) if !connection.is_mode_config_client() => {
            Place::In(vec![Subnet::host(address)])
        }
        _ => Place::Own,
    };
    vec![Side { place, protoport }]
}

/// The peer's side.
fn theirs<'a>(connection: &'a Connection, peers: &[IpAddr]) -> Vec<Side<'a>> {
    let protoport = connection.rightprotoport.as_ref();
    let declared = declared(
        connection.rightsubnet.as_ref(),
        connection.rightsubnets.as_ref(),
        protoport,
    );
    if !declared.is_empty() {
        return declared;
    }
    let mut subnets: Vec<Subnet> = families(connection, peers)
        .into_iter()
        .filter_map(|family| connection.default_remote_subnet(family))
        .collect();
    subnets.dedup();
    if subnets.is_empty() {
        match connection.right {
            HostAddress::Ip(address) => subnets.push(Subnet::host(address)),
            _ => subnets.extend(peers.iter().map(|peer| Subnet::host(*peer))),
        }
    }
    let place = Place::In(subnets);
    vec![Side { place, protoport }]
}

/// The families that the ends may be of.
fn families(connection: &Connection, peers: &[IpAddr]) -> Vec<Family> {
    if let Some(family) = connection.host_family() {
        return vec![family];
    }
    let mut families: Vec<Family> = peers.iter().map(|peer| Family::of(*peer)).collect();
    families.sort_unstable();
    families.dedup();
    if families.is_empty() {
        families.extend([Family::Ipv4, Family::Ipv6]);
    }
    families
}

/// A side as it is declared, those subnets together that have the same protocol and port.
fn declared<'a>(
    selectors: Option<&'a Selectors>,
    subnets: Option<&'a Subnets>,
    protoport: Option<&'a ProtoPort>,
) -> Vec<Side<'a>> {
    let of_selectors = selectors
        .map(Selectors::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|selector| (selector.subnet, selector.protoport.as_ref().or(protoport)));
    let of_subnets = subnets
        .map(Subnets::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|subnet| (*subnet, protoport));
    let mut groups: Vec<(Option<&ProtoPort>, Vec<Subnet>)> = Vec::new();
    for (subnet, protoport) in of_selectors.chain(of_subnets) {
        match groups.iter_mut().find(|(known, _)| *known == protoport) {
            Some((_, subnets)) if subnets.contains(&subnet) => {}
            Some((_, subnets)) => subnets.push(subnet),
            None => groups.push((protoport, vec![subnet])),
        }
    }
    groups
        .into_iter()
        .map(|(protoport, subnets)| Side {
            place: Place::In(subnets),
            protoport,
        })
        .collect()
}

/// The protocol and ports of both sides together. Ports of what has none, which are types of ICMP, do not matter: all of the
/// protocol is meant then. So are all protocols if the sides do not agree on one.
fn protocol(ours: Option<&ProtoPort>, theirs: Option<&ProtoPort>) -> Option<Protocol> {
    let of = |side: Option<&ProtoPort>| side.and_then(ProtoPort::protocol).map(ToOwned::to_owned);
    let protocol = match (of(ours), of(theirs)) {
        (Some(one), Some(other)) if one != other => return None,
        (one, other) => one.or(other)?,
    };
    let has_ports = WITH_PORTS.contains(&protocol.as_str());
    let port = |side: Option<&ProtoPort>| {
        let port = side.and_then(ProtoPort::port).filter(|_| has_ports);
        port.map(ToOwned::to_owned)
    };
    Some(Protocol {
        from_port: port(ours),
        to_port: port(theirs),
        protocol,
    })
}
