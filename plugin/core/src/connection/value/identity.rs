//! Who the ends say they are (`leftid`, `rightid`).

use std::{fmt, net::IpAddr, str::FromStr};

use super::{Expected, MAX_TEXT, is_quotable_text, is_word};

/// An identity as ipsec.conf(5) writes it under `leftid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    kind: IdentityKind,
    text: String,
}

/// What an [`Identity`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// `%fromcert`: the subject of the end's certificate.
    FromCertificate,
    /// `%none`: no identity; the address is used.
    None,
    /// A literal address.
    Address(IpAddr),
    /// `@name`, `@@user@name`, `@[group]`, `@#hex`: taken literally.
    Literal,
    /// `CN=host, O=Example`: a distinguished name.
    DistinguishedName,
    /// A name without `@`, which libreswan resolves to an address.
    Name,
}

const EXPECTED: Expected = Expected(
    "%fromcert, %none, an IP address, a name (@host.example.org) or a distinguished name (CN=host, O=Example), without quotes",
);

impl Identity {
    /// What the identity is made of.
    pub fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// The identity as it is rendered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The identity that `nm-auto-defaults` makes of this one: a name is taken literally instead of being resolved.
    ///
    /// Distinguished names stay as they are: with an `@` they could match no certificate.
    #[must_use]
    pub fn literal(self) -> Self {
        match self.kind {
            IdentityKind::Name => Self {
                kind: IdentityKind::Literal,
                text: format!("@{}", self.text),
            },
            _ => self,
        }
    }
}

impl FromStr for Identity {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let kind = match text {
            "%fromcert" => IdentityKind::FromCertificate,
            "%none" => IdentityKind::None,
            _ => named_kind(text).ok_or(EXPECTED)?,
        };
        Ok(Self {
            kind,
            text: text.to_owned(),
        })
    }
}

fn named_kind(text: &str) -> Option<IdentityKind> {
    if text.len() >= MAX_TEXT || text.starts_with('%') {
        return None;
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return (!address.is_unspecified()).then_some(IdentityKind::Address(address));
    }
    if let Some(literal) = text.strip_prefix('@') {
        return is_literal(literal).then_some(IdentityKind::Literal);
    }
    if is_distinguished_name(text) {
        return Some(IdentityKind::DistinguishedName);
    }
    (is_word(text) && !text.starts_with('-')).then_some(IdentityKind::Name)
}

/// Key identifiers (`@[group name]`) may hold blanks; names may not.
fn is_literal(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(key_id) => is_quotable_text(key_id) && !key_id.contains('\\'),
        None => is_word(text),
    }
}

/// Attributes `type=value`, separated by commas; a comma in a value is written `\,` (or doubled).
pub(crate) fn is_distinguished_name(text: &str) -> bool {
    let names_attribute = text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .trim()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    });
    let escapes_commas_only = text.split('\\').skip(1).all(|rest| rest.starts_with(','));
    names_attribute && is_quotable_text(text) && escapes_commas_only
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_told_apart() {
        let table = [
            ("%fromcert", IdentityKind::FromCertificate, "%fromcert"),
            ("%none", IdentityKind::None, "%none"),
            (
                "192.0.2.1",
                IdentityKind::Address("192.0.2.1".parse().unwrap()),
                "192.0.2.1",
            ),
            (
                "2001:db8::1",
                IdentityKind::Address("2001:db8::1".parse().unwrap()),
                "2001:db8::1",
            ),
            ("@host.example.org", IdentityKind::Literal, "@host.example.org"),
            ("@@user@example.org", IdentityKind::Literal, "@@user@example.org"),
            ("@[Group Name]", IdentityKind::Literal, "@[Group Name]"),
            ("@#deadbeef", IdentityKind::Literal, "@#deadbeef"),
            (
                "CN=host, O=Foo\\, Bar",
                IdentityKind::DistinguishedName,
                "CN=host, O=Foo\\, Bar",
            ),
            (
                "C=DE,L=Köln,CN=host",
                IdentityKind::DistinguishedName,
                "C=DE,L=Köln,CN=host",
            ),
            ("host.example.org", IdentityKind::Name, "@host.example.org"),
            ("user@example.org", IdentityKind::Name, "@user@example.org"),
        ];
        for (text, kind, literal) in table {
            let identity: Identity = text.parse().unwrap();
            assert_eq!(identity.kind(), kind, "{text}");
            assert_eq!(identity.to_string(), text);
            assert_eq!(identity.literal().as_str(), literal);
        }
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        for text in [
            "",
            "@",
            "%any",
            "%myid",
            "0.0.0.0",
            "a b",
            "a\nb",
            "CN=a\nleftupdown=x",
            "@a\"b",
            "O=O'Neill",
            "CN=a\\",
            "CN=a\\nb",
            "@[a\\]",
            "@[]",
            "a\\b",
            "--config",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text:?}");
        }
        assert!("a".repeat(MAX_TEXT + 1).parse::<Identity>().is_err());
    }
}
