//! What libreswan's words mean.
//!
//! Exit codes alone do not tell: whack ends with 0 when the peer accepted the IKE SA and refused the
//! child SA. `tests/fixtures/` holds what the real programs said, for each version.

use std::{net::IpAddr, time::Duration};

use nmstate_ipsec_core::reason::Reason;

/// How far `whack --initiate` came.
#[derive(Debug, PartialEq, Eq)]
pub enum Initiated {
    /// A child SA is in place.
    Established,
    /// pluto was negotiating already, so that whack had nothing to wait for.
    Underway,
}

/// Tells what addconn's failure means. Libreswan 4 says nothing at all when pluto refuses.
pub fn of_add(succeeded: bool, said: &str) -> Result<(), Option<Reason>> {
    if succeeded {
        return Ok(());
    }
    let words = last_words(said);
    if words.is_empty() {
        return Err(None);
    }
    if words.contains("is expired or not yet valid") {
        return Err(Some(Reason::CertificateExpired { detail: words }));
    }
    if words.contains("does not allow IKEv1") {
        return Err(Some(Reason::Ikev1Off { detail: words }));
    }
    Err(Some(Reason::ConfigurationRefused { detail: words }))
}

/// Tells what `whack --initiate` said of the negotiation with `peer`.
///
/// # Errors
/// No child SA came of it; the reason is the most telling of pluto's words.
pub fn of_initiate(succeeded: bool, said: &str, peer: IpAddr, waited: Duration) -> Result<Initiated, Reason> {
    if ["established Child SA", "IPsec SA established"]
        .iter()
        .any(|words| said.contains(words))
    {
        return Ok(Initiated::Established);
    }
    if succeeded && said.trim().is_empty() {
        return Ok(Initiated::Underway);
    }
    for (words, reason) in REFUSALS {
        // The last such line: earlier ones may have been overcome.
        if let Some(line) = said.lines().rev().find(|line| line.contains(words)) {
            return Err(reason(peer, bare(line).to_owned()));
        }
    }
    for (words, reason, detail) in IKEV1_SILENCE {
        if said.contains(words) {
            return Err(reason(peer, (*detail).to_owned()));
        }
    }
    let silence = ["retransmission", "No response"]
        .iter()
        .any(|words| said.contains(words));
    if silence {
        let detail = network_words(said).unwrap_or_else(|| "nothing came back".into());
        return Err(Reason::PeerSilent {
            peer,
            seconds: waited.as_secs(),
            detail,
        });
    }
    let detail = last_words(said);
    let detail = if detail.is_empty() {
        "pluto gave no reason".into()
    } else {
        detail
    };
    Err(Reason::NegotiationFailed { peer, detail })
}

/// Words of the peer's refusal that pluto takes for no answer, because they are not authenticated; the latter two are
/// of IKEv1.
pub const UNAUTHENTICATED_REFUSALS: &[&str] = &[
    "NO_PROPOSAL_CHOSEN notification",
    "informational payload NO_PROPOSAL_CHOSEN",
    "informational payload INVALID_ID_INFORMATION",
];

type ToReason = fn(IpAddr, String) -> Reason;

/// Words and what they mean, the most telling first.
const REFUSALS: &[(&str, ToReason)] = &[
    // Libreswan 4 now and then says nothing when it refuses to add a connection.
    ("no connection", |_, detail| Reason::ConfigurationRefused {
        detail,
    }),
    ("no PSK found", |_, detail| Reason::SecretMissing { detail }),
    ("no preshared key found", |_, detail| Reason::SecretMissing {
        detail,
    }),
    ("Cisco XAUTH status: FAIL", |peer, detail| {
        Reason::PasswordRefused { peer, detail }
    }),
    ("SEC_ERROR_EXPIRED", |_, detail| Reason::CertificateExpired {
        detail,
    }),
    ("is expired or not yet valid", |_, detail| {
        Reason::CertificateExpired { detail }
    }),
    ("IPsec certificate", |peer, detail| Reason::CertificateUntrusted {
        peer,
        detail,
    }),
    ("subjectAltName", |peer, detail| Reason::CertificateIdentity {
        peer,
        detail,
    }),
    ("mismatched on first found connection", |peer, detail| {
        Reason::CertificateIdentity { peer, detail }
    }),
    ("AUTHENTICATION_FAILED", |peer, detail| {
        Reason::AuthenticationRefused { peer, detail }
    }),
    ("INVALID_ID_INFORMATION", |peer, detail| {
        Reason::AuthenticationRefused { peer, detail }
    }),
    ("authentication failed", |peer, detail| {
        Reason::PeerAuthenticationFailed { peer, detail }
    }),
    ("TS_UNACCEPTABLE", |peer, detail| Reason::SelectorsRefused {
        peer,
        detail,
    }),
    ("requires Transport Mode", |peer, detail| {
        Reason::SelectorsRefused { peer, detail }
    }),
    ("requires Tunnel Mode", |peer, detail| Reason::SelectorsRefused {
        peer,
        detail,
    }),
    ("policy dictates", |peer, detail| Reason::SelectorsRefused {
        peer,
        detail,
    }),
    ("NO_PROPOSAL_CHOSEN", |peer, detail| Reason::ProposalRefused {
        peer,
        detail,
    }),
    ("we cannot identify ourselves", |peer, detail| Reason::NoRoute {
        peer,
        detail,
    }),
    ("Network is unreachable", |peer, detail| Reason::NoRoute {
        peer,
        detail,
    }),
];

