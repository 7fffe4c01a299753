//! The machine that runs the lab: its directories, its commands, its locks.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// Errors keep that many bytes of a failed command's output.
const KEPT_OUTPUT: usize = 4000;

/// The directory of the checkout.
#[must_use]
pub fn workspace_dir() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Cargo's target directory.
#[must_use]
pub fn target_dir() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace_dir().join(dir)
}

/// The directory below the target directory that holds everything the lab makes.
#[must_use]
pub fn lab_dir() -> PathBuf {
    target_dir().join("lab")
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// It cannot be started, or fails; the error holds the end of what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let mut errors = tempfile::tempfile().context("making a file for a command's output")?;
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone()?)
        .spawn()
        .with_context(|| format!("starting {line}"))?;
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut printed)
            .with_context(|| format!("reading from {line}"))?;
    }
    let status = child.wait().with_context(|| format!("waiting for {line}"))?;
    if status.success() {
        return Ok(printed);
    }
    errors.rewind()?;
    let mut told = Vec::new();
    errors.read_to_end(&mut told)?;
    let told = format!("{printed}{}", String::from_utf8_lossy(&told));
    bail!("{line} failed with {status}:\n{}", tail(&told));
}

/// The end of a text that may be long.
#[must_use]
pub fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(KEPT_OUTPUT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Holds a lock file's lock until dropped; the kernel frees it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Waits for the exclusive lock on a file, which is made if missing.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path) -> Result<Lock> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let file = File::create(path).with_context(|| format!("opening the lock {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("locking {}", path.display()))?;
    Ok(Lock { _file: file })
}
