//! Changes of the host's own addresses and network devices, over its routing netlink interface (`rtnetlink(7)`).

use std::io;

use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::sync::watch;

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Most bytes of a notification that are read; none of them matters.
const DATAGRAM: usize = 4096;

/// Tells `changed` whenever an address or a device has come, changed or gone. Never ends but by an error.
///
/// # Errors
/// The socket cannot be used.
pub async fn watch(changed: &watch::Sender<()>) -> io::Result<()> {
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
        changed.send_replace(());
    }
}
