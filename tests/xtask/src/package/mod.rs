//! `cargo xtask package`: packages for Fedora, RHEL and Debian, and what shows that they are right.

mod deb;
mod rpm;
mod source;
#[cfg(test)]
mod tests;
mod twice;
mod verify;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use lab::{host, setup};

use crate::tally::Tally;
use source::Source;
use verify::Kind;

/// What is packaged, as the names of archives and files have it.
const NAME: &str = "nmstate-ipsec";

/// What makes RPM packages and looks at them, and the Debian packages that bring it.
const RPM_TOOLS: [(&str, &str); 5] = [
    ("/usr/bin/bzip2", "bzip2"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/rpmbuild", "rpm"),
    ("/usr/bin/rpmlint", "rpmlint"),
    ("/usr/share/selinux/devel/Makefile", "selinux-policy-dev"),
];

/// The same for Debian packages.
const DEB_TOOLS: [(&str, &str); 7] = [
    ("/usr/bin/dh", "debhelper"),
    ("/usr/bin/dh_apparmor", "dh-apparmor"),
    ("/usr/bin/dpkg-buildpackage", "dpkg-dev"),
    ("/usr/bin/fakeroot", "fakeroot"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/lintian", "lintian"),
    ("/usr/sbin/apparmor_parser", "apparmor"),
];

#[derive(Args)]
pub(crate) struct What {
    /// Build the RPM packages only
    #[arg(long)]
    rpm: bool,
    /// Build the Debian packages only
    #[arg(long, conflicts_with = "rpm")]
    deb: bool,
    /// Run the tests that a distribution's build runs; they are those of `cargo xtask test`
    #[arg(long)]
    check: bool,
    /// Lint the packages and compare them with packaging/golden, and install and remove them on a copy of this host
    #[arg(long)]
    verify: bool,
    /// Build everything a second time elsewhere and compare the bytes
    #[arg(long)]
    twice: bool,
}

pub(crate) fn run(what: &What) -> Result<ExitCode> {
    let tally = make(what)?;
    if what.verify || what.twice {
        println!("{tally}");
    }
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes what the lab installs; with `all` the packages of every kind, and looks at them.
pub(crate) fn for_tests(all: bool) -> Result<Tally> {
    make(&What {
        rpm: false,
        deb: !all,
        check: false,
        verify: all,
        twice: false,
    })
}

/// Where the programs are that were compiled for the packages.
pub(crate) fn programs_dir() -> PathBuf {
    host::target_dir().join("package/build/cargo/release")
}

fn make(what: &What) -> Result<Tally> {
    let (rpm, deb) = (!what.deb, !what.rpm);
    setup::ensure_native()?;
    if rpm {
        setup::ensure_packages("making RPM packages", &RPM_TOOLS)?;
    }
    if deb {
        setup::ensure_packages("making Debian packages", &DEB_TOOLS)?;
    }
    let workshop = Workshop::new(host::target_dir().join("package"), what.check)?;
    for made in workshop.build(rpm, deb)? {
        println!("{}", made.display());
    }
    let mut tally = Tally::default();
    if what.verify {
        for (_, kind) in [(rpm, Kind::Rpm), (deb, Kind::Deb)]
            .iter()
            .filter(|(wanted, _)| *wanted)
        {
            tally.add(verify::verify(&workshop, *kind)?);
        }
    }
    if what.twice {
        tally.add(twice::compare(&workshop, rpm, deb)?);
    }
    Ok(tally)
}

/// The directories in which packages are made.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// Where the packages end up; everything else is below `build`.
    results: PathBuf,
    /// Whether the tests are run that belong to a build.
    check: bool,
}

impl Workshop {
    fn new(results: PathBuf, check: bool) -> Result<Self> {
        fs::create_dir_all(results.join("build")).with_context(|| format!("making {}", results.display()))?;
        Ok(Self { results, check })
    }

    /// Makes packages of what git has here and returns their paths. The second kind finds what was compiled for the first.
    fn build(&self, rpm: bool, deb: bool) -> Result<Vec<PathBuf>> {
        self.remove_results()?;
        if !self.check {
            println!(
                "the tests are left out (rpmbuild --without check, DEB_BUILD_OPTIONS=nocheck): see --check"
            );
        }
        let source = Source::make(&self.dir("sources")?)?;
        self.forget_other_source(&source)?;
        let mut made = Vec::new();
        if rpm {
            made.extend(rpm::build(self, &source)?);
        }
        if deb {
            made.extend(deb::build(self, &source)?);
        }
        Ok(made)
    }

    /// A directory below the one that nobody else looks into, made if missing.
    fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.results.join("build").join(name);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// Has our crates compiled anew unless the last build was of the same source. cargo goes by the time of files, and in an
    /// archive that is the commit's: an older commit would be taken for the one that was built.
    fn forget_other_source(&self, source: &Source) -> Result<()> {
        let cargo = self.dir("cargo")?;
        let last = cargo.join("last-source.tar.gz");
        let archive = fs::read(&source.tracked).context("reading the source's archive")?;
        if fs::read(&last).is_ok_and(|known| known == archive) {
            return Ok(());
        }
        for entry in fs::read_dir(self.dir("cargo/release/.fingerprint")?)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("nmstate-ipsec") || name.starts_with("nm-libreswan") {
                fs::remove_dir_all(entry.path()).with_context(|| format!("forgetting {name}"))?;
            }
        }
        fs::write(&last, archive).context("noting what is built")
    }

    /// The directory in which sources are unpacked. It is the same for all kinds of packages, so that the second finds
    /// what was compiled for the first.
    fn unpacked(&self) -> Result<PathBuf> {
        self.dir("unpacked")
    }

    /// A command that builds, with what decides about the bytes that come out.
    fn command(&self, program: &str, source: &Source) -> Result<Command> {
        let mut command = Command::new(program);
        command
            .env("CARGO_TARGET_DIR", self.dir("cargo")?)
            .env("SOURCE_DATE_EPOCH", source.epoch.to_string())
            .env("LC_ALL", "C.UTF-8")
            // Another toolchain's flags, and those of whoever calls this.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        Ok(command)
    }

    /// Puts packages where they are looked for.
    fn keep(&self, made: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut kept = Vec::new();
        for path in made {
            let name = path.file_name().context("a package without a name")?;
            let place = self.results.join(name);
            fs::rename(path, &place).with_context(|| format!("moving {}", path.display()))?;
            kept.push(place);
        }
        if kept.is_empty() {
            bail!("the build has made no package");
        }
        kept.sort();
        Ok(kept)
    }

    /// Removes packages of an earlier run, which may be of another version.
    fn remove_results(&self) -> Result<()> {
        for ending in ["rpm", "deb", "changes", "buildinfo"] {
            for old in files_ending(&self.results, ending)? {
                fs::remove_file(&old).with_context(|| format!("removing {}", old.display()))?;
            }
        }
        Ok(())
    }
}

/// The files in a directory whose names have this ending, sorted.
fn files_ending(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|own| own == ending) && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

/// The one directory in a directory.
fn only_dir(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut dirs = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    match (dirs.next(), dirs.next()) {
        (Some(only), None) => Ok(only),
        _ => bail!("there is not one directory in {}", dir.display()),
    }
}

/// Runs a build with what it says on the terminal, or in a file if it is long.
fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::File::create(log).with_context(|| format!("writing {}", log.display()))?;
    println!("{:?} > {}", command.get_program(), log.display());
    command.stdout(file.try_clone()?).stderr(file);
    let status = command
        .status()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    bail!(
        "{:?} failed with {status}:\n{}",
        command.get_program(),
        host::tail(&said)
    );
}

/// cargo as the one that runs this.
fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(host::workspace_dir());
    cargo
}
