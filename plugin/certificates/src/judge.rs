//! Whether libreswan can use a certificate, before the database is touched.

use std::{borrow::Cow, fmt, time::SystemTime};

use nmstate_ipsec_core::{
    connection::{HostAddress, Identity, IdentityKind},
    reason::EXPIRY_WARNING_DAYS,
};
use openssl::{
    error::ErrorStack,
    pkey::{HasPublic, Id, PKeyRef},
    stack::Stack,
    x509::{
        X509, X509ExtendedKeyUsage, X509KeyUsage, X509NameRef, X509Ref, X509StoreContext,
        store::X509StoreBuilder, verify::X509VerifyFlags,
    },
};
use serde::{Deserialize, Serialize};

use crate::description::{self, Description};

/// Code of the finding that nothing shows whether an issuer is trusted.
pub(crate) const NO_AUTHORITY: &str = "no-authority";

/// Smallest RSA key, in bits, that libreswan takes.
const MIN_RSA_BITS: u32 = 2048;

/// Purposes (1.3.6.1.5.5.7.3.17, .5, .6, .7 and 1.3.6.1.5.5.8.2.2, in DER) that mean IPsec, which OpenSSL has no names for.
const IPSEC_PURPOSES: [&[u8]; 5] = [
    &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 17],
    &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 5],
    &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 6],
    &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 7],
    &[6, 8, 0x2b, 6, 1, 5, 5, 8, 2, 2],
];

/// Object identifier 2.5.29.19 and the boolean TRUE, in DER.
const BASIC_CONSTRAINTS: &[u8] = &[6, 3, 0x55, 0x1d, 0x13];
const TRUE: &[u8] = &[1, 1, 0xff];

/// Something that is to be said of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name of it.
    pub code: Cow<'static, str>,
    /// Whether it keeps the certificate from being used.
    pub is_error: bool,
    /// In words, with what to do.
    pub text: String,
}

impl Finding {
    pub(crate) fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            is_error: true,
            text: text.into(),
        }
    }

    pub(crate) fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            is_error: false,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Where the trust in a certificate is to come from.
#[derive(Debug, Clone, Copy)]
pub struct Authorities<'a> {
    /// Those that are trusted.
    pub trusted: &'a [X509],
    /// Those that may lead there.
    pub between: &'a [X509],
}

/// Everything that is to be said of the certificate of a host at `now`.
pub fn findings(certificate: &X509Ref, authorities: Authorities<'_>, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(validity("the certificate", certificate, now));
    findings.extend(key(certificate));
    findings.extend(purposes(certificate));
    findings.extend(names(certificate));
    findings.extend(chain(certificate, authorities, now));
    findings
}

/// What is to be said of the identity under which `user` shows a certificate: `left` and `leftid` are the user's.
pub fn identity(
    description: &Description,
    user: &str,
    left: &HostAddress,
    leftid: Option<&Identity>,
) -> Option<Finding> {
    let has = |wanted: &str| {
        description
            .san
            .iter()
            .any(|name| name.eq_ignore_ascii_case(wanted))
    };
    let listed = || {
        if description.san.is_empty() {
            "which has none".to_owned()
        } else {
            format!("which has {}", description.san.join(", "))
        }
    };
    if let Some(id) = leftid {
        let wanted = match id.kind() {
            IdentityKind::Address(address) => format!("IP:{address}"),
            IdentityKind::Literal => {
                let text = id.to_string();
                let name = text.trim_start_matches('@');
                match text.strip_prefix("@@") {
                    // Groups and raw bytes have no place in a certificate.
                    _ if name.starts_with(['[', '#']) => return None,
                    Some(mail) if mail.contains('@') => format!("email:{mail}"),
                    _ => format!("DNS:{name}"),
                }
            }
            _ => return address(description, user, left, &listed()),
        };
        let text = format!(
            "'{user}' has leftid={id}, but the subjectAltName lacks {wanted} ({}); the peer would refuse it: use leftid='%fromcert', or have the certificate issued with it",
            listed()
        );
        return (!has(&wanted)).then(|| Finding::error("identity", text));
    }
    address(description, user, left, &listed())
}

