//! What the machine needs before the lab can run: QEMU, mmdebstrap and a way to make file systems.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::host;

/// Older versions crash the guests' kernels under emulation.
const OLDEST_QEMU: u32 = 10;

/// The release whose own QEMU is too old, so that it is taken from the backports.
const NEEDS_BACKPORTS: &str = "bookworm";

const BACKPORTS_SOURCE: &str = "/etc/apt/sources.list.d/lab-backports.sources";

const PACKAGES: [&str; 7] = [
    "qemu-system-x86",
    "qemu-utils",
    "mmdebstrap",
    "e2fsprogs",
    "debian-archive-keyring",
    "fakeroot",
    "util-linux",
];

/// What the workspace is built with and tested with natively, and the packages that bring it.
const NATIVE: [(&str, &str); 8] = [
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/bin/pkg-config", "pkg-config"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/certutil", "libnss3-tools"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/sbin/nft", "nftables"),
    // The completions are tested in their shells.
    ("/usr/bin/zsh", "zsh"),
    ("/usr/bin/fish", "fish"),
];

/// Checks for what building and the native tests need and, as root, installs what is missing.
///
/// # Errors
/// Something is missing and could not be installed; the error names the packages.
pub fn ensure_native() -> Result<()> {
    ensure_packages("building and testing", &NATIVE)
}

/// Checks for files that `what` needs and, as root, installs the packages that bring those that are missing.
///
/// # Errors
/// Something is missing and could not be installed; the error names the packages.
pub fn ensure_packages(what: &str, needed: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = format!("{what} needs the packages {}; install them", missing.join(", "));
    if !rustix::process::geteuid().is_root() {
        bail!("{advice}");
    }
    eprintln!("installing {}", missing.join(", "));
    host::run(Command::new("apt-get").arg("update")).with_context(|| advice.clone())?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "--no-install-recommends"])
        .args(missing);
    host::run(&mut apt).map(drop).with_context(|| advice)
}

/// Checks for what the lab needs and, as root, installs what is missing.
///
/// # Errors
/// Something is missing and could not be installed; the error names the packages.
pub fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let release = release()?;
    let origin = if release == NEEDS_BACKPORTS {
        " (QEMU from bookworm-backports)"
    } else {
        ""
    };
    let advice = format!(
        "the lab needs {}; install the packages{origin}: {}",
        missing.join(", "),
        PACKAGES.join(" ")
    );
    if !rustix::process::geteuid().is_root() {
        bail!("{advice}");
    }
    eprintln!("lab: installing {}", missing.join(", "));
    install(&release).with_context(|| advice)?;
    match self::missing().as_slice() {
        [] => Ok(()),
        still => bail!("after installing, the lab still needs {}", still.join(", ")),
    }
}

/// The mirror that this machine takes its Debian packages from, and the one of the security updates.
#[derive(Clone, Debug)]
pub struct Mirrors {
    /// For the release itself.
    pub main: String,
    /// For the suites called `<release>-security`.
    pub security: String,
}

/// Finds the machine's mirrors in its apt sources.
///
/// # Errors
/// There is none.
pub fn mirrors() -> Result<Mirrors> {
    let listed =
        host::run(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)"]))
            .context("asking apt for its sources; the lab runs on Debian")?;
    let find = |wanted: &dyn Fn(&str) -> bool| {
        listed.lines().find_map(|line| {
            let mut fields = line.split(" ");
            let (uri, suite) = (fields.next()?, fields.next()?);
            wanted(suite).then(|| uri.trim_end_matches('/').to_owned())
        })
    };
    let release = release()?;
    let main = find(&|suite| suite == release)
        .with_context(|| format!("no source of apt has the suite {release}; add one"))?;
    let security = find(&|suite| suite == format!("{release}-security"));
    Ok(Mirrors {
        security: security.unwrap_or_else(|| format!("{main}-security")),
        main,
    })
}

fn missing() -> Vec<String> {
    let tools = ["qemu-img", "mmdebstrap", "mkfs.ext4", "setpriv", "fakeroot"];
    let mut missing: Vec<String> = tools
        .iter()
        .filter(|tool| !is_in_path(tool))
        .map(|tool| (*tool).to_owned())
        .collect();
    if qemu_version().is_none_or(|version| version < OLDEST_QEMU) {
        missing.push(format!("qemu-system-x86_64 of at least version {OLDEST_QEMU}"));
    }
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists() {
        missing.push("the keys of the Debian archive".to_owned());
    }
    missing
}

fn is_in_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}

fn qemu_version() -> Option<u32> {
    let printed = host::run(Command::new("qemu-system-x86_64").arg("--version")).ok()?;
    printed.split_once("version ")?.1.split('.').next()?.parse().ok()
}

fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let release = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    release
        .map(str::to_owned)
        .context("/etc/os-release names no release; the lab runs on Debian")
}

fn install(release: &str) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "--no-install-recommends"]);
    if release == NEEDS_BACKPORTS {
        add_backports(&mirrors()?.main)?;
        apt.args(["--target-release", "bookworm-backports"]);
    }
    host::run(Command::new("apt-get").arg("update"))?;
    host::run(apt.args(PACKAGES)).map(drop)
}

fn add_backports(mirror: &str) -> Result<()> {
    let known = host::run(Command::new("apt-get").args(["indextargets", "--format", "$(RELEASE)"]))?;
    if known.lines().any(|suite| suite == "bookworm-backports") {
        return Ok(());
    }
    let source = format!(
        "Types: deb\nURIs: {mirror}\nSuites: bookworm-backports\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    );
    fs::write(BACKPORTS_SOURCE, source).with_context(|| format!("writing {BACKPORTS_SOURCE}"))
}
