//! Values that are passed on as they are.

use serde_json::{Map, Number, Value as Json};

use super::{
    error::{Faults, Path, Problem},
    node::{Node, Scalar, Value},
    scalar::Plain,
};

/// The value that nmstate would read. Faulty numbers are noted and become `null`.
pub(super) fn of(node: &Node, path: &Path<'_>, faults: &mut Faults) -> Json {
    match &node.value {
        Value::Scalar(scalar) => of_scalar(scalar).unwrap_or_else(|problem| {
            faults.add(node.at, path, problem);
            Json::Null
        }),
        Value::Sequence(items) => {
            let items = items.iter().enumerate();
            Json::Array(
                items
                    .map(|(index, item)| of(item, &path.index(index), faults))
                    .collect(),
            )
        }
        Value::Mapping(entries) => {
            let value = |entry: &super::node::Entry| {
                let value = of(&entry.value, &path.key(&entry.key), faults);
                (entry.key.clone(), value)
            };
            Json::Object(entries.iter().map(value).collect::<Map<_, _>>())
        }
    }
}

fn of_scalar(scalar: &Scalar) -> Result<Json, Problem> {
    let out_of_range = Problem::Value {
        expected: "a finite number of at most 64 bits, or quotes around a text",
        suggestion: None,
    };
    Ok(match scalar.meaning {
        Plain::Null => Json::Null,
        Plain::Bool(value) => Json::Bool(value),
        Plain::Unsigned(number) => number.into(),
        Plain::Signed(number) => number.into(),
        Plain::Float(number) => Json::Number(Number::from_f64(number).ok_or(out_of_range)?),
        Plain::Huge => return Err(out_of_range),
        Plain::Text => Json::String(scalar.text.clone()),
    })
}
