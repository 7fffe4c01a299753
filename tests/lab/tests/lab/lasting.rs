//! A connection stays when the daemon goes, and who hears of it when it does not; what else may happen is told among the faults.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE};
use lab::world::{BusMessage, World};

use crate::{common, faults};

/// After whatever happened, the connection has that long to come back by itself.
const RETURN_TIMEOUT: Duration = Duration::from_secs(60);

/// A loss that is made good sooner is no news for NetworkManager.
const PASSING: Duration = Duration::from_secs(10);

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

/// NetworkManager hears nothing of a loss that is made good at once, and is told of one that lasts.
pub(crate) fn losses(world: &World) -> Result<()> {
    let before = connect(world)?;
    let left = world.left();
    let bus = world.monitor_bus()?;
    left.command(["ip", "xfrm", "state", "flush"]).run()?;
    wait_until("the tunnel is another one", RETURN_TIMEOUT, || {
        let now = left.spis()?;
        Ok((now.len() >= 2 && before.iter().all(|spi| !now.contains(spi))).then_some(()))
    })?;
    common::is_encrypted(world)?;
    let told = bus.stop()?;
    // An error has a full name, and is about whatever somebody asked the bus meanwhile.
    let names = told.iter().map(BusMessage::name);
    let told: Vec<&str> = names.filter(|name| !name.contains('.')).collect();
    ensure!(
        told.is_empty(),
        "NetworkManager and the plugin have said {told:?}"
    );

    left.command(["systemctl", "stop", "ipsec.service"]).run()?;
    wait_until("the status says at once that it is lost", PASSING, || {
        let status = left.command(["nmstate-ipsec", "status"]).output()?.stdout;
        Ok(status.starts_with(&format!("{INTERFACE}: lost")).then_some(()))
    })?;
    common::await_state(left, INTERFACE, "activating")?;
    left.command(["systemctl", "start", "ipsec.service"]).run()?;
    faults::is_back(left)?;
    common::is_encrypted(world)?;
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
