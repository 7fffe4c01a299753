//! The clock jumps; the disk is full.

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::world::World;

use super::{connect, is_back, told, watch::Watch};
use crate::common;

/// A day ahead, and back: the tunnel stays, or comes back.
pub(crate) fn clock(world: &World) -> Result<()> {
    connect(world)?;
    for (what, jump) in [("a day ahead", "1 day"), ("a day back", "-1 day")] {
        // Times of a record mean nothing when the clock jumps.
        let watch = Watch::begin(world)?;
        let jump = format!("date -s \"$(date -d '{jump}')\"");
        world.left().shell(&jump).run()?;
        is_back(world.left()).with_context(|| what.to_owned())?;
        let seen = watch.end()?;
        eprintln!(
            "{}: clock {what}: {} packets in clear",
            world.image(),
            seen.open.len()
        );
        common::is_encrypted(world).with_context(|| what.to_owned())?;
    }
    common::removes(world)
}

/// With no room on the disk pluto is restarted, and NetworkManager: what is there already comes back. What has to be written
/// waits, says why, and comes back when there is room.
pub(crate) fn disk(world: &World) -> Result<()> {
    connect(world)?;
    let left = world.left();
    left.shell(FILL)
        .timeout(super::PATIENCE)
        .run()
        .context("filling the disk")?;
    for (what, script) in [
        (
            "disk full, ipsec.service restarted",
            "systemctl restart ipsec.service",
        ),
        (
            "disk full, NetworkManager restarted",
            "systemctl restart NetworkManager.service",
        ),
    ] {
        let seen = told(world, what, script)?;
        eprintln!("{}: {what}: {seen}", world.image());
    }
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
