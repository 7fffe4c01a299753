//! What the ends negotiate: versions, algorithms, how they authenticate.

use std::{fmt, str::FromStr};

use super::{Expected, MAX_TEXT, algorithm, is_word, keywords};

pub use algorithm::EspCipher;

keywords! {
    /// The version of IKE (`ikev2`). libreswan since 4 speaks one version a connection; of the older words, those that
    /// once allowed both mean what they mean to libreswan 4 and 5.
    IkeVersion, "insist (IKEv2) or never (IKEv1)" {
        /// IKEv1; libreswan 5 must be told to allow it.
        V1 = "never" | "no" | "permit",
        /// IKEv2.
        V2 = "insist" | "yes" | "propose",
    }
}

/// Algorithms to propose (`ike`, `esp`), such as `aes_gcm256-sha2_256;dh19,aes256-sha2_512`. Form and names
/// are checked: which algorithms may be used depends on libreswan and on the system's cryptographic policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposal(String);

impl FromStr for Proposal {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let is_algorithms = |proposal: &str| proposal.split(['-', '+', ';']).all(algorithm::is_known);
        if text.len() <= MAX_TEXT && text.split(',').all(is_algorithms) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected(
                "proposals of known algorithms, such as aes_gcm256-sha2_512;dh19,aes256-sha2_256",
            ))
        }
    }
}

impl Proposal {
    /// What `nm-auto-defaults` gives IKEv1's aggressive mode, which cannot negotiate a group.
    pub(crate) fn aggressive_ike() -> Self {
        Self("aes256-sha1;modp1536".into())
    }

    /// The same for the child SAs.
    pub(crate) fn aggressive_esp() -> Self {
        Self("aes256-sha1".into())
    }

    /// The ciphers of ESP that are proposed; nothing if some are not known to the kernel by one name.
    pub fn esp_ciphers(&self) -> Option<Vec<EspCipher>> {
        let ciphers = self.0.split(',').flat_map(|proposal| {
            let ciphers = proposal.split(['-', ';']).next().unwrap_or_default();
            ciphers.split('+')
        });
        // "aes-256" has its key length where others have a hash.
        let has_length_apart = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        if self.0.split([',', '-', '+', ';']).any(has_length_apart) {
            return None;
        }
        ciphers.map(algorithm::esp_cipher).collect()
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

keywords! {
    /// One way to authenticate both ends (`authby`).
    AuthMethod, "secret, rsasig, ecdsa, rsa-sha2_256 or another method of ipsec.conf(5)" {
        /// A pre-shared key.
        Secret = "secret" | "psk",
        /// RSA signatures with any hash.
        RsaSig = "rsasig" | "rsa",
        /// RSA with SHA-1, PKCS #1 1.5.
        RsaSha1 = "rsa-sha1",
        /// RSA-PSS with any of SHA-2.
        RsaSha2 = "rsa-sha2",
        /// RSA-PSS with SHA2-256.
        RsaSha256 = "rsa-sha2_256",
        /// RSA-PSS with SHA2-384.
        RsaSha384 = "rsa-sha2_384",
        /// RSA-PSS with SHA2-512.
        RsaSha512 = "rsa-sha2_512",
        /// ECDSA with any of SHA-2.
        Ecdsa = "ecdsa" | "ecdsa-sha2",
        /// ECDSA with SHA2-256.
        EcdsaSha256 = "ecdsa-sha2_256",
        /// ECDSA with SHA2-384.
        EcdsaSha384 = "ecdsa-sha2_384",
        /// ECDSA with SHA2-512.
        EcdsaSha512 = "ecdsa-sha2_512",
        /// No authentication.
        Null = "null",
    }
}

/// The ways to authenticate that are accepted (`authby`), separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthBy(Vec<AuthMethod>);

impl AuthBy {
    /// A pre-shared key alone.
    pub fn secret() -> Self {
        Self(vec![AuthMethod::Secret])
    }

    /// Whether `method` is among them.
    pub fn contains(&self, method: AuthMethod) -> bool {
        self.0.contains(&method)
    }
}

impl FromStr for AuthBy {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let methods = text
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<AuthMethod>, _>>()?;
        let stands_alone = |method: &AuthMethod| matches!(method, AuthMethod::Secret | AuthMethod::Null);
        if methods.len() > 1 && methods.iter().any(stands_alone) {
            return Err(Expected("secret or null alone, or several kinds of signature"));
        }
        if methods.len() > 16 {
            return Err(Expected("each method once"));
        }
        Ok(Self(methods))
    }
}

impl fmt::Display for AuthBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, method) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str(",")?;
            }
            method.fmt(formatter)?;
        }
        Ok(())
    }
}