/// What is to be said of the address or name that `user` has where a certificate says who it is: it has names of that kind, and
/// not this one. A name in the certificate and an address in the profile are as usual.
fn address(description: &Description, user: &str, left: &HostAddress, listed: &str) -> Option<Finding> {
    let (kind, wanted) = match left {
        HostAddress::Ip(address) => ("IP:", format!("IP:{address}")),
        HostAddress::Name(name) => ("DNS:", format!("DNS:{name}")),
        _ => return None,
    };
    let mut of_kind = description
        .san
        .iter()
        .filter(|name| name.starts_with(kind))
        .peekable();
    of_kind.peek()?;
    let text = format!("'{user}' has left={left}, but the subjectAltName lacks {wanted} ({listed})");
    of_kind
        .all(|name| !name.eq_ignore_ascii_case(&wanted))
        .then(|| Finding::warning("identity", text))
}

/// The authorities that `certificate` leads to, if it leads to one that is trusted.
pub(crate) fn path(certificate: &X509Ref, authorities: Authorities<'_>) -> Vec<X509> {
    let is_self_issued = is_same(certificate.subject_name(), certificate.issuer_name());
    let mut path = verified(certificate, authorities, is_self_issued)
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();
    if !path.is_empty() {
        path.remove(0);
    }
    path
}

pub(crate) fn validity(what: &str, certificate: &X509Ref, now: SystemTime) -> Option<Finding> {
    let description = Description::of(certificate);
    let days = description.days_left(now);
    if description.not_after < description::unix(now) {
        let text = format!("{what} expired on {}; renew it", certificate.not_after());
        return Some(Finding::error("expired", text));
    }
    if description.not_before > description::unix(now) {
        let text = format!(
            "{what} is not valid before {}; check the clock of this host",
            certificate.not_before()
        );
        return Some(Finding::error("not-yet-valid", text));
    }
    (days < EXPIRY_WARNING_DAYS).then(|| {
        let text = format!(
            "{what} expires in {days} days, on {}; renew it",
            certificate.not_after()
        );
        Finding::warning("expires-soon", text)
    })
}

/// What is to be said of a certificate that is given to be trusted: that of a host would let it vouch for others.
pub(crate) fn authority(certificate: &X509Ref) -> Option<Finding> {
    (!is_authority(certificate)).then(|| {
        let text = format!(
            "'{}', which is given as an authority, is none (basicConstraints); give the certificate of whoever issued it",
            description::name(certificate.subject_name())
        );
        Finding::error("not-an-authority", text)
    })
}

/// What is to be said of an authority that `certificate` does not lead to: it is trusted all the same.
pub(crate) fn unneeded(
    certificate: &X509Ref,
    authority: &X509,
    known: Authorities<'_>,
    now: SystemTime,
) -> Option<Finding> {
    if path(certificate, known).contains(authority) {
        return None;
    }
    let what = format!("the authority '{}'", description::name(authority.subject_name()));
    let mut finding = validity(&what, authority, now)?;
    finding.is_error = false;
    Some(finding)
}

/// Whether it may issue certificates (RFC 5280, 4.2.1.9). One that says nothing of that may if it has issued itself, as
/// those of old.
fn is_authority(certificate: &X509Ref) -> bool {
    let der = certificate.to_der().unwrap_or_default();
    let Some(at) = der
        .windows(BASIC_CONSTRAINTS.len())
        .position(|window| window == BASIC_CONSTRAINTS)
    else {
        return is_same(certificate.subject_name(), certificate.issuer_name());
    };
    let rest = der.get(at + BASIC_CONSTRAINTS.len()..).unwrap_or_default();
    let rest = rest.strip_prefix(TRUE).unwrap_or(rest);
    // OCTET STRING and SEQUENCE, each with its length in a byte.
    matches!(rest, [4, _, 0x30, _, inner @ ..] if inner.starts_with(TRUE))
}

