//! What goes into an image. Everything here counts into the image's hash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::{Image, build_agent};
use crate::agent::Agent;
use crate::host;
use crate::setup;
use crate::vm;

/// Raise this when the way of building changes in a manner that the other inputs do not show.
const RECIPE_VERSION: u32 = 1;

const PACKAGES: [&str; 24] = [
    "bash",
    "ca-certificates",
    "dbus",
    "dnsmasq-base",
    "inotify-tools",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libnss3-tools",
    "libreswan",
    "linux-image-cloud-amd64",
    "network-manager",
    "nftables",
    "openssl",
    "polkitd",
    "procps",
    "psmisc",
    "systemd",
    "systemd-sysv",
    "strace",
    "tcpdump",
    "udev",
    "zstd",
];

/// What SELinux needs besides: policy, tools, and what compiles a module.
const SELINUX_PACKAGES: [&str; 4] = [
    "make",
    "policycoreutils",
    "selinux-policy-default",
    "selinux-policy-dev",
];

/// Our policy module, as users get it.
const SELINUX_MODULE: [(&str, &str); 3] = [
    (
        "nmstate_ipsec.te",
        include_str!("../../../../packaging/selinux/nmstate_ipsec.te"),
    ),
    (
        "nmstate_ipsec.fc",
        include_str!("../../../../packaging/selinux/nmstate_ipsec.fc"),
    ),
    (
        "nmstate_ipsec.if",
        include_str!("../../../../packaging/selinux/nmstate_ipsec.if"),
    ),
];

/// What the lab itself needs: its agent is an administrator.
const SELINUX_LAB_MODULE: &str = include_str!("files/lab.cil");

/// Compiles and loads the modules into the policy, and labels the file system by it.
const SELINUX_SCRIPT: &str = include_str!("files/selinux.sh");

/// Has the kernel enforce SELinux's policy from the start, in place of AppArmor's.
const SELINUX_KERNEL_ARGUMENTS: &str = "security=selinux enforcing=1";

/// What else trixie has: its hosts confine what we install there, as most of Debian's do. bookworm's do not, so that both are
/// tested.
const TRIXIE_PACKAGES: [&str; 1] = ["apparmor"];

/// Size of the guest's disk; the file that holds it is sparse.
const DISK_SIZE: &str = "4G";

/// A boot under emulation takes about half a minute on a quiet machine.
const BOOT_TIMEOUT: Duration = Duration::from_secs(600);

/// Units that only cost time in a guest that lives for a minute. The serial console's getty would hang up
/// the line that the kernel logs to.
const MASKED_UNITS: [&str; 20] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cron.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "ldconfig.service",
    "logrotate.timer",
    "man-db.timer",
    "networking.service",
    "serial-getty@ttyS0.service",
    "sys-fs-fuse-connections.mount",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-pstore.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-timesyncd.service",
    "systemd-update-done.service",
];

/// Files of the guest: path, permission bits, content.
const FILES: [(&str, u32, &str); 9] = [
    ("etc/hostname", 0o644, "left\n"),
    ("etc/machine-id", 0o444, "5ac1ab5ac1ab5ac1ab5ac1ab5ac1ab00\n"),
    ("etc/fstab", 0o644, "/dev/vda / ext4 defaults,noatime 0 0\n"),
    ("etc/hosts", 0o644, include_str!("files/hosts")),
    (
        "etc/modules-load.d/lab.conf",
        0o644,
        include_str!("files/modules.conf"),
    ),
    (
        "etc/NetworkManager/conf.d/lab.conf",
        0o644,
        include_str!("files/networkmanager.conf"),
    ),
    (
        "etc/systemd/system/lab-agent.service",
        0o644,
        include_str!("files/lab-agent.service"),
    ),
    (
        "etc/systemd/journald.conf.d/lab.conf",
        0o644,
        "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
    ),
    ("etc/sysctl.d/90-lab.conf", 0o644, "kernel.printk = 4 4 1 7\n"),
];

/// What else trixie has. Confined, tcpdump could not write where captures are kept; and nothing that AppArmor refuses is to be
/// lost among other messages.
const TRIXIE_FILES: [(&str, u32, &str); 2] = [
    ("etc/apparmor.d/disable/usr.bin.tcpdump", 0o644, ""),
    ("etc/sysctl.d/91-lab.conf", 0o644, "kernel.printk_ratelimit = 0\n"),
];

fn packages(image: Image) -> Vec<&'static str> {
    let further: &[&str] = match image {
        Image::Trixie => &TRIXIE_PACKAGES,
        Image::Selinux => &SELINUX_PACKAGES,
        Image::Bookworm => &[],
    };
    [&PACKAGES, further].concat()
}

