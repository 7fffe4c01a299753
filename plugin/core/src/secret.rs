//! Secrets: never printed, wiped from memory when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// What nmstate shows in place of a secret, and never means.
pub const HIDDEN_BY_NMSTATE: &str = "<_password_hid_by_nmstate>";

/// A secret text. `Debug` and `Display` print `<hidden>`; the memory is wiped when the value is dropped.
///
/// A clone is a second copy in memory: make as few as possible.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`; the caller's other copies, if any, are the caller's to wipe.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. What is made of it must be a [`Secret`] too, or be wiped by hand.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to keep secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

/// The secrets that a profile may carry (`vpn.secrets`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// `pskvalue`: the pre-shared key.
    pub psk: Option<Secret>,
    /// `xauthpassword`: the password of IKEv1's extended authentication.
    pub xauth_password: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secrets = Secrets {
            psk: Some(Secret::new("open sesame".into())),
            xauth_password: None,
        };
        assert_eq!(
            format!("{secrets:?}"),
            "Secrets { psk: Some(<hidden>), xauth_password: None }"
        );
        assert_eq!(Secret::new("open sesame".into()).to_string(), "<hidden>");
        assert_eq!(Secret::new("open sesame".into()).expose(), "open sesame");
    }
}
