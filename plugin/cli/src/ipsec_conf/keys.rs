//! What becomes of a key of ipsec.conf(5): the one table of names that differ and of what has no equivalent.

use nmstate_ipsec_core::connection::{KEYS, Rendering, nearest_of};

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is this key with this value.
    Data(&'static str, String),
    /// It says what holds anyway, or nothing to libreswan.
    Nothing,
    /// `nm-auto-defaults` does it for IKEv1's extended authentication.
    Xauth,
    /// It has no equivalent; holds what that means.
    Without(&'static str),
    /// Neither libreswan's documentation nor this project knows it; holds what was probably meant.
    Unknown(Option<&'static str>),
}

/// What `nm-auto-defaults` writes for IKEv1's extended authentication, beside what has keys of its own.
pub(super) const XAUTH: [(&str, &str); 8] = [
    ("leftxauthclient", "yes"),
    ("rightxauthserver", "yes"),
    ("remote-peer-type", "cisco"),
    ("cisco-unity", "yes"),
    ("rightmodecfgserver", "yes"),
    ("modecfgpull", "yes"),
    ("aggrmode", "yes"),
    ("aggressive", "yes"),
];

/// Values that libreswan has without being told.
const DEFAULTS: &[(&str, &str)] = &[
    ("aggressive", "no"),
    ("aggrmode", "no"),
    ("compress", "no"),
    ("keyexchange", "ike"),
    ("leftmodecfgserver", "no"),
    ("leftxauthclient", "no"),
    ("leftxauthserver", "no"),
    ("modecfgpull", "no"),
    ("phase2", "esp"),
    ("rightmodecfgclient", "no"),
    ("rightmodecfgserver", "no"),
    ("rightxauthclient", "no"),
    ("rightxauthserver", "no"),
    ("remote-peer-type", "ietf"),
    ("cisco-unity", "no"),
];

/// Older names, and the names of today.
const SYNONYMS: &[(&str, &str)] = &[
    ("keylife", "salifetime"),
    ("lifetime", "salifetime"),
    ("leftxauthusername", "leftusername"),
    ("phase2alg", "esp"),
];

/// Keys that belong to the peer, or to a host that others connect to.
const SERVER: &str =
    "what a server does for its clients; leave this connection to libreswan if this host is the server";
const PEER: &str = "the peer's own business";
const DEVICE: &str = "the device of the tunnel is 'ipsec-interface'";
const SERVICE: &str = "the service's own work";
const UNSUPPORTED: &str = "the service does not do this";

/// Keys of ipsec.conf(5) that have no equivalent, as they are on this host's side, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("accept-redirect", UNSUPPORTED),
    ("accept-redirect-to", UNSUPPORTED),
    ("ah", "the service protects traffic with ESP alone"),
    ("compress", UNSUPPORTED),
    ("connalias", UNSUPPORTED),
    ("debug", "the log is pluto's"),
    ("decap-dscp", UNSUPPORTED),
    ("dns-match-id", UNSUPPORTED),
    ("encap-dscp", UNSUPPORTED),
    ("esn", UNSUPPORTED),
    (
        "failureshunt",
        "while there is no tunnel, traffic passes in clear",
    ),
    ("iface-ip", DEVICE),
    ("ikepad", UNSUPPORTED),
    ("initial-contact", UNSUPPORTED),
    ("intermediate", UNSUPPORTED),
    ("ipsec-max-bytes", UNSUPPORTED),
    ("ipsec-max-packets", UNSUPPORTED),
    ("leftaddresspool", SERVER),
    ("leftautheap", UNSUPPORTED),
    (
        "leftca",
        "the authority of this host's certificate is in the certificate",
    ),
    ("leftcat", UNSUPPORTED),
    ("leftckaid", "a key is named by 'leftcert' or 'leftrsasigkey'"),
    ("leftecdsakey", "a raw key is one of RSA, 'leftrsasigkey'"),
    ("leftfirewall", SERVICE),
    ("leftgroundhog", UNSUPPORTED),
    ("leftikeport", UNSUPPORTED),
    ("leftinterface-ip", DEVICE),
    ("leftmodecfgserver", SERVER),
    ("leftnexthop", "the kernel's routes decide"),
    ("leftpubkey", "a raw key is one of RSA, 'leftrsasigkey'"),
    ("leftupdown", SERVICE),
    ("leftvti", DEVICE),
    ("leftxauthserver", SERVER),
    ("mark-in", "one mark is for both directions, 'mark'"),
    ("mark-out", "one mark is for both directions, 'mark'"),
    ("metric", SERVICE),
    ("modecfgbanner", SERVER),
    ("modecfgdns", SERVER),
    ("modecfgdns1", SERVER),
    ("modecfgdns2", SERVER),
    ("modecfgdomains", SERVER),
    ("ms-dh-downgrade", UNSUPPORTED),
    (
        "negotiationshunt",
        "while there is no tunnel, traffic passes in clear",
    ),
    ("nflog", UNSUPPORTED),
    ("nflog-group", UNSUPPORTED),
    ("nm-configured", SERVICE),
    ("nopmtudisc", UNSUPPORTED),
    ("overlapip", UNSUPPORTED),
    ("pam-authorize", SERVER),
    ("phase2", "the service protects traffic with ESP alone"),
    ("policy-label", UNSUPPORTED),
    ("ppk", UNSUPPORTED),
    ("ppk-ids", UNSUPPORTED),
    ("reauth", UNSUPPORTED),
    ("redirect-to", SERVER),
    ("rekeyfuzz", "libreswan's own value is used"),
    ("rekeymargin", "libreswan's own value is used"),
    ("reqid", SERVICE),
    ("retransmit-interval", "libreswan's own value is used"),
    ("rightaddresspool", SERVER),
    ("rightckaid", "a key is named by 'rightcert' or 'rightrsasigkey'"),
    ("rightecdsakey", "a raw key is one of RSA, 'rightrsasigkey'"),
    ("rightikeport", UNSUPPORTED),
    ("rightmodecfgclient", SERVER),
    ("rightpubkey", "a raw key is one of RSA, 'rightrsasigkey'"),
    ("rightxauthclient", SERVER),
    ("sec-label", UNSUPPORTED),
    ("send-no-esp-tfc", UNSUPPORTED),
    ("send-redirect", SERVER),
    ("send-vendorid", UNSUPPORTED),
    ("sha2-truncbug", UNSUPPORTED),
    ("share-lease", UNSUPPORTED),
    ("tfc", UNSUPPORTED),
    ("vti-interface", DEVICE),
    ("vti-routing", DEVICE),
    ("vti-shared", DEVICE),
    ("xauthby", SERVER),
    ("xauthfail", SERVER),
];

/// What becomes of a key, as it is if this host is `left`.
pub(super) fn fate(key: &str, value: &str) -> Fate {
    let is_private = ["x-", "X-", "x_", "X_"]
        .iter()
        .any(|prefix| key.starts_with(prefix));
    if is_private || DEFAULTS.contains(&(key, value)) {
        return Fate::Nothing;
    }
    match (key, value) {
        ("keyexchange", "ikev1") => return Fate::Data("ikev2", "never".into()),
        ("keyexchange", "ikev2") => return Fate::Data("ikev2", "insist".into()),
        ("keyexchange", _) => return Fate::Data("ikev2", value.into()),
        ("forceencaps", "yes") => return Fate::Data("encapsulation", "yes".into()),
        ("forceencaps", "no") => return Fate::Data("encapsulation", "auto".into()),
        _ => {}
    }
    let synonym = SYNONYMS.iter().find(|(old, _)| *old == key);
    if let Some(name) = data_key(synonym.map_or(key, |(_, name)| name)) {
        return Fate::Data(name, value.into());
    }
    if XAUTH.contains(&(key, value)) {
        return Fate::Xauth;
    }
    if let Some((_, reason)) = WITHOUT.iter().find(|(name, _)| *name == key) {
        return Fate::Without(reason);
    }
    if XAUTH.iter().any(|(name, _)| *name == key) {
        return Fate::Without(UNSUPPORTED);
    }
    let mirrored = super::resolve::flipped(key);
    let is_known = data_key(&mirrored).is_some() || WITHOUT.iter().any(|(name, _)| *name == mirrored);
    if is_known && mirrored != key {
        return Fate::Without(PEER);
    }
    let known = KEYS.iter().map(|key| key.name);
    Fate::Unknown(nearest_of(
        key,
        known
            .chain(WITHOUT.iter().map(|(name, _)| *name))
            .chain(["auto", "also"]),
    ))
}

/// The key of a document that libreswan's key is, if it has the same name.
fn data_key(name: &str) -> Option<&'static str> {
    let heads = ["left", "right"].into_iter().find(|head| *head == name);
    let of_table = KEYS
        .iter()
        .filter(|key| key.rendering != Rendering::Never)
        .find(|key| key.name == name || key.alias == Some(name));
    heads.or(of_table.map(|key| key.name))
}

