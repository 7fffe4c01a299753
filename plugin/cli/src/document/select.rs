//! Whether a policy is for this host.

use std::collections::BTreeMap;

use super::Document;

/// The label that every node has: its name.
pub const HOST_NAME_LABEL: &str = "kubernetes.io/hostname";

/// The labels of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// Whether a policy is for this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// It is.
    Here,
    /// It is for another one.
    Elsewhere(Differs),
}

/// The first pair of a policy's `nodeSelector` that this host has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy is for nodes with {key}={wanted}, and this host has {}", self.has())]
pub struct Differs {
    /// The key.
    pub key: String,
    /// The value that the policy wants.
    pub wanted: String,
    /// The value that this host has.
    pub found: Option<String>,
}

impl Differs {
    fn has(&self) -> String {
        match &self.found {
            Some(found) => format!("{}={found}", self.key),
            None => "no such label".into(),
        }
    }
}

/// What is wrong with labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// There is no `=`.
    #[error("label {number} is not of the form key=value")]
    NoPair {
        /// Which label or line it is, counted from 1.
        number: usize,
    },
    /// Key or value have characters that no label has.
    #[error(
        "label {number}: {part} '{text}' has characters other than letters, digits, '-', '_', '.' and '/'"
    )]
    Characters {
        /// Which label or line it is, counted from 1.
        number: usize,
        /// Key or value.
        part: &'static str,
        /// The text, escaped.
        text: String,
    },
    /// A key has two values.
    #[error("label {number}: key '{key}' has another value already")]
    Twice {
        /// Which label or line it is, counted from 1.
        number: usize,
        /// The key.
        key: String,
    },
}

impl Labels {
    /// The labels of a host: those that are given, and its name under [`HOST_NAME_LABEL`] unless they say otherwise.
    #[must_use]
    pub fn with_host_name(mut self, name: &str) -> Self {
        self.0
            .entry(HOST_NAME_LABEL.to_owned())
            .or_insert_with(|| name.to_owned());
        self
    }

    /// The same with another name of the host, whatever they said.
    #[must_use]
    pub fn with_node_name(mut self, name: &str) -> Self {
        self.0.insert(HOST_NAME_LABEL.to_owned(), name.to_owned());
        self
    }

    /// Reads labels as an argument has them: `key=value,key=value`.
    ///
    /// # Errors
    /// The first that is no label.
    pub fn parse_list(text: &str) -> Result<Self, InvalidLabel> {
        Self::parse(text.split(','))
    }

    /// Reads labels as a file has them: a line each. Empty lines and those that begin with `#` mean nothing; the value
    /// may be in double quotes, as in the files that a cluster writes for its pods.
    ///
    /// # Errors
    /// The first line that is no label.
    pub fn parse_lines(text: &str) -> Result<Self, InvalidLabel> {
        Self::parse(text.lines())
    }

    /// The labels of both; those of `other` win.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn parse<'t>(parts: impl Iterator<Item = &'t str>) -> Result<Self, InvalidLabel> {
        let mut labels = BTreeMap::new();
        for (index, part) in parts.enumerate() {
            let (number, part) = (index + 1, part.trim());
            if part.is_empty() || part.starts_with('#') {
                continue;
            }
            let (key, value) = part.split_once('=').ok_or(InvalidLabel::NoPair { number })?;
            let (key, value) = (key.trim(), value.trim());
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or(value);
            for (part, text) in [("the key", key), ("the value", value)] {
                let is_empty_key = part == "the key" && text.is_empty();
                if is_empty_key || !text.bytes().all(is_label_byte) {
                    let text = nmstate_ipsec_core::profile::shown(text);
                    return Err(InvalidLabel::Characters { number, part, text });
                }
            }
            match labels.insert(key.to_owned(), value.to_owned()) {
                Some(before) if before != value => {
                    let key = key.to_owned();
                    return Err(InvalidLabel::Twice { number, key });
                }
                _ => {}
            }
        }
        Ok(Self(labels))
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// Whether a document is for the host with these labels: every pair of its `nodeSelector` must be among them. One
/// without pairs is for every host.
pub fn is_for(document: &Document, labels: &Labels) -> Selection {
    let differs = document
        .selector
        .iter()
        .find(|(key, wanted)| labels.0.get(*key) != Some(*wanted));
    match differs {
        None => Selection::Here,
        Some((key, wanted)) => Selection::Elsewhere(Differs {
            key: key.clone(),
            wanted: wanted.clone(),
            found: labels.0.get(key).cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(labels: &Labels) -> Vec<(&str, &str)> {
        labels
            .0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn labels_are_read_from_arguments_and_files() {
        let labels = Labels::parse_list("a=b, node-role.kubernetes.io/worker=,").unwrap();
        assert_eq!(
            pairs(&labels),
            [("a", "b"), ("node-role.kubernetes.io/worker", "")]
        );
        let labels = Labels::parse_lines("# labels\n\na=\"b\"\nc = d\r\n").unwrap();
        assert_eq!(pairs(&labels), [("a", "b"), ("c", "d")]);
        let named = Labels::parse_list("kubernetes.io/hostname=x")
            .unwrap()
            .with_host_name("y");
        assert_eq!(pairs(&named), [(HOST_NAME_LABEL, "x")]);
        assert_eq!(pairs(&named.with_node_name("z")), [(HOST_NAME_LABEL, "z")]);
    }

    #[test]
    fn faulty_labels_are_named() {
        for (text, message) in [
            ("a", "label 1 is not of the form key=value"),
            ("a=b,=c", "label 2: the key '' has characters other"),
            ("a=b c", "label 1: the value 'b c' has characters other"),
            ("a=b,a=c", "label 2: key 'a' has another value already"),
        ] {
            let fault = Labels::parse_list(text).unwrap_err().to_string();
            assert!(fault.starts_with(message), "{fault}");
        }
    }
}
