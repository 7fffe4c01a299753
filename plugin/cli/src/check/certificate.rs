//! Whether certificates hold the names that connections go by, as far as they lie beside the document.

use std::{net::IpAddr, path::Path};

use nmstate_ipsec_certificates::{
    Error,
    bundle::{Bundle, X509, is_pem, read_authorities},
    request::Files,
};
use nmstate_ipsec_core::{
    connection::{Connection, HostAddress, Identity, IdentityKind, Nickname},
    profile::shown,
};

use super::subject::Subject;

/// Lengths of the addresses in a certificate, in bytes.
const IPV4: usize = 4;
const IPV6: usize = 16;

/// The alternative names of a certificate (RFC 5280).
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    dns: Vec<String>,
    emails: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// One end of a connection: its keys, and what it says of itself.
struct End<'a> {
    address_key: &'static str,
    address: &'a HostAddress,
    id_key: &'static str,
    id: Option<&'a Identity>,
    certificate_key: &'static str,
    nickname: Option<&'a Nickname>,
    /// Whether whoever authenticates it wants the identity in the certificate.
    is_strict: bool,
}

/// Compares the ends with the certificates in `dir` that they name.
pub(super) fn check(subject: &mut Subject<'_>, connection: &Connection, dir: Option<&Path>) {
    let Some(dir) = dir else { return };
    let left = End {
        address_key: "left",
        address: &connection.left,
        id_key: "leftid",
        id: connection.leftid.as_ref(),
        certificate_key: "leftcert",
        nickname: connection.leftcert.as_ref(),
        is_strict: true,
    };
    let is_lax = subject
        .libreswan
        .data
        .get("require-id-on-certificate")
        .is_some_and(|value| value == "no");
    let right = End {
        address_key: "right",
        address: &connection.right,
        id_key: "rightid",
        id: connection.rightid.as_ref(),
        certificate_key: "rightcert",
        nickname: connection.rightcert.as_ref(),
        is_strict: !is_lax,
    };
    for end in [left, right] {
        let Some(nickname) = end.nickname else { continue };
        match names(dir, nickname.as_str()) {
            None => {}
            Some(Ok(names)) => compare(subject, &end, nickname, &names),
            Some(Err(text)) => subject.warn("unreadable-bundle", end.certificate_key, text),
        }
    }
}

fn compare(subject: &mut Subject<'_>, end: &End<'_>, nickname: &Nickname, names: &Names) {
    let nickname = shown(nickname.as_str());
    let kind = end.id.map(Identity::kind);
    let is_its_address = match end.address {
        HostAddress::Ip(address) => names.addresses.contains(address),
        HostAddress::Name(name) => names.has_dns(name.as_str()),
        // Which address that is shows on the host.
        HostAddress::DefaultRoute | HostAddress::Interface(_) | HostAddress::Any => true,
    };
    match kind {
        Some(IdentityKind::FromCertificate) if !is_its_address => subject.warn(
            "address-not-in-certificate",
            end.address_key,
            format!(
                "the certificate '{nickname}' is not for this address, {names}: a peer that knows this end by its address refuses it; have the certificate issued for it as well, or see that the peer takes '%fromcert' for the identity"
            ),
        ),
        // The address is the identity, and a host name's address is known only on the host.
        None | Some(IdentityKind::None)
            if !is_its_address && end.is_strict && matches!(end.address, HostAddress::Ip(_)) =>
        {
            let key = end.address_key;
            subject.error(
                "id-not-in-certificate",
                key,
                format!(
                    "without '{}' this address is the identity, and the certificate '{nickname}' is not for it, {names}: authentication fails; write {}: '%fromcert', or have a certificate issued for the address",
                    end.id_key, end.id_key
                ),
            );
        }
        _ => {}
    }
    if let Some(id) = end.id
        && end.is_strict
        && names.have(id) == Some(false)
    {
        subject.error(
            "id-not-in-certificate",
            end.id_key,
            format!(
                "the certificate '{nickname}' is not for this identity, {names}: authentication fails; write one of its names, '%fromcert', or have a certificate issued for this one"
            ),
        );
    }
}

impl Names {
    fn has_dns(&self, name: &str) -> bool {
        self.dns.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether the identity is among the names; nothing if that cannot be told: subjects are libreswan's to compare, and
    /// key identifiers are in no certificate.
    fn have(&self, id: &Identity) -> Option<bool> {
        match id.kind() {
            IdentityKind::Address(address) => Some(self.addresses.contains(&address)),
            IdentityKind::Literal => {
                let text = id.as_str().strip_prefix('@')?;
                if text.starts_with(['[', '#']) {
                    return None;
                }
                Some(match text.strip_prefix('@') {
                    Some(email) => self.emails.iter().any(|known| known.eq_ignore_ascii_case(email)),
                    None => self.has_dns(text),
                })
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names: Vec<String> = self
            .dns
            .iter()
            .chain(&self.emails)
            .cloned()
            .chain(addresses)
            .collect();
        if names.is_empty() {
            return formatter.write_str("it has no alternative name");
        }
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        write!(formatter, "but for {}", names.join(", "))
    }
}

/// The names in the certificate of a bundle in `dir`; nothing if there is none, or why it cannot be read.
fn names(dir: &Path, nickname: &str) -> Option<Result<Names, String>> {
    // A nickname with a slash in it would lead elsewhere.
    if nickname.contains('/') {
        return None;
    }
    let bundle = |end: &str| Some(dir.join(format!("{nickname}.{end}"))).filter(|path| path.exists());
    let path = bundle("p12").or_else(|| bundle("pem"))?;
    let certificate =
        certificate(&path, nickname).map_err(|error| format!("{error}; its names are not compared"));
    Some(certificate.map(|certificate| of_certificate(&certificate)))
}

/// As an import would read it. A certificate may also lie there without its key.
fn certificate(path: &Path, nickname: &str) -> Result<X509, Error> {
    let files = Files::read(path, Some(nickname), None, &[], None)?;
    match Bundle::read(&files.bundle, None, &files.password) {
        Err(error) if error.code() == "no-key" && is_pem(&files.bundle) => {
            let certificates = read_authorities(path)?;
            certificates.into_iter().next().ok_or(error)
        }
        read => read.map(|bundle| bundle.certificate),
    }
}

fn of_certificate(certificate: &X509) -> Names {
    let mut names = Names::default();
    for name in certificate.subject_alt_names().into_iter().flatten() {
        names.dns.extend(name.dnsname().map(ToOwned::to_owned));
        names.emails.extend(name.email().map(ToOwned::to_owned));
        names.addresses.extend(name.ipaddress().and_then(address));
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; IPV4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; IPV6]>::try_from(bytes).ok().map(IpAddr::from)
}
