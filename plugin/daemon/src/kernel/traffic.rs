//! What the SAs of one connection are, and what they have carried.

use std::{collections::HashSet, io, net::IpAddr};

use netlink_packet_core::NlasIterator;
use netlink_packet_xfrm::{
    LifetimeConfig, UserSaInfo, XFRM_MODE_TRANSPORT, XFRM_MODE_TUNNEL, XFRM_MSG_GETSA, XFRM_MSG_NEWSA,
    XFRM_USER_SA_INFO_LEN, XFRMA_ALG_AEAD, XFRMA_ALG_CRYPT,
};
use nmstate_ipsec_core::daemon_api::{SaLimits, SaStatus};

use super::{address, netlink::dump, reqid_group};

/// `xfrm_algo.alg_name` and `xfrm_algo_aead.alg_name` (`linux/xfrm.h`); the key comes behind it.
const ALGORITHM_NAME: usize = 64;

/// The SAs with these request ids, each as [`reqid_group`] has it; `peer` tells which way they go.
///
/// # Errors
/// The kernel does not list them.
pub fn traffic(reqids: &HashSet<u32>, peer: Option<IpAddr>) -> io::Result<Vec<SaStatus>> {
    let mut found = Vec::new();
    dump(XFRM_MSG_GETSA, |kind, payload| {
        if kind == XFRM_MSG_NEWSA
            && let Ok(sa) = UserSaInfo::parse(payload)
            && reqids.contains(&reqid_group(sa.reqid))
        {
            let to = address(&sa.id.daddr.addr, sa.family);
            found.push(SaStatus {
                is_outgoing: to.is_some() && to == peer,
                spi: sa.id.spi,
                mode: mode(sa.mode).to_owned(),
                algorithm: cipher(payload).map(|(name, _)| name).unwrap_or_default(),
                bytes: sa.lifetime_cur.bytes,
                packets: sa.lifetime_cur.packets,
                since: sa.lifetime_cur.add_time,
                used_since: sa.lifetime_cur.use_time,
                soft: soft(&sa.lifetime_cfg),
                hard: hard(&sa.lifetime_cfg),
            });
        }
    })?;
    Ok(found)
}

fn soft(limits: &LifetimeConfig) -> SaLimits {
    SaLimits {
        seconds: limits.soft_add_expires_seconds,
        used_seconds: limits.soft_use_expires_seconds,
        bytes: limit(limits.soft_byte_limit),
        packets: limit(limits.soft_packet_limit),
    }
}

fn hard(limits: &LifetimeConfig) -> SaLimits {
    SaLimits {
        seconds: limits.hard_add_expires_seconds,
        used_seconds: limits.hard_use_expires_seconds,
        bytes: limit(limits.hard_byte_limit),
        packets: limit(limits.hard_packet_limit),
    }
}

/// A number of bytes or packets; the kernel says that there is no limit by the largest one (`XFRM_INF`).
fn limit(number: u64) -> u64 {
    if number == u64::MAX { 0 } else { number }
}

fn mode(mode: u8) -> &'static str {
    match mode {
        XFRM_MODE_TRANSPORT => "transport",
        XFRM_MODE_TUNNEL => "tunnel",
        _ => "other",
    }
}

/// The name of the cipher and the length of its key in bits (`alg_key_len`); the key behind them is not read.
pub(super) fn cipher(payload: &[u8]) -> Option<(String, u32)> {
    let attributes = NlasIterator::new(payload.get(XFRM_USER_SA_INFO_LEN..)?);
    let cipher = attributes
        .filter_map(Result::ok)
        .find(|attribute| matches!(attribute.kind(), XFRMA_ALG_AEAD | XFRMA_ALG_CRYPT))?;
    let (name, rest) = cipher.value().split_at_checked(ALGORITHM_NAME)?;
    let bits = u32::from_ne_bytes(*rest.first_chunk()?);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Some((String::from_utf8_lossy(&name[..end]).into_owned(), bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_no_limit() {
        let limits = LifetimeConfig {
            soft_byte_limit: u64::MAX,
            hard_byte_limit: 1 << 40,
            soft_packet_limit: u64::MAX,
            hard_packet_limit: u64::MAX,
            soft_add_expires_seconds: 0,
            hard_add_expires_seconds: 28800,
            soft_use_expires_seconds: 0,
            hard_use_expires_seconds: 600,
        };
        assert_eq!(soft(&limits), SaLimits::default());
        let hard = hard(&limits);
        assert_eq!(
            (hard.seconds, hard.used_seconds, hard.bytes, hard.packets),
            (28800, 600, 1 << 40, 0)
        );
    }
}
