//! Documents, good and bad.

use super::{Document, Error, Source, read, read_bytes};

mod bad;
mod examples;
mod files;
mod good;
mod properties;

/// The directory of this crate.
const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// Reads documents as if they were in a file.
fn parsed(bytes: &[u8]) -> Result<Vec<Document>, Vec<Error>> {
    let (documents, errors) = read_bytes(bytes);
    if errors.is_empty() {
        Ok(documents)
    } else {
        Err(errors)
    }
}

/// The one document that `text` is.
fn one(text: &str) -> Document {
    let mut documents = parsed(text.as_bytes()).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The faults of `text`, a line each.
fn faults(text: &str) -> Vec<String> {
    let errors = parsed(text.as_bytes()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}
