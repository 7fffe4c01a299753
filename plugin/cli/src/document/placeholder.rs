//! Placeholders that somebody who copied a document did not fill in.

use nmstate_ipsec_core::secret::HIDDEN_BY_NMSTATE;

use super::{
    error::{Faults, Path, Problem},
    node::{Node, Scalar, Value},
};

/// Notes every placeholder (`<hostname>`) of a document.
pub(super) fn find(node: &Node, path: &Path<'_>, faults: &mut Faults) {
    match &node.value {
        Value::Scalar(scalar) => {
            if let Some(problem) = in_scalar(scalar, path) {
                faults.add(node.at, path, problem);
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, &path.index(index), faults);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                let path = path.key(&entry.key);
                if let Some(name) = in_text(&entry.key) {
                    faults.add(entry.key_at, &path, Problem::Placeholder(name.to_owned()));
                }
                find(&entry.value, &path, faults);
            }
        }
    }
}

fn in_scalar(scalar: &Scalar, path: &Path<'_>) -> Option<Problem> {
    let name = in_text(&scalar.text)?;
    if path.last_key().is_some_and(is_secret) {
        // A good secret may have such characters anywhere; nobody chooses one that is nothing but a placeholder.
        let is_whole = scalar.text.len() == name.len() + 2;
        return is_whole.then_some(Problem::SecretPlaceholder);
    }
    Some(Problem::Placeholder(name.to_owned()))
}

/// Whether the values of a key are secrets: those of IPsec, and the passwords of other interfaces.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("psk")
        || ["password", "secret", "private-key", "cak"]
            .iter()
            .any(|word| key.contains(word))
}

/// The name of the first placeholder in `text`.
fn in_text(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find(|character: char| !is_name_character(character))?;
        let name = &rest[..end];
        let is_closed = rest[end..].starts_with('>');
        if is_closed && !name.is_empty() && format!("<{name}>") != HIDDEN_BY_NMSTATE {
            return Some(name);
        }
        rest = &rest[end..];
    }
    None
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_other_angle_brackets() {
        for (text, name) in [
            ("<hostname>", Some("hostname")),
            ("<external_address>/32", Some("external_address")),
            ("a <b <c-1> d", Some("c-1")),
            ("<<x>>", Some("x")),
            ("<_password_hid_by_nmstate>", None),
            ("a<b", None),
            ("<>", None),
            ("a < b > c", None),
            ("<ä>", None),
            ("->", None),
        ] {
            assert_eq!(in_text(text), name, "{text}");
        }
    }
}
