//! The kernel's SAs and policies, over its XFRM netlink interface (`ip-xfrm(8)`).
//!
//! One socket hears of what goes for all connections. Whatever it hears, the truth is what a listing
//! taken afterwards says: so nothing is lost when the kernel drops notifications (ENOBUFS), and a rekey,
//! whose old SA goes when the new one is there, is no loss.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, Parseable};
use netlink_packet_xfrm::{
    UserSaInfo, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_EXPIRE, XFRM_MSG_FLUSHPOLICY, XFRM_MSG_FLUSHSA,
    XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA, XFRM_MSG_POLEXPIRE,
    XFRMNLGRP_EXPIRE, XFRMNLGRP_POLICY, XFRMNLGRP_SA, XfrmAttrs, policy,
};
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket, protocols::NETLINK_XFRM};
use tokio::{sync::Notify, time::Instant};

/// What goes together (the two SAs of a tunnel, all of a flush) is looked at once.
const SETTLE: Duration = Duration::from_millis(200);

/// Size of a netlink header, in bytes.
const HEADER: usize = 16;

/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

/// Most bytes that the kernel puts into one datagram of a listing.
const DATAGRAM: usize = 32 * 1024;

/// What the kernel has, as of a moment.
#[derive(Debug)]
pub struct KernelFacts {
    /// When the listing began.
    pub taken: Instant,
    /// Request ids of the SAs, each as [`reqid_group`] has it.
    pub sa_reqids: HashSet<u32>,
    /// Addresses to which there are SAs.
    pub sa_peers: HashSet<IpAddr>,
    /// Request ids that policies ask for, likewise.
    pub policy_reqids: HashSet<u32>,
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
        match tokio::task::spawn_blocking(list).await {
            Ok(Ok(facts)) => listener(Arc::new(facts)),
            Ok(Err(error)) => tracing::error!("failed to list the kernel's SAs and policies: {error}"),
            Err(error) => tracing::error!("failed to list the kernel's SAs and policies: {error}"),
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
        policy_reqids: HashSet::new(),
    };
    dump(XFRM_MSG_GETSA, |kind, payload| {
        // Only the head of the message: behind it there are keys.
        if kind == XFRM_MSG_NEWSA
            && let Ok(sa) = UserSaInfo::parse(payload)
        {
            facts.sa_reqids.insert(reqid_group(sa.reqid));
            facts.sa_peers.extend(address(&sa.id.daddr.addr, sa.family));
        }
    })?;
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY
            && let Ok(policy) = policy::ModifyMessage::parse(payload)
        {
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

/// Asks for a listing and hands every message of it to `take`. The buffer is overwritten at the end: SAs
/// are listed with their keys.
fn dump(request: u16, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = Socket::new(NETLINK_XFRM)?;
    let mut header = [0; HEADER];
    let mut message = NetlinkBuffer::new(&mut header[..]);
    message.set_length(HEADER as u32);
    message.set_message_type(request);
    message.set_flags(DUMP);
    socket.send_to(&header, &SocketAddr::new(0, 0), 0)?;
    let mut datagram = zeroize::Zeroizing::new(vec![0; DATAGRAM]);
    loop {
        let length = socket.recv(&mut &mut datagram[..], 0)?;
        for (kind, payload) in messages(&datagram[..length]) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(io::Error::from_raw_os_error(-code));
                }
                kind => take(kind, payload),
            }
        }
    }
}

/// The messages of a datagram: type and payload.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = (message.length() as usize).next_multiple_of(4);
        let found = (message.message_type(), message.payload());
        datagram = datagram.get(length..).unwrap_or_default();
        Some(found)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_taken_apart_and_never_read_beyond_their_end() {
        let message = |length: u32, kind: u16| {
            let mut bytes = vec![0; length as usize];
            let mut buffer = NetlinkBuffer::new(&mut bytes[..]);
            buffer.set_length(length);
            buffer.set_message_type(kind);
            bytes
        };
        let datagram = [
            message(18, XFRM_MSG_FLUSHSA),
            vec![0; 2],
            message(16, XFRM_MSG_DELSA),
        ]
        .concat();
        let kinds: Vec<u16> = messages(&datagram).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [XFRM_MSG_FLUSHSA, XFRM_MSG_DELSA]);
        for end in 0..datagram.len() {
            assert!(messages(&datagram[..end]).count() < 2);
        }
    }
}
