//! The kernel's SAs and policies, over its XFRM netlink interface (`ip-xfrm(8)`).
//!
//! One socket hears of what goes for all connections. Whatever it hears, the truth is what a listing
//! taken afterwards says: so nothing is lost when the kernel drops notifications (ENOBUFS), and a rekey,
//! whose old SA goes when the new one is there, is no loss.

mod found;
mod hold;
mod netlink;
mod remove;
mod traffic;

pub use found::{Found, found};
pub use hold::{Hold, hold, release};
pub use remove::{Traces, remove, reqids_of};
pub use traffic::traffic;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use netlink_packet_core::Parseable;
use netlink_packet_xfrm::{
    Selector, UserSaInfo, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_EXPIRE, XFRM_MSG_FLUSHPOLICY,
    XFRM_MSG_FLUSHSA, XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA,
    XFRM_MSG_POLEXPIRE, XFRM_POLICY_OUT, XFRMNLGRP_EXPIRE, XFRMNLGRP_POLICY, XFRMNLGRP_SA, XfrmAttrs, policy,
};
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket, protocols::NETLINK_XFRM};
use nmstate_ipsec_core::connection::Subnet;
use tokio::{sync::Notify, time::Instant};

pub(crate) use netlink::messages;
use netlink::{DATAGRAM, dump};

/// What goes together (the two SAs of a tunnel, all of a flush) is looked at once.
const SETTLE: Duration = Duration::from_millis(200);

/// What the kernel has, as of a moment.
#[derive(Debug)]
pub struct KernelFacts {
    /// When the listing began.
    pub taken: Instant,
    /// Request ids of the SAs, each as [`reqid_group`] has it.
    pub sa_reqids: HashSet<u32>,
    /// Addresses to which there are SAs.
    pub sa_peers: HashSet<IpAddr>,
    /// Request ids of the SAs by SPI, likewise.
    pub sa_spis: HashMap<u32, u32>,
    /// Request ids that policies ask for, likewise.
    pub policy_reqids: HashSet<u32>,
    /// What outgoing policies are for: from where, to where. A trap has no request id.
    pub outgoing: HashSet<(Subnet, Subnet)>,
}

/// What the request ids of one connection have in common: pluto gives each connection four, for AH, ESP and
/// compression. Libreswan 4 tells its updown command the first of them, 5 the one that ESP has.
pub fn reqid_group(reqid: u32) -> u32 {
    reqid & !3
}

/// Tells `listener` what the kernel has, whenever something went or `recheck` asks for it. Never ends
/// but by an error.
///
/// # Errors
/// The socket cannot be used.
pub async fn watch(recheck: &Notify, listener: impl Fn(Arc<KernelFacts>)) -> io::Result<()> {
    let mut socket = TokioSocket::new(NETLINK_XFRM)?;
    let groups = [XFRMNLGRP_EXPIRE, XFRMNLGRP_SA, XFRMNLGRP_POLICY];
    let groups = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    loop {
        tokio::select! {
            gone = something_went(&socket) => if !gone? { continue },
            () = recheck.notified() => {}
        }
        tokio::time::sleep(SETTLE).await;
        // All of that is in the listing.
        forget_notifications(socket.socket_mut());
        match tokio::task::spawn_blocking(list).await {
            Ok(Ok(facts)) => listener(Arc::new(facts)),
            Ok(Err(error)) => tracing::error!("failed to list the kernel's SAs and policies: {error}"),
            Err(error) => tracing::error!("failed to list the kernel's SAs and policies: {error}"),
        }
    }
}

/// Takes what has been notified until now out of the way.
fn forget_notifications(socket: &Socket) {
    let mut datagram = Vec::with_capacity(DATAGRAM);
    loop {
        datagram.clear();
        match socket.recv(&mut datagram, nix::libc::MSG_DONTWAIT) {
            Ok(_) => {}
            // Some were dropped; there may be others behind that.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// Waits for a notification, and tells whether it is one of something that went.
async fn something_went(socket: &TokioSocket) -> io::Result<bool> {
    let mut datagram = Vec::with_capacity(DATAGRAM);
    match socket.recv(&mut datagram).await {
        Ok(()) => {}
        // Notifications were dropped: anything may have gone.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => return Ok(true),
        Err(error) => return Err(error),
    }
    const GOING: [u16; 6] = [
        XFRM_MSG_DELSA,
        XFRM_MSG_EXPIRE,
        XFRM_MSG_FLUSHSA,
        XFRM_MSG_DELPOLICY,
        XFRM_MSG_FLUSHPOLICY,
        XFRM_MSG_POLEXPIRE,
    ];
    Ok(messages(&datagram).any(|(kind, _)| GOING.contains(&kind)))
}

/// What the kernel has now.
///
/// # Errors
/// The kernel does not say.
pub fn list() -> io::Result<KernelFacts> {
    let mut facts = KernelFacts {
        taken: Instant::now(),
        sa_reqids: HashSet::new(),
        sa_peers: HashSet::new(),
        sa_spis: HashMap::new(),
        outgoing: HashSet::new(),
        policy_reqids: HashSet::new(),
    };
    dump(XFRM_MSG_GETSA, |kind, payload| {
        // Only the head of the message: behind it there are keys.
        if kind == XFRM_MSG_NEWSA
            && let Ok(sa) = UserSaInfo::parse(payload)
        {
            facts.sa_reqids.insert(reqid_group(sa.reqid));
            facts.sa_spis.insert(sa.id.spi, reqid_group(sa.reqid));
            facts.sa_peers.extend(address(&sa.id.daddr.addr, sa.family));
        }
    })?;
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY
            && let Ok(policy) = policy::ModifyMessage::parse(payload)
        {
            let policy_info = &policy.user_policy_info;
            if policy_info.direction == XFRM_POLICY_OUT && !hold::is_hold(policy_info) {
                facts.outgoing.extend(flow(&policy.user_policy_info.selector));
            }
            for attribute in policy.nlas {
                if let XfrmAttrs::Template(templates) = attribute {
                    facts
                        .policy_reqids
                        .extend(templates.iter().map(|template| reqid_group(template.reqid)));
                }
            }
        }
    })?;
    Ok(facts)
}

/// Whether there are policies for the XFRM interface with this number (`if_id`), whoever's they are.
///
/// # Errors
/// The kernel does not say.
pub fn has_interface(number: u32) -> io::Result<bool> {
    let mut has = false;
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY
            && let Ok(policy) = policy::ModifyMessage::parse(payload)
        {
            let is_of = |attribute: &XfrmAttrs| matches!(attribute, XfrmAttrs::IfId(id) if *id == number);
            has |= !hold::is_hold(&policy.user_policy_info) && policy.nlas.iter().any(is_of);
        }
    })?;
    Ok(has)
}

/// From where to where the packets of a selector go.
fn flow(selector: &Selector) -> Option<(Subnet, Subnet)> {
    let source = address(&selector.saddr.addr, selector.family)?;
    let destination = address(&selector.daddr.addr, selector.family)?;
    Some((
        Subnet::new(source, selector.prefixlen_s)?,
        Subnet::new(destination, selector.prefixlen_d)?,
    ))
}

fn address(bytes: &[u8; 16], family: u16) -> Option<IpAddr> {
    match i32::from(family) {
        nix::libc::AF_INET => bytes
            .first_chunk::<4>()
            .map(|bytes| Ipv4Addr::from(*bytes).into()),
        nix::libc::AF_INET6 => Some(Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}
