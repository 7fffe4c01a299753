//! Whoever takes part is killed in the middle, or nobody commits.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::world::World;

use super::{applied, is_as_it_was, nothing_is_open, profile};
use crate::common;

/// A time-out of a checkpoint, and what it may take until everything is as it was after it.
const TIME_OUT: &str = "20";
const PATIENCE: Duration = Duration::from_secs(120);

/// The command, the daemon and NetworkManager are killed while a change waits for a peer that does not answer.
pub(crate) fn interrupted(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    applied(left, PSK_DOCUMENT, &[])?;
    for killed in [
        "pkill -KILL -x nmstate-ipsec",
        "systemctl kill --signal=KILL nmstate-ipsecd.service; pkill -KILL -x nmstate-ipsec || true",
        "systemctl kill --signal=KILL NetworkManager.service; pkill -KILL -x nmstate-ipsec || true",
    ] {
        changes_and(world, killed).with_context(|| killed.to_owned())?;
    }
    not_committed(world)
}

/// Begins a change that cannot end, kills somebody when the old tunnel is gone, and sees everything come back.
fn changes_and(world: &World, kill: &str) -> Result<()> {
    let left = world.left();
    let before = profile(left, INTERFACE)?;
    let silent = PSK_DOCUMENT.replace("192.0.2.252", "192.0.2.99");
    world.agent().put("/root/silent.yaml", 0o600, silent.as_bytes())?;
    let apply = format!("exec nmstate-ipsec apply --timeout {TIME_OUT} /root/silent.yaml");
    let _running = left.shell(&apply).spawn("/run/lab/apply")?;
    wait_until("the old tunnel is gone", PATIENCE, || {
        Ok(left.spis()?.is_empty().then_some(()))
    })?;
    left.shell(kill).run()?;
    wait_until("everything is as it was", PATIENCE, || {
        Ok((left.spis()?.len() >= 2 && nothing_is_open(left).is_ok()).then_some(()))
    })?;
    is_as_it_was(world, INTERFACE, &before)
}

/// What was applied without commit is undone by `rollback` and at the time-out, and lasts after `commit`.
fn not_committed(world: &World) -> Result<()> {
    let left = world.left();
    let before = profile(left, INTERFACE)?;
    let changed = PSK_DOCUMENT.replace("type: transport\n", "type: transport\n    dpddelay: 30\n");
    let document = Document::new(&changed);
    let is_changed = || Ok::<_, anyhow::Error>(profile(left, INTERFACE)?.contains("dpddelay"));

    let output = left.apply_ours(&document, &["--no-commit", "--timeout", TIME_OUT])?;
    ensure!(
        output.success() && is_changed()?,
        "not applied: {}",
        output.stderr
    );
    wait_until("the time is out", PATIENCE, || Ok((!is_changed()?).then_some(())))?;
    wait_until("nothing is open", PATIENCE, || {
        Ok(nothing_is_open(left).is_ok().then_some(()))
    })?;
    is_as_it_was(world, INTERFACE, &before).context("at the time-out")?;

    let output = left.apply_ours(&document, &["--no-commit"])?;
    ensure!(
        output.success() && is_changed()?,
        "not applied: {}",
        output.stderr
    );
    left.command(["nmstate-ipsec", "rollback"]).run()?;
    is_as_it_was(world, INTERFACE, &before).context("after a rollback")?;

    let output = left.apply_ours(&document, &["--no-commit"])?;
    ensure!(output.success(), "not applied: {}", output.stderr);
    left.command(["nmstate-ipsec", "commit"]).run()?;
    nothing_is_open(left)?;
    ensure!(is_changed()?, "what was committed is undone");
    common::is_encrypted(world)
}
