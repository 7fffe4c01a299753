//! What many stories end with: questions to the wire, and removal.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE};
use lab::world::{Host, LEFT_V4, RIGHT_V4, World};
use serde_json::Value;

/// Removes the connection with `remove.yaml` and sees that nothing is left of it.
pub(crate) fn removes(world: &World) -> Result<()> {
    world
        .left()
        .apply(&peer::removal()?)
        .context("removing the connection")?;
    leaves_no_trace(world)
}

/// Neither left's kernel, nor NetworkManager, nor pluto knows of the connection.
pub(crate) fn leaves_no_trace(world: &World) -> Result<()> {
    leaves_no_trace_of(world, &[INTERFACE])
}

/// The same of connections with other names.
pub(crate) fn leaves_no_trace_of(world: &World, names: &[&str]) -> Result<()> {
    let left = world.left();
    left.await_empty_kernel()?;
    let profiles = left
        .command(["nmcli", "-t", "-f", "NAME,TYPE", "connection"])
        .run()?;
    ensure!(
        !profiles.contains(":vpn"),
        "NetworkManager still has a VPN profile:\n{profiles}"
    );
    let status = left.whack(["--status"]).run()?;
    for name in names {
        ensure!(!status.contains(name), "pluto still knows of {name}:\n{status}");
    }
    Ok(())
}

/// What goes to right crosses the wire encrypted only.
pub(crate) fn is_encrypted(world: &World) -> Result<()> {
    is_encrypted_to(world, RIGHT_V4, (LEFT_V4, RIGHT_V4))
}

/// What goes from left to `address` crosses the wire encrypted only, between the two `ends` of the tunnel.
pub(crate) fn is_encrypted_to(world: &World, address: &str, ends: (&str, &str)) -> Result<()> {
    let capture = world.capture()?;
    world.left().ping(address)?;
    let captured = capture.stop()?;
    captured.ensure_encrypted(ends)
}

/// The journal's last entry with a reason of the connection `name`.
pub(crate) fn last_reason(left: Host<'_>, name: &str) -> Result<Value> {
    let connection = format!("IPSEC_CONNECTION={name}");
    let entry = left
        .command(["journalctl", "-b", "-o", "json", "-n", "1", &connection])
        .run()?;
    serde_json::from_str(&entry).with_context(|| format!("{name}: nothing in the journal"))
}

/// How long a change of state may take: a negotiation, or a loss and the return.
const STATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until NetworkManager has the connection `id` in `state`, one of nmcli's words.
pub(crate) fn await_state(left: Host<'_>, id: &str, state: &str) -> Result<()> {
    let line = format!("{id}:{state}");
    wait_until(&format!("NetworkManager says {line}"), STATE_TIMEOUT, || {
        let show = [
            "nmcli",
            "-t",
            "-f",
            "NAME,STATE",
            "connection",
            "show",
            "--active",
        ];
        let shown = left.command(show).run()?;
        Ok(shown.lines().any(|shown| shown == line).then_some(()))
    })
}
