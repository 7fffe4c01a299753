//! Tags: `!!str` and its like say what a value is; any other has no meaning in a document.

use saphyr_parser::{ScalarStyle, Tag};

use super::{
    error::Problem,
    scalar::{self, Plain},
};

/// What a scalar means, by its tag or by its form.
pub(super) fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Plain, Problem> {
    let Some(tag) = tag else {
        let is_plain = style == ScalarStyle::Plain;
        return Ok(if is_plain { Plain::of(text) } else { Plain::Text });
    };
    let meaning = Plain::of(text);
    let is_meant = match (tag.is_yaml_core_schema(), tag.suffix.as_str(), meaning) {
        (true, "str", _) => return Ok(Plain::Text),
        (true, "float", _) => {
            let number = scalar::float(text).ok_or(WRONG_TAG)?;
            return Ok(Plain::Float(number));
        }
        (true, "int", meaning) => matches!(meaning, Plain::Unsigned(_) | Plain::Signed(_)),
        (true, "bool", meaning) => matches!(meaning, Plain::Bool(_)),
        (true, "null", meaning) => meaning == Plain::Null,
        _ => return Err(NO_TAG),
    };
    if is_meant { Ok(meaning) } else { Err(WRONG_TAG) }
}

/// Checks the tag of a list (`seq`) or mapping (`map`).
pub(super) fn check(tag: Option<&Tag>, of_kind: &str) -> Result<(), Problem> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == of_kind) => Err(NO_TAG),
        _ => Ok(()),
    }
}

const NO_TAG: Problem =
    Problem::Unsupported("a tag ('!') means nothing here; remove it, or put the text in quotes");
const WRONG_TAG: Problem = Problem::Unsupported("the value is not of the type that its tag ('!!') says");
