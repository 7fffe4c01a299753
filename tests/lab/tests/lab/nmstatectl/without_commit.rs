//! Changes that nobody commits, or that upstream's command ends.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, PSK_DOCUMENT};
use lab::world::World;

use super::{BRIDGE, called, ended, has_bridge, ours};
use crate::apply::nothing_is_open;
use crate::common;

/// Until everything is undone, and what that may take after it.
const APPLY: &str = "apply --no-commit --timeout 20 -";
const PATIENCE: Duration = Duration::from_secs(120);

/// With ipsec and without, everything is undone at the time-out. What upstream has applied is ended by ours, and what has
/// a checkpoint's name by that.
pub(crate) fn without_commit(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    for state in [
        format!("interfaces:\n{BRIDGE}"),
        format!("{PSK_DOCUMENT}{BRIDGE}"),
    ] {
        ended(ours(left, APPLY).stdin(state), 0)?;
        ensure!(has_bridge(left)?, "there is no bridge");
        let second = ended(ours(left, "apply -").stdin(format!("interfaces:\n{BRIDGE}")), 1)?;
        ensure!(
            second.stderr.contains("commit"),
            "no reason is given: {}",
            second.stderr
        );
        wait_until("everything is undone", PATIENCE, || {
            Ok((!has_bridge(left)? && nothing_is_open(left).is_ok()).then_some(()))
        })?;
        common::leaves_no_trace(world)?;
        ended(ours(left, "commit"), 1)?;
    }

    let state = format!("interfaces:\n{BRIDGE}");
    for (end, is_there) in [("rollback", false), ("commit", true)] {
        let theirs = called(left, "/usr/bin/nmstatectl", "apply --no-commit --timeout 200 -");
        ended(theirs.stdin(state.as_str()), 0)?;
        ended(ours(left, end), 0)?;
        ensure!(
            has_bridge(left)? == is_there,
            "after {end}: the bridge is there or not"
        );
        nothing_is_open(left)?;
    }

    ended(
        ours(left, "apply --no-commit --timeout 200 -").stdin(PSK_DOCUMENT),
        0,
    )?;
    let checkpoint = checkpoint(world)?;
    ended(
        ours(left, "commit /org/freedesktop/NetworkManager/Checkpoint/9999"),
        1,
    )?;
    let named = ended(ours(left, &format!("commit {checkpoint}")), 0)?;
    ensure!(
        named.stdout == format!("{checkpoint}\n"),
        "printed: {}",
        named.stdout
    );
    nothing_is_open(left)?;
    common::is_encrypted(world)
}

fn checkpoint(world: &World) -> Result<String> {
    let told = world
        .left()
        .shell("busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Checkpoints")
        .run()?;
    let path = told.split('"').nth(1).unwrap_or_default();
    ensure!(path.starts_with('/'), "no checkpoint: {told}");
    Ok(path.to_owned())
}
