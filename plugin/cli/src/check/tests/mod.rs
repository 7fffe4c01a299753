//! Checks of whole documents.

mod conf;
mod examples;
mod golden;
mod properties;
mod upstream;

use super::{Checker, Finding};
use crate::document;

/// The directory of this crate.
const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// The findings of a text, as if it were the only file.
fn findings(text: &str) -> Vec<Finding> {
    let (documents, faults) = document::read_bytes(text.as_bytes());
    Checker::default().documents(&documents, faults)
}
