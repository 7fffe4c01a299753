//! From text to documents.
//!
//! JSON is a subset of YAML, so one parser reads both.

use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScanError};

use super::{
    error::{Location, Problem},
    node::Node,
    tree::{Builder, location},
};

/// Why a file could not be parsed: the place, the way to it in its document, and what is wrong.
pub(super) type ParseFault = (Location, String, Problem);

/// The documents of a text; those that are empty are left out, but counted.
///
/// # Errors
/// The first thing that is not YAML, or that YAML has and this project wants nobody to use.
pub(super) fn documents(text: &str) -> Result<Vec<(usize, Rc<Node>)>, ParseFault> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    let mut number = 0;
    let mut found = Vec::new();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&builder, &error))?;
        match event {
            Event::DocumentStart(_) => {
                number += 1;
                builder.begin();
            }
            Event::DocumentEnd => {
                let root = builder.finish();
                found.extend(root.filter(|node| !node.is_null()).map(|node| (number, node)));
            }
            event => builder
                .event(event, span)
                .map_err(|problem| (location(&span.start), builder.path_of(&problem), problem))?,
        }
    }
    Ok(found)
}

fn syntax(builder: &Builder, error: &ScanError) -> ParseFault {
    // All of the parser's words are fixed but those that quote a character.
    let words = match error.info() {
        info if info.contains('`') => "unexpected character",
        "simple key expect ':'" | "simple key expected" => {
            "a line before this one is no 'key: value'; look for a missing colon or blank, or a wrong indentation"
        }
        info => info,
    };
    (
        location(error.marker()),
        builder.path(),
        Problem::Syntax(words.to_owned()),
    )
}
