//! Removing what pluto has left behind: when it hangs or is gone, nobody else takes a connection out of the kernel.

use std::{collections::HashSet, io};

use netlink_packet_core::{NlasIterator, Parseable};
use netlink_packet_xfrm::{
    Mark, UserPolicyId, UserSaId, UserSaInfo, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_GETPOLICY,
    XFRM_MSG_GETSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA, XFRM_USER_SA_INFO_LEN, XFRMA_MARK, XfrmAttrs, policy,
    state,
};

use super::{
    netlink::{act, dump},
    reqid_group,
};

/// Removes the SAs and policies with these request ids, each as [`reqid_group`] has it, and tells how many there were.
///
/// # Errors
/// The kernel does not list or does not remove them; what can be removed is.
pub fn remove(reqids: &HashSet<u32>) -> io::Result<usize> {
    let (mut policies, mut sas) = (Vec::new(), Vec::new());
    dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY {
            policies.extend(policy_of(payload, reqids));
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

/// The request that removes a listed policy, if it asks for one of `reqids`.
fn policy_of(payload: &[u8], reqids: &HashSet<u32>) -> Option<policy::DelGetMessage> {
    let listed = policy::ModifyMessage::parse(payload).ok()?;
    let asks_for_one = listed.nlas.iter().any(|attribute| match attribute {
        XfrmAttrs::Template(templates) => templates
            .iter()
            .any(|template| template.reqid != 0 && reqids.contains(&reqid_group(template.reqid))),
        _ => false,
    });
    asks_for_one.then(|| policy::DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: listed.user_policy_info.selector,
            index: listed.user_policy_info.index,
            direction: listed.user_policy_info.direction,
        },
        // The kernel finds a policy only together with these.
        nlas: listed
            .nlas
            .into_iter()
            .filter(|attribute| matches!(attribute, XfrmAttrs::IfId(_) | XfrmAttrs::Mark(_)))
            .collect(),
    })
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
