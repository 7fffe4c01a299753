//! A tree that keeps places and texts, made from YAML's events.
//!
//! It is built without recursion, and its size is counted with aliases replaced: who walks it later needs no bound of its
//! own.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Span};

use super::{
    error::{Location, Problem, shown_key},
    node::{Entry, Node, Scalar, Value},
    tag,
};

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most values of a file, aliases replaced.
const MAX_NODES: usize = 1_000_000;
/// Most bytes of text of a file, aliases replaced.
const MAX_TEXT: usize = 32 * 1024 * 1024;

/// The place that the parser calls `marker`.
pub(super) fn location(marker: &Marker) -> Location {
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

/// A document in the making.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Rc<Node>>,
    /// What the file has so far.
    nodes: usize,
    text: usize,
}

impl Builder {
    /// Begins a document.
    pub(super) fn begin(&mut self) {
        self.open.clear();
        // The parser keeps anchors from one document to the next; YAML does not.
        self.anchors.clear();
        self.root = None;
    }

    /// The document, once it has ended.
    pub(super) fn finish(&mut self) -> Option<Rc<Node>> {
        self.root.take()
    }

    /// Takes what the parser has found next.
    pub(super) fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = location(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_multiline = span.end.line() > span.start.line();
                let scalar = Scalar {
                    meaning: tag::meaning(&text, style, tag.as_deref())?,
                    text: text.into_owned(),
                    is_multiline,
                };
                self.scalar(scalar, at, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                tag::check(tag.as_deref(), "seq")?;
                self.start(at, anchor, Parts::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                tag::check(tag.as_deref(), "map")?;
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
        if self.expect_value().is_err() {
            if anchor != 0 {
                return Err(Problem::Unsupported("a key cannot have an anchor; remove it"));
            }
            return self.key(scalar, at);
        }
        let size = Size {
            nodes: 1,
            text: scalar.text.len(),
            height: 0,
        };
        let value = Value::Scalar(scalar);
        self.place(Rc::new(Node { value, at }), size, anchor)
    }

    fn key(&mut self, scalar: Scalar, at: Location) -> Result<(), Problem> {
        let size = Size {
            text: scalar.text.len(),
            ..Size::default()
        };
        self.count(size)?;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.size.text += size.text;
        match &mut open.parts {
            Parts::Mapping { lines, key, .. } => take_key(lines, key, scalar, at),
            Parts::Sequence(_) => Ok(()),
        }
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
    pub(super) fn path(&self) -> String {
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
    pub(super) fn path_of(&self, problem: &Problem) -> String {
        let mut path = self.path();
        if let Problem::DuplicateKey { key, .. } = problem {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
        }
        path
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
