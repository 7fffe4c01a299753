//! What is wrong with a document, and where.

use std::fmt;

use nmstate_ipsec_core::profile::{InvalidProfile, shown};

/// Most faults that are told at once. A file of garbage has as many as it has lines.
const MAX_FAULTS: usize = 50;

/// A place in a file, both numbers counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A fault of a document: one line that says where, what, and what would be right. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The file, as it was named.
    pub file: String,
    /// Where in the file; nothing if the file as a whole is at fault.
    pub location: Option<Location>,
    /// The way to the faulty value in its document (`spec.desiredState.interfaces[0].name`); empty at its top.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", shown(&self.file))?;
        if let Some(Location { line, column }) = self.location {
            write!(formatter, "{line}:{column}:")?;
        }
        if !self.path.is_empty() {
            write!(formatter, " {}:", self.path)?;
        }
        write!(formatter, " {}", self.problem)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refuses to read the file; holds its reason.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is a symbolic link.
    #[error("is a symbolic link; name the file that it leads to")]
    SymbolicLink,
    /// The file is a directory.
    #[error("is a directory; name the files in it")]
    Directory,
    /// The file is too large.
    #[error("is larger than 16 MB; split it into several files")]
    TooLarge,
    /// The file is no text.
    #[error("is not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
    /// A character that has no business in a text.
    #[error("holds the control character U+{0:04X}; remove it")]
    ControlCharacter(u32),
    /// There is no document in the file.
    #[error("holds no document; expected a policy or a desired state")]
    Empty,
    /// The text is neither YAML nor JSON; holds the parser's words.
    #[error("is not YAML: {0}")]
    Syntax(String),
    /// Something of YAML that has no meaning here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The document is too large once its aliases are replaced by what they stand for.
    #[error("is larger than 1000000 values or 32 MB with its aliases replaced; write out what is meant")]
    TooManyNodes,
    /// The document is nested too deeply.
    #[error("is nested more than 64 levels deep")]
    TooDeep,
    /// A key is given twice.
    #[error("key '{key}' is given twice, first in line {first_line}; remove one of them")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was given first.
        first_line: usize,
    },
    /// A document that was copied and not filled in.
    #[error("the placeholder '<{0}>' is not filled in; put the value in its place")]
    Placeholder(String),
    /// The same for a secret, which is not repeated.
    #[error("the placeholder for the secret is not filled in; put the secret in its place")]
    SecretPlaceholder,
    /// There is no such key.
    #[error("unknown key '{key}'{}", hint(.suggestion.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// A key is missing.
    #[error("missing key '{key}': expected {expected}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A list where a text is expected, and the like.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// What was found.
        found: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A number or truth value where a text is expected.
    #[error("YAML reads this as {found}, and a text is expected; put it in quotes")]
    NotQuoted {
        /// What YAML reads.
        found: &'static str,
    },
    /// A value that is not one of those that there are.
    #[error("invalid value: expected {expected}{}", hint(.suggestion.as_deref()))]
    Value {
        /// What would be right.
        expected: &'static str,
        /// The value that was probably meant.
        suggestion: Option<String>,
    },
    /// Two interfaces of one name and type.
    #[error("a second interface of type '{kind}' with the name '{name}', the first is in line {first_line}")]
    DuplicateInterface {
        /// The name.
        name: String,
        /// The type.
        kind: String,
        /// Where the first is.
        first_line: usize,
    },
    /// The connection is faulty.
    #[error(transparent)]
    Connection(#[from] InvalidProfile),
    /// There are more faults than anybody reads.
    #[error("more faults are not shown; mend these first")]
    More,
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion
        .map(|word| format!("; did you mean '{word}'?"))
        .unwrap_or_default()
}

/// `key` if it is a word, and else what may stand for it: a line that lacks a blank or a quote makes a key of a secret.
pub(super) fn shown_key(key: &str) -> &str {
    let is_word_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if !key.is_empty() && key.len() <= 63 && key.bytes().all(is_word_byte) {
        key
    } else {
        "(not a word)"
    }
}

/// The way to a value in its document.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Top,
    Key(&'a str),
    Index(usize),
}

impl Path<'static> {
    /// The top of a document.
    pub(super) const TOP: Self = Self {
        parent: None,
        segment: Segment::Top,
    };
}

impl Path<'_> {
    pub(super) fn key<'b>(&'b self, key: &'b str) -> Path<'b> {
        Path {
            parent: Some(self),
            segment: Segment::Key(key),
        }
    }

    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path {
            parent: Some(self),
            segment: Segment::Index(index),
        }
    }

    /// The last key of the way.
    pub(super) fn last_key(&self) -> Option<&str> {
        match self.segment {
            Segment::Key(key) => Some(key),
            Segment::Top | Segment::Index(_) => self.parent?.last_key(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
        }
        match self.segment {
            Segment::Top => Ok(()),
            Segment::Index(index) => write!(formatter, "[{index}]"),
            Segment::Key(key) => {
                let is_first = self
                    .parent
                    .is_none_or(|parent| matches!(parent.segment, Segment::Top));
                let dot = if is_first { "" } else { "." };
                write!(formatter, "{dot}{}", shown_key(key))
            }
        }
    }
}

/// The faults of one file as they are found; no more than anybody reads are kept.
pub(super) struct Faults {
    file: String,
    found: Vec<Error>,
    /// How many there were, those that are not kept among them.
    count: usize,
}

impl Faults {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            found: Vec::new(),
            count: 0,
        }
    }

    /// Notes a fault at a place.
    pub(super) fn add(&mut self, location: Location, path: &Path<'_>, problem: Problem) {
        self.count += 1;
        if self.found.len() < MAX_FAULTS {
            self.keep(Some(location), path.to_string(), problem);
        } else if self.found.len() == MAX_FAULTS {
            self.keep(None, String::new(), Problem::More);
        }
    }

    /// Notes a fault that ends the reading of the file.
    pub(super) fn push(&mut self, location: Option<Location>, path: String, problem: Problem) {
        self.count += 1;
        self.keep(location, path, problem);
    }

    fn keep(&mut self, location: Option<Location>, path: String, problem: Problem) {
        let file = self.file.clone();
        self.found.push(Error {
            file,
            location,
            path,
            problem,
        });
    }

    /// How many faults there are, those that are not kept among them: what adds none is whole.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The faults in the order of the file.
    pub(super) fn into_errors(mut self) -> Vec<Error> {
        self.found
            .sort_by_key(|error| (error.location.is_none(), error.location));
        self.found
    }
}
