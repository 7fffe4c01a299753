//! From YAML's events to a tree that keeps places and texts.
//!
//! JSON is a subset of YAML, so one parser reads both. The tree is built without recursion, and its size is counted with
//! aliases replaced: who walks it later needs no bound of its own.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    error::{Location, Problem, shown_key},
    node::{Entry, Node, Scalar, Value},
    scalar::{self, Plain},
};

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most values of a file, aliases replaced.
const MAX_NODES: usize = 1_000_000;
/// Most bytes of text of a file, aliases replaced.
const MAX_TEXT: usize = 32 * 1024 * 1024;

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
        let (event, span) = event.map_err(|error| builder.syntax(&error))?;
        match event {
            Event::DocumentStart(_) => {
                number += 1;
                builder.begin();
            }
            Event::DocumentEnd => {
                let root = builder.root.take();
                found.extend(root.filter(|node| !node.is_null()).map(|node| (number, node)));
            }
            event => builder
                .event(event, span)
                .map_err(|problem| (location(&span.start), builder.path_of(&problem), problem))?,
        }
    }
    Ok(found)
}

fn location(marker: &Marker) -> Location {
    Location {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// How much a part of a document is, aliases replaced.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    text: usize,
    height: usize,
}

/// What an anchor names.
struct Anchored {
    node: Rc<Node>,
    size: Size,
}

/// A list or mapping whose end has not been seen.
struct Open {
    at: Location,
    anchor: usize,
    parts: Parts,
    size: Size,
}

enum Parts {
    Sequence(Vec<Rc<Node>>),
    Mapping {
        entries: Vec<Entry>,
        lines: HashMap<String, usize>,
        key: Option<(String, Location)>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Rc<Node>>,
    /// What the file has so far.
    nodes: usize,
    text: usize,
}

impl Builder {
    fn begin(&mut self) {
        self.open.clear();
        // The parser keeps anchors from one document to the next; YAML does not.
        self.anchors.clear();
        self.root = None;
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = location(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_multiline = span.end.line() > span.start.line();
                let scalar = Scalar {
                    meaning: meaning(&text, style, tag.as_deref())?,
                    text: text.into_owned(),
                    is_multiline,
                };
                self.scalar(scalar, at, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq")?;
                self.start(at, anchor, Parts::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map")?;
                let parts = Parts::Mapping {
                    entries: Vec::new(),
                    lines: HashMap::new(),
                    key: None,
                };
                self.start(at, anchor, parts)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let anchored = self.anchors.get(&anchor).ok_or(Problem::Unsupported(
                    "the alias refers to nothing that ends before it; write out what is meant",
                ))?;
                let (node, size) = (Rc::clone(&anchored.node), anchored.size);
                self.place(node, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, scalar: Scalar, at: Location, anchor: usize) -> Result<(), Problem> {
        if let Some(Open {
            parts: Parts::Mapping { lines, key, .. },
            ..
        }) = self.open.last_mut()
            && key.is_none()
        {
            if anchor != 0 {
                return Err(Problem::Unsupported("a key cannot have an anchor; remove it"));
            }
            return take_key(lines, key, scalar, at);
        }
        let size = Size {
            nodes: 1,
            text: scalar.text.len(),
            height: 0,
        };
        let value = Value::Scalar(scalar);
        self.place(Rc::new(Node { value, at }), size, anchor)
    }

    fn start(&mut self, at: Location, anchor: usize, parts: Parts) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.expect_value()?;
        let size = Size {
            nodes: 1,
            ..Size::default()
        };
        self.count(size)?;
        self.open.push(Open {
            at,
            anchor,
            parts,
            size,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.parts {
            Parts::Sequence(items) => Value::Sequence(items),
            Parts::Mapping { entries, .. } => Value::Mapping(entries),
        };
        let node = Rc::new(Node { value, at: open.at });
        // Its parts were counted as they came.
        self.attach(node, open.size, open.anchor)
    }

    /// Puts a whole value in its place.
    fn place(&mut self, node: Rc<Node>, size: Size, anchor: usize) -> Result<(), Problem> {
        self.count(size)?;
        self.attach(node, size, anchor)
    }

    fn attach(&mut self, node: Rc<Node>, size: Size, anchor: usize) -> Result<(), Problem> {
        self.expect_value()?;
        if anchor != 0 {
            let node = Rc::clone(&node);
            self.anchors.insert(anchor, Anchored { node, size });
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.text += size.text;
        open.size.height = open.size.height.max(size.height + 1);
        match &mut open.parts {
            Parts::Sequence(items) => items.push(node),
            Parts::Mapping { entries, key, .. } => {
                if let Some((key, key_at)) = key.take() {
                    entries.push(Entry {
                        key,
                        key_at,
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, size: Size) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.text = self.text.saturating_add(size.text);
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            return Err(Problem::TooManyNodes);
        }
        if self.open.len() + size.height > MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        Ok(())
    }

    /// Refuses a list, mapping or alias where a key must be.
    fn expect_value(&self) -> Result<(), Problem> {
        match self.open.last() {
            Some(Open {
                parts: Parts::Mapping { key: None, .. },
                ..
            }) => Err(Problem::Unsupported(
                "a key must be a text; a value of braces needs quotes",
            )),
            _ => Ok(()),
        }
    }

    /// The way to the value that comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.parts {
                Parts::Sequence(items) => path.push_str(&format!("[{}]", items.len())),
                Parts::Mapping {
                    key: Some((key, _)), ..
                } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(shown_key(key));
                }
                Parts::Mapping { .. } => {}
            }
        }
        path
    }

    /// The way to what is wrong.
    fn path_of(&self, problem: &Problem) -> String {
        let mut path = self.path();
        if let Problem::DuplicateKey { key, .. } = problem {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
        }
        path
    }

    fn syntax(&self, error: &ScanError) -> ParseFault {
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
            self.path(),
            Problem::Syntax(words.to_owned()),
        )
    }
}

fn take_key(
    lines: &mut HashMap<String, usize>,
    key: &mut Option<(String, Location)>,
    scalar: Scalar,
    at: Location,
) -> Result<(), Problem> {
    if scalar.text == "<<" {
        return Err(Problem::Unsupported(
            "nmstate knows no merge key '<<'; write out the keys that are meant",
        ));
    }
    match lines.entry(scalar.text.clone()) {
        Slot::Occupied(first) => Err(Problem::DuplicateKey {
            key: shown_key(&scalar.text).to_owned(),
            first_line: *first.get(),
        }),
        Slot::Vacant(slot) => {
            slot.insert(at.line);
            *key = Some((scalar.text, at));
            Ok(())
        }
    }
}

/// What a scalar means, by its tag or by its form.
fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Plain, Problem> {
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

fn check_tag(tag: Option<&Tag>, of_kind: &str) -> Result<(), Problem> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == of_kind) => Err(NO_TAG),
        _ => Ok(()),
    }
}

const NO_TAG: Problem =
    Problem::Unsupported("a tag ('!') means nothing here; remove it, or put the text in quotes");
const WRONG_TAG: Problem = Problem::Unsupported("the value is not of the type that its tag ('!!') says");
