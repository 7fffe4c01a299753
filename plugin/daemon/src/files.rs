//! What is often done with files.

use std::{fs, io, path::Path};

/// Removes a file, and says whether there was one.
///
/// # Errors
/// What the file system said.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