keywords! {
    /// How one end authenticates where the two differ (`leftauth`, `rightauth`; IKEv2).
    EndAuth, "secret, rsasig, rsa-sha2, rsa-sha2_384, rsa-sha2_512, ecdsa, null or eaponly" {
        /// A pre-shared key.
        Secret = "secret" | "psk",
        /// RSA signatures.
        RsaSig = "rsasig" | "rsa",
        /// RSA-PSS with SHA2-256.
        RsaSha2 = "rsa-sha2",
        /// RSA-PSS with SHA2-384.
        RsaSha384 = "rsa-sha2_384",
        /// RSA-PSS with SHA2-512.
        RsaSha512 = "rsa-sha2_512",
        /// ECDSA.
        Ecdsa = "ecdsa",
        /// No authentication.
        Null = "null",
        /// EAP instead of IKE's own authentication.
        EapOnly = "eaponly",
    }
}

/// The user's name for extended authentication (`leftusername`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name can stand in ipsec.secrets(5) as an index.
    pub(crate) fn is_word(&self) -> bool {
        is_word(&self.0)
    }
}

impl FromStr for UserName {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if super::is_quotable_text(text) && !text.contains('\\') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected("a user name without quotes and backslashes"))
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_words_for_the_version_keep_their_meaning() {
        for (text, version) in [
            ("insist", IkeVersion::V2),
            ("yes", IkeVersion::V2),
            ("propose", IkeVersion::V2),
            ("never", IkeVersion::V1),
            ("no", IkeVersion::V1),
            ("permit", IkeVersion::V1),
        ] {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        assert!("ikev3".parse::<IkeVersion>().is_err());
    }

    #[test]
    fn proposals_are_checked_by_shape_and_name() {
        for text in [
            "aes_gcm256-sha2_256",
            "aes_gcm256",
            "aes256-sha2_512;dh19,aes_gcm+chacha20_poly1305;dh14+dh19",
            "AES256-SHA1;modp1536",
            "aes_gcm;aes128+aes256-sha2_512+sha2_256",
        ] {
            assert_eq!(text.parse::<Proposal>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ",",
            "aes,",
            "aes--sha1",
            "aes sha1",
            "aes\n",
            "aes!",
            "-aes",
            "aes=\"x\"",
            "aes;",
            "rot13",
            "aes256-sha1;modp31337",
        ] {
            assert!(text.parse::<Proposal>().is_err(), "{text:?}");
        }
        Proposal::aggressive_ike()
            .to_string()
            .parse::<Proposal>()
            .unwrap();
        Proposal::aggressive_esp()
            .to_string()
            .parse::<Proposal>()
            .unwrap();
    }

    #[test]
    fn ciphers_are_those_of_the_kernel() {
        let ciphers = |text: &str| {
            let ciphers = text.parse::<Proposal>().unwrap().esp_ciphers()?;
            let known = ciphers.iter().map(|cipher| (cipher.kernel_name, cipher.key_bits));
            Some(known.collect::<Vec<_>>())
        };
        assert_eq!(
            ciphers("aes_gcm256,AES128+aes-sha2_256;dh14"),
            Some(vec![
                ("rfc4106(gcm(aes))", Some(288)),
                ("cbc(aes)", Some(128)),
                ("cbc(aes)", None)
            ])
        );
        assert_eq!(
            ciphers("aes_gcm_16_128-none,3des-sha1,aes_ccm_c_256,chacha20_poly1305"),
            Some(vec![
                ("rfc4106(gcm(aes))", Some(160)),
                ("cbc(des3_ede)", None),
                ("rfc4309(ccm(aes))", Some(280)),
                ("rfc7539esp(chacha20,poly1305)", None)
            ])
        );
        assert_eq!(ciphers("aes-256-sha1"), None);
        assert_eq!(ciphers("twofish-sha1"), None);
    }

    #[test]
    fn a_secret_authenticates_alone() {
        assert_eq!(
            "rsa-sha2_256,ecdsa".parse::<AuthBy>().unwrap().to_string(),
            "rsa-sha2_256,ecdsa"
        );
        assert!("secret".parse::<AuthBy>().unwrap().contains(AuthMethod::Secret));
        for text in [
            "",
            "secret,rsasig",
            "null,ecdsa",
            "secret|rsasig",
            "never",
            "rsasig,",
            "rsasig, ecdsa",
        ] {
            assert!(text.parse::<AuthBy>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn user_names_may_hold_blanks() {
        assert_eq!("John Doe".parse::<UserName>().unwrap().as_str(), "John Doe");
        assert!(!"John Doe".parse::<UserName>().unwrap().is_word());
        for text in ["", "a\"", "a\\b", "a\nb"] {
            assert!(text.parse::<UserName>().is_err(), "{text:?}");
        }
    }
}
