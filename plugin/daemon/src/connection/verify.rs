//! Whether the kernel has a connection as its profile declares it: mode, selectors, algorithms.

use nmstate_ipsec_core::{
    connection::{ConnType, ConnectMode, Connection, Subnet, YesNo},
    profile::Profile,
    render::ResolvedEnds,
    updown::Updown,
};

use super::work;
use crate::kernel::{Found, KernelFacts};

/// What of a connection that is up is not as declared. `found` is what the kernel has of it.
pub(super) fn fault(
    profile: &Profile,
    ends: &ResolvedEnds,
    reports: &[Updown],
    facts: &KernelFacts,
    found: &Found,
) -> Option<String> {
    if !work::is_in_kernel(profile, ends, reports, facts) {
        return Some("the kernel has no SA or no policy of it".into());
    }
    let connection = &profile.connection;
    // Of a trap there is nothing else, until packets meet it.
    if connection.connect_mode == ConnectMode::OnDemand && found.ciphers.is_empty() {
        return None;
    }
    judge(connection, ends, found)
}

/// What of that is not as declared.
fn judge(connection: &Connection, ends: &ResolvedEnds, found: &Found) -> Option<String> {
    mode(connection, found)
        .or_else(|| selectors(connection, ends, found))
        .or_else(|| ciphers(connection, found))
}

fn mode(connection: &Connection, found: &Found) -> Option<String> {
    let declared = connection.conn_type();
    let is_declared = found.is_tunnel == (declared == ConnType::Tunnel);
    (!is_declared).then(|| format!("its SAs are not in {declared} mode, which is declared"))
}

fn selectors(connection: &Connection, ends: &ResolvedEnds, found: &Found) -> Option<String> {
    let (mine, peers) = work::selectors(connection, ends);
    // The peer says what it comes to, within what was asked for.
    if connection.is_mode_config_client() || connection.narrowing.is_some_and(YesNo::is_yes) {
        let is_asked_for = |flow: &&(Subnet, Subnet)| {
            peers.is_empty() || peers.iter().any(|peers| is_within(flow.1, *peers))
        };
        let beyond = found.flows.iter().find(|flow| !is_asked_for(flow))?;
        return Some(format!(
            "the kernel encrypts packets to {}, which is not declared",
            beyond.1
        ));
    }
    for peers in &peers {
        let of_family = |mine: &&Subnet| mine.family() == peers.family();
        let is_there = |mine: Option<&Subnet>| {
            let mut flows = found.flows.iter();
            flows.any(|flow| flow.1 == *peers && mine.is_none_or(|mine| flow.0 == *mine))
        };
        let missing = if mine.is_empty() {
            (!is_there(None)).then(|| "this host".to_owned())
        } else {
            let mut of_family = mine.iter().filter(of_family);
            of_family
                .find(|mine| !is_there(Some(mine)))
                .map(Subnet::to_string)
        };
        if let Some(mine) = missing {
            return Some(format!(
                "the kernel has no policy for packets from {mine} to {peers}, which is declared"
            ));
        }
    }
    None
}

fn ciphers(connection: &Connection, found: &Found) -> Option<String> {
    let proposal = connection.esp.as_ref()?;
    let declared = proposal.esp_ciphers()?;
    let is_declared = |(name, bits): &&(String, u32)| {
        declared.iter().any(|cipher| {
            cipher.kernel_name == name && cipher.key_bits.is_none_or(|declared| declared == *bits)
        })
    };
    let (name, bits) = found.ciphers.iter().find(|cipher| !is_declared(cipher))?;
    Some(format!(
        "its SAs use {name} with {bits} bits of key, which esp={proposal} does not declare"
    ))
}

fn is_within(inner: Subnet, outer: Subnet) -> bool {
    inner.prefix() >= outer.prefix() && outer.contains(inner.network())
}

#[cfg(test)]
mod tests {
    use nmstate_ipsec_core::render::{LeftEnd, RightEnd};

