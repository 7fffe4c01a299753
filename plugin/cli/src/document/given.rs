//! Where the keys of an interface stand, and how their values were written: a reader that is stricter than this one
//! takes a text for a text and a number for a number.

use std::collections::BTreeMap;

use super::{
    error::Location,
    node::{Node, Value},
    scalar::Plain,
};

/// A key that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Where its value stands.
    pub at: Location,
    /// What its value was written as.
    pub form: Form,
}

/// What a value was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text, in quotes or without.
    Text,
    /// A number without quotes.
    Number,
    /// `true` or `false` without quotes.
    Truth,
    /// A list, a mapping, or nothing.
    Other,
}

/// The keys of an interface, and under `libreswan.<key>` those of its connection.
pub(super) fn of(interface: &Node) -> BTreeMap<String, Given> {
    let mut found = BTreeMap::new();
    for entry in interface.entries().unwrap_or_default() {
        found.insert(entry.key.clone(), given(&entry.value));
        if entry.key == "libreswan" {
            let entries = entry.value.entries().unwrap_or_default();
            found.extend(
                entries
                    .iter()
                    .map(|entry| (format!("libreswan.{}", entry.key), given(&entry.value))),
            );
        }
    }
    found
}

fn given(node: &Node) -> Given {
    let form = match &node.value {
        Value::Scalar(scalar) => match scalar.meaning {
            Plain::Text => Form::Text,
            Plain::Bool(_) => Form::Truth,
            Plain::Null => Form::Other,
            Plain::Unsigned(_) | Plain::Signed(_) | Plain::Float(_) | Plain::Huge => Form::Number,
        },
        Value::Sequence(_) | Value::Mapping(_) => Form::Other,
    };
    Given { at: node.at, form }
}
