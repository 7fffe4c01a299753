//! Certificates and raw keys.

use std::{fmt, str::FromStr};

use super::{Expected, identity::is_distinguished_name, is_quotable_text, keywords};

/// A certificate's nickname in the NSS database (`leftcert`, `rightcert`).
///
/// Nicknames that begin with `ovs_` are refused, alone or behind a token's name: that database is shared with
/// OVN-Kubernetes, whose certificates have such names. So are PKCS#11 URIs, which can name a certificate in many ways.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nickname(String);

impl Nickname {
    /// The nickname.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nickname {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let lower = text.to_lowercase();
        if lower.split(':').any(|part| part.trim_start().starts_with("ovs_")) {
            return Err(Expected(
                "a nickname that does not begin with ovs_, which are the cluster network's own",
            ));
        }
        if is_quotable_text(text)
            && !text.starts_with('-')
            && !text.contains('\\')
            && !lower.starts_with("pkcs11:")
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected(
                "the nickname of a certificate in the NSS database, without quotes",
            ))
        }
    }
}

impl fmt::Display for Nickname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where an end's public key comes from (`leftrsasigkey`, `rightrsasigkey`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RsaSigKey {
    /// `%cert`: from its certificate.
    Certificate,
    /// The key itself.
    Raw(RawKey),
}

/// A public key in RFC 2537 form: `0s` and base 64, or `0x` and hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawKey(String);

/// Longest raw key, in characters; 16384 bit of RSA fit.
const MAX_RAW_KEY: usize = 8192;

impl RsaSigKey {
    /// Whether the key itself is given.
    pub fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }
}

impl FromStr for RsaSigKey {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if text == "%cert" {
            return Ok(Self::Certificate);
        }
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let is_key = text.len() <= MAX_RAW_KEY
            && match text.split_at_checked(2) {
                Some(("0s" | "0S", key)) => {
                    let digits = key.trim_end_matches('=');
                    !digits.is_empty() && key.len() - digits.len() <= 2 && digits.bytes().all(is_base64)
                }
                Some(("0x" | "0X", key)) => {
                    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit())
                }
                _ => false,
            };
        if is_key {
            Ok(Self::Raw(RawKey(text.to_owned())))
        } else {
            Err(Expected("%cert or a raw public key (0s and base 64)"))
        }
    }
}

impl fmt::Display for RsaSigKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate => formatter.write_str("%cert"),
            Self::Raw(RawKey(key)) => formatter.write_str(key),
        }
    }
}

/// Who must have issued the peer's certificate (`rightca`): a distinguished name, `%same` or `%any`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issuer(String);

impl FromStr for Issuer {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if matches!(text, "%same" | "%any") || is_distinguished_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected(
                "%same, %any or a distinguished name (CN=Example CA, O=Example), without quotes",
            ))
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

keywords! {
    /// When our certificate is sent (`leftsendcert`). ipsec.conf(5) also lists `yes` and `no`, which libreswan's
    /// parsers refuse: what is rendered is what they accept.
    SendCertificate, "always, sendifasked or never" {
        /// With every negotiation.
        Always = "always" | "yes" | "alwayssend",
        /// When the peer asks for it.
        IfAsked = "sendifasked" | "ifasked",
        /// Not at all.
        Never = "never" | "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_of_the_cluster_network_are_refused() {
        for text in [
            "ovs_cert",
            "OVS_cert",
            "Ovs_",
            "NSS Certificate DB:ovs_cert",
            "NSS Certificate DB: ovs_x",
        ] {
            let expected = text.parse::<Nickname>().unwrap_err();
            assert!(expected.to_string().contains("ovs_"), "{text}");
        }
    }

    #[test]
    fn nicknames_may_hold_blanks_but_no_quotes() {
        for text in [
            "left_server",
            "hosta.example.org",
            "My Cert - Example",
            "Köln",
            "my_ovs_cert",
        ] {
            assert_eq!(text.parse::<Nickname>().unwrap().as_str(), text);
        }
        for text in [
            "",
            " a",
            "a\"b",
            "a'b",
            "a\nb",
            "-d",
            "pkcs11:object=a",
            "PKCS11:x",
            "a\\",
        ] {
            assert!(text.parse::<Nickname>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn keys_are_from_the_certificate_or_raw() {
        for text in ["%cert", "0sAwEAAesFfVZqFzRA9F", "0sAQ==", "0x0103ab"] {
            assert_eq!(text.parse::<RsaSigKey>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "%dnsondemand",
            "0s",
            "0sA B",
            "0s=",
            "0sA===",
            "0x0g",
            "AwEA",
            "0sA\n",
        ] {
            assert!(text.parse::<RsaSigKey>().is_err(), "{text:?}");
        }
        assert!(
            format!("0s{}", "A".repeat(MAX_RAW_KEY))
                .parse::<RsaSigKey>()
                .is_err()
        );
    }

    #[test]
    fn issuers_are_distinguished_names_or_magic() {
        for text in ["%same", "%any", "CN=Example CA, O=Example"] {
            assert_eq!(text.parse::<Issuer>().unwrap().to_string(), text);
        }
        for text in ["", "%fromcert", "Example CA", "CN=a\n"] {
            assert!(text.parse::<Issuer>().is_err(), "{text:?}");
        }
    }
}
