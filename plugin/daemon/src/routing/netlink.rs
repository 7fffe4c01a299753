//! Rules and routes over rtnetlink (`rtnetlink(7)`, `ip-rule(8)`, `ip-route(8)`).

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, IpProtocol, RouteNetlinkMessage,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
    rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nmstate_ipsec_core::{
    connection::InterfaceName,
    ip_config::{Detour, KernelRoute},
};

use super::{PRIORITY, TABLE};

/// Metric of the routes to the peer's side: just before NetworkManager's, whose VPN routes have 50.
const METRIC: u32 = 49;

/// An acknowledgement with the request that it is about fits easily.
const ANSWER: usize = 8192;

/// What is to become of a rule or route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is made, unless it is there.
    Make,
    /// It is taken back.
    TakeBack,
}

/// The packets to a peer that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector {
    /// Those with a mark, and the bits of it that count.
    Mark(u32, u32),
    /// Those of ESP.
    Esp,
    /// Those of UDP to a port.
    Udp(u16),
}

/// A rule that sends packets to `peer` to [`TABLE`].
pub(super) fn rule(change: Change, peer: IpAddr, selector: Selector) -> io::Result<()> {
    let mut rule = RuleMessage::default();
    rule.header.family = family(peer);
    rule.header.dst_len = bits(peer);
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Destination(peer),
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::Table(TABLE),
    ];
    match selector {
        Selector::Mark(mark, mask) => rule
            .attributes
            .extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask)]),
        Selector::Esp => rule.attributes.push(RuleAttribute::IpProtocol(IpProtocol::Esp)),
        Selector::Udp(port) => rule.attributes.extend([
            RuleAttribute::IpProtocol(IpProtocol::Udp),
            RuleAttribute::DestinationPortRange(RulePortRange {
                start: port,
                end: port,
            }),
        ]),
    }
    match change {
        Change::Make => ask(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL),
        Change::TakeBack => ask(RouteNetlinkMessage::DelRule(rule), 0),
    }
}

/// The route to a peer in [`TABLE`].
pub(super) fn route_around(change: Change, detour: &Detour) -> io::Result<()> {
    let device = detour.interface.as_ref().map(InterfaceName::as_str);
    let mut route = route(detour.peer, bits(detour.peer), device)?;
    route.attributes.push(RouteAttribute::Table(TABLE));
    set_next_hop(&mut route, detour.next_hop, device.is_some());
    change_route(change, route)
}

/// A route to a part of the peer's side, in the table main.
pub(super) fn route_to(change: Change, wanted: &KernelRoute) -> io::Result<()> {
    let device = wanted.device.as_ref().map(InterfaceName::as_str);
    let mut route = route(wanted.network, wanted.prefix, device)?;
    set_next_hop(&mut route, wanted.next_hop, device.is_some());
    route.attributes.extend([
        RouteAttribute::Table(u32::from(RouteHeader::RT_TABLE_MAIN)),
        RouteAttribute::Priority(METRIC),
    ]);
    if let Some(source) = wanted.source {
        route.attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    change_route(change, route)
}

fn route(network: IpAddr, prefix: u8, device: Option<&str>) -> io::Result<RouteMessage> {
    let mut route = RouteMessage::default();
    route.header.address_family = family(network);
    route.header.destination_prefix_length = prefix;
    route.header.protocol = RouteProtocol::Static;
    route.header.kind = RouteType::Unicast;
    route.attributes = vec![RouteAttribute::Destination(network.into())];
    if let Some(device) = device {
        let index = nix::net::if_::if_nametoindex(device)?;
        route.attributes.push(RouteAttribute::Oif(index));
    }
    Ok(route)
}

/// Sets where packets go next. A route whose device is not known, which is only taken back, is looked for whatever
/// its scope is.
fn set_next_hop(route: &mut RouteMessage, next_hop: Option<IpAddr>, is_device_known: bool) {
    route.header.scope = match next_hop {
        Some(_) => RouteScope::Universe,
        None if is_device_known => RouteScope::Link,
        None => RouteScope::NoWhere,
    };
    if let Some(next_hop) = next_hop {
        route.attributes.push(RouteAttribute::Gateway(next_hop.into()));
    }
}

fn change_route(change: Change, route: RouteMessage) -> io::Result<()> {
    match change {
        Change::Make => ask(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE),
        Change::TakeBack => ask(RouteNetlinkMessage::DelRoute(route), 0),
    }
}

/// Sends one request and takes its acknowledgement; what is to be made and is there already is no error.
pub(super) fn ask(message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let mut answer = vec![0; ANSWER];
    let length = socket.recv(&mut &mut answer[..], 0)?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..length])
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    match answer.payload {
        NetlinkPayload::Error(error) => match error.code {
            None => Ok(()),
            Some(code) if code.get() == -nix::libc::EEXIST => Ok(()),
            Some(_) => Err(error.to_io()),
        },
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel did not acknowledge a request",
        )),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