/// In IKEv1 a peer that disagrees mostly says nothing more: words of the exchange that stays without answer,
/// and what that means.
const IKEV1_SILENCE: &[(&str, ToReason, &str)] = &[
    (
        "STATE_MAIN_I3: retransmission",
        |peer, detail| Reason::AuthenticationRefused { peer, detail },
        "no answer to the identity; so does a peer that has another pre-shared key",
    ),
    (
        "STATE_QUICK_I1: retransmission",
        |peer, detail| Reason::SelectorsRefused { peer, detail },
        "no answer to Quick Mode; so does a peer that has no such subnets, or none of the algorithms in esp",
    ),
];

/// What ICMP said of our packets, if anything.
fn network_words(said: &str) -> Option<String> {
    let line = said.lines().rev().find(|line| line.contains("complainant"))?;
    let words = line.split("complainant ").nth(1)?;
    Some(words.split(" [").next().unwrap_or(words).to_owned())
}

/// The last line that says something of the matter, without the prefixes of pluto's log.
pub fn last_words(said: &str) -> String {
    const NOISE: [&str; 5] = [
        "deleting",
        "supposed to remain up",
        "terminating SAs",
        "has been replaced by",
        "encountered fatal error",
    ];
    let telling = |line: &&str| !line.trim().is_empty() && !NOISE.iter().any(|noise| line.contains(noise));
    said.lines()
        .rev()
        .find(telling)
        .map(bare)
        .unwrap_or_default()
        .to_owned()
}

/// A line without whack's number and without the connection's name and the state's number.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let numbered = line
        .split_once(' ')
        .filter(|(number, _)| number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()));
    let line = numbered.map_or(line, |(_, rest)| rest);
    match line.split_once(": ") {
        Some((prefix, rest)) if prefix.starts_with('"') => rest.trim_start(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 252));

    /// What the program said, if this version of libreswan was seen to get that far.
    fn said(version: &str, what: &str) -> Option<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(version)
            .join(what);
        fs::read_to_string(path.with_extension("txt")).ok()
    }

    fn initiated(version: &str, what: &str) -> String {
        let said = said(version, &format!("initiate-{what}")).unwrap();
        match of_initiate(false, &said, PEER, Duration::from_secs(10)) {
            Ok(_) => "established".into(),
            Err(reason) => reason.code().into(),
        }
    }

    #[test]
    fn every_outcome_of_both_versions_is_told_apart() {
        for version in ["libreswan-4.10", "libreswan-5.2"] {
            for (what, code) in [
                ("success", "established"),
                ("no-secret", "secret-missing"),
                ("wrong-psk", "authentication-refused"),
                ("silent", "peer-silent"),
                ("timed-out", "peer-silent"),
                ("ike-proposal", "proposal-refused"),
                ("child-proposal", "proposal-refused"),
                ("traffic-selectors", "selectors-refused"),
                ("mode", "selectors-refused"),
                ("left-not-ours", "no-route"),
            ] {
                assert_eq!(initiated(version, what), code, "{version} {what}");
            }
        }
    }

    #[test]
    fn every_outcome_of_ikev1_is_told_apart() {
        for version in ["libreswan-4.10", "libreswan-5.2"] {
            for (what, code) in [
                ("success", "established"),
                ("no-secret", "secret-missing"),
                ("identity", "authentication-refused"),
                ("wrong-psk", "authentication-refused"),
                ("ike-proposal", "proposal-refused"),
                ("no-answer-to-quick-mode", "selectors-refused"),
                ("child-proposal", "selectors-refused"),
                ("xauth-success", "established"),
                ("xauth-wrong-password", "password-refused"),
                ("xauth-no-password", "password-refused"),
            ] {
                assert_eq!(
                    initiated(version, &format!("ikev1-{what}")),
                    code,
                    "{version} {what}"
                );
            }
        }
    }

    #[test]
    fn what_addconn_says() {
        let added = |what: &str| {
            of_add(false, &said("libreswan-5.2", what).unwrap())
                .unwrap_err()
                .unwrap()
        };
        assert_eq!(added("add-certificate-expired").code(), "certificate-expired");
        assert!(
            added("add-unknown-algorithm")
                .to_string()
                .contains("'foo' is not recognized")
        );
        assert!(added("add-unknown-key").to_string().contains("foo"));
        let off = added("add-ikev1-off");
        assert_eq!(off.code(), "ikev1-off");
        assert!(off.to_string().contains("ikev1-policy=accept"), "{off}");
        assert_eq!(
            of_add(false, &said("libreswan-4.10", "add-certificate-missing").unwrap()),
            Err(None)
        );
        assert_eq!(of_add(true, ""), Ok(()));
    }

    #[test]
    fn the_network_is_quoted_and_prefixes_are_not() {
        let said = said("libreswan-5.2", "initiate-silent").unwrap();
        let reason = of_initiate(false, &said, PEER, Duration::from_secs(10))
            .unwrap_err()
            .to_string();
        assert!(
            reason.contains("192.0.2.252 did not answer within 10 s"),
            "{reason}"
        );
        assert_eq!(
            bare("036 \"t\" #2: encountered fatal error"),
            "encountered fatal error"
        );
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn nothing_said_is_no_end() {
        assert_eq!(
            of_initiate(true, "", PEER, Duration::ZERO),
            Ok(Initiated::Underway)
        );
        assert_eq!(
            of_initiate(false, "", PEER, Duration::ZERO).unwrap_err().code(),
            "negotiation-failed"
        );
    }
}
