//! A connection stays: whatever happens to the host, traffic is encrypted again without anybody's help.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer;
use lab::world::World;

use crate::common;

/// After whatever happened, the connection has that long to come back by itself.
const RETURN_TIMEOUT: Duration = Duration::from_secs(60);

/// `systemctl restart ipsec`, as operators and package updates do it, and once with time between stop and start;
/// pluto forgets every connection.
pub(crate) fn pluto_restart(world: &World) -> Result<()> {
    let left = world.left();
    let before = connect(world)?;
    left.command(["systemctl", "restart", "ipsec.service"]).run()?;
    returns(world, &before)?;

    let before = left.spis()?;
    left.command(["systemctl", "stop", "ipsec.service"]).run()?;
    common::await_state(world.left(), peer::INTERFACE, "activating")?;
    left.command(["systemctl", "start", "ipsec.service"]).run()?;
    returns(world, &before)?;
    common::removes(world)
}

/// Somebody empties the kernel's tables, and pluto does not notice.
pub(crate) fn kernel_flushed(world: &World) -> Result<()> {
    let before = connect(world)?;
    world
        .left()
        .shell("ip xfrm policy flush; ip xfrm state flush")
        .run()?;
    returns(world, &before)
}

/// pluto is killed; systemd starts it again.
pub(crate) fn pluto_killed(world: &World) -> Result<()> {
    let before = connect(world)?;
    let kill = ["systemctl", "kill", "--signal=KILL", "ipsec.service"];
    world.left().command(kill).run()?;
    returns(world, &before)
}

/// The daemon is killed, then restarted: the tunnel stays as it is.
pub(crate) fn daemon_restart(world: &World) -> Result<()> {
    let before = connect(world)?;
    let left = world.left();
    let ends = [
        "systemctl kill --signal=KILL nmstate-ipsecd.service",
        "systemctl restart nmstate-ipsecd.service",
    ];
    for (end, times) in ends.into_iter().zip(1..) {
        left.shell(end).run()?;
        wait_until("the daemon has the connection again", RETURN_TIMEOUT, || {
            let journal = left
                .command(["journalctl", "-b", "-o", "cat", "-u", "NetworkManager"])
                .run()?;
            let registered = journal
                .lines()
                .filter(|line| line.contains("has the connection again"))
                .count();
            Ok((registered == times).then_some(()))
        })?;
        common::is_encrypted(world)?;
    }
    ensure!(
        before == left.spis()?,
        "the SAs were {before:?} and are {:?}",
        left.spis()?
    );
    common::removes(world)
}

/// Brings the connection up and returns its SPIs.
fn connect(world: &World) -> Result<Vec<String>> {
    peer::expect_psk(world.right())?;
    world
        .left()
        .apply(&Document::new(peer::PSK_DOCUMENT))
        .context("applying the document")?;
    common::is_encrypted(world)?;
    world.left().spis()
}

/// Waits until the connection is there again, for all who are concerned, with others than the SPIs `before`:
/// what pluto has lost may stay in the kernel for a while.
fn returns(world: &World, before: &[String]) -> Result<()> {
    let left = world.left();
    wait_until(
        "the kernel has fresh SAs in both directions",
        RETURN_TIMEOUT,
        || {
            let fresh = left.spis()?.iter().filter(|spi| !before.contains(spi)).count();
            Ok((fresh >= 2 && left.policies()?.contains("dir out")).then_some(()))
        },
    )?;
    common::await_state(world.left(), peer::INTERFACE, "activated")?;
    common::is_encrypted(world)
}
