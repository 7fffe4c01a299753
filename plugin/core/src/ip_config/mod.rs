//! What NetworkManager is told about an established connection: the dictionaries of its VPN contract.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod dict;
mod routing;

pub use dict::Dict;
pub use routing::{Detour, KernelRoute, Routing};

use crate::{
    connection::{Family, InterfaceName, IpsecInterface, Subnet, value::policy::Mtu},
    profile::{IpMethod, Profile},
    render::ResolvedEnds,
    updown::Updown,
};

/// The configuration of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// What concerns both families.
    pub config: Config,
    /// IPv4, if there is anything to configure and the profile wants it from the tunnel.
    pub ip4: Option<Ip4Config>,
    /// IPv6, likewise.
    pub ip6: Option<Ip6Config>,
}

/// The dictionary `Config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The peer's address. NetworkManager insists on one; there is none only while nobody has come to `%any`.
    pub gateway: Option<IpAddr>,
    /// The virtual device, if the connection has one.
    pub tundev: Option<InterfaceName>,
    /// The peer's greeting.
    pub banner: Option<String>,
    /// Largest packet through the virtual device, in bytes.
    pub mtu: Option<u32>,
    /// Whether an `Ip4Config` follows; NetworkManager waits for it.
    pub has_ip4: bool,
    /// Whether an `Ip6Config` follows; NetworkManager waits for it.
    pub has_ip6: bool,
}

/// The dictionary `Ip4Config`.
pub type Ip4Config = IpConfig<Ipv4Addr>;

/// The dictionary `Ip6Config`.
pub type Ip6Config = IpConfig<Ipv6Addr>;

/// The configuration of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpConfig<A> {
    /// Where packets for the routes go next, if there is no virtual device.
    pub internal_gateway: Option<A>,
    /// The address that the peer assigned; a host's, and its own point-to-point partner.
    pub address: Option<A>,
    /// Name servers that the peer offers.
    pub dns: Vec<A>,
    /// Domains that those servers are for.
    pub domains: Vec<String>,
    /// The peer's side of the traffic.
    pub routes: Vec<Route<A>>,
}

/// A route to a part of the peer's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<A> {
    /// The network.
    pub network: A,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Where packets go next; directly to the device if nowhere.
    pub next_hop: Option<A>,
    /// The address that packets come from, if the profile or the peer has set one.
    pub source: Option<A>,
}

/// Addresses of one family.
pub trait FamilyAddress: Copy + PartialEq {
    /// The address, if it is one of this family and not the unspecified one.
    fn from_ip(address: IpAddr) -> Option<Self>;
    /// The network, which may be the unspecified address.
    fn from_network(address: IpAddr) -> Option<Self>;
    /// The family.
    const FAMILY: Family;
    /// What everything is split into, so that no default route is replaced.
    fn everything() -> Vec<(Self, u8)>;
}

impl FamilyAddress for Ipv4Addr {
    const FAMILY: Family = Family::Ipv4;

    fn from_ip(address: IpAddr) -> Option<Self> {
        Self::from_network(address).filter(|address| !address.is_unspecified())
    }

    fn from_network(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn everything() -> Vec<(Self, u8)> {
        vec![(Self::UNSPECIFIED, 1), (Self::new(128, 0, 0, 0), 1)]
    }
}

impl FamilyAddress for Ipv6Addr {
    const FAMILY: Family = Family::Ipv6;

    fn from_ip(address: IpAddr) -> Option<Self> {
        Self::from_network(address).filter(|address| !address.is_unspecified())
    }

    fn from_network(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }

    fn everything() -> Vec<(Self, u8)> {
        vec![(Self::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)]
    }
}

/// What to tell NetworkManager about a connection, from what pluto told its updown command: one call for each pair of
/// subnets, of the verbs `up` or, on demand, `route`. Without any, the routes are those that the profile names.
pub fn network_config(profile: &Profile, ends: &ResolvedEnds, updowns: &[Updown]) -> NetworkConfig {
    let facts = Facts::new(profile, ends, updowns);
    let ip4 = facts.family(profile.ip4);
    let ip6 = facts.family(profile.ip6);
    let mtu = profile
        .connection
        .mtu
        .map(Mtu::number)
        .filter(|_| facts.tundev.is_some());
    let config = Config {
        gateway: facts.peer,
        tundev: facts.tundev,
        banner: updowns.iter().find_map(|updown| updown.banner.clone()),
        mtu,
        has_ip4: ip4.is_some(),
        has_ip6: ip6.is_some(),
    };
    NetworkConfig { config, ip4, ip6 }
}

/// What both families are configured from.
struct Facts<'a> {
    profile: &'a Profile,
    updowns: &'a [Updown],
    peer: Option<IpAddr>,
    next_hop: Option<IpAddr>,
    tundev: Option<InterfaceName>,
    remote: Vec<Subnet>,
}

