//! Guest images: a Debian's root file system on a disk, booted once.
//!
//! An image lives in `<target>/lab/images/<name>-<hash of everything that goes into it>/`, complete or not at all.

mod recipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::host;
use crate::setup;
use crate::snapshot::{self, Snapshot};
use crate::vm::Vm;

/// Which Debian a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// Debian 13: NetworkManager 1.52, libreswan 5.2, Linux 6.12. Near to RHEL 10.
    Trixie,
    /// Debian 12: NetworkManager 1.42, libreswan 4.10, Linux 6.1. Near to RHEL 9.
    Bookworm,
    /// Debian 13 with SELinux, enforcing, its default policy and our module.
    Selinux,
}

impl Image {
    /// Every image, in the order in which tests use them: an image that is made while the last stories are told would hold up the end.
    pub const ALL: [Self; 3] = [Self::Selinux, Self::Trixie, Self::Bookworm];

    /// Those on which every story is told that asks for no other.
    pub const COMMON: [Self; 2] = [Self::Trixie, Self::Bookworm];

    /// The name by which tests and commands know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Selinux => "selinux",
            Self::Trixie | Self::Bookworm => self.release(),
        }
    }

    /// The Debian that is installed.
    #[must_use]
    pub fn release(self) -> &'static str {
        match self {
            Self::Trixie | Self::Selinux => "trixie",
            Self::Bookworm => "bookworm",
        }
    }

    /// Whether AppArmor is on there, and with it our profiles.
    #[must_use]
    pub fn confines(self) -> bool {
        self == Self::Trixie
    }

    /// The image booted to readiness, which is built on first use.
    ///
    /// # Errors
    /// Building or booting it failed; the error says which command said what.
    pub fn booted(self) -> Result<Snapshot> {
        let dir = self.dir();
        let _lock = host::lock(&host::lab_dir().join(format!("images/{}.lock", self.name())))?;
        if !dir.exists() {
            setup::ensure()?;
            self.build(&dir)
                .with_context(|| format!("building the image {}", self.name()))?;
            snapshot::remove_versions(&host::lab_dir().join("images"), self.name(), &dir);
        }
        Ok(Snapshot::new(&dir, &dir.join("booted")))
    }

    /// The directory of this very version of the image, which may not exist yet.
    fn dir(self) -> PathBuf {
        let mut inputs = Sha256::new();
        recipe::describe(self, &mut inputs);
        let hash = format!("{:x}", inputs.finalize());
        host::lab_dir().join(format!("images/{}-{}", self.name(), &hash[..12]))
    }

    fn build(self, dir: &Path) -> Result<()> {
        let began = Instant::now();
        let tell = |what: &str| {
            eprintln!(
                "lab: {}: {what} ({:.0} s)",
                self.name(),
                began.elapsed().as_secs_f32()
            );
        };
        let parent = dir.parent().context("an image's directory has a parent")?;
        let prefix = format!(".building-{}-", self.name());
        remove_abandoned(parent, &prefix);
        let temporary = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        let work_dir = temporary.path();
        tell("fetching and installing packages");
        recipe::bootstrap(self, work_dir)?;
        tell("making the disk");
        recipe::make_disk(self, work_dir)?;
        tell("booting once");
        boot_once(work_dir)?;
        tell("ready");
        // From here on the directory is the image and no longer to be removed.
        let built = temporary.keep();
        fs::rename(&built, dir).with_context(|| format!("moving {} to {}", built.display(), dir.display()))
    }
}

impl std::str::FromStr for Image {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|image| image.name() == name) {
            Some(image) => Ok(image),
            None => bail!("there is no image {name:?}; there are trixie, bookworm and selinux"),
        }
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Removes what a build left that was killed. The caller holds the image's lock, so that no other builds.
fn remove_abandoned(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn boot_once(image_dir: &Path) -> Result<()> {
    let vm = Vm::boot(image_dir)?;
    recipe::make_ready(vm.agent())?;
    vm.save(&image_dir.join("booted"))
}

/// Builds the agent, linked statically so that any guest can run it, and returns its path.
fn build_agent() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(host::workspace_dir());
    cargo.args([
        "rustc",
        "--package",
        "lab",
        "--bin",
        "lab-agent",
        "--",
        "-Ctarget-feature=+crt-static",
    ]);
    cargo.arg("-Cstrip=symbols");
    host::run(&mut cargo).context("building the guest's agent")?;
    Ok(host::target_dir().join("debug/lab-agent"))
}
