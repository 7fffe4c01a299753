//! Writing what is printed.

use std::io::{self, Write};

use serde::Serialize;

use super::Refusal;

/// A value in YAML, or in JSON for programs.
///
/// # Errors
/// It cannot be written so.
pub(crate) fn value(value: &impl Serialize, json: bool) -> Result<String, Refusal> {
    Ok(if json {
        serde_json::to_string_pretty(value)?
    } else {
        serde_yaml::to_string(value)?
    })
}

/// Prints a text and, as upstream does, one more line's end.
///
/// # Errors
/// Standard output takes nothing, and not for want of a reader: who reads the first lines only has what they want.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
