//! AppArmor holds our services to what their profiles say. That this is enough for them, every other story shows: on trixie each
//! fails that has something refused.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lab::denials;
use lab::document::Document;
use lab::peer;
use lab::world::World;

use crate::common;

/// The profiles of ours, as the kernel lists them.
const PROFILES: [&str; 5] = [
    "nm-libreswan-service (enforce)",
    "nm-libreswan-service-helper (enforce)",
    "nmstate-ipsec-certificates (enforce)",
    "nmstate-ipsec-dispatcher (enforce)",
    "nmstate-ipsecd (enforce)",
];

/// What runs while a connection is up, by the program's place, and in which profile.
const RUNNING: [(&str, &str); 2] = [
    ("/usr/libexec/nmstate-ipsecd", "nmstate-ipsecd (enforce)"),
    (
        "/usr/libexec/nm-libreswan-service",
        "nm-libreswan-service (enforce)",
    ),
];

/// What is refused here. Nothing but AppArmor keeps root from it.
pub(crate) const REFUSED: [&str; 2] = ["/etc/shadow", "/run/lab/foreign.so"];

/// Attempts that would succeed if nothing were confined: the program, its profile, the file, and a script.
const ATTEMPTS: [(&str, &str, &str, &str); 3] = [
    (
        "a program of the daemon's",
        "nmstate-ipsecd",
        REFUSED[0],
        "aa-exec -p nmstate-ipsecd -- /usr/libexec/ipsec/addconn --config /etc/shadow --checkconfig",
    ),
    (
        "a bundle that leads elsewhere",
        "nmstate-ipsec-certificates",
        REFUSED[0],
        "mkdir -p /etc/nmstate-ipsec/certs
         ln -s /etc/shadow /etc/nmstate-ipsec/certs/shadow.p12
         systemctl start nmstate-ipsec-certificates.service",
    ),
    (
        "the helper with a library from elsewhere",
        "nm-libreswan-service-helper",
        REFUSED[1],
        "cp /usr/lib/x86_64-linux-gnu/libz.so.1 /run/lab/foreign.so
         LD_PRELOAD=/run/lab/foreign.so /usr/libexec/nm-libreswan-service-helper",
    ),
];

/// All profiles are enforced, what runs is in its own, and what none of them is for is refused.
pub(crate) fn enforced(world: &World) -> Result<()> {
    let left = world.left();
    let profiles = left
        .command(["cat", "/sys/kernel/security/apparmor/profiles"])
        .run()?;
    let is_ours = |line: &&str| line.starts_with("nm-libreswan") || line.starts_with("nmstate-ipsec");
    let ours: BTreeSet<&str> = profiles.lines().filter(is_ours).collect();
    ensure!(ours == BTreeSet::from(PROFILES), "the kernel has {ours:?}");

    peer::expect_psk(world.right())?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    common::is_encrypted(world)?;
    for (program, profile) in RUNNING {
        let script = format!("cat /proc/$(pgrep -o -f '^{program}( |$)')/attr/current");
        let current = left.shell(&script).run()?;
        ensure!(current.trim() == profile, "{program} runs as {current}");
    }
    for (who, profile, file, script) in ATTEMPTS {
        is_refused(world, profile, file, script).with_context(|| format!("attempted by {who}"))?;
    }
    common::removes(world)
}

/// The kernel tells of one more refusal of `file` to `profile` when `script` was run, whatever the script makes of it.
fn is_refused(world: &World, profile: &str, file: &str, script: &str) -> Result<()> {
    let refusals = || -> Result<usize> {
        let names = [format!("profile=\"{profile}\""), format!("name=\"{file}\"")];
        let told = denials::of_apparmor(world.agent())?;
        Ok(told
            .iter()
            .filter(|record| names.iter().all(|name| record.contains(name)))
            .count())
    };
    let before = refusals()?;
    let said = world.left().shell(script).output()?;
    ensure!(
        refusals()? > before,
        "{file} was not refused to {profile}: {}{}",
        said.stdout,
        said.stderr
    );
    Ok(())
}
