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
    let sources = source
        .tracked
        .parent()
        .context("an archive without a directory")?;
    let log = |what: &str| workshop.results.join(format!("build/{what}.log"));
    let srpms = topdir.join("SRPMS");
    fs::create_dir_all(&srpms).context("making a directory for the source's package")?;
    // The source's package keeps the spec with all directories in it: it is made where they have no names.
    let mut build = rpmbuild(workshop, source, "-bs")?;
    build.current_dir(sources);
    for name in ["_topdir", "_sourcedir", "_builddir", "_buildrootdir", "_rpmdir"] {
        define(&mut build, name, Path::new("."));
    }
    define(&mut build, "_srcrpmdir", &srpms);
    run_logged(&mut build, &log("srpm"))?;
    let mut build = rpmbuild(workshop, source, "-bb")?;
    define(&mut build, "_topdir", &topdir);
    define(&mut build, "_builddir", &workshop.unpacked()?);
    define(&mut build, "_sourcedir", sources);
    run_logged(&mut build, &log("rpm"))?;
    let mut made = files_ending(&srpms, "rpm")?;
    for arch in fs::read_dir(topdir.join("RPMS"))
        .context("looking for what was built")?
        .flatten()
    {
        made.extend(files_ending(&arch.path(), "rpm")?);
    }
    workshop.keep(&made)
}

/// What makes one kind of packages, but for its directories.
fn rpmbuild(workshop: &Workshop, source: &Source, kind: &str) -> Result<Command> {
    let workspace = host::workspace_dir();
    let mut build = workshop.command("rpmbuild", source)?;
    // Build requirements are not looked at: a toolchain of rustup's, or a Debian package, is not in rpm's database.
    build.args([kind, "--nodeps"]);
    if host::run(Command::new("rpm").args(["--eval", "%{?_unitdir}"]))?
        .trim()
        .is_empty()
    {
        build.arg(format!("--load={}", workspace.join(MACROS).display()));
    }
    if !workshop.check {
        build.args(["--without", "check"]);
    }
    // The same bytes from the same source, whenever and wherever it is built.
    define(&mut build, "_buildhost", Path::new("reproducible"));
    for name in [
        "use_source_date_epoch_as_buildtime",
        "clamp_mtime_to_source_date_epoch",
    ] {
        define(&mut build, name, Path::new("1"));
    }
    build.arg(workspace.join(SPEC));
    Ok(build)
}

fn define(build: &mut Command, name: &str, value: &Path) {
    build.arg("--define").arg(format!("{name} {}", value.display()));
}
