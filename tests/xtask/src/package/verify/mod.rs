//! What shows that packages are right: `cargo xtask package --verify`.

mod contents;
mod golden;
mod lint;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::host;

use super::{Workshop, files_ending};
use crate::tally::Tally;
use contents::Package;
use golden::Golden;

/// What happens on a host that gets the packages and loses them again.
const STORY: &str = include_str!("host.sh");

/// The two kinds of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rpm,
    Deb,
}

impl Kind {
    /// How its files end.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Rpm => "rpm",
            Self::Deb => "deb",
        }
    }
}

/// Looks at the packages of one kind that are there, and says of each check whether it passed.
pub(super) fn verify(workshop: &Workshop, kind: Kind) -> Result<Tally> {
    let packages = binary_packages(&workshop.results, kind)?;
    anyhow::ensure!(
        !packages.is_empty(),
        "there is no {} in {}",
        kind.ending(),
        workshop.results.display()
    );
    let golden = Golden::of(kind);
    let mut tally = Tally::default();
    for path in &packages {
        let package = Package::read(kind, path)?;
        let name = package.name.clone();
        tally.add(tell(&format!("{name}: who may do what"), &package.faults()));
        tally.add(tell(&format!("{name}: scripts"), &script_faults(&package)?));
        tally.add(tell(
            &format!("{name}: files and relations"),
            &golden.compare(&name, &package.text())?,
        ));
        if let Some(licence) = &package.licence {
            let faults = licence_faults(workshop, licence)?;
            tally.add(tell(&format!("{name}: licences of all that is linked"), &faults));
        }
    }
    tally.add(tell(
        &format!("{}: lint", kind.ending()),
        &lint::faults(workshop, kind, &packages)?,
    ));
    if kind == Kind::Deb {
        tally.add(tell("AppArmor's profiles", &profile_faults()));
    }
    let story = story(workshop, kind, &packages)?;
    tally.add(tell(
        &format!("{}: installed, installed again, removed", kind.ending()),
        &golden.compare("host", &story)?,
    ));
    Ok(tally)
}

/// The packages that hosts get, without the one that has the source.
fn binary_packages(dir: &Path, kind: Kind) -> Result<Vec<PathBuf>> {
    let mut packages = files_ending(dir, kind.ending())?;
    packages.retain(|path| !path.to_string_lossy().ends_with(".src.rpm"));
    Ok(packages)
}

/// Prints the result of a check, and what is wrong.
fn tell(what: &str, faults: &[String]) -> Tally {
    for fault in faults {
        println!("  {fault}");
    }
    println!("{what}: {}", if faults.is_empty() { "ok" } else { "FAILED" });
    Tally::of(faults.is_empty())
}

/// What AppArmor does not understand of the profiles; the kernel of this host need not have it.
fn profile_faults() -> Vec<String> {
    let mut parser = Command::new("/usr/sbin/apparmor_parser");
    parser.args(["--skip-kernel-load", "--skip-cache"]);
    parser.arg(host::workspace_dir().join("packaging/apparmor/nmstate-ipsec"));
    let parsed = host::run(&mut parser);
    parsed
        .err()
        .map(|error| format!("{error:#}"))
        .into_iter()
        .collect()
}

/// What the shell does not understand of the scripts that run when a package comes and goes.
fn script_faults(package: &Package) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, text) in &package.scripts {
        let file = tempfile::NamedTempFile::new().context("making a file for a script")?;
        std::fs::write(file.path(), text).context("writing a script")?;
        if let Err(error) = host::run(Command::new("sh").arg("-n").arg(file.path())) {
            faults.push(format!("{name}: {error:#}"));
        }
    }
    Ok(faults)
}

/// Whether the package names the licences of everything that is in its programs.
fn licence_faults(workshop: &Workshop, named: &str) -> Result<Vec<String>> {
    let unpacked = super::only_dir(&workshop.unpacked()?)?;
    let computed = host::run(Command::new(unpacked.join("packaging/licences")).arg("expression"))?;
    let computed = computed.trim();
    Ok(if computed == named {
        Vec::new()
    } else {
        vec![format!("it says {named}"), format!("the crates say {computed}")]
    })
}

/// Installs the packages on a copy of this host in memory and removes them.
fn story(workshop: &Workshop, kind: Kind, packages: &[PathBuf]) -> Result<String> {
    let dir = workshop.dir("host")?;
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--map-root-user"]);
    }
    unshare
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            STORY,
            "host.sh",
        ])
        .arg(&dir)
        .arg(kind.ending())
        .args(packages);
    host::run(&mut unshare).context("installing the packages on a copy of this host")
}
