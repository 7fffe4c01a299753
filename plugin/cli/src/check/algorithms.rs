//! Algorithms that are known to libreswan and too weak to be used.
//!
//! The judgement is that of RFC 8247 (IKE), RFC 8221 (ESP) and RFC 9395 (what both once allowed): what must not be used is
//! an error, what should not be is a warning.

use super::{Severity, subject::Subject};

const CIPHER: &str = "write aes_gcm256";
const HASH: &str = "write sha2_256 or sha2_512";
const GROUP: &str = "write dh19 (ecp256), dh14 (modp2048) or a larger one";

/// Names of weak algorithms without prefix, mode and key length; how weak they are, why, and what to use in their place.
const WEAK: &[(&[&str], Severity, &str, &str)] = &[
    (
        &["3des"],
        Severity::Warning,
        "its blocks of 64 bits leak after some gigabytes, and RFC 8221 says that it should not be used",
        CIPHER,
    ),
    (
        &["cast"],
        Severity::Error,
        "its blocks of 64 bits leak after some gigabytes, and RFC 9395 has deprecated it",
        CIPHER,
    ),
    (
        &["md5", "md5_96"],
        Severity::Error,
        "MD5 is broken, and RFC 8247 and RFC 8221 say that it must not be used",
        HASH,
    ),
    (
        &["sha", "sha1", "sha1_96"],
        Severity::Warning,
        "SHA-1 is on its way out of IPsec (RFC 8247), and cryptographic policies of systems refuse it",
        HASH,
    ),
    (
        &["ripemd", "ripemd_160_96"],
        Severity::Warning,
        "it has no number in IKEv2 and nobody looks after it any more",
        HASH,
    ),
    (
        &["modp768", "dh1"],
        Severity::Error,
        "a group of 768 bits has been broken, and RFC 8247 says that it must not be used",
        GROUP,
    ),
    (
        &["modp1024", "dh2"],
        Severity::Warning,
        "a group of 1024 bits is within reach of a large attacker, RFC 8247 says that it should not be used, and libreswan is built without it since 3.30",
        GROUP,
    ),
    (
        &["modp1536", "dh5"],
        Severity::Warning,
        "a group of 1536 bits is too small to last, and RFC 8247 says that it should not be used",
        GROUP,
    ),
    (
        &["dh22"],
        Severity::Error,
        "the group may have a trapdoor and small subgroups, and RFC 8247 says that it must not be used",
        GROUP,
    ),
    (
        &["dh23", "dh24"],
        Severity::Warning,
        "the group has small subgroups and may have a trapdoor, and RFC 8247 says that it should not be used",
        GROUP,
    ),
];

/// Looks at `ike` and `esp` as they are written: what is filled in is IKEv1's, which is a finding of its own.
pub(super) fn proposals(subject: &mut Subject<'_>) {
    for key in ["ike", "esp"] {
        // The names in it are known ones, so that it can be repeated; a template is no value yet.
        let Some(value) = subject.libreswan.data.get(key).filter(|text| !text.contains('{')) else {
            continue;
        };
        let value = value.to_ascii_lowercase();
        let mut seen = Vec::new();
        for proposal in value.split(',') {
            unprotected(subject, key, proposal);
            for name in proposal.split(['-', '+', ';']) {
                if !seen.contains(&name) {
                    seen.push(name);
                    weak(subject, key, name);
                }
            }
        }
    }
}

fn weak(subject: &mut Subject<'_>, key: &str, name: &str) {
    let bare = name.strip_prefix("hmac_").unwrap_or(name);
    let bare = bare.trim_end_matches("_cbc");
    let cipher = bare
        .trim_end_matches(|digit: char| digit.is_ascii_digit())
        .trim_end_matches('_');
    let found = WEAK
        .iter()
        .find(|(names, ..)| names.contains(&bare) || (cipher == "cast" && names.contains(&cipher)));
    let Some((_, severity, why, way_out)) = found else {
        return;
    };
    let code = match severity {
        Severity::Error => "broken-algorithm",
        Severity::Warning | Severity::Info => "weak-algorithm",
    };
    let text = format!("the algorithm '{name}' is weak: {why}; {way_out}");
    subject.note(*severity, code, key, text);
}

/// Ciphers that do not encrypt, and those that need an integrity algorithm beside them and have none (RFC 8221, 5 and 6).
fn unprotected(subject: &mut Subject<'_>, key: &str, proposal: &str) {
    let mut groups = proposal.split(['-', ';']);
    let ciphers: Vec<_> = groups.next().unwrap_or_default().split('+').collect();
    if let Some(null) = ciphers.iter().find(|name| is_null(name)) {
        let text = format!("'{null}' encrypts nothing: whoever is on the way reads the traffic; {CIPHER}");
        subject.error("no-encryption", key, text);
        return;
    }
    let is_without = groups
        .flat_map(|group| group.split('+'))
        .any(|name| matches!(name, "none" | "null"));
    if let Some(cipher) = ciphers.iter().find(|name| is_without && !is_combined(name)) {
        let text = format!(
            "'{cipher}' without an integrity algorithm lets packets be forged, and RFC 8221 says that it must not be used; {HASH} behind it, or {CIPHER}"
        );
        subject.error("no-integrity", key, text);
    }
}

fn is_null(cipher: &str) -> bool {
    cipher == "null" || cipher.contains("gmac")
}

/// Whether a cipher authenticates too.
fn is_combined(cipher: &str) -> bool {
    ["aes_gcm", "aes_ccm", "chacha20"]
        .iter()
        .any(|family| cipher.starts_with(family))
}
