//! Changes of the host's own addresses and network devices, over its routing netlink interface (`rtnetlink(7)`).

use std::{collections::HashMap, io, net::IpAddr};

use netlink_packet_core::Parseable;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::{sync::watch, time::Instant};

use crate::kernel;

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;

/// Most bytes of a notification that are read.
const DATAGRAM: usize = 32 * 1024;

/// Addresses of the host from which nothing new is to come (deprecated, RFC 4862, section 5.5.4), and since when: those that
/// have become so while they were watched.
pub type Deprecated = HashMap<IpAddr, Instant>;

/// Tells `changed` whenever an address or a device has come, changed or gone. Never ends but by an error.
///
/// # Errors
/// The socket cannot be used.
pub async fn watch(changed: &watch::Sender<Deprecated>) -> io::Result<()> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    loop {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        match socket.recv(&mut datagram).await {
            Ok(()) => {}
            // Notifications were dropped: there were some.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
        changed.send_modify(|deprecated| note(deprecated, &datagram));
    }
}

fn note(deprecated: &mut Deprecated, datagram: &[u8]) {
    for (kind, payload) in kernel::messages(datagram) {
        let (RTM_NEWADDR | RTM_DELADDR) = kind else {
            continue;
        };
        let Ok(message) = AddressMessage::parse(payload) else {
            continue;
        };
        let is_deprecated = |attribute: &AddressAttribute| match attribute {
            AddressAttribute::Flags(flags) => flags.contains(AddressFlags::Deprecated),
            _ => false,
        };
        let is_deprecated = kind == RTM_NEWADDR && message.attributes.iter().any(is_deprecated);
        for attribute in &message.attributes {
            let AddressAttribute::Address(address) = attribute else {
                continue;
            };
            if is_deprecated {
                deprecated.entry(*address).or_insert_with(Instant::now);
            } else {
                deprecated.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkMessage;
    use netlink_packet_route::RouteNetlinkMessage;

    use super::*;

    #[test]
    fn an_address_is_deprecated_until_it_is_not_or_goes() {
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        let notified = |message: fn(AddressMessage) -> RouteNetlinkMessage, flags| {
            let mut address = AddressMessage::default();
            address.attributes = vec![AddressAttribute::Address(ip), AddressAttribute::Flags(flags)];
            let mut message = NetlinkMessage::from(message(address));
            message.finalize();
            let mut datagram = vec![0; message.buffer_len()];
            message.serialize(&mut datagram);
            datagram
        };
        let (new, gone) = (RouteNetlinkMessage::NewAddress, RouteNetlinkMessage::DelAddress);
        let mut deprecated = Deprecated::new();
        note(&mut deprecated, &notified(new, AddressFlags::empty()));
        assert!(deprecated.is_empty());
        note(&mut deprecated, &notified(new, AddressFlags::Deprecated));
        let since = deprecated[&ip];
        note(&mut deprecated, &notified(new, AddressFlags::Deprecated));
        assert_eq!(deprecated[&ip], since, "it is told of again with every lifetime");
        note(&mut deprecated, &notified(new, AddressFlags::Permanent));
        assert!(deprecated.is_empty());
        note(&mut deprecated, &notified(new, AddressFlags::Deprecated));
        note(&mut deprecated, &notified(gone, AddressFlags::Deprecated));
        assert!(deprecated.is_empty());
        note(&mut deprecated, &[0; 7]);
    }
}