fn key(certificate: &X509Ref) -> Option<Finding> {
    let Ok(key) = certificate.public_key() else {
        return Some(Finding::error(
            "key",
            "the certificate has a key of an unknown kind; use RSA or EC",
        ));
    };
    let kind = description::kind_of_key(&key);
    (!is_usable(&key, &kind)).then(|| {
        let text = format!("libreswan cannot use a key of the kind {kind}; use RSA of {MIN_RSA_BITS} bits or more, or EC P-256, P-384 or P-521");
        Finding::error("key", text)
    })
}

fn is_usable<T: HasPublic>(key: &PKeyRef<T>, kind: &str) -> bool {
    match key.id() {
        Id::RSA => key.bits() >= MIN_RSA_BITS,
        Id::EC => matches!(kind, "EC P-256" | "EC P-384" | "EC P-521"),
        _ => false,
    }
}

fn purposes(certificate: &X509Ref) -> Vec<Finding> {
    let mut findings = Vec::new();
    let signs = X509KeyUsage::DIGITAL_SIGNATURE | X509KeyUsage::NON_REPUDIATION;
    if certificate
        .key_usage()
        .is_some_and(|usage| !usage.intersects(signs))
    {
        let text = "its key usage allows no signatures, which IKE needs; have it issued with digitalSignature, or without key usage";
        findings.push(Finding::error("key-usage", text));
    }
    let fits =
        X509ExtendedKeyUsage::SSL_SERVER | X509ExtendedKeyUsage::SSL_CLIENT | X509ExtendedKeyUsage::ANYEKU;
    let has_ipsec = || {
        let der = certificate.to_der().unwrap_or_default();
        IPSEC_PURPOSES
            .iter()
            .any(|purpose| der.windows(purpose.len()).any(|window| window == *purpose))
    };
    if certificate
        .extended_key_usage()
        .is_some_and(|usage| !usage.intersects(fits))
        && !has_ipsec()
    {
        let text = "its extended key usage is for something else; have it issued with ipsecIKE or serverAuth, or without extended key usage";
        findings.push(Finding::error("extended-key-usage", text));
    }
    findings
}

fn names(certificate: &X509Ref) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in description::common_names(certificate) {
        if crate::name::is_reserved(&name) {
            let text = format!(
                "its common name '{}' begins with ovs_, as those of the cluster network do; use another",
                name.escape_debug()
            );
            findings.push(Finding::error("common-name", text));
        }
    }
    if Description::of(certificate).san.is_empty() {
        let text = "it has no subjectAltName, so that a peer can know this host by the subject alone (leftid='%fromcert'); have it issued with the host's name or address";
        findings.push(Finding::warning("no-san", text));
    }
    findings
}

fn chain(certificate: &X509Ref, authorities: Authorities<'_>, now: SystemTime) -> Vec<Finding> {
    let is_self_issued = is_same(certificate.subject_name(), certificate.issuer_name());
    if authorities.trusted.is_empty() && !is_self_issued {
        let issuer = description::name(certificate.issuer_name());
        let text = format!(
            "nothing shows whether its issuer '{issuer}' is trusted; give the authority's certificate with --ca"
        );
        return vec![Finding::warning(NO_AUTHORITY, text)];
    }
    match verified(certificate, authorities, is_self_issued) {
        Ok(Ok(path)) => path
            .iter()
            .skip(1)
            .filter_map(|authority| {
                let what = format!("the authority '{}'", description::name(authority.subject_name()));
                validity(&what, authority, now)
            })
            .collect(),
        Ok(Err(why)) => {
            let issuer = description::name(certificate.issuer_name());
            let given: Vec<String> = authorities
                .trusted
                .iter()
                .map(|authority| format!("'{}'", description::name(authority.subject_name())))
                .collect();
            let text = format!(
                "it was issued by '{issuer}' and does not lead to the authority {}: {why}; give the one that issued it with --ca",
                given.join(" or ")
            );
            vec![Finding::error("authority", text)]
        }
        Err(errors) => vec![Finding::error(
            "authority",
            format!("its chain cannot be checked: {errors}"),
        )],
    }
}

