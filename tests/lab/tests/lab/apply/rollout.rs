//! Hosts get their documents one after the other.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::world::World;

use super::{applied, nothing_is_open};
use crate::common;

/// Several tries, each as long as the profile says.
const PATIENCE: Duration = Duration::from_secs(180);

/// A peer that does not answer yet is no failure: the connection is tried further, and comes up when the peer is there.
/// One that is taken down meanwhile stays down.
pub(crate) fn rollout(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let silence = "ip link set net0 down";
    right.shell(silence).run()?;
    let output = left.apply_ours(&Document::new(PSK_DOCUMENT), &["--wait", "10"])?;
    ensure!(
        output.success()
            && output
                .stderr
                .contains("warning: hosta_conn: the peer has not answered within 10 s"),
        "no warning: {}{}",
        output.stdout,
        output.stderr
    );
    nothing_is_open(left)?;
    right.shell("ip link set net0 up").run()?;
    peer::expect_psk(right)?;
    wait_until("the connection is up", PATIENCE, || {
        Ok((left.spis()?.len() == 2).then_some(()))
    })?;
    common::await_state(left, INTERFACE, "activated")?;
    common::is_encrypted(world)?;

    right.whack(["--name", "peer", "--delete"]).run()?;
    right.shell(silence).run()?;
    let changed = PSK_DOCUMENT.replace("type: transport\n", "type: transport\n    dpddelay: 30\n");
    let output = left.apply_ours(&Document::new(&changed), &["--wait", "5"])?;
    ensure!(
        output.success() && output.stderr.contains("warning"),
        "no warning: {}",
        output.stderr
    );
    let down = "interfaces: [{name: hosta_conn, type: ipsec, state: down}]";
    applied(left, down, &[])?;
    right.shell("ip link set net0 up").run()?;
    peer::expect_psk(right)?;
    left.await_empty_kernel()?;
    let active = left
        .command(["nmcli", "-g", "NAME", "connection", "show", "--active"])
        .run()?;
    ensure!(
        !active.contains(INTERFACE),
        "what was taken down is tried further: {active}"
    );
    applied(left, peer::removal()?.text(), &[])?;
    common::leaves_no_trace(world)
}