    use super::*;

    const ENDS: ResolvedEnds = ResolvedEnds {
        left: LeftEnd::Ip(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
        right: RightEnd::Ip(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2))),
    };

    /// What is said of a connection with these keys when the kernel has it as a tunnel or not, with such a cipher and
    /// these flows.
    fn said(keys: &[(&str, &str)], is_tunnel: bool, cipher: (&str, u32), flows: &[(&str, &str)]) -> String {
        let head = [
            ("left", "192.0.2.1"),
            ("right", "192.0.2.2"),
            ("nm-auto-defaults", "no"),
        ];
        let data = head.iter().chain(keys);
        let data = data
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let connection = Connection::from_data(&data).unwrap();
        let subnet = |text: &str| text.parse::<Subnet>().unwrap();
        let found = Found {
            is_tunnel,
            ciphers: [(cipher.0.to_owned(), cipher.1)].into(),
            flows: flows
                .iter()
                .map(|(mine, peers)| (subnet(mine), subnet(peers)))
                .collect(),
        };
        judge(&connection, &ENDS, &found).unwrap_or_default()
    }

    const GCM: (&str, u32) = ("rfc4106(gcm(aes))", 288);
    const HOSTS: &[(&str, &str)] = &[("192.0.2.1", "192.0.2.2")];

    #[test]
    fn the_mode_is_the_declared_one() {
        assert_eq!(said(&[("type", "transport")], false, GCM, HOSTS), "");
        assert_eq!(said(&[], true, GCM, HOSTS), "");
        assert!(said(&[("type", "transport")], true, GCM, HOSTS).contains("transport mode"));
        assert!(said(&[], false, GCM, HOSTS).contains("tunnel mode"));
    }

    #[test]
    fn every_declared_pair_of_subnets_is_there() {
        let sites = &[
            ("leftsubnet", "10.1.0.0/16"),
            ("rightsubnets", "10.2.0.0/16,10.3.0.0/16"),
        ];
        let both = &[("10.1.0.0/16", "10.2.0.0/16"), ("10.1.0.0/16", "10.3.0.0/16")];
        assert_eq!(said(sites, true, GCM, both), "");
        assert!(said(sites, true, GCM, &both[..1]).contains("10.1.0.0/16 to 10.3.0.0/16"));
        assert!(said(&[], true, GCM, &[]).contains("192.0.2.1/32 to 192.0.2.2/32"));
        let narrower = &[("10.1.0.0/16", "10.2.0.0/24"), both[1]];
        assert!(said(sites, true, GCM, narrower).contains("10.2.0.0/16"));
    }

    #[test]
    fn a_peer_that_assigns_or_narrows_stays_within_what_is_declared() {
        for key in ["narrowing", "leftmodecfgclient"] {
            let keys = &[(key, "yes"), ("rightsubnet", "10.0.0.0/8")];
            assert_eq!(said(keys, true, GCM, &[("10.9.9.9", "10.2.0.0/16")]), "");
            let beyond = said(keys, true, GCM, &[("10.9.9.9", "0.0.0.0/0")]);
            assert!(beyond.contains("0.0.0.0/0"), "{key}: {beyond}");
        }
    }

    #[test]
    fn the_cipher_is_a_declared_one() {
        let esp = &[("esp", "aes_gcm256,aes128-sha2_256")];
        assert_eq!(said(esp, true, GCM, HOSTS), "");
        assert_eq!(said(esp, true, ("cbc(aes)", 128), HOSTS), "");
        assert!(said(esp, true, ("cbc(aes)", 256), HOSTS).contains("cbc(aes) with 256 bits"));
        assert!(said(esp, true, ("rfc4106(gcm(aes))", 160), HOSTS).contains("esp=aes_gcm256"));
        assert_eq!(said(&[("esp", "twofish-sha1")], true, GCM, HOSTS), "");
    }
}
