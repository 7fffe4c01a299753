//! What a certificate says of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    hash::MessageDigest,
    nid::Nid,
    pkey::{HasPublic, Id, PKeyRef},
    x509::{X509NameRef, X509Ref},
};
use serde::{Deserialize, Serialize};

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The issuer's number for it, in hexadecimal digits.
    pub serial: String,
    /// Its alternative names, such as `DNS:host.example.org`.
    pub san: Vec<String>,
    /// Its kind of key, such as `RSA 2048`.
    pub key: String,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub sha256: String,
}

impl Description {
    /// Describes `certificate`.
    pub fn of(certificate: &X509Ref) -> Self {
        let serial = certificate
            .serial_number()
            .to_bn()
            .and_then(|number| number.to_hex_str());
        let key = certificate.public_key();
        Self {
            subject: name(certificate.subject_name()),
            issuer: name(certificate.issuer_name()),
            serial: serial.map(|digits| digits.to_string()).unwrap_or_default(),
            san: alternative_names(certificate),
            key: key.map_or_else(|_| "unknown".to_owned(), |key| kind_of_key(&key)),
            not_before: seconds(certificate.not_before()),
            not_after: seconds(certificate.not_after()),
            sha256: fingerprint(certificate),
        }
    }

    /// Whole days until it expires at `now`; negative if it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        (self.not_after - unix(now)).div_euclid(24 * 3600)
    }
}

/// Seconds since 1970.
pub fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// SHA-256 of the certificate, in hexadecimal digits.
pub fn fingerprint(certificate: &X509Ref) -> String {
    certificate
        .digest(MessageDigest::sha256())
        .map(|digest| hex(&digest))
        .unwrap_or_default()
}

/// Two hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A distinguished name as NSS and libreswan show it: the most specific part first.
pub(crate) fn name(name: &X509NameRef) -> String {
    let mut parts: Vec<String> = name
        .entries()
        .map(|entry| {
            let key = entry.object().nid().short_name().unwrap_or("?");
            let value = entry
                .data()
                .to_string()
                .map(|text| text.escape_debug().to_string());
            format!("{key}={}", value.unwrap_or_else(|_| "?".to_owned()))
        })
        .collect();
    parts.reverse();
    parts.join(", ")
}

/// Every common name of the subject, the most specific first.
pub(crate) fn common_names(certificate: &X509Ref) -> Vec<String> {
    let mut names = entries(certificate, Nid::COMMONNAME);
    names.reverse();
    names
}

pub(crate) fn organization(certificate: &X509Ref) -> Option<String> {
    entries(certificate, Nid::ORGANIZATIONNAME).pop()
}

fn entries(certificate: &X509Ref, nid: Nid) -> Vec<String> {
    let entries = certificate.subject_name().entries_by_nid(nid);
    entries
        .filter_map(|entry| entry.data().to_string().ok())
        .collect()
}

/// DER of the subject, which tells two subjects apart where their texts look the same.
pub(crate) fn subject(certificate: &X509Ref) -> Vec<u8> {
    certificate.subject_name().to_der().unwrap_or_default()
}

fn alternative_names(certificate: &X509Ref) -> Vec<String> {
    let names = certificate.subject_alt_names();
    names
        .iter()
        .flatten()
        .filter_map(|name| {
            let shown = |kind: &str, text: &str| Some(format!("{kind}:{}", text.escape_debug()));
            if let Some(text) = name.dnsname() {
                return shown("DNS", text);
            }
            if let Some(text) = name.email() {
                return shown("email", text);
            }
            if let Some(text) = name.uri() {
                return shown("URI", text);
            }
            Some(format!("IP:{}", address(name.ipaddress()?)?))
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

pub(crate) fn kind_of_key<T: HasPublic>(key: &PKeyRef<T>) -> String {
    match key.id() {
        Id::RSA => format!("RSA {}", key.bits()),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            match curve {
                Some(Nid::X9_62_PRIME256V1) => "EC P-256".to_owned(),
                Some(Nid::SECP384R1) => "EC P-384".to_owned(),
                Some(Nid::SECP521R1) => "EC P-521".to_owned(),
                Some(other) => format!("EC {}", other.short_name().unwrap_or("of an unknown curve")),
                None => "EC of an unnamed curve".to_owned(),
            }
        }
        other => Nid::from_raw(other.as_raw())
            .short_name()
            .unwrap_or("unknown")
            .to_owned(),
    }
}

fn seconds(time: &Asn1TimeRef) -> i64 {
    let since = Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(time));
    since.map_or(i64::MIN, |since| {
        i64::from(since.days) * 24 * 3600 + i64::from(since.secs)
    })
}
