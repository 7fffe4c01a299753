//! Why a connection is not up, in words for a person and a code for a program.

use std::net::IpAddr;

use crate::contract::PluginFailure;

/// From how many days before its end on a certificate is warned of, wherever that is told.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

/// Why a connection could not be brought up or did not stay up.
///
/// The text says what failed, on what, why, and what to do next; [`Reason::code`] is stable and meant
/// for programs and for `journalctl IPSEC_REASON=...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// pluto does not run and could not be started.
    #[error("pluto is not running and could not be started: {detail}")]
    PlutoDown {
        /// What systemd or the control socket said.
        detail: String,
    },
    /// A host name in `left` or `right` has no address.
    #[error("'{key}' is the host name '{name}', which does not resolve: {detail}; check DNS or /etc/hosts")]
    NameUnresolved {
        /// `left` or `right`.
        key: &'static str,
        /// The name that was looked up.
        name: String,
        /// What the resolver said.
        detail: String,
    },
    /// Both ends resolve, but not to one address family.
    #[error(
        "'left' and 'right' have no address family in common ({left} and {right}); set hostaddrfamily or the addresses"
    )]
    FamilyMismatch {
        /// What `left` resolved to.
        left: String,
        /// What `right` resolved to.
        right: String,
    },
    /// The NSS database has no certificate, or no key for it, under this nickname.
    #[error(
        "the certificate '{nickname}' is not in the NSS database {database}{}; import it together with its key ('nmstate-ipsec cert import')",
        also(bundle)
    )]
    CertificateMissing {
        /// The nickname that the profile gives.
        nickname: String,
        /// The database, as `certutil -d` takes it.
        database: String,
        /// Where a bundle of it was looked for in vain, in words, if it was.
        bundle: Option<String>,
    },
    /// The NSS database lacks the certificate, and its bundle, which is where it is expected, cannot be imported.
    #[error("the certificate '{nickname}' cannot be imported: {detail}")]
    CertificateUnusable {
        /// The nickname that the profile gives.
        nickname: String,
        /// What is wrong with the bundle or the database, and what to do.
        detail: String,
    },
    /// A certificate is outside its validity.
    #[error("a certificate is expired or not yet valid ({detail}); check the clock or renew the certificate")]
    CertificateExpired {
        /// pluto's words.
        detail: String,
    },
    /// The peer's certificate does not lead to a trusted authority.
    #[error("the certificate of {peer} is not trusted ({detail}); import the authority that issued it")]
    CertificateUntrusted {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// The peer's certificate does not carry the identity that the profile expects.
    #[error(
        "the certificate of {peer} does not carry the expected identity ({detail}); compare rightid with its subjectAltName"
    )]
    CertificateIdentity {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// pluto has no pre-shared key for these ends.
    #[error(
        "no pre-shared key is known for this connection ({detail}); give the profile one (psk), or a certificate (leftcert)"
    )]
    SecretMissing {
        /// pluto's words.
        detail: String,
    },
    /// The peer does not accept who we say we are.
    #[error(
        "{peer} refused our authentication ({detail}); compare the pre-shared key or certificate and leftid on both ends"
    )]
    AuthenticationRefused {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// We do not accept who the peer says it is.
    #[error(
        "{peer} did not authenticate itself ({detail}); compare the pre-shared key or certificate and rightid on both ends"
    )]
    PeerAuthenticationFailed {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// The peer does not accept the user name or the password of extended authentication.
    #[error("{peer} refused the user name or the password ({detail}); check leftusername and xauthpassword")]
    PasswordRefused {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// No common algorithms.
    #[error(
        "{peer} accepted none of our proposals ({detail}); compare ike and esp on both ends and the crypto policy"
    )]
    ProposalRefused {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// The peer does not want this traffic in a tunnel.
    #[error(
        "{peer} refused the traffic selectors ({detail}); compare leftsubnet, rightsubnet and type on both ends"
    )]
    SelectorsRefused {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// Nothing came back.
    #[error(
        "{peer} did not answer within {seconds} s ({detail}); does IPsec run there, and do UDP 500 and 4500 pass?"
    )]
    PeerSilent {
        /// The peer's address.
        peer: IpAddr,
        /// How long was waited.
        seconds: u64,
        /// What the network said instead.
        detail: String,
    },
    /// This host has no way to the peer, or `left` is none of its addresses.
    #[error(
        "this host cannot reach {peer} from the address in 'left' ({detail}); check the route and that 'left' is an address of this host"
    )]
    NoRoute {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's words.
        detail: String,
    },
    /// Somebody else's connection has the name in pluto that this one would get.
    #[error(
        "pluto has a connection '{name}' already, which is not NetworkManager's; rename the profile, or take that connection out of pluto"
    )]
    NameTaken {
        /// The name in pluto.
        name: String,
    },
    /// libreswan does not accept the connection that we rendered.
    #[error("libreswan refused the connection: {detail}")]
    ConfigurationRefused {
        /// What addconn or pluto said.
        detail: String,
    },
    /// The pluto of this host takes no connections of IKEv1.
    #[error(
        "libreswan on this host does not allow IKEv1 ({detail}); set ikev1-policy=accept in the 'config setup' of /etc/ipsec.conf and restart ipsec.service, or use IKEv2 (ikev2=insist)"
    )]
    Ikev1Off {
        /// What addconn said.
        detail: String,
    },
    /// pluto gave up for a reason that has no name of its own here.
    #[error("the negotiation with {peer} failed: {detail}")]
    NegotiationFailed {
        /// The peer's address.
        peer: IpAddr,
        /// pluto's last words.
        detail: String,
    },
    /// pluto says that the tunnel is up, but its updown helper never told us with which addresses.
    #[error(
        "the tunnel came up, but pluto's updown helper did not report; is /usr/libexec/nm-libreswan-service-helper installed?"
    )]
    UpdownLost,
    /// What would hold the connection's packets back is not in place.
    #[error(
        "its guard cannot be set: {detail}; without it the connection is not brought up ('nmstate-ipsec guard NAME off' does without one)"
    )]
    GuardFailed {
        /// What was attempted, on what, and why it failed.
        detail: String,
    },
    /// Something on this host failed before the peer was asked.
    #[error("{detail}")]
    Local {
        /// What was attempted, on what, and why it failed.
        detail: String,
    },
}

