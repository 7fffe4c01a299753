//! What this host routes by itself for a connection, beside what NetworkManager does.

use std::net::IpAddr;

use super::{FamilyAddress, IpConfig, NetworkConfig, network_config};
use crate::{
    connection::{InterfaceName, IpsecInterface, Subnet, value::policy::Mark},
    profile::Profile,
    render::{ResolvedEnds, RightEnd},
    updown::Updown,
};

/// Rules and routes that go with one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routing {
    /// The way around the device, if the peer itself is routed through it.
    pub detour: Option<Detour>,
    /// Routes that NetworkManager does not take and the connection cannot do without: into its device, or from a
    /// certain address.
    pub routes: Vec<KernelRoute>,
}

/// The way of IKE and ESP to a peer that is routed through the virtual device: they must not enter it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The peer.
    pub peer: IpAddr,
    /// The mark of the packets that ESP has made.
    pub mark: u32,
    /// The bits of the mark that count.
    pub mask: u32,
    /// The device that packets for the peer leave by; not known of what an earlier daemon made.
    pub interface: Option<InterfaceName>,
    /// The router on the way to the peer, if it is not on the same link.
    pub next_hop: Option<IpAddr>,
}

/// A route to a part of the peer's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// The device; not known of what an earlier daemon made.
    pub device: Option<InterfaceName>,
    /// The network.
    pub network: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Where packets go next; directly to the device if nowhere.
    pub next_hop: Option<IpAddr>,
    /// The address that packets come from, if the profile or the peer has set one.
    pub source: Option<IpAddr>,
}

impl Routing {
    /// What is left to this host where `wanted` is what the connection needs and NetworkManager is told `told`.
    pub fn new(wanted: &NetworkConfig, told: &NetworkConfig, updowns: &[Updown]) -> Self {
        let is_tunneled = wanted.config.tundev.is_some();
        let interface = updowns.iter().find_map(|updown| updown.interface.as_ref());
        let device = wanted.config.tundev.as_ref().or(interface);
        let mut routes = Vec::new();
        if told.ip4.is_none() {
            routes.extend(kernel_routes(device, wanted.ip4.as_ref()));
        }
        if told.ip6.is_none() {
            routes.extend(kernel_routes(device, wanted.ip6.as_ref()));
        }
        // Without a device or a source the kernel's policies take the packets from whatever route they follow.
        routes.retain(|route| route.device.is_some() && (is_tunneled || route.source.is_some()));
        let detour = updowns.iter().find_map(detour);
        if let (Some(detour), Some(tundev)) = (&detour, &wanted.config.tundev) {
            // NetworkManager keeps a VPN's gateway out of the VPN.
            routes.push(KernelRoute {
                device: Some(tundev.clone()),
                network: detour.peer,
                prefix: Subnet::host(detour.peer).prefix(),
                next_hop: None,
                source: None,
            });
        }
        Self { detour, routes }
    }

    /// What an earlier daemon may have made for the connection, as far as it does not go with a device of its own:
    /// pluto's mark is the number of the interface.
    pub fn of_earlier(profile: &Profile, ends: &ResolvedEnds) -> Self {
        let detour = match (profile.connection.ipsec_interface, ends.right) {
            (Some(IpsecInterface::Number(mark)), RightEnd::Ip(peer)) => Some(Detour {
                peer,
                mark,
                mask: u32::MAX,
                interface: None,
                next_hop: None,
            }),
            _ => None,
        };
        let wanted = network_config(profile, ends, &[]);
        let mut routes = kernel_routes(None, wanted.ip4.as_ref());
        routes.extend(kernel_routes(None, wanted.ip6.as_ref()));
        routes.retain(|route| wanted.config.tundev.is_none() && route.source.is_some());
        Self { detour, routes }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.detour.is_none() && self.routes.is_empty()
    }
}

fn kernel_routes<A: FamilyAddress + Into<IpAddr>>(
    device: Option<&InterfaceName>,
    config: Option<&IpConfig<A>>,
) -> Vec<KernelRoute> {
    let routes = config.into_iter().flat_map(|config| &config.routes);
    let routes = routes.map(|route| KernelRoute {
        device: device.cloned(),
        network: route.network.into(),
        prefix: route.prefix,
        next_hop: route.next_hop.map(Into::into),
        source: route.source.map(Into::into),
    });
    routes.collect()
}

/// pluto names a mark where the peer is in the traffic that it protects.
fn detour(updown: &Updown) -> Option<Detour> {
    let Some(Mark::Value { mark, mask }) = updown.xfrmi_fwmark else {
        return None;
    };
    let peer = updown.peer?;
    Some(Detour {
        peer,
        mark,
        mask,
        interface: Some(updown.interface.clone()?),
        next_hop: updown
            .next_hop
            .filter(|next_hop| *next_hop != peer && next_hop.is_ipv4() == peer.is_ipv4()),
    })
}
