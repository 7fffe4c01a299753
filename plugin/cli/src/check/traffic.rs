//! Which traffic goes into the tunnel, and whether it fits.

use nmstate_ipsec_core::connection::{ConnType, Connection, HostAddress, Selectors, Subnet};

use super::subject::{self, Subject};

/// Largest packet that fits a link of 1500 bytes in every tunnel, rounded down.
const SAFE_MTU: u32 = 1400;
/// Most bytes that a tunnel adds: IPv6 header 40, UDP 8, ESP 8, IV 16, padding 15 and its trailer 2, SHA2-512's check 32.
const MAX_OVERHEAD: u32 = 121;

/// Looks at the traffic selectors and the size of packets.
pub(super) fn check(subject: &mut Subject<'_>, connection: &Connection) {
    if connection.conn_type() != ConnType::Tunnel {
        return;
    }
    selectors(subject, connection);
    mtu(subject, connection);
}

/// What is protected of each side; of one whose address is not known, nothing.
pub(super) fn sides(connection: &Connection) -> (Vec<Subnet>, Vec<Subnet>) {
    let or_end = |subnets: Vec<Subnet>, end: &HostAddress| match end {
        HostAddress::Ip(address) if subnets.is_empty() => vec![Subnet::host(*address)],
        _ => subnets,
    };
    (
        or_end(connection.local_subnets(), &connection.left),
        or_end(
            connection.remote_subnets(subject::family(connection)),
            &connection.right,
        ),
    )
}

/// Looks whether the packets of a cluster's tunnels between pods would go into this connection: its network is on both
/// sides.
pub(super) fn pods(subject: &mut Subject<'_>, connection: &Connection, networks: &[Subnet]) {
    if is_limited(connection) {
        return;
    }
    let (mine, peers) = sides(connection);
    for network in networks {
        let inside = |side: &[Subnet]| side.iter().copied().find(|subnet| overlaps(*subnet, *network));
        let (Some(from), Some(to)) = (inside(&mine), inside(&peers)) else {
            continue;
        };
        let key = if connection.rightsubnets.is_some() {
            "rightsubnets"
        } else {
            "rightsubnet"
        };
        subject.warn(
            "pod-network",
            key,
            format!(
                "the traffic from {from} to {to} has that of the cluster's network {network} in it: what pods say to one another goes into this connection, or nowhere while it is down; name subnets outside of {network}, limit it with 'leftprotoport' and 'rightprotoport', or leave that traffic to the cluster's own IPsec"
            ),
        );
    }
}

fn overlaps(one: Subnet, other: Subnet) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

/// A host that gets its address from the peer wants all its traffic in the tunnel; others hardly ever do. IKE itself and
/// ESP are no matter: libreswan keeps them out of the tunnel.
fn selectors(subject: &mut Subject<'_>, connection: &Connection) {
    if connection.is_mode_config_client() || is_limited(connection) || !is_own_traffic(connection) {
        return;
    }
    let remote = connection.remote_subnets(subject::family(connection));
    let key = if connection.rightsubnets.is_some() {
        "rightsubnets"
    } else {
        "rightsubnet"
    };
    if is_everything(&remote) {
        let why = if subject.given(key).is_some() {
            "the peer's side is every address"
        } else {
            "without 'rightsubnet' existing profiles mean every address"
        };
        subject.warn(
            "whole-host",
            key,
            format!(
                "{why}: all that this host sends goes to the peer, what its administration and its cluster need included; name the peer's subnets in 'rightsubnet', or ask the peer for an address with 'leftmodecfgclient: true'"
            ),
        );
        return;
    }
    let HostAddress::Ip(own) = connection.left else {
        return;
    };
    if let Some(subnet) = remote.iter().find(|subnet| subnet.contains(own)) {
        subject.warn(
            "own-network",
            key,
            format!(
                "this host's own address {own} is in the peer's side {subnet}: what it sends to its neighbours and its router goes to the peer; name smaller subnets, such as the peer's address alone"
            ),
        );
    }
}

/// Whether a protocol or port limits the traffic.
fn is_limited(connection: &Connection) -> bool {
    let of_subnets = [&connection.leftsubnet, &connection.rightsubnet];
    let has_protocol = |selectors: &Selectors| {
        selectors
            .as_slice()
            .iter()
            .all(|selector| selector.protoport.is_some())
    };
    let of_ends = [&connection.leftprotoport, &connection.rightprotoport];
    of_subnets.into_iter().flatten().any(has_protocol)
        || of_ends
            .into_iter()
            .flatten()
            .any(|limit| limit.to_string() != "%any")
}

/// Whether what this host itself sends is among the traffic: a gateway may protect only what is behind it.
fn is_own_traffic(connection: &Connection) -> bool {
    let local = connection.local_subnets();
    match connection.left {
        _ if local.is_empty() => true,
        HostAddress::Ip(own) => local.iter().any(|subnet| subnet.contains(own)),
        _ => local.iter().any(|subnet| subnet.is_everything()),
    }
}

/// Whether the subnets are all of a family, in one piece or in two halves.
fn is_everything(subnets: &[Subnet]) -> bool {
    let halves = |is_ipv4: bool| {
        let of_family = |subnet: &&Subnet| subnet.prefix() == 1 && subnet.network().is_ipv4() == is_ipv4;
        subnets.iter().filter(of_family).count() == 2
    };
    subnets.iter().any(|subnet| subnet.is_everything()) || halves(true) || halves(false)
}

fn mtu(subject: &mut Subject<'_>, connection: &Connection) {
    let Some(mtu) = connection.mtu.as_ref().map(|mtu| mtu.number()) else {
        return;
    };
    if mtu > SAFE_MTU {
        subject.warn(
            "mtu-overhead",
            "mtu",
            format!(
                "in tunnel mode packets of {mtu} bytes grow by 54 to 101 bytes (outer header, ESP, padding, check value, UDP behind NAT), 20 more over IPv6, and do not fit a link of 1500; write {SAFE_MTU} or less, or see that every link to the peer takes {}",
                mtu + MAX_OVERHEAD
            ),
        );
    }
}
