//! From the profile's `left` and `right` to addresses.
//!
//! Names are resolved here and not by libreswan: a name that does not resolve is then a reason of its
//! own, and the daemon knows when an answer has changed.

use std::{io, net::IpAddr, time::Duration};

use nix::sys::socket::SockaddrStorage;
use nmstate_ipsec_core::{
    connection::{Connection, Family, HostAddress, IpsecInterface, YesNo},
    reason::Reason,
    render::{LeftEnd, ResolvedEnds, RightEnd},
};
use tokio::{sync::watch, time::Instant};

use crate::{addresses::Deprecated, networkmanager};

/// How long the resolver may take; its own time-out is usually 5 s for each server.
const TIME_OUT: Duration = Duration::from_secs(20);

/// How often names are looked up again while a tunnel is up, as libreswan does it for its own.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(60);

/// Resolves both ends of `connection`, at once.
///
/// # Errors
/// A name has no address, or the two ends have no address family in common.
pub async fn ends(connection: &Connection) -> Result<ResolvedEnds, Reason> {
    let (left, right) = tokio::try_join!(
        candidates("left", &connection.left),
        candidates("right", &connection.right)
    )?;
    choose(left.as_deref(), right.as_deref(), connection.host_family()).ok_or_else(|| {
        Reason::FamilyMismatch {
            left: list(left.as_deref()),
            right: list(right.as_deref()),
        }
    })
}

/// Ends when a name, or an interface, in `connection` no longer leads to the address in `ends`, or when the host no longer
/// has the address `me` that the tunnel comes from, unless IKE may move it (`mobike`), or the virtual device; or when it has
/// deprecated `me`, which it chose (`%defaultroute`) after `since`. That is asked when `addresses` tells of a change of the host's
/// own, and names now and then: the DNS tells nobody of a change.
pub async fn until_moved(
    connection: &Connection,
    ends: &ResolvedEnds,
    me: Option<IpAddr>,
    since: Instant,
    addresses: &watch::Sender<Deprecated>,
) {
    let is_fixed = |end: &HostAddress| !matches!(end, HostAddress::Name(_) | HostAddress::Interface(_));
    let looks_up = !is_fixed(&connection.left) || !is_fixed(&connection.right);
    let me = me.filter(|_| connection.mobike != Some(YesNo::Yes));
    let device = connection.ipsec_interface.and_then(IpsecInterface::device_name);
    let mut changes = addresses.subscribe();
    let (left, right) = (ends.left.address(), ends.right.address());
    loop {
        if let Some(me) = me
            && connection.left == HostAddress::DefaultRoute
            && is_superseded(me, ends, since, &changes.borrow_and_update())
        {
            return tracing::warn!("this host has deprecated the address {me} for another");
        }
        tokio::select! {
            // The sender lives as long as the daemon.
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK_UP_INTERVAL), if looks_up => {}
        }
        if let Some(me) = me
            && of_host().is_ok_and(|addresses| !addresses.contains(&me))
        {
            return tracing::warn!("this host no longer has the address {me}");
        }
        if let Some(device) = &device
            && nix::net::if_::if_nametoindex(device.as_str()) == Err(nix::Error::ENODEV)
        {
            return tracing::warn!("the device {device} has been removed");
        }
        for (key, end, address) in [
            ("left", &connection.left, left),
            ("right", &connection.right, right),
        ] {
            let Some(address) = address.filter(|_| !is_fixed(end)) else {
                continue;
            };
            // That a name does not resolve just now says nothing of where it leads.
            if let Ok(Some(now)) = candidates(key, end).await
                && !now.contains(&address)
            {
                tracing::warn!("'{key}' has moved from {address} to {}", list(Some(&now)));
                return;
            }
        }
    }
}

/// Whether `me` has been deprecated after `since`, and this host would call the peer from another address now. What is sent from
/// that would be no traffic of the tunnel.
fn is_superseded(me: IpAddr, ends: &ResolvedEnds, since: Instant, deprecated: &Deprecated) -> bool {
    let RightEnd::Ip(peer) = ends.right else {
        return false;
    };
    deprecated.get(&me).is_some_and(|then| *then > since)
        && networkmanager::base::way_to(peer).is_some_and(|(from, _)| from != me)
}

