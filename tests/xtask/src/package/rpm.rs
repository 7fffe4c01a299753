//! RPM packages, by `rpmbuild`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::host;

use super::{Workshop, files_ending, run_logged};
use crate::package::source::Source;

const SPEC: &str = "packaging/rpm/nmstate-ipsec.spec";
const MACROS: &str = "packaging/rpm/macros";

/// Makes the packages, and the one with their source.
pub(super) fn build(workshop: &Workshop, source: &Source) -> Result<Vec<PathBuf>> {
    let topdir = workshop.dir("rpm")?;
    fs::remove_dir_all(&topdir).context("removing what an earlier build has left")?;
    let workspace = host::workspace_dir();
    let mut build = workshop.command("rpmbuild", source)?;
    // Build requirements are not looked at: a toolchain of rustup's, or a Debian package, is not in rpm's database.
    build.args(["-ba", "--nodeps"]);
    if host::run(Command::new("rpm").args(["--eval", "%{?_unitdir}"]))?
        .trim()
        .is_empty()
    {
        build.arg(format!("--load={}", workspace.join(MACROS).display()));
    }
    if !workshop.check {
        build.args(["--without", "check"]);
    }
    let sources = source
        .tracked
        .parent()
        .context("an archive without a directory")?;
    let defines: [(&str, &Path); 3] = [
        ("_topdir", &topdir),
        ("_builddir", &workshop.unpacked()?),
        ("_sourcedir", sources),
    ];
    for (name, path) in defines {
        build.arg("--define").arg(format!("{name} {}", path.display()));
    }
    // The same bytes from the same source, whenever and wherever it is built.
    for define in [
        "_buildhost reproducible",
        "use_source_date_epoch_as_buildtime 1",
        "clamp_mtime_to_source_date_epoch 1",
    ] {
        build.args(["--define", define]);
    }
    run_logged(
        build.arg(workspace.join(SPEC)),
        &workshop.results.join("build/rpm.log"),
    )?;
    let mut made = files_ending(&topdir.join("SRPMS"), "rpm")?;
    for arch in fs::read_dir(topdir.join("RPMS"))
        .context("looking for what was built")?
        .flatten()
    {
        made.extend(files_ending(&arch.path(), "rpm")?);
    }
    workshop.keep(&made)
}
