//! Policies that drop what another policy encrypts, for the moment in which that one is exchanged.
//!
//! The kernel tells policies apart by their selectors, and the field `user` of a selector, which nothing reads, is part of
//! that: so a hold stands beside the policy that it is for, is found when that one has gone, and is not touched by pluto.
//! It ends by itself, should nobody take it away.

use std::io;

use netlink_packet_core::Parseable;
use netlink_packet_xfrm::{
    LifetimeConfig, UserPolicyId, UserPolicyInfo, XFRM_MSG_DELPOLICY, XFRM_MSG_GETPOLICY, XFRM_MSG_NEWPOLICY,
    XFRM_MSG_UPDPOLICY, XFRM_POLICY_BLOCK, XFRM_POLICY_OUT, policy,
};

use super::{
    Traces,
    netlink::{act, dump},
    remove::{found_by, is_of},
};

/// Seconds until a hold ends by itself.
const LIFETIME: u64 = 120;

/// The last in precedence.
const PRIORITY: u32 = u32::MAX;

/// What the selectors of holds have in the field that nothing reads.
const MARK: u32 = u32::from_be_bytes(*b"hold");

/// A hold that is in place.
pub type Hold = policy::DelGetMessage;

/// Puts a hold beside every outgoing policy of a connection. Whatever of them is in place in the end is returned, also if
/// one failed.
pub fn hold(traces: &Traces) -> (Vec<Hold>, io::Result<()>) {
    let mut policies = Vec::new();
    let listed = dump(XFRM_MSG_GETPOLICY, |kind, payload| {
        if kind == XFRM_MSG_NEWPOLICY
            && let Ok(listed) = policy::ModifyMessage::parse(payload)
            && listed.user_policy_info.direction == XFRM_POLICY_OUT
            && is_of(&listed, traces)
        {
            policies.push(beside(listed));
        }
    });
    let mut holds = Vec::new();
    let mut outcome = listed;
    for policy in policies {
        match act(XFRM_MSG_UPDPOLICY, &policy) {
            Ok(()) => holds.push(removal(policy)),
            Err(error) => outcome = Err(error),
        }
    }
    (holds, outcome)
}

/// Takes holds away; one that has ended is gone already.
pub fn release(holds: &[Hold]) {
    for hold in holds {
        if let Err(error) = act(XFRM_MSG_DELPOLICY, hold)
            && error.raw_os_error() != Some(nix::libc::ENOENT)
        {
            tracing::warn!(
                "failed to take a hold out of the kernel, which ends within {LIFETIME} s: {error}"
            );
        }
    }
}

/// Whether a policy is a hold, of whatever connection.
pub(super) fn is_hold(policy: &UserPolicyInfo) -> bool {
    policy.action == XFRM_POLICY_BLOCK && policy.selector.user == MARK
}

fn beside(listed: policy::ModifyMessage) -> policy::ModifyMessage {
    let mut selector = listed.user_policy_info.selector;
    selector.user = MARK;
    policy::ModifyMessage {
        user_policy_info: UserPolicyInfo {
            selector,
            lifetime_cfg: LifetimeConfig {
                hard_add_expires_seconds: LIFETIME,
                ..LifetimeConfig::default()
            },
            priority: PRIORITY,
            direction: XFRM_POLICY_OUT,
            action: XFRM_POLICY_BLOCK,
            ..UserPolicyInfo::default()
        },
        nlas: found_by(listed.nlas),
    }
}

fn removal(hold: policy::ModifyMessage) -> Hold {
    policy::DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: hold.user_policy_info.selector,
            index: 0,
            direction: XFRM_POLICY_OUT,
        },
        nlas: hold.nlas,
    }
}
