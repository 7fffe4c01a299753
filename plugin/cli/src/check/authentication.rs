//! Who the ends are, and how each makes sure of the other.

use nmstate_ipsec_core::connection::{AuthMethod, Connection, EndAuth, HostAddress, IkeVersion, RsaSigKey};

use super::subject::Subject;

/// Looks at the version of IKE, the identities and the secrets.
pub(super) fn check(subject: &mut Subject<'_>, connection: &Connection) {
    version(subject, connection);
    identities(subject, connection);
    methods(subject, connection);
    secret(subject, connection);
}

fn version(subject: &mut Subject<'_>, connection: &Connection) {
    if connection.ike_version() != IkeVersion::V1 {
        return;
    }
    let why = if subject.given("ikev2").is_some() {
        "'ikev2' asks for IKEv1"
    } else {
        "without 'ikev2' existing profiles mean IKEv1"
    };
    subject.warn(
        "ikev1",
        "ikev2",
        format!(
            "{why}: RFC 9395 has deprecated it, and libreswan 5 refuses it unless it is told ikev1-policy=accept; write 'ikev2: insist' if the peer can"
        ),
    );
    if connection.is_aggressive() && connection.uses_psk() {
        subject.warn(
            "aggressive-mode",
            "leftid",
            "IKEv1 with 'leftid' uses aggressive mode, which shows whoever listens enough to guess the pre-shared key at leisure; write 'ikev2: insist', or use certificates",
        );
    }
}

fn identities(subject: &mut Subject<'_>, connection: &Connection) {
    if connection.leftcert.is_some() && connection.leftid.is_none() {
        subject.warn(
            "missing-id",
            "leftid",
            "'leftcert' without 'leftid': this host says that it is its address, which its certificate then must hold; write leftid: '%fromcert', or the name in the certificate",
        );
    }
    if connection.rightid.is_some() {
        return;
    }
    let is_anybody = connection.right == HostAddress::Any;
    let is_any_issuer = connection
        .rightca
        .as_ref()
        .is_none_or(|issuer| issuer.to_string() == "%any");
    let has_certificate = connection.rightrsasigkey == Some(RsaSigKey::Certificate);
    if connection.uses_psk() && is_anybody {
        subject.error(
            "missing-id",
            "right",
            "'right: %any' with a pre-shared key and without 'rightid': whoever has the key is the peer, and with several such connections nobody can tell which one is meant; write 'rightid', or the peer's address",
        );
    } else if has_certificate && is_anybody {
        if !is_any_issuer {
            return;
        }
        subject.warn(
            "missing-id",
            "right",
            "'right: %any' without 'rightid': every holder of a certificate of an authority that this host knows is the peer; write 'rightid' or 'rightca'",
        );
    } else if has_certificate {
        subject.warn(
            "missing-id",
            "rightid",
            "without 'rightid' the peer is known by its address, which its certificate then must hold; write rightid: '%fromcert', or the name in the certificate",
        );
    }
}

fn methods(subject: &mut Subject<'_>, connection: &Connection) {
    let authby = connection.authby.as_ref();
    let has = |method| authby.is_some_and(|methods| methods.contains(method));
    let nobody = "nobody has to prove who they are, so that whoever is on the way can be the peer; use certificates or a pre-shared key";
    if has(AuthMethod::Null) {
        subject.warn("no-authentication", "authby", nobody);
    }
    for (key, method) in [
        ("leftauth", connection.leftauth),
        ("rightauth", connection.rightauth),
    ] {
        if method == Some(EndAuth::Null) {
            subject.warn("no-authentication", key, nobody);
        }
    }
    if has(AuthMethod::RsaSha1) {
        subject.warn(
            "weak-algorithm",
            "authby",
            "'rsa-sha1' signs with SHA-1, for which collisions are made, and which cryptographic policies of systems refuse; write rsa-sha2_256 or ecdsa",
        );
    }
}

fn secret(subject: &mut Subject<'_>, connection: &Connection) {
    let data = &subject.libreswan.data;
    let is_asked_for = data.get("pskvalue-flags").is_some_and(|flags| flags != "0")
        || data.get("pskinputmodes").is_some_and(|mode| mode == "ask");
    let has_secret = subject.libreswan.psk.is_some();
    if connection.uses_psk() && !has_secret && !is_asked_for {
        subject.warn(
            "missing-secret",
            "psk",
            "a pre-shared key is to authenticate and there is none: somebody has to be there to be asked; write 'psk', or 'leftcert' for a certificate",
        );
    }
    if has_secret && !connection.uses_psk() {
        subject.warn(
            "unused-secret",
            "psk",
            "the pre-shared key is not used, the other keys ask for certificates or raw keys; leave it out, or write 'authby: secret'",
        );
    }
}
