//! Documents as users write them: policies and plain desired state, in YAML or JSON.
//!
//! A document is hostile until it is read: every key is known or refused, every value of a connection parsed, and a fault
//! names its file, line, column and path. No fault repeats what may be a secret.

use std::{collections::BTreeMap, fmt};

mod error;
mod fields;
mod given;
mod ipsec;
mod json;
mod libreswan;
mod node;
mod parse;
mod placeholder;
mod policy;
mod scalar;
pub mod select;
mod source;
mod state;
mod tag;
mod tree;

pub use error::{Error, Location, Problem};
pub use given::{Form, Given};
pub use ipsec::{InterfaceState, IpStack, IpsecInterface};
pub use libreswan::{GivenSecret, Libreswan};
pub use source::Source;
pub(crate) use source::text_of;
pub use state::DesiredState;

use error::Faults;
use source::FileFault;

/// A document: one policy, or one desired state.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it was found.
    pub origin: Origin,
    /// `metadata.name` of a policy.
    pub name: Option<String>,
    /// `spec.nodeSelector` of a policy; empty if it is for every host.
    pub selector: BTreeMap<String, String>,
    /// Whether a policy has its connections guarded, as an annotation says ([`nmstate_ipsec_core::guard`]).
    pub guard: Option<bool>,
    /// `spec.capture` of a policy, for nmpolicy.
    pub capture: Option<serde_json::Value>,
    /// What the host's network is to be.
    pub state: DesiredState,
}

/// Where a document was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as it was named.
    pub file: String,
    /// Which document of the file it is, counted from 1.
    pub number: usize,
    /// Which item it is of a list, counted from 0.
    pub item: Option<usize>,
}

impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.origin.file;
        match &self.name {
            Some(name) => write!(formatter, "{file}: policy '{name}'"),
            None if self.origin.number > 1 => write!(formatter, "{file}: document {}", self.origin.number),
            None => formatter.write_str(file),
        }
    }
}

/// Reads the documents of all sources, in order.
///
/// # Errors
/// The faults of all sources, at most some 50 of each. A source that is not YAML has one.
pub fn read(sources: &[Source]) -> Result<Vec<Document>, Vec<Error>> {
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for source in sources {
        let (read, faults) = read_one(source);
        documents.extend(read);
        errors.extend(faults);
    }
    if errors.is_empty() {
        Ok(documents)
    } else {
        Err(errors)
    }
}

/// Reads the documents of a text, which messages call `name`.
///
/// # Errors
/// The faults of the text.
pub(crate) fn read_text_of(text: &str, name: &str) -> Result<Vec<Document>, Vec<Error>> {
    let mut faults = Faults::new(name.to_owned());
    let documents = read_text(text, name, &mut faults);
    let errors = faults.into_errors();
    if errors.is_empty() {
        Ok(documents)
    } else {
        Err(errors)
    }
}

/// Reads the documents of one source: those without a fault, and the faults of the others.
pub fn read_one(source: &Source) -> (Vec<Document>, Vec<Error>) {
    let text = source.read();
    from_text(text.as_deref(), &source.name())
}

/// The same of bytes that are in no file; for tests, and for what fuzzes them.
pub fn read_bytes(bytes: &[u8]) -> (Vec<Document>, Vec<Error>) {
    from_text(source::text_of(bytes).as_deref(), "test.yaml")
}

fn from_text(text: Result<&String, &FileFault>, file: &str) -> (Vec<Document>, Vec<Error>) {
    let mut faults = Faults::new(file.to_owned());
    let documents = match text {
        Ok(text) => read_text(text, file, &mut faults),
        Err((location, problem)) => {
            faults.push(*location, String::new(), problem.clone());
            Vec::new()
        }
    };
    (documents, faults.into_errors())
}

fn read_text(text: &str, file: &str, faults: &mut Faults) -> Vec<Document> {
    let roots = match parse::documents(text) {
        Ok(roots) => roots,
        Err((location, path, problem)) => {
            faults.push(Some(location), path, problem);
            return Vec::new();
        }
    };
    if roots.is_empty() {
        faults.push(None, String::new(), Problem::Empty);
    }
    let mut whole = Vec::new();
    for (number, root) in &roots {
        let before = faults.count();
        let documents = policy::documents(root, *number, file, faults);
        // What is half read would be taken for something that was not written.
        if faults.count() == before {
            whole.extend(documents);
        }
    }
    whole
}

#[cfg(test)]
mod tests;
