//! Documents, good and bad.

use super::{Document, Error, Faults, Source, read, read_text, source};

mod bad;
mod examples;
mod files;
mod good;
mod properties;

/// The directory of this crate.
const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// Reads documents as if they were in a file.
fn parsed(bytes: &[u8]) -> Result<Vec<Document>, Vec<Error>> {
    let mut faults = Faults::new("test.yaml".into());
    let documents = match source::text_of(bytes) {
        Ok(text) => read_text(&text, "test.yaml", &mut faults),
        Err((location, problem)) => {
            faults.push(location, String::new(), problem);
            Vec::new()
        }
    };
    let errors = faults.into_errors();
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