/// The key that a comment `# nm-...` sets: one that is this project's or NetworkManager's, not libreswan's.
pub(super) fn note_key(note: &str) -> Option<&'static str> {
    let heads = ["nm-auto-defaults", "nm-connect-mode"];
    if let Some(head) = heads.into_iter().find(|head| *head == note) {
        return Some(head);
    }
    let name = note.strip_prefix("nm-")?;
    let mut ours = KEYS.iter().filter(|key| key.rendering == Rendering::Never);
    ours.find(|key| key.name == name).map(|key| key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_fates() {
        let mut names: Vec<_> = WITHOUT.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted(), "{names:?}");
        names.dedup();
        assert_eq!(names.len(), WITHOUT.len());
        for name in names {
            assert_eq!(data_key(name), None, "{name}");
        }
    }

    #[test]
    fn keys_have_their_fates() {
        let data = |key, value: &str| Fate::Data(key, value.to_owned());
        for (key, value, expected) in [
            ("keyexchange", "ikev2", data("ikev2", "insist")),
            ("phase2alg", "aes256", data("esp", "aes256")),
            ("leftxauthusername", "joe", data("leftusername", "joe")),
            ("forceencaps", "yes", data("encapsulation", "yes")),
            ("x-note", "anything", Fate::Nothing),
            ("aggrmode", "no", Fate::Nothing),
            ("aggrmode", "yes", Fate::Xauth),
            ("rightsourceip", "192.0.2.1", Fate::Without(PEER)),
            ("rightupdown", "x", Fate::Without(PEER)),
            ("rigthsubnet", "x", Fate::Unknown(Some("rightsubnet"))),
        ] {
            assert_eq!(fate(key, value), expected, "{key}");
        }
        assert_eq!(note_key("nm-pskvalue-flags"), Some("pskvalue-flags"));
        assert_eq!(note_key("nm-left"), None);
    }
}
