//! Reading the values of a mapping by what they have to be.

use nmstate_ipsec_core::connection::nearest_of;

use super::{
    error::{Faults, Path, Problem, shown_key},
    node::{Entry, Node},
    scalar::{self, Plain},
};

/// The entries of a mapping, after a look at its keys: each that is not `known` is noted.
pub(super) fn mapping<'n>(
    node: &'n Node,
    path: &Path<'_>,
    known: &[&str],
    faults: &mut Faults,
) -> Option<&'n [Entry]> {
    let entries = any_mapping(node, path, faults)?;
    for entry in entries
        .iter()
        .filter(|entry| !known.contains(&entry.key.as_str()))
    {
        let suggestion = nearest_of(&entry.key, known.iter().copied());
        unknown_key(entry, path, suggestion, faults);
    }
    Some(entries)
}

/// The entries of a mapping whose keys may be anything.
pub(super) fn any_mapping<'n>(node: &'n Node, path: &Path<'_>, faults: &mut Faults) -> Option<&'n [Entry]> {
    let entries = node.entries();
    if entries.is_none() {
        unexpected(node, path, "a mapping (lines of 'key: value')", faults);
    }
    entries
}

/// Notes a key that there is not.
pub(super) fn unknown_key(entry: &Entry, path: &Path<'_>, suggestion: Option<&str>, faults: &mut Faults) {
    let problem = Problem::UnknownKey {
        key: shown_key(&entry.key).to_owned(),
        suggestion: suggestion.map(ToOwned::to_owned),
    };
    faults.add(entry.key_at, &path.key(&entry.key), problem);
}

/// Notes a value of a wrong kind.
pub(super) fn unexpected(node: &Node, path: &Path<'_>, expected: &'static str, faults: &mut Faults) {
    let found = node.kind();
    faults.add(node.at, path, Problem::Unexpected { found, expected });
}

/// A text. A number is one too if it can be written in no other way.
pub(super) fn text<'n>(node: &'n Node, path: &Path<'_>, faults: &mut Faults) -> Option<&'n str> {
    let expected = "a text";
    let Some(scalar) = node.scalar().filter(|scalar| scalar.meaning != Plain::Null) else {
        unexpected(node, path, expected, faults);
        return None;
    };
    if scalar.meaning == Plain::Text || scalar::is_canonical_number(&scalar.text) {
        return Some(&scalar.text);
    }
    let found = scalar.meaning.name();
    faults.add(node.at, path, Problem::NotQuoted { found });
    None
}

/// The text of a key that may be missing.
pub(super) fn optional_text(node: &Node, key: &str, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let value = node.field(key)?;
    text(value, &path.key(key), faults).map(ToOwned::to_owned)
}

/// A truth value in one of the forms that nmstate takes.
pub(super) fn truth(node: &Node, path: &Path<'_>, faults: &mut Faults) -> Option<bool> {
    let text = node.scalar().map(|scalar| scalar.text.to_ascii_lowercase());
    match text.as_deref() {
        Some("1" | "true" | "yes" | "on" | "y") => Some(true),
        Some("0" | "false" | "no" | "off" | "n") => Some(false),
        _ => {
            unexpected(node, path, "true or false", faults);
            None
        }
    }
}

/// Notes that a key is missing in a mapping.
pub(super) fn missing(
    node: &Node,
    path: &Path<'_>,
    key: &'static str,
    expected: &'static str,
    faults: &mut Faults,
) {
    faults.add(node.at, path, Problem::MissingKey { key, expected });
}

/// The one of `words` that a value is, by position.
pub(super) fn one_of(
    node: &Node,
    path: &Path<'_>,
    words: &[&str],
    expected: &'static str,
    faults: &mut Faults,
) -> Option<usize> {
    let found = text(node, path, faults)?;
    let position = words.iter().position(|word| *word == found);
    if position.is_none() {
        let suggestion = nearest_of(found, words.iter().copied()).map(ToOwned::to_owned);
        faults.add(node.at, path, Problem::Value { expected, suggestion });
    }
    position
}
