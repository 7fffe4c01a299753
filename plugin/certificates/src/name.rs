//! Nicknames: which a bundle gets, and the two more that a replacement needs for a moment.

use std::path::Path;

use nmstate_ipsec_core::connection::Nickname;
use openssl::x509::X509Ref;

use crate::{description, error::Error};

/// What is behind the nickname of a certificate that is about to take its place.
const NEXT: &str = " (next)";

/// What is behind the nickname of a certificate whose place has been taken.
const PREVIOUS: &str = " (previous)";

/// Longest nickname, in bytes: a line of certutil's batch has 512 at most, and one that renames a certificate has its
/// nickname twice.
const MAX_NICKNAME: usize = 180;

/// The nickname for `bundle`: what is `given`, else the stem of the file's name.
///
/// # Errors
/// It cannot be one.
pub fn of_bundle(bundle: &Path, given: Option<&str>) -> Result<Nickname, Error> {
    if let Some(given) = given {
        return parse(given);
    }
    let stem = bundle.file_stem().unwrap_or_default();
    let stem = stem.to_str().ok_or_else(|| Error::Nickname {
        text: stem.to_string_lossy().into_owned(),
        detail: "the file's name is no UTF-8 text".to_owned(),
    })?;
    parse(stem)
}

/// `text` as a nickname that may be imported, removed and exported.
///
/// # Errors
/// It cannot be one.
pub fn parse(text: &str) -> Result<Nickname, Error> {
    let refused = |detail: String| Error::Nickname {
        text: text.to_owned(),
        detail,
    };
    if text.len() > MAX_NICKNAME {
        return Err(refused(format!("it is longer than {MAX_NICKNAME} bytes")));
    }
    // NSS takes what is before a colon for a token's name, and a slash would end in files' names.
    if text.contains(':') || text.contains('/') {
        return Err(refused("it must not hold a colon or a slash".to_owned()));
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(refused(
            "it holds the character that stands for what is no text".to_owned(),
        ));
    }
    if text.ends_with(NEXT) || text.ends_with(PREVIOUS) {
        return Err(refused(
            "such names are used while a certificate is replaced".to_owned(),
        ));
    }
    text.parse().map_err(|expected| refused(format!("{expected}")))
}

/// Whether a name is one of OVN-Kubernetes', with which libreswan's database may be shared.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.to_lowercase().starts_with("ovs_")
}

pub(crate) fn next(nickname: &Nickname) -> String {
    format!("{nickname}{NEXT}")
}

pub(crate) fn previous(nickname: &Nickname) -> String {
    format!("{nickname}{PREVIOUS}")
}

/// Names for an authority, the best first: its common name, as NSS would call it, and one that nothing else has.
pub(crate) fn of_authority(certificate: &X509Ref) -> Vec<String> {
    let common_name = description::common_names(certificate).into_iter().next();
    let organization = description::organization(certificate);
    let mut names = Vec::new();
    if let Some(common_name) = &common_name {
        names.push(common_name.clone());
        names.extend(organization.map(|organization| format!("{common_name} - {organization}")));
    }
    let digits = description::fingerprint(certificate);
    names.push(format!("CA {}", digits.get(..16).unwrap_or(&digits)));
    names.retain(|name| parse(name).is_ok());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stem_is_the_nickname() {
        let nickname = |path: &str| of_bundle(Path::new(path), None).map(|name| name.as_str().to_owned());
        assert_eq!(nickname("/etc/pki/certs/left_server.p12").unwrap(), "left_server");
        assert_eq!(nickname("host.example.org.p12").unwrap(), "host.example.org");
        for path in [
            "/",
            "ovs_cert.p12",
            "a\"b.p12",
            "-d.p12",
            "it's.p12",
            "a:b.p12",
            "a (next).p12",
        ] {
            assert!(matches!(nickname(path), Err(Error::Nickname { .. })), "{path}");
        }
        assert!(parse("a/b").is_err() && parse(&"n".repeat(181)).is_err() && parse(&"n".repeat(180)).is_ok());
    }
}
