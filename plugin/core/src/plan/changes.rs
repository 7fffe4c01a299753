//! What a step changes, key by key, for whoever wants to know before or afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use zbus::zvariant::{OwnedValue, Value};

use crate::{connection::key_names, daemon_api::Change, profile::Settings};

/// Of profiles that come or go, these parts are told; the rest is the same in all of them, or means nothing to anybody.
const TOLD: [&str; 5] = ["vpn.data.", "vpn.secrets.", "ipv4.method", "ipv6.method", GUARD];

/// Whether it is guarded: [`crate::guard::KEY`] in the user data.
const GUARD: &str = "user.data.nmstate-ipsec.guard";

/// The keys that differ, sorted. Values are told of keys that this project knows to be none of secrets; whatever else a
/// profile holds, somebody may have put a secret there.
pub(super) fn between(before: Option<&Settings>, after: Option<&Settings>) -> Vec<Change> {
    let is_whole = before.is_none() || after.is_none();
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let told = differ.filter(|key| !is_whole || TOLD.iter().any(|told| key.starts_with(told)));
    told.map(|key| change(key, before.get(key), after.get(key)))
        .collect()
}

fn change(key: &str, before: Option<&OwnedValue>, after: Option<&OwnedValue>) -> Change {
    let text = |value: Option<&OwnedValue>| match value.map(|value| &**value) {
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::Bool(value)) => value.to_string(),
        _ => String::new(),
    };
    let is_hidden = !is_open(key);
    let (shown_before, shown_after) = if is_hidden {
        Default::default()
    } else {
        (text(before), text(after))
    };
    Change {
        key: key.to_owned(),
        kind: match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
        .to_owned(),
        before: shown_before,
        after: shown_after,
        is_hidden,
    }
}

/// Whether everybody may see the values of a key.
fn is_open(key: &str) -> bool {
    match key.strip_prefix("vpn.data.") {
        Some(name) => key_names().any(|known| known == name),
        None => matches!(key, "connection.autoconnect" | "ipv4.method" | "ipv6.method") || key == GUARD,
    }
}

/// Every value by its place; the entries of `vpn.data` and `vpn.secrets` each for itself.
fn flat(settings: Option<&Settings>) -> BTreeMap<String, OwnedValue> {
    let mut values = BTreeMap::new();
    let mut put = |place: String, value: Value<'_>| {
        // Only a value with a file descriptor could not be owned, and profiles have none.
        if let Ok(value) = value.try_into_owned() {
            values.insert(place, value);
        }
    };
    for (name, keys) in settings.into_iter().flatten() {
        for (key, value) in keys {
            let place = format!("{name}.{key}");
            let Ok(copy) = value.try_clone() else { continue };
            match HashMap::<String, String>::try_from(copy) {
                Ok(entries) => {
                    for (entry, text) in entries {
                        put(format!("{place}.{entry}"), Value::from(text));
                    }
                }
                Err(_) => {
                    if let Ok(value) = value.try_clone() {
                        put(place, value.into());
                    }
                }
            }
        }
    }
    values
}
