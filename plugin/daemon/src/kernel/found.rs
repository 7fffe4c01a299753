//! What the kernel has of one connection, to be held against what was declared.

use std::{
    collections::{BTreeSet, HashSet},
    io,
};

use netlink_packet_core::Parseable;
use netlink_packet_xfrm::{
    UserSaInfo, XFRM_MODE_TUNNEL, XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA,
    XFRM_POLICY_OUT, XfrmAttrs, policy,
};
use nmstate_ipsec_core::connection::Subnet;

use super::{flow, netlink::dump, reqid_group, traffic::cipher};

/// What is known by the request ids of one connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether an SA wraps whole packets. With compression it is not the one of ESP.
    pub is_tunnel: bool,
    /// The ciphers of its SAs, by the kernel's names, and the lengths of their keys in bits, salt included.
    pub ciphers: BTreeSet<(String, u32)>,
    /// From where to where its policies send packets into SAs.
    pub flows: HashSet<(Subnet, Subnet)>,
}

/// What the kernel has with these request ids, each as [`reqid_group`] has it.
///
/// # Errors
/// The kernel does not list it.
pub fn found(reqids: &HashSet<u32>) -> io::Result<Found> {
    let mut found = Found::default();
    dump(XFRM_MSG_GETSA, |kind, payload| {
        if kind == XFRM_MSG_NEWSA
            && let Ok(sa) = UserSaInfo::parse(payload)
            && reqids.contains(&reqid_group(sa.reqid))
        {
            found.is_tunnel |= sa.mode == XFRM_MODE_TUNNEL;
            found.ciphers.extend(cipher(payload));
        }
    })?;
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind != XFRM_MSG_NEWPOLICY {
            return;
        }
        let Ok(policy) = policy::ModifyMessage::parse(payload) else {
            return;
        };
        let is_its = |attribute: &XfrmAttrs| match attribute {
            XfrmAttrs::Template(templates) => templates
                .iter()
                .any(|template| reqids.contains(&reqid_group(template.reqid))),
            _ => false,
        };
        if policy.user_policy_info.direction == XFRM_POLICY_OUT && policy.nlas.iter().any(is_its) {
            found.flows.extend(flow(&policy.user_policy_info.selector));
        }
    })?;
    Ok(found)
}
