//! Both ends have called at once: pluto keeps a pair of SAs of each call, and now and then one that the other end never
//! had, into which the kernel may then send (libreswan 4 and 5 up to 5.3). One pair is left here.

use std::time::Duration;

use nmstate_ipsec_core::{profile::Profile, updown::Updown};

use super::Host;
use crate::kernel::{KernelFacts, reqid_group};

/// When it is looked for after a connection came up: calls cross within seconds, a peer that is slow to answer needs more.
pub(super) const LOOKS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];

/// A second pair that is there for so long is none of a rekey, whose old pair goes at once.
pub(super) const LINGERS: Duration = Duration::from_secs(3);

/// Whether there is more than one pair of SAs for one pair of selectors. With compression there always is; pluto then
/// knows better.
pub(super) fn is_there(reports: &[Updown], facts: &KernelFacts) -> bool {
    let count = |reqid: u32| facts.sa_spis.values().filter(|of| **of == reqid).count();
    let reqids = reports.iter().filter_map(|report| report.reqid);
    reqids.map(reqid_group).any(|reqid| count(reqid) > 2)
}

/// Has pluto delete all but the newest of what it has for the same selectors, and tell the peer. What shares its IKE SA with
/// another connection stays.
pub(super) async fn take_away(host: &Host, profile: &Profile) {
    let (uuid, name) = (&profile.uuid, profile.pluto_name());
    let status = match host.libreswan.status().await {
        Ok(status) => status,
        Err(reason) => return tracing::warn!("failed to look for SAs that are there twice: {reason}"),
    };
    for number in status.surplus(&name) {
        tracing::info!(ipsec_connection = %profile.id, ipsec_uuid = %uuid, nm_connection = %uuid, "both ends of '{}' have called at once; deleting the older SAs (#{number})", profile.id);
        if let Err(reason) = host.libreswan.delete_ike_sa(number).await {
            tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to have pluto delete #{number}: {reason}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use tokio::time::Instant;

    #[test]
    fn a_second_pair_of_the_same_selectors_is_seen() {
        let report = |reqid: &str| {
            let variables = [
                ("PLUTO_VERB", "up-host"),
                ("PLUTO_CONNECTION", "a-0cb881c9"),
                ("PLUTO_SA_REQID", reqid),
            ];
            Updown::from_env(variables).unwrap()
        };
        let facts = |spis: &[(u32, u32)]| KernelFacts {
            taken: Instant::now(),
            sa_reqids: spis.iter().map(|(_, reqid)| *reqid).collect(),
            sa_peers: HashSet::new(),
            sa_spis: spis.iter().copied().collect(),
            policy_reqids: HashSet::new(),
            outgoing: HashSet::new(),
        };
        let two_pairs = [report("16388"), report("16393")];
        let one_each = [(0x100, 16388), (0x101, 16388), (0x102, 16392), (0x103, 16392)];
        assert!(!is_there(&two_pairs, &facts(&one_each)));
        assert!(!is_there(&two_pairs[..1], &facts(&[])));
        let twice = [(0x100, 16388), (0x101, 16388), (0x102, 16388), (0x103, 16388)];
        assert!(is_there(&two_pairs, &facts(&twice)));
        assert!(!is_there(&two_pairs[1..], &facts(&twice)));
    }
}