impl<'a> Facts<'a> {
    fn new(profile: &'a Profile, ends: &ResolvedEnds, updowns: &'a [Updown]) -> Self {
        let peer_of_profile = ends.right.address();
        let peer = updowns.iter().find_map(|updown| updown.peer).or(peer_of_profile);
        let mut remote: Vec<Subnet> = Vec::new();
        for subnet in updowns.iter().filter_map(|updown| updown.peer_client) {
            if !remote.contains(&subnet) {
                remote.push(subnet);
            }
        }
        if updowns.is_empty() {
            remote = profile
                .connection
                .remote_subnets(ends.family().unwrap_or(Family::Ipv4));
        }
        Self {
            profile,
            updowns,
            peer,
            next_hop: updowns.iter().find_map(|updown| updown.next_hop),
            tundev: tundev(profile.connection.ipsec_interface, updowns),
            remote,
        }
    }

    fn family<A: FamilyAddress>(&self, method: IpMethod) -> Option<IpConfig<A>> {
        if method != IpMethod::Auto {
            return None;
        }
        let assigned = self.assigned::<A>();
        let next_hop = self
            .next_hop
            .filter(|_| self.tundev.is_none())
            .and_then(A::from_ip);
        let source = assigned.or_else(|| {
            self.profile
                .connection
                .leftsourceip
                .and_then(|address| A::from_ip(address.0))
        });
        let dns: Vec<A> = self
            .of_updowns(|updown| &updown.dns)
            .filter_map(|address| A::from_ip(*address))
            .collect();
        let domains = match dns.is_empty() {
            true => Vec::new(),
            false => self
                .of_updowns(|updown| &updown.domains)
                .map(ToString::to_string)
                .collect(),
        };
        let routes: Vec<Route<A>> = self
            .remote
            .iter()
            .filter(|subnet| self.is_routed(**subnet))
            .flat_map(|subnet| parts::<A>(*subnet))
            .map(|(network, prefix)| Route {
                network,
                prefix,
                next_hop,
                source,
            })
            .collect();
        let is_empty = assigned.is_none() && dns.is_empty() && routes.is_empty();
        let config = IpConfig {
            internal_gateway: next_hop,
            address: assigned,
            dns,
            domains,
            routes,
        };
        (!is_empty).then_some(config)
    }

    /// The address that the peer assigned to this host.
    fn assigned<A: FamilyAddress>(&self) -> Option<A> {
        if !self.profile.connection.is_mode_config_client() {
            return None;
        }
        self.updowns
            .iter()
            .filter_map(|updown| updown.my_sourceip)
            .find_map(A::from_ip)
    }

    fn of_updowns<T: PartialEq + 'a>(
        &self,
        list: impl Fn(&'a Updown) -> &'a Vec<T>,
    ) -> impl Iterator<Item = &'a T> {
        let mut all: Vec<&T> = Vec::new();
        for item in self.updowns.iter().flat_map(list) {
            if !all.contains(&item) {
                all.push(item);
            }
        }
        all.into_iter()
    }

    /// Whether a subnet of the peer's side gets a route.
    ///
    /// All do but the peer's own address where the route would lead nowhere: by way of the peer itself when it is on the
    /// same link; and through the virtual device, where NetworkManager takes no route to a VPN's gateway and the host has
    /// one of its own ([`Routing`]). By way of a router the route is what existing users have, and what the packets do
    /// anyway.
    fn is_routed(&self, subnet: Subnet) -> bool {
        if Some(subnet) != self.peer.map(Subnet::host) {
            return true;
        }
        self.tundev.is_none() && self.next_hop.is_some_and(|next_hop| Some(next_hop) != self.peer)
    }
}

fn tundev(interface: Option<IpsecInterface>, updowns: &[Updown]) -> Option<InterfaceName> {
    let configured = interface?.device_name()?;
    let reported = updowns.iter().find_map(|updown| updown.virt_interface.clone());
    reported.or_else(|| configured.parse().ok())
}

/// What a subnet is routed as: itself, or the parts of everything.
fn parts<A: FamilyAddress>(subnet: Subnet) -> Vec<(A, u8)> {
    match A::from_network(subnet.network()) {
        Some(_) if subnet.is_everything() => A::everything(),
        Some(network) => vec![(network, subnet.prefix())],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
