//! Removing what pluto has left behind: when it hangs or is gone, nobody else takes a connection out of the kernel.

use std::{collections::HashSet, io};

use netlink_packet_core::{NlasIterator, Parseable};
use netlink_packet_xfrm::{
    Mark, UserPolicyId, UserSaId, UserSaInfo, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_GETPOLICY,
    XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA, XFRM_USER_SA_INFO_LEN, XFRMA_MARK, XfrmAttrs, policy,
    state,
};

use nmstate_ipsec_core::connection::Subnet;

use super::{
    flow,
    netlink::{act, dump},
    reqid_group,
};

/// What the kernel has of one connection.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// Request ids of its SAs and policies, each as [`reqid_group`] has it.
    pub reqids: HashSet<u32>,
    /// From where to where its traps catch packets; they have no request id.
    pub traps: HashSet<(Subnet, Subnet)>,
    /// The number of its XFRM interface, which traps of others with the same packets do not have.
    pub interface: Option<u32>,
}

/// Removes the SAs and policies of a connection, and tells how many there were.
///
/// # Errors
/// The kernel does not list or does not remove them; what can be removed is.
pub fn remove(traces: &Traces) -> io::Result<usize> {
    let reqids = &traces.reqids;
    let (mut policies, mut sas) = (Vec::new(), Vec::new());
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY {
            policies.extend(policy_of(payload, traces));
        }
    })?;
    dump(XFRM_MSG_GETSA, |kind, payload| {
        if kind == XFRM_MSG_NEWSA {
            sas.extend(sa_of(payload, reqids));
        }
    })?;
    // Policies first: without its SAs a policy would have the kernel ask pluto for new ones.
    let outcomes: Vec<io::Result<()>> = policies
        .iter()
        .map(|policy| act(XFRM_MSG_DELPOLICY, policy))
        .chain(sas.iter().map(|sa| act(XFRM_MSG_DELSA, sa)))
        .collect();
    let removed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ESRCH));
    match outcomes
        .into_iter()
        .filter_map(Result::err)
        .find(|error| !gone(error))
    {
        Some(error) => Err(error),
        None => Ok(removed),
    }
}

/// The request ids that the kernel's policies for exactly these packets, and this interface, ask for: it has one policy for
/// them, whoever made it.
///
/// # Errors
/// The kernel does not list them.
pub fn reqids_of(traces: &Traces) -> io::Result<HashSet<u32>> {
    let mut found = HashSet::new();
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY
            && let Ok(listed) = policy::ModifyMessage::parse(payload)
            && is_for(&listed, traces)
        {
            found.extend(reqids(&listed).filter(|reqid| *reqid != 0).map(reqid_group));
        }
    })?;
    Ok(found)
}

fn reqids(listed: &policy::ModifyMessage) -> impl Iterator<Item = u32> {
    let templates = listed.nlas.iter().filter_map(|attribute| match attribute {
        XfrmAttrs::Template(templates) => Some(templates),
        _ => None,
    });
    templates.flatten().map(|template| template.reqid)
}

/// Whether a policy is for the packets that the traps catch, one way or the other.
fn is_for(listed: &policy::ModifyMessage, traces: &Traces) -> bool {
    let interface = listed.nlas.iter().find_map(|attribute| match attribute {
        XfrmAttrs::IfId(number) => Some(*number),
        _ => None,
    });
    interface == traces.interface
        && flow(&listed.user_policy_info.selector).is_some_and(|(from, to)| {
            traces.traps.contains(&(from, to)) || traces.traps.contains(&(to, from))
        })
}

/// Whether a policy is the connection's: it asks for one of the request ids, or is one of the traps.
pub(super) fn is_of(listed: &policy::ModifyMessage, traces: &Traces) -> bool {
    let asks_for_one = reqids(listed).any(|reqid| reqid != 0 && traces.reqids.contains(&reqid_group(reqid)));
    asks_for_one || (reqids(listed).any(|reqid| reqid == 0) && is_for(listed, traces))
}

/// The request that removes a listed policy, if it asks for one of the request ids, or is one of the traps.
fn policy_of(payload: &[u8], traces: &Traces) -> Option<policy::DelGetMessage> {
    let listed = policy::ModifyMessage::parse(payload).ok()?;
    is_of(&listed, traces).then(|| policy::DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: listed.user_policy_info.selector,
            index: listed.user_policy_info.index,
            direction: listed.user_policy_info.direction,
        },
        // The kernel finds a policy only together with these.
        nlas: found_by(listed.nlas),
    })
}

/// What the kernel tells policies apart by beside their selectors.
pub(super) fn found_by(attributes: Vec<XfrmAttrs>) -> Vec<XfrmAttrs> {
    let is_part = |attribute: &XfrmAttrs| matches!(attribute, XfrmAttrs::IfId(_) | XfrmAttrs::Mark(_));
    attributes.into_iter().filter(is_part).collect()
}

/// The request that removes a listed SA, if it has one of `reqids`. Of its attributes, which hold keys, only the mark is
/// read.
fn sa_of(payload: &[u8], reqids: &HashSet<u32>) -> Option<state::DelGetMessage> {
    let listed = UserSaInfo::parse(payload).ok()?;
    if listed.reqid == 0 || !reqids.contains(&reqid_group(listed.reqid)) {
        return None;
    }
    let attributes = NlasIterator::new(payload.get(XFRM_USER_SA_INFO_LEN..)?);
    let mark = attributes
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == XFRMA_MARK)
        .and_then(|attribute| Mark::parse(attribute.value()).ok());
    Some(state::DelGetMessage {
        user_sa_id: UserSaId {
            daddr: listed.id.daddr,
            spi: listed.id.spi,
            family: listed.family,
            proto: listed.id.proto,
        },
        nlas: mark.map(XfrmAttrs::Mark).into_iter().collect(),
    })
}
