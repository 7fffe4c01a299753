//! The clock jumps; the disk is full.

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::world::World;

use super::{Tunnel, connect, guard, is_back, told, watch::Watch};
use crate::common;

/// A day ahead, and back: the tunnel stays, or comes back, and with a guard nothing is in clear.
pub(crate) fn clock(world: &World) -> Result<()> {
    connect(world)?;
    guard(world.left())?;
    for (what, jump) in [("a day ahead", "1 day"), ("a day back", "-1 day")] {
        // Times of a record mean nothing when the clock jumps.
        let watch = Watch::begin(world)?;
        let jump = format!("date -s \"$(date -d '{jump}')\"");
        world.left().shell(&jump).run()?;
        is_back(world.left()).with_context(|| what.to_owned())?;
        let seen = watch.end()?;
        eprintln!(
            "{}: clock {what}, guarded: {} failures",
            world.image(),
            seen.failed
        );
        seen.ensure_closed(what)?;
        common::is_encrypted(world).with_context(|| what.to_owned())?;
    }
    common::removes(world)
}

/// With no room on the disk pluto is restarted, and NetworkManager: what is there already comes back. What has to be written
/// waits, says why, and comes back when there is room. The guard holds meanwhile.
pub(crate) fn disk(world: &World) -> Result<()> {
    connect(world)?;
    let left = world.left();
    guard(left)?;
    left.shell(FILL)
        .timeout(super::PATIENCE)
        .run()
        .context("filling the disk")?;
    for (what, tunnel, script) in [
        (
            "disk full, ipsec.service restarted",
            Tunnel::Returns,
            "systemctl restart ipsec.service",
        ),
        (
            "disk full, NetworkManager restarted",
            Tunnel::Stays,
            "systemctl restart NetworkManager.service",
        ),
    ] {
        let seen = told(world, what, tunnel, script)?;
        eprintln!("{}: {what}, guarded: {seen}", world.image());
        seen.ensure_closed(what)?;
    }
    let watch = Watch::begin(world)?;
    left.shell("pkill -KILL -f '^/usr/libexec/nm-libreswan-service '")
        .run()?;
    // The old file with the secret leaves room for one like it, if nobody else takes that.
    let mut said = String::new();
    let told = wait_until(
        "it is back, or the status says what is missing",
        super::PATIENCE,
        || {
            said = left.command(["nmstate-ipsec", "status"]).output()?.stdout;
            let is_up = said.lines().any(|line| line.starts_with("hosta_conn: up for "));
            Ok((is_up || said.contains("No space left on device")).then_some(()))
        },
    );
    told.with_context(|| said)?;
    left.shell("rm -f /var/full /var/lib/probe").run()?;
    is_back(left)?;
    let seen = watch.end()?;
    eprintln!("{}: disk full, adapter killed, guarded: {seen}", world.image());
    seen.ensure_closed("disk full, adapter killed")?;
    let journal = left
        .shell("journalctl -b -u nmstate-ipsecd -o cat --no-pager")
        .run()?;
    ensure!(!journal.contains("panicked"), "the daemon panicked:\n{journal}");
    common::removes(world)
}

/// Leaves no block of the disk free.
const FILL: &str = "
fallocate -l 20G /var/full 2>/dev/null || dd if=/dev/zero of=/var/full bs=1M 2>/dev/null || :
dd if=/dev/zero of=/var/lib/probe bs=4k 2>/dev/null || :
sync
";
