//! The secrets file of one connection.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::{ResolvedEnds, conf::identity_of_address};
use crate::{
    connection::{Identity, IdentityKind},
    profile::Profile,
    secret::Secret,
};

/// Renders the secrets of one connection as ipsec.secrets(5) wants them, or nothing if there are none.
///
/// A pre-shared key is indexed by both identities, so that it is found for this connection alone. Secrets are written
/// in hexadecimal digits: any byte may be in them, and none of them means anything to the file's grammar.
pub fn ipsec_secrets(profile: &Profile, ends: &ResolvedEnds) -> Option<Secret> {
    let connection = &profile.connection;
    let mut text = Zeroizing::new(String::new());
    if let Some(psk) = &profile.secrets.psk
        && connection.uses_psk()
    {
        let (left, right) = (ends.left.address(), ends.right.address());
        let family = ends.family();
        let right_index = index(connection.rightid.as_ref());
        let left = match &connection.leftid {
            // What pluto takes from the certificate is not known here; the peer's identity tells the secret apart.
            Some(own) if own.kind() == IdentityKind::FromCertificate && right_index.is_some() => {
                "%any".into()
            }
            own => index(own.as_ref()).unwrap_or_else(|| identity_of_address(left, family)),
        };
        let right = right_index.unwrap_or_else(|| identity_of_address(right, family));
        push_entry(&mut text, &format!("{left} {right}"), "PSK", psk);
    }
    if let (Some(password), Some(user)) = (&profile.secrets.xauth_password, &connection.leftusername)
        && connection.uses_xauth()
        && user.is_word()
    {
        push_entry(&mut text, &format!("@{user}"), "XAUTH", password);
    }
    (!text.is_empty()).then(|| Secret::new(std::mem::take(&mut *text)))
}

/// An identity as an index: quoted where blanks would end it.
fn index(identity: Option<&Identity>) -> Option<String> {
    let identity = identity?;
    match identity.kind() {
        IdentityKind::FromCertificate | IdentityKind::None => None,
        _ if identity.as_str().contains([' ', '#']) => Some(format!("\"{identity}\"")),
        _ => Some(identity.to_string()),
    }
}

fn push_entry(text: &mut Zeroizing<String>, indices: &str, kind: &str, secret: &Secret) {
    let secret = secret.expose();
    // A string that grows leaves copies of what it held behind.
    let mut entry = Zeroizing::new(String::with_capacity(
        text.len() + indices.len() + 2 * secret.len() + 32,
    ));
    let _ = write!(entry, "{}{indices} : {kind} 0x", text.as_str());
    for byte in secret.bytes() {
        let _ = write!(entry, "{byte:02x}");
    }
    entry.push('\n');
    *text = entry;
}