/// The addresses that an end may have, the resolver's best first; `None` where libreswan finds it.
async fn candidates(key: &'static str, end: &HostAddress) -> Result<Option<Vec<IpAddr>>, Reason> {
    match end {
        HostAddress::Ip(address) => Ok(Some(vec![*address])),
        HostAddress::DefaultRoute | HostAddress::Any => Ok(None),
        HostAddress::Name(name) => look_up(key, name.as_str()).await.map(Some),
        HostAddress::Interface(interface) => {
            let unresolved = |detail: String| Reason::NameUnresolved {
                key,
                name: format!("%{interface}"),
                detail,
            };
            let addresses =
                of_interface(interface.as_str()).map_err(|error| unresolved(error.to_string()))?;
            if addresses.is_empty() {
                return Err(unresolved("the interface has no usable address".into()));
            }
            Ok(Some(addresses))
        }
    }
}

async fn look_up(key: &'static str, name: &str) -> Result<Vec<IpAddr>, Reason> {
    let unresolved = |detail: String| Reason::NameUnresolved {
        key,
        name: name.to_owned(),
        detail,
    };
    let answer = tokio::time::timeout(TIME_OUT, tokio::net::lookup_host((name, 0)))
        .await
        .map_err(|_| unresolved(format!("no answer within {} s", TIME_OUT.as_secs())))?
        .map_err(|error| unresolved(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = answer.map(|address| address.ip()).collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(unresolved("the name has no address".into()));
    }
    Ok(addresses)
}

/// All addresses of this host.
pub(crate) fn of_host() -> io::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()?.filter_map(|entry| entry.address);
    Ok(addresses.filter_map(|address| ip(&address)).collect())
}

/// The address in a socket's.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The addresses of a network interface, link-local ones left out.
fn of_interface(interface: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()?.filter(|entry| entry.interface_name == interface);
    Ok(addresses
        .filter_map(|entry| ip(&entry.address?))
        .filter(|address| !is_link_local(*address))
        .collect())
}

/// The first pair of one family, in the order of the peer's addresses.
fn choose(left: Option<&[IpAddr]>, right: Option<&[IpAddr]>, family: Option<Family>) -> Option<ResolvedEnds> {
    let wanted =
        |address: &&IpAddr| family.is_none_or(|family| address.is_ipv4() == (family == Family::Ipv4));
    match (left, right) {
        (None, None) => Some(ResolvedEnds {
            left: LeftEnd::DefaultRoute,
            right: RightEnd::Any,
        }),
        (None, Some(right)) => {
            let right = right.iter().find(wanted)?;
            Some(ResolvedEnds {
                left: LeftEnd::DefaultRoute,
                right: RightEnd::Ip(*right),
            })
        }
        (Some(left), None) => {
            let left = left.iter().find(wanted)?;
            Some(ResolvedEnds {
                left: LeftEnd::Ip(*left),
                right: RightEnd::Any,
            })
        }
        (Some(left), Some(right)) => right.iter().filter(wanted).find_map(|right| {
            let left = left.iter().find(|left| left.is_ipv4() == right.is_ipv4())?;
            Some(ResolvedEnds {
                left: LeftEnd::Ip(*left),
                right: RightEnd::Ip(*right),
            })
        }),
    }
}

fn list(addresses: Option<&[IpAddr]>) -> String {
    match addresses {
        None => "any address".into(),
        Some(addresses) => addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn chosen(left: Option<&[&str]>, right: &[&str], family: Option<Family>) -> Option<String> {
        let left = left.map(addresses);
        let ends = choose(left.as_deref(), Some(&addresses(right)), family)?;
        let LeftEnd::Ip(left) = ends.left else {
            return Some(format!("default {:?}", ends.right));
        };
        let RightEnd::Ip(right) = ends.right else {
            return None;
        };
        Some(format!("{left} {right}"))
    }

    #[test]
    fn the_peers_first_usable_address_decides() {
        let both = ["2001:db8::2", "192.0.2.2"];
        let left = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(
            chosen(Some(&left), &both, None).unwrap(),
            "2001:db8::1 2001:db8::2"
        );
        assert_eq!(
            chosen(Some(&left), &both, Some(Family::Ipv4)).unwrap(),
            "192.0.2.1 192.0.2.2"
        );
        assert_eq!(
            chosen(Some(&["192.0.2.1"]), &both, None).unwrap(),
            "192.0.2.1 192.0.2.2"
        );
        assert_eq!(chosen(Some(&["192.0.2.1"]), &["2001:db8::2"], None), None);
        assert!(
            chosen(None, &both, Some(Family::Ipv4))
                .unwrap()
                .contains("192.0.2.2")
        );
    }
}
