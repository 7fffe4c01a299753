//! Requests and answers on the kernel's XFRM netlink interface.

use std::io;

use netlink_packet_core::{Emitable, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_XFRM};
use zeroize::Zeroizing;

/// Size of a netlink header, in bytes.
const HEADER: usize = 16;

/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

/// `NLM_F_REQUEST | NLM_F_ACK`.
const ACTION: u16 = 0x5;

/// Most bytes that the kernel puts into one datagram of a listing.
pub(super) const DATAGRAM: usize = 32 * 1024;

/// Asks for a listing and hands every message of it to `take`. The buffer is overwritten at the end: SAs
/// are listed with their keys.
pub(super) fn dump(request: u16, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = Socket::new(NETLINK_XFRM)?;
    socket.send_to(&message(request, DUMP, &[]), &SocketAddr::new(0, 0), 0)?;
    let mut datagram = Zeroizing::new(vec![0; DATAGRAM]);
    loop {
        let length = socket.recv(&mut &mut datagram[..], 0)?;
        for (kind, payload) in messages(&datagram[..length]) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return outcome(payload),
                kind => take(kind, payload),
            }
        }
    }
}

/// Has the kernel do something that it only acknowledges.
///
/// # Errors
/// The kernel refuses.
pub(super) fn act(request: u16, payload: &impl Emitable) -> io::Result<()> {
    let socket = Socket::new(NETLINK_XFRM)?;
    let mut bytes = vec![0; payload.buffer_len()];
    payload.emit(&mut bytes);
    socket.send_to(&message(request, ACTION, &bytes), &SocketAddr::new(0, 0), 0)?;
    let mut datagram = vec![0; DATAGRAM];
    let length = socket.recv(&mut &mut datagram[..], 0)?;
    match messages(&datagram[..length]).next() {
        Some((NLMSG_ERROR, payload)) => outcome(payload),
        _ => Err(io::Error::other("the kernel did not acknowledge the request")),
    }
}

/// A message with that payload.
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(payload);
    let length = bytes.len() as u32;
    let mut message = NetlinkBuffer::new(&mut bytes[..]);
    message.set_length(length);
    message.set_message_type(kind);
    message.set_flags(flags);
    bytes
}

/// What a message of the type `NLMSG_ERROR` says: code 0 is success.
fn outcome(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer is cut off")),
    }
}

/// The messages of a datagram: type and payload.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = (message.length() as usize).next_multiple_of(4);
        let found = (message.message_type(), message.payload());
        datagram = datagram.get(length..).unwrap_or_default();
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use netlink_packet_xfrm::{XFRM_MSG_DELSA, XFRM_MSG_FLUSHSA};

    #[test]
    fn datagrams_are_taken_apart_and_never_read_beyond_their_end() {
        let whole = |length: u32, kind: u16| {
            let mut bytes = vec![0; length as usize];
            let mut buffer = NetlinkBuffer::new(&mut bytes[..]);
            buffer.set_length(length);
            buffer.set_message_type(kind);
            bytes
        };
        let datagram = [whole(18, XFRM_MSG_FLUSHSA), vec![0; 2], whole(16, XFRM_MSG_DELSA)].concat();
        let kinds: Vec<u16> = messages(&datagram).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [XFRM_MSG_FLUSHSA, XFRM_MSG_DELSA]);
        for end in 0..datagram.len() {
            assert!(messages(&datagram[..end]).count() < 2);
        }
    }

    #[test]
    fn an_answer_is_an_error_or_none() {
        assert!(outcome(&0_i32.to_ne_bytes()).is_ok());
        let refused = outcome(&(-3_i32).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(3));
        assert!(outcome(&[]).is_err());
    }
}
