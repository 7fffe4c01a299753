//! Imported connections as documents.

use std::fmt::Write;

use super::import::Imported;

/// The keys that nmstate reads as truth values only.
const TRUTHS: [&str; 3] = [
    "leftmodecfgclient",
    "nm-auto-defaults",
    "require-id-on-certificate",
];

/// A desired state.
pub(super) fn state(connections: &[Imported]) -> String {
    let mut text = String::new();
    interfaces(&mut text, "", connections);
    text
}

/// A policy.
pub(super) fn policy(name: &str, connections: &[Imported]) -> String {
    let mut text = format!(
        "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata:\n  name: {}\nspec:\n  desiredState:\n",
        scalar(name)
    );
    interfaces(&mut text, "    ", connections);
    text
}

/// A connection's name as a policy's: a label of the DNS, as Kubernetes wants it; nothing if nothing of it remains.
pub(super) fn dns_label(name: &str) -> Option<String> {
    let mut label = String::new();
    for character in name.chars() {
        match character {
            'a'..='z' | '0'..='9' => label.push(character),
            'A'..='Z' => label.push(character.to_ascii_lowercase()),
            _ if !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    label = label.trim_start_matches('-').chars().take(63).collect();
    let label = label.trim_end_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

fn interfaces(text: &mut String, indent: &str, connections: &[Imported]) {
    let _ = writeln!(text, "{indent}interfaces:");
    for connection in connections {
        let state = if connection.is_up { "up" } else { "down" };
        let _ = writeln!(text, "{indent}- name: {}", scalar(&connection.name));
        let _ = writeln!(
            text,
            "{indent}  type: ipsec\n{indent}  state: {state}\n{indent}  libreswan:"
        );
        for (key, value) in &connection.data {
            let value = match value.as_str() {
                "yes" | "true" | "on" if TRUTHS.contains(&key.as_str()) => "true".to_owned(),
                "no" | "false" | "off" if TRUTHS.contains(&key.as_str()) => "false".to_owned(),
                _ => scalar(value),
            };
            let _ = writeln!(text, "{indent}    {key}: {value}");
        }
    }
}

/// A text as a scalar of YAML, in quotes if it could be read as anything but a text.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(is_of_word)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        for (name, label) in [
            ("west_to_east", Some("west-to-east")),
            ("Office/VPN 2", Some("office-vpn-2")),
            ("__", None),
            ("-a-", Some("a")),
            ("ä1", Some("1")),
        ] {
            assert_eq!(dns_label(name).as_deref(), label, "{name}");
        }
        assert_eq!(dns_label(&"a".repeat(80)).map(|label| label.len()), Some(63));
    }

    #[test]
    fn what_could_be_something_else_is_quoted() {
        for (text, expected) in [
            ("insist", "insist"),
            ("yes", "'yes'"),
            ("NO", "'NO'"),
            ("10", "'10'"),
            ("1e3", "'1e3'"),
            ("it's", "'it''s'"),
            ("%cert", "'%cert'"),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }
}
