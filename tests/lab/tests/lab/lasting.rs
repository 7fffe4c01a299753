//! A connection stays when the daemon goes; what else may happen is told among the faults.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer;
use lab::world::World;

use crate::common;

/// After whatever happened, the connection has that long to come back by itself.
const RETURN_TIMEOUT: Duration = Duration::from_secs(60);

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