pub(crate) fn is_same(one: &X509NameRef, other: &X509NameRef) -> bool {
    one.try_cmp(other).is_ok_and(std::cmp::Ordering::is_eq)
}

/// The chain from `certificate` to what is trusted, or why there is none. Times are looked at elsewhere.
fn verified(
    certificate: &X509Ref,
    authorities: Authorities<'_>,
    is_self_issued: bool,
) -> Result<Result<Vec<X509>, String>, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    store.set_flags(X509VerifyFlags::NO_CHECK_TIME | X509VerifyFlags::PARTIAL_CHAIN)?;
    for authority in authorities.trusted {
        store.add_cert(authority.clone())?;
    }
    if is_self_issued {
        store.add_cert(certificate.to_owned())?;
    }
    let mut between = Stack::new()?;
    for authority in authorities.between {
        between.push(authority.clone())?;
    }
    X509StoreContext::new()?.init(&store.build(), certificate, &between, |context| {
        if context.verify_cert()? {
            let path = context
                .chain()
                .map(|chain| chain.iter().map(ToOwned::to_owned).collect());
            return Ok(Ok(path.unwrap_or_default()));
        }
        Ok(Err(context.error().error_string().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(san: &[&str], left: &HostAddress, leftid: Option<&str>) -> Option<(bool, String)> {
        let description = Description {
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            san: san.iter().map(|&name| name.to_owned()).collect(),
            key: String::new(),
            not_before: 0,
            not_after: 0,
            sha256: String::new(),
        };
        let leftid = leftid.map(|id| id.parse::<Identity>().unwrap());
        let found = identity(&description, "hosta_conn", left, leftid.as_ref());
        found.map(|finding| (finding.is_error, finding.text))
    }

    fn ip(text: &str) -> HostAddress {
        HostAddress::Ip(text.parse().unwrap())
    }

    #[test]
    fn an_identity_that_the_certificate_lacks_is_found() {
        let names = ["DNS:left.example.org", "IP:192.0.2.251", "email:root@example.org"];
        for id in [
            "@left.example.org",
            "@LEFT.example.org",
            "192.0.2.251",
            "@@root@example.org",
        ] {
            assert_eq!(said(&names, &ip("192.0.2.1"), Some(id)), None, "{id}");
        }
        for (id, wanted) in [
            ("@right.example.org", "DNS:right.example.org"),
            ("192.0.2.1", "IP:192.0.2.1"),
            ("@@alice@example.org", "email:alice@example.org"),
        ] {
            let (is_error, text) = said(&names, &ip("192.0.2.251"), Some(id)).unwrap();
            assert!(is_error && text.contains(&format!("lacks {wanted} (")), "{text}");
        }
    }

    #[test]
    fn an_address_is_missed_only_among_others_of_its_kind() {
        for id in [None, Some("%fromcert")] {
            assert_eq!(said(&["DNS:left.example.org"], &ip("192.0.2.251"), id), None);
            assert_eq!(said(&["IP:192.0.2.251"], &ip("192.0.2.251"), id), None);
            assert_eq!(
                said(
                    &["IP:192.0.2.251"],
                    &HostAddress::Name("left.example.org".parse().unwrap()),
                    id
                ),
                None
            );
            assert_eq!(said(&["IP:192.0.2.251"], &HostAddress::DefaultRoute, id), None);
            let (is_error, text) = said(&["IP:192.0.2.9"], &ip("192.0.2.251"), id).unwrap();
            assert!(
                !is_error && text.contains("lacks IP:192.0.2.251 (which has IP:192.0.2.9)"),
                "{text}"
            );
        }
    }
}
