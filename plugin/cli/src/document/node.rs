//! A document as it was written: every value with its place and, for scalars, its text.

use std::rc::Rc;

use super::{error::Location, scalar::Plain};

/// A value. What aliases stand for is shared, so that a document takes no more memory than its text is long.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Location,
}

/// The kinds of values.
pub(super) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Location,
    pub(super) value: Rc<Node>,
}

/// A scalar: its text, and what it means.
pub(super) struct Scalar {
    pub(super) text: String,
    /// What the text means; [`Plain::Text`] if it is in quotes.
    pub(super) meaning: Plain,
    /// Whether it stands in more than one line.
    pub(super) is_multiline: bool,
}

impl Node {
    /// What the value is called in a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.meaning.name(),
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.meaning == Plain::Null)
    }

    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> Option<&[Rc<Node>]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a scalar, whatever it means.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The value of a key, `null` being none.
    pub(super) fn field(&self, key: &str) -> Option<&Node> {
        let entries = self.entries()?;
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(&*entry.value).filter(|node| !node.is_null())
    }

    /// Whether the mapping has the key, with a value or without.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries()
            .is_some_and(|entries| entries.iter().any(|entry| entry.key == key))
    }
}
