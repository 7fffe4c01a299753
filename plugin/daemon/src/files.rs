//! What is often done with files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

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

/// The same; that it is gone outlives a loss of power.
///
/// # Errors
/// What the file system said.
pub(crate) fn remove_for_good(path: &Path) -> io::Result<bool> {
    let was_there = remove_if_there(path)?;
    if was_there {
        sync_dir_of(path)?;
    }
    Ok(was_there)
}

/// Puts a file that root alone can read in place of what `path` is. It appears whole or not at all, and under its name never with
/// somebody else's content: it is created exclusively as `unfinished`, in the same directory, then renamed.
///
/// # Errors
/// What the file system said; nothing of the new file is left then.
pub(crate) fn replace(path: &Path, unfinished: &Path, content: &[u8]) -> io::Result<()> {
    put(path, unfinished, content, |_| Ok(()))
}

/// The same; when this returns, it outlives a loss of power.
///
/// # Errors
/// What the file system said.
pub(crate) fn replace_for_good(path: &Path, unfinished: &Path, content: &[u8]) -> io::Result<()> {
    put(path, unfinished, content, File::sync_all)?;
    sync_dir_of(path)
}

fn put(path: &Path, unfinished: &Path, content: &[u8], sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
    // Left behind by a process that was killed in the middle.
    remove_if_there(unfinished)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(unfinished)?;
    let written = file
        .write_all(content)
        .and_then(|()| sync(&file))
        .and_then(|()| fs::rename(unfinished, path));
    if written.is_err() {
        remove_if_there(unfinished)?;
    }
    written
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
