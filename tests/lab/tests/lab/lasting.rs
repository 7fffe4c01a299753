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

/// `systemctl restart ipsec`, as operators and package updates do it; pluto forgets every connection.
pub(crate) fn pluto_restart(world: &World) -> Result<()> {
    connect(world)?;
    world
        .left()
        .command(["systemctl", "restart", "ipsec.service"])
        .run()?;
    returns(world)
}

/// Somebody empties the kernel's tables, and pluto does not notice.
pub(crate) fn kernel_flushed(world: &World) -> Result<()> {
    connect(world)?;
    world
        .left()
        .shell("ip xfrm policy flush; ip xfrm state flush")
        .run()?;
    returns(world)
}

/// pluto is killed; systemd starts it again.
pub(crate) fn pluto_killed(world: &World) -> Result<()> {
    connect(world)?;
    let kill = ["systemctl", "kill", "--signal=KILL", "ipsec.service"];
    world.left().command(kill).run()?;
    returns(world)
}

/// The daemon is killed, then restarted: the tunnel stays as it is.
pub(crate) fn daemon_restart(world: &World) -> Result<()> {
    connect(world)?;
    let left = world.left();
    let before = left.spis()?;
    for again in [
        "systemctl kill --signal=KILL nmstate-ipsecd.service",
        "systemctl restart nmstate-ipsecd.service",
    ] {
        left.shell(again).run()?;
        left.shell("timeout 60 bash -c 'until busctl status org.nmstate.Ipsec1 > /dev/null 2>&1; do sleep 0.2; done'")
            .run()?;
        returns(world)?;
    }
    ensure!(
        before == left.spis()?,
        "the SAs were {before:?} and are {:?}",
        left.spis()?
    );
    common::removes(world)
}

fn connect(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    world
        .left()
        .apply(&Document::new(peer::PSK_DOCUMENT))
        .context("applying the document")?;
    common::is_encrypted(world)
}

/// Waits until the connection is there again, for all who are concerned.
fn returns(world: &World) -> Result<()> {
    let left = world.left();
    wait_until(
        "the kernel has SAs in both directions again",
        RETURN_TIMEOUT,
        || Ok((left.spis()?.len() >= 2 && left.policies()?.contains("dir out")).then_some(())),
    )?;
    wait_until(
        "NetworkManager calls the connection activated",
        RETURN_TIMEOUT,
        || {
            let active = [
                "nmcli",
                "-t",
                "-f",
                "NAME,STATE",
                "connection",
                "show",
                "--active",
            ];
            Ok(left
                .command(active)
                .run()?
                .contains("hosta_conn:activated")
                .then_some(()))
        },
    )?;
    common::is_encrypted(world)
}
