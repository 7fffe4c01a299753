//! Which secrets a profile needs, which of them it lacks, and which its user may be asked for.

use std::fmt;

use super::{Profile, Settings};
use crate::{
    connection::value::policy::{InputMode, SecretFlags},
    secret::Secret,
};

/// A secret that a profile may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKey {
    /// The pre-shared key.
    Psk,
    /// The password of IKEv1's extended authentication.
    XauthPassword,
}

impl SecretKey {
    /// The key in `vpn.secrets`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Psk => "pskvalue",
            Self::XauthPassword => "xauthpassword",
        }
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Psk => "pre-shared key",
            Self::XauthPassword => "XAUTH password",
        })
    }
}

/// A secret that the connection needs, and what the profile says of it.
struct Needed<'a> {
    key: SecretKey,
    value: Option<&'a Secret>,
    flags: Option<SecretFlags>,
}

/// Whether NetworkManager must come up with secrets before the connection can be brought up.
pub fn needs_secrets(settings: &Settings) -> bool {
    !missing_secrets(settings).is_empty()
}

/// The secrets that the connection needs and the profile does not hold.
///
/// A pre-shared key is needed where it authenticates: where the profile says so, or where it gives neither a certificate
/// nor raw keys. With IKEv1 the password of extended authentication is needed beside it. What is there, or is marked as
/// not required, is not asked for. Nothing is asked for a faulty profile: bringing it up will name the fault.
pub fn missing_secrets(settings: &Settings) -> Vec<SecretKey> {
    keys(settings, |needed| needed.value.is_none())
}

/// The secrets that the connection needs and that its user came up with, or may: those which NetworkManager does
/// not keep for the whole system. What the system keeps is for its administrator to mend.
pub fn askable_secrets(settings: &Settings) -> Vec<SecretKey> {
    keys(settings, |needed| {
        needed.flags.is_some_and(SecretFlags::is_of_the_user)
    })
}

fn keys(settings: &Settings, wanted: impl Fn(&Needed<'_>) -> bool) -> Vec<SecretKey> {
    let Ok(profile) = Profile::from_settings(settings) else {
        return Vec::new();
    };
    let needed = needed(&profile);
    needed
        .into_iter()
        .filter(wanted)
        .map(|needed| needed.key)
        .collect()
}

fn needed(profile: &Profile) -> Vec<Needed<'_>> {
    let (connection, secrets) = (&profile.connection, &profile.secrets);
    let is_required = |flags: Option<SecretFlags>, mode: Option<InputMode>| {
        !flags.is_some_and(SecretFlags::is_not_required) && mode != Some(InputMode::Unused)
    };
    let mut needed = Vec::new();
    if connection.uses_psk() && is_required(connection.pskvalue_flags, connection.pskinputmodes) {
        needed.push(Needed {
            key: SecretKey::Psk,
            value: secrets.psk.as_ref(),
            flags: connection.pskvalue_flags,
        });
    }
    if connection.uses_xauth()
        && connection.wants_psk()
        && is_required(connection.xauthpassword_flags, connection.xauthpasswordinputmodes)
    {
        needed.push(Needed {
            key: SecretKey::XauthPassword,
            value: secrets.xauth_password.as_ref(),
            flags: connection.xauthpassword_flags,
        });
    }
    needed
}
