//! The two archives that packages are built from: what git tracks, and the crates that Cargo.lock names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use lab::host;

use super::{NAME, cargo};

/// The archives, and the time that stands for all that is built from them.
#[derive(Debug)]
pub(super) struct Source {
    /// `<name>-<version>.tar.gz`, with a directory of that name in it.
    pub(super) tracked: PathBuf,
    /// `<name>-<version>-vendor.tar.gz`, with the directory `vendor` in it.
    pub(super) vendored: PathBuf,
    /// The name of the directory in `tracked`.
    pub(super) name: String,
    /// When the last commit was made, in seconds: no file in a package is younger.
    pub(super) epoch: u64,
}

impl Source {
    /// Makes both in `dir`. The same commit and the same crates give the same bytes.
    pub(super) fn make(dir: &Path) -> Result<Self> {
        let name = format!("{NAME}-{}", version()?);
        let epoch = git(&["log", "-1", "--format=%ct"])?;
        let source = Self {
            tracked: dir.join(format!("{name}.tar.gz")),
            vendored: dir.join(format!("{name}-vendor.tar.gz")),
            epoch: epoch.parse().context("reading when the last commit was made")?,
            name,
        };
        source.archive_tracked()?;
        source.archive_crates(dir)?;
        Ok(source)
    }

    fn archive_tracked(&self) -> Result<()> {
        // A commit of the work tree that no branch has; nothing if that is as the last commit.
        let changed = git(&["stash", "create"])?;
        let commit = if changed.is_empty() { "HEAD" } else { &changed };
        if commit != "HEAD" {
            println!(
                "the packages have changes that are not committed; files that git does not track are not in them"
            );
        }
        let mut archive = Command::new("git");
        archive.current_dir(host::workspace_dir()).args([
            "archive",
            "--format=tar",
            &format!("--prefix={}/", self.name),
            commit,
        ]);
        compress(&mut archive, &self.tracked)
    }

    fn archive_crates(&self, dir: &Path) -> Result<()> {
        let vendor = dir.join("vendor");
        if vendor.exists() {
            fs::remove_dir_all(&vendor).context("removing crates of an earlier run")?;
        }
        let mut command = cargo();
        command
            .args(["vendor", "--quiet", "--locked", "--versioned-dirs"])
            .arg(&vendor);
        host::run(&mut command).context("gathering the crates that Cargo.lock names")?;
        // As old as the list of them: cargo compiles what is younger than what it has compiled.
        let listed = git(&["log", "-1", "--format=%ct", "--", "Cargo.lock"])?;
        let mut archive = Command::new("tar");
        archive
            .args([
                "--create",
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
            ])
            .args(["--mode=u+rwX,go=rX", &format!("--mtime=@{listed}"), "--directory"])
            .arg(dir)
            .arg("vendor");
        compress(&mut archive, &self.vendored)?;
        fs::remove_dir_all(&vendor).context("removing the crates that are in the archive")
    }

    /// Unpacks both below `dir`, and returns the directory that has everything.
    pub(super) fn unpack(&self, dir: &Path) -> Result<PathBuf> {
        let unpacked = dir.join(&self.name);
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked).with_context(|| format!("removing {}", unpacked.display()))?;
        }
        for (archive, place) in [(&self.tracked, dir), (&self.vendored, unpacked.as_path())] {
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--no-same-owner", "--file"])
                .arg(archive)
                .arg("--directory")
                .arg(place);
            host::run(&mut tar).with_context(|| format!("unpacking {}", archive.display()))?;
        }
        Ok(unpacked)
    }
}

/// The workspace's version.
pub(super) fn version() -> Result<String> {
    let manifest = host::workspace_dir().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).context("Cargo.toml names no version")
}

fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(host::workspace_dir()).args(arguments);
    // The commit of a changed work tree wants an author, and is seen by nobody.
    for name in ["GIT_AUTHOR", "GIT_COMMITTER"] {
        git.env(format!("{name}_NAME"), NAME)
            .env(format!("{name}_EMAIL"), NAME);
    }
    let said = host::run(&mut git).context("asking git; packages are built from a clone")?;
    Ok(said.trim().to_owned())
}

/// What a command prints, compressed and without a word about when that was.
fn compress(command: &mut Command, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut archiver = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting to archive")?;
    let archive = archiver
        .stdout
        .take()
        .context("an archiver that prints nothing")?;
    let compressed = Command::new("gzip")
        .args(["-n", "-6"])
        .stdin(archive)
        .stdout(file)
        .status()
        .context("starting gzip")?;
    let archived = archiver.wait().context("waiting for the archiver")?;
    anyhow::ensure!(
        archived.success() && compressed.success(),
        "failed to write {}",
        path.display()
    );
    Ok(())
}