fn also(bundle: &Option<String>) -> String {
    bundle
        .as_ref()
        .map(|bundle| format!(", and {bundle}"))
        .unwrap_or_default()
}

impl Reason {
    /// Stable code of the reason, for logs, scripts and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PlutoDown { .. } => "pluto-down",
            Self::NameUnresolved { .. } => "name-unresolved",
            Self::FamilyMismatch { .. } => "family-mismatch",
            Self::CertificateMissing { .. } => "certificate-missing",
            Self::CertificateUnusable { .. } => "certificate-unusable",
            Self::CertificateExpired { .. } => "certificate-expired",
            Self::CertificateUntrusted { .. } => "certificate-untrusted",
            Self::CertificateIdentity { .. } => "certificate-identity",
            Self::SecretMissing { .. } => "secret-missing",
            Self::AuthenticationRefused { .. } => "authentication-refused",
            Self::PeerAuthenticationFailed { .. } => "peer-authentication-failed",
            Self::PasswordRefused { .. } => "password-refused",
            Self::ProposalRefused { .. } => "proposal-refused",
            Self::SelectorsRefused { .. } => "selectors-refused",
            Self::PeerSilent { .. } => "peer-silent",
            Self::NoRoute { .. } => "no-route",
            Self::NameTaken { .. } => "name-taken",
            Self::ConfigurationRefused { .. } => "configuration-refused",
            Self::Ikev1Off { .. } => "ikev1-off",
            Self::NegotiationFailed { .. } => "negotiation-failed",
            Self::UpdownLost => "updown-lost",
            Self::GuardFailed { .. } => "guard-failed",
            Self::Local { .. } => "local-failure",
        }
    }

    /// Whether the reason with this code is about a secret, so that another one may mend it.
    ///
    /// With a pre-shared key either end may be the one that finds out that the two are not the same.
    pub fn is_about_a_secret(code: &str) -> bool {
        matches!(
            code,
            "secret-missing" | "authentication-refused" | "peer-authentication-failed" | "password-refused"
        )
    }

    /// The nearest of NetworkManager's three failures.
    pub fn failure(&self) -> PluginFailure {
        match self {
            Self::SecretMissing { .. }
            | Self::AuthenticationRefused { .. }
            | Self::PeerAuthenticationFailed { .. }
            | Self::PasswordRefused { .. }
            | Self::CertificateMissing { .. }
            | Self::CertificateUnusable { .. }
            | Self::CertificateExpired { .. }
            | Self::CertificateUntrusted { .. }
            | Self::CertificateIdentity { .. } => PluginFailure::LoginFailed,
            _ => PluginFailure::ConnectFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The code of profiles that are refused before there is a [`Reason`].
    const INVALID_PROFILE: &str = "invalid-profile";

    #[test]
    fn every_code_has_an_entry_in_the_documentation() {
        let (_, code) = include_str!("reason.rs").split_once("pub fn code(").unwrap();
        let (code, _) = code.split_once("pub fn ").unwrap();
        let codes = code
            .split("=> \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        let codes: BTreeSet<&str> = codes.chain([INVALID_PROFILE]).collect();
        let page = include_str!("../../../docs/troubleshooting.md");
        let headings = page
            .lines()
            .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
        let headings: Vec<&str> = headings.collect();
        assert_eq!(headings.iter().copied().collect::<BTreeSet<_>>(), codes);
        assert_eq!(headings.len(), codes.len(), "an entry is there twice");
    }

    #[test]
    fn another_secret_mends_what_is_about_secrets() {
        let (peer, detail) = (IpAddr::from([192, 0, 2, 1]), String::new());
        for reason in [
            Reason::SecretMissing {
                detail: detail.clone(),
            },
            Reason::AuthenticationRefused {
                peer,
                detail: detail.clone(),
            },
            Reason::PeerAuthenticationFailed {
                peer,
                detail: detail.clone(),
            },
            Reason::PasswordRefused {
                peer,
                detail: detail.clone(),
            },
        ] {
            assert!(Reason::is_about_a_secret(reason.code()), "{reason}");
        }
        for reason in [Reason::ProposalRefused { peer, detail }, Reason::UpdownLost] {
            assert!(!Reason::is_about_a_secret(reason.code()), "{reason}");
        }
    }
}
