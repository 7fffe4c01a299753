//! The connection of an IPsec interface: from the texts of a document to NetworkManager's `vpn.data` and secrets.

use std::collections::BTreeMap;

use nmstate_ipsec_core::{
    connection::{Connection, key_names, nearest_of},
    profile::InvalidProfile,
    secret::{HIDDEN_BY_NMSTATE, Secret},
};

use super::{
    error::{Faults, Path, Problem},
    fields,
    node::{Entry, Node},
    scalar::Plain,
    state::is_template,
};

/// Longest secret, in bytes; the daemon takes no longer one.
const MAX_SECRET: usize = 4096;

/// The keys of secrets in a document, and what of `vpn.secrets` they are.
const SECRET_KEYS: [&str; 2] = ["psk", "xauthpassword"];

/// The keys whose values `yes` and `no` may be written as truth values, which is what a cluster makes of them.
pub(super) const YES_NO_KEYS: &[&str] = &[
    "enable-tcp",
    "encapsulation",
    "fragmentation",
    "ikev2",
    "ipsec-interface",
    "leftmodecfgclient",
    "leftsendcert",
    "mobike",
    "narrowing",
    "nic-offload",
    "nm-auto-defaults",
    "pfs",
    "rekey",
    "require-id-on-certificate",
];

/// A connection as it is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libreswan {
    /// `vpn.data` of the profile. It has been checked, unless there are [templates](Self::is_template) in it.
    pub data: BTreeMap<String, String>,
    /// The pre-shared key; nothing takes away what the profile has.
    pub psk: Option<GivenSecret>,
    /// The password of IKEv1's extended authentication; nothing takes away what the profile has.
    pub xauth_password: Option<GivenSecret>,
    /// Whether a value is an expression over the policy's captures, so that `data` is to be checked
    /// ([`Connection::from_data`]) once it is filled in.
    pub is_template: bool,
}

/// A secret as a document gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenSecret {
    /// The one that the profile has: the document holds what nmstate prints in place of secrets.
    Keep,
    /// This one.
    Set(Secret),
}

/// Reads the mapping `libreswan`, and checks what it says.
pub(super) fn read(
    node: &Node,
    path: &Path<'_>,
    has_capture: bool,
    faults: &mut Faults,
) -> Option<Libreswan> {
    let entries = fields::any_mapping(node, path, faults)?;
    let before = faults.count();
    let mut connection = Libreswan::default();
    for entry in entries {
        match entry.key.as_str() {
            "psk" => connection.psk = secret(entry, path, faults),
            "xauthpassword" => connection.xauth_password = secret(entry, path, faults),
            key if key_names().any(|name| name == key) => {
                let Some(word) = word(entry, path, faults) else {
                    continue;
                };
                connection.is_template |= has_capture && is_template(&word);
                // nmstate leaves it out where it changes nothing.
                if (key, word.as_str()) != ("nm-auto-defaults", "yes") {
                    connection.data.insert(key.to_owned(), word);
                }
            }
            key => fields::unknown_key(entry, path, suggestion(key), faults),
        }
    }
    let is_whole = faults.count() == before;
    if !connection.is_template && (is_whole || connection.data.contains_key("right")) {
        check(&connection.data, is_whole, node, path, faults);
    }
    Some(connection)
}

fn suggestion(key: &str) -> Option<&'static str> {
    match key {
        "pskvalue" | "pks" | "presharedkey" | "pre-shared-key" => Some("psk"),
        _ => nearest_of(key, key_names().chain(SECRET_KEYS)),
    }
}

/// A value as `vpn.data` has it.
fn word(entry: &Entry, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let is_switch = YES_NO_KEYS.contains(&entry.key.as_str());
    if let (Some(scalar), true) = (entry.value.scalar(), is_switch)
        && let Plain::Bool(is_on) = scalar.meaning
    {
        return Some(if is_on { "yes" } else { "no" }.to_owned());
    }
    fields::text(&entry.value, &path.key(&entry.key), faults).map(ToOwned::to_owned)
}

fn secret(entry: &Entry, path: &Path<'_>, faults: &mut Faults) -> Option<GivenSecret> {
    let path = path.key(&entry.key);
    let text = fields::text(&entry.value, &path, faults)?;
    if text == HIDDEN_BY_NMSTATE {
        return Some(GivenSecret::Keep);
    }
    if text.is_empty() || text.len() > MAX_SECRET {
        let fault = InvalidProfile::HiddenValue {
            key: entry.key.clone(),
            expected: "a secret of 1 to 4096 bytes",
        };
        faults.add(entry.value.at, &path, Problem::Connection(fault));
        return None;
    }
    Some(GivenSecret::Set(Secret::new(text.to_owned())))
}

/// Checks a connection. Values that are wrong by themselves are all noted; what contradicts itself only if it
/// `is_whole`: where something is left out for being wrong, that may be the reason.
fn check(
    data: &BTreeMap<String, String>,
    mut is_whole: bool,
    node: &Node,
    path: &Path<'_>,
    faults: &mut Faults,
) {
    let mut data: std::collections::HashMap<_, _> = data.clone().into_iter().collect();
    while let Err(fault) = Connection::from_data(&data) {
        let key = fault.key().to_owned();
        let is_of_value = matches!(
            fault,
            InvalidProfile::Value { .. } | InvalidProfile::HiddenValue { .. }
        );
        if !is_of_value && !is_whole {
            return;
        }
        note(fault, node, path, faults);
        is_whole = false;
        // Without `right` nothing more would be looked at.
        if !is_of_value || key == "right" || data.remove(&key).is_none() {
            return;
        }
    }
}

/// Notes a fault where the key stands that it names.
fn note(fault: InvalidProfile, node: &Node, path: &Path<'_>, faults: &mut Faults) {
    let key = fault.key().to_owned();
    let entry = node
        .entries()
        .and_then(|entries| entries.iter().find(|entry| entry.key == key));
    let Some(entry) = entry else {
        faults.add(node.at, path, Problem::Connection(fault));
        return;
    };
    let fault = match fault {
        InvalidProfile::Value { key, expected, .. } if may_hold_secret(&entry.value) => {
            InvalidProfile::HiddenValue { key, expected }
        }
        fault => fault,
    };
    faults.add(entry.value.at, &path.key(&entry.key), Problem::Connection(fault));
}

/// Whether a line with a secret may have got into the value, for want of a colon's blank or of a quote.
fn may_hold_secret(node: &Node) -> bool {
    node.scalar().is_none_or(|scalar| {
        let text = scalar.text.to_ascii_lowercase();
        scalar.is_multiline || ["psk", "pass", "secret"].iter().any(|word| text.contains(word))
    })
}
