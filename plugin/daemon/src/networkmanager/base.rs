//! Which device leads to a peer. NetworkManager brings a VPN up on top of the connection of the default route, and where
//! there is none it has to be told which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nmstate_ipsec_core::{
    profile::{Profile, Settings},
    render::RightEnd,
};

use crate::resolve;

/// The name of the device that leads to the peer of a profile, if there is one now.
pub(crate) async fn device(settings: &Settings) -> Option<String> {
    let profile = Profile::from_settings(settings).ok()?;
    let ends = resolve::ends(&profile.connection).await.ok()?;
    match ends.right {
        RightEnd::Ip(peer) => way_to(peer)?.1,
        RightEnd::Any => None,
    }
}

/// The address from which this host would send to `peer`, and the name of the device that has it. The kernel tells without
/// sending anything (`udp(7)`).
pub(crate) fn way_to(peer: IpAddr) -> Option<(IpAddr, Option<String>)> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((peer, 500)).ok()?;
    let from = socket.local_addr().ok()?.ip();
    let mut addresses = getifaddrs().ok()?;
    let found = addresses.find(|known| known.address.as_ref().and_then(resolve::ip) == Some(from));
    Some((from, found.map(|found| found.interface_name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_leads_to_itself() {
        let (from, device) = way_to(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!(
            (from, device.as_deref()),
            (Ipv4Addr::LOCALHOST.into(), Some("lo"))
        );
    }
}
