//! Debian packages, by `dpkg-buildpackage`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use lab::host;

use super::{Workshop, files_ending, run_logged};
use crate::package::source::Source;

/// Makes the packages.
pub(super) fn build(workshop: &Workshop, source: &Source) -> Result<Vec<PathBuf>> {
    let dir = workshop.unpacked()?;
    for ending in ["deb", "changes", "buildinfo"] {
        for old in files_ending(&dir, ending)? {
            std::fs::remove_file(&old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    let unpacked = source.unpack(&dir)?;
    // Its place is the top level, which is the project's own otherwise.
    let mut copy = Command::new("cp");
    copy.arg("-a")
        .arg(unpacked.join("packaging/debian"))
        .arg(&unpacked);
    host::run(&mut copy).context("putting the directory debian in its place")?;
    let mut build = workshop.command("dpkg-buildpackage", source)?;
    // Not signed, and without a look at Build-Depends: a toolchain of rustup's is no package.
    build.current_dir(&unpacked).args([
        "--build=binary",
        "--unsigned-source",
        "--unsigned-changes",
        "--no-check-builddeps",
    ]);
    if !workshop.check {
        build.env("DEB_BUILD_OPTIONS", "nocheck");
    }
    run_logged(&mut build, &workshop.results.join("build/deb.log"))?;
    let mut made = Vec::new();
    for ending in ["deb", "changes", "buildinfo"] {
        made.extend(files_ending(&dir, ending)?);
    }
    workshop.keep(&made)
}
