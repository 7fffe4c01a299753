//! What nmstate would change: its own difference, with the values of now beside those that are wanted.

use std::collections::BTreeMap;

use nmstate::NetworkState;
use nmstate_ipsec_core::{daemon_api::Change, secret::HIDDEN_BY_NMSTATE};
use serde_json::Value;

use super::Part;
use crate::{command::Fault, document::Document};

/// What nmstate would change to have `desired`.
///
/// # Errors
/// nmstate cannot be asked for what is, or does not take what is wanted: apply would fail likewise.
pub(crate) async fn of_other(document: &Document, desired: &NetworkState) -> Result<Vec<Part>, Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::Failed(format!("{document}: {error}"));
    let mut current = NetworkState::new();
    // Without them nmstate would take every secret for a change. None of them is handed on.
    current.set_include_secrets(true);
    current.retrieve_async().await.map_err(|error| failed(&error))?;
    let mut wanted = desired.gen_diff(&current).map_err(|error| failed(&error))?;
    wanted.hide_secrets();
    current.hide_secrets();
    let value = |state: &NetworkState| serde_json::to_value(state).map_err(|error| failed(&error));
    Ok(between(&value(&current)?, &value(&wanted)?))
}

/// The parts of `wanted`, which is only what differs, beside what they are.
fn between(current: &Value, wanted: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    let interfaces = |state: &Value| state["interfaces"].as_array().cloned().unwrap_or_default();
    let known = interfaces(current);
    for interface in interfaces(wanted) {
        let is_same =
            |known: &&Value| known["name"] == interface["name"] && known["type"] == interface["type"];
        let before = known.iter().find(is_same).unwrap_or(&Value::Null);
        parts.push(Part {
            name: text(&interface["name"]),
            changes: changes(before, &interface),
        });
    }
    // Sorted, whichever way serde_json keeps them.
    let rest: BTreeMap<&String, &Value> = wanted.as_object().into_iter().flatten().collect();
    for (name, wanted) in rest {
        if name != "interfaces" {
            let current = current.get(name).unwrap_or(&Value::Null);
            let changes = match wanted["config"].as_array() {
                Some(items) => entries(&current["config"], items),
                _ => changes(current, wanted),
            };
            let name = name.clone();
            parts.push(Part { name, changes });
        }
    }
    parts.retain(|part| !part.changes.is_empty());
    parts
}

/// The values of `wanted` that are others in `current`.
fn changes(current: &Value, wanted: &Value) -> Vec<Change> {
    let (current, wanted) = (leaves(current), leaves(wanted));
    let differs = |(key, value): &(&String, &&Value)| {
        // nmstate has found out that a secret differs; of the two all that is left is that they are there.
        **value == HIDDEN_BY_NMSTATE || current.get(*key) != Some(*value)
    };
    let change = |(key, value): (&String, &&Value)| {
        let before = current.get(key);
        let is_hidden = *value == HIDDEN_BY_NMSTATE;
        Change {
            key: key.clone(),
            kind: if before.is_some() { "changed" } else { "added" }.to_owned(),
            before: before
                .filter(|_| !is_hidden)
                .map(|value| text(value))
                .unwrap_or_default(),
            after: if is_hidden { String::new() } else { text(value) },
            is_hidden,
        }
    };
    wanted.iter().filter(differs).map(change).collect()
}

/// Routes and rules have no names: each is added or removed as a whole.
fn entries(current: &Value, wanted: &[Value]) -> Vec<Change> {
    let known = current.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut changes = Vec::new();
    for entry in wanted {
        let is_absent = entry["state"] == "absent";
        if is_absent || !known.contains(entry) {
            let mut entry = entry.clone();
            if let Some(keys) = entry.as_object_mut() {
                keys.remove("state");
            }
            let (before, after) = if is_absent {
                (text(&entry), String::new())
            } else {
                (String::new(), text(&entry))
            };
            changes.push(Change {
                key: "config".to_owned(),
                kind: if is_absent { "removed" } else { "added" }.to_owned(),
                before,
                after,
                is_hidden: false,
            });
        }
    }
    changes
}

/// Every value that is not a mapping, by its place.
fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, &Value)> = vec![(String::new(), value)];
    while let Some((place, value)) = open.pop() {
        match value.as_object() {
            Some(keys) => open.extend(keys.iter().map(|(key, value)| match place.as_str() {
                "" => (key.clone(), value),
                place => (format!("{place}.{key}"), value),
            })),
            None if value.is_null() => {}
            None => drop(found.insert(place, value)),
        }
    }
    found
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(current: Value, wanted: Value) -> Vec<String> {
        let parts = between(&current, &wanted);
        let lines = parts.iter().flat_map(|part| {
            part.changes.iter().map(|change| {
                format!(
                    "{} {} {} '{}' '{}'",
                    part.name, change.key, change.kind, change.before, change.after
                )
            })
        });
        lines.collect()
    }

    #[test]
    fn interfaces_are_compared_key_by_key() {
        let current = json!({"interfaces": [
            {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500, "ipv4": {"enabled": true, "dhcp": true}},
            {"name": "eth1", "type": "ovs-interface", "mtu": 9000},
        ]});
        let wanted = json!({"interfaces": [
            {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1400, "ipv4": {"dhcp": false}},
            {"name": "br0", "type": "linux-bridge", "state": "up"},
        ]});
        assert_eq!(
            told(current, wanted),
            [
                "eth1 ipv4.dhcp changed 'true' 'false'",
                "eth1 mtu changed '1500' '1400'",
                "br0 name added '' 'br0'",
                "br0 state added '' 'up'",
                "br0 type added '' 'linux-bridge'",
            ]
        );
    }

    #[test]
    fn routes_and_the_resolver_are_told() {
        let route = json!({"destination": "198.51.100.0/24", "next-hop-interface": "eth1"});
        let mut gone = route.clone();
        gone["state"] = "absent".into();
        let current =
            json!({"routes": {"config": [route]}, "dns-resolver": {"config": {"server": ["192.0.2.1"]}}});
        let wanted =
            json!({"routes": {"config": [gone]}, "dns-resolver": {"config": {"server": ["192.0.2.2"]}}});
        assert_eq!(
            told(current, wanted),
            [
                "dns-resolver config.server changed '[\"192.0.2.1\"]' '[\"192.0.2.2\"]'",
                "routes config removed '{\"destination\":\"198.51.100.0/24\",\"next-hop-interface\":\"eth1\"}' ''",
            ]
        );
    }

    #[test]
    fn a_secret_that_differs_is_told_without_its_value() {
        let hidden = json!({"interfaces": [
            {"name": "eth1", "type": "ethernet", "802.1x": {"private-key-password": HIDDEN_BY_NMSTATE}},
        ]});
        let parts = between(&hidden, &hidden);
        let change = &parts[0].changes[0];
        assert_eq!((change.kind.as_str(), change.is_hidden), ("changed", true));
        assert_eq!((change.before.as_str(), change.after.as_str()), ("", ""));
    }
}