fn files(image: Image) -> Vec<(&'static str, u32, &'static str)> {
    let further: &[_] = if image.confines() { &TRIXIE_FILES } else { &[] };
    [&FILES, further].concat()
}

/// Feeds everything that the image depends on into a hash.
pub(super) fn describe(image: Image, hash: &mut Sha256) {
    // The agent's sources as this program was built with, so that one program always means one image.
    hash.update(include_bytes!("../bin/lab-agent.rs"));
    hash.update(include_bytes!("../protocol.rs"));
    hash.update(format!(
        "{RECIPE_VERSION} {image} {:?} {DISK_SIZE} {MASKED_UNITS:?} {:?}",
        packages(image),
        files(image)
    ));
    hash.update(include_str!("files/make-disk.sh"));
    hash.update(vm::describe());
    if image == Image::Selinux {
        hash.update(format!(
            "{SELINUX_MODULE:?} {SELINUX_LAB_MODULE} {SELINUX_SCRIPT} {SELINUX_KERNEL_ARGUMENTS}"
        ));
    }
}

/// Installs the image's packages into `rootfs.tar`.
pub(super) fn bootstrap(image: Image, work_dir: &Path) -> Result<()> {
    let mirrors = setup::mirrors()?;
    let release = image.release();
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap
        .args(["--quiet", "--variant=important", "--architectures=amd64"])
        .arg(format!("--include={}", packages(image).join(",")))
        // A build as root below a directory that the user _apt may not enter would fail.
        .arg(r#"--aptopt=APT::Sandbox::User "root""#)
        .arg(r#"--dpkgopt=path-exclude=/usr/share/man/*"#)
        .arg(r#"--dpkgopt=path-exclude=/usr/share/locale/*"#)
        .arg(release)
        .arg(work_dir.join("rootfs.tar"))
        .arg(format!("deb {} {release} main", mirrors.main))
        .arg(format!("deb {} {release}-security main", mirrors.security));
    host::run(&mut mmdebstrap).map(drop)
}

/// Makes `disk.qcow2`, `vmlinuz` and `initrd.img` of `rootfs.tar` and the lab's own files.
pub(super) fn make_disk(image: Image, work_dir: &Path) -> Result<()> {
    let overlay_dir = work_dir.join("overlay");
    for (path, mode, content) in files(image) {
        write(&overlay_dir.join(path), mode, content.as_bytes())?;
    }
    let agent = build_agent()?;
    let agent = fs::read(&agent).with_context(|| format!("reading {}", agent.display()))?;
    write(&overlay_dir.join("usr/local/sbin/lab-agent"), 0o755, &agent)?;
    if image == Image::Selinux {
        let dir = overlay_dir.join("var/lib/lab-selinux");
        for (name, content) in SELINUX_MODULE {
            write(&dir.join(name), 0o644, content.as_bytes())?;
        }
        write(&dir.join("lab.cil"), 0o644, SELINUX_LAB_MODULE.as_bytes())?;
        write(&dir.join("run.sh"), 0o755, SELINUX_SCRIPT.as_bytes())?;
        vm::set_kernel_arguments(work_dir, SELINUX_KERNEL_ARGUMENTS)?;
    }
    write(
        &work_dir.join("make-disk.sh"),
        0o755,
        include_bytes!("files/make-disk.sh"),
    )?;

    // The file system's owners come out right without root as well.
    let mut script = match rustix::process::geteuid().is_root() {
        true => Command::new("bash"),
        false => Command::new("fakeroot"),
    };
    if !rustix::process::geteuid().is_root() {
        script.arg("bash");
    }
    script
        .arg(work_dir.join("make-disk.sh"))
        .arg(work_dir)
        .arg(DISK_SIZE)
        .args(MASKED_UNITS);
    host::run(&mut script).map(drop)
}

fn write(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let attempt = || {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    attempt().with_context(|| format!("writing {}", path.display()))
}

/// Waits until the freshly booted guest is ready, and does what a host has done before its first use.
pub(super) fn make_ready(agent: &Agent) -> Result<()> {
    agent
        .ping(BOOT_TIMEOUT)
        .context("waiting for the guest to boot")?;
    let state = agent
        .command(["systemctl", "is-system-running", "--wait"])
        .timeout(BOOT_TIMEOUT)
        .output()?;
    if state.stdout.trim() != "running" {
        let failed = agent
            .shell("systemctl --failed --no-legend; journalctl -b -p err --no-pager")
            .run()?;
        bail!(
            "the guest booted to the state {:?}:\n{failed}",
            state.stdout.trim()
        );
    }
    agent
        .command(["nm-online", "-s", "-q"])
        .run()
        .context("waiting for NetworkManager")?;
    agent
        .command(["ipsec", "checknss"])
        .run()
        .context("making the NSS database")?;
    agent.command(["sync"]).run().map(drop)
}
