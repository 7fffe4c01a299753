//! `nmstate-ipsec apply`: a document is carried out as a whole or not at all, and what it does not change is not touched.

mod documents;
mod interrupted;
mod killed;
mod power;
mod rollout;
mod undone;

pub(crate) use documents::{identical, mixed, policies};
pub(crate) use interrupted::interrupted;
pub(crate) use killed::{
    command_at_messages, command_with_others, daemon_at_messages, daemon_at_programs,
    networkmanager_at_messages,
};
pub(crate) use power::power_cut;
pub(crate) use rollout::rollout;
pub(crate) use undone::undone;

use anyhow::{Context, Result, ensure};
use lab::agent::Output;
use lab::document::Document;
use lab::world::{Host, World};

use crate::common;

/// What a profile is on the disk, with its secrets, and when NetworkManager last had it up.
fn profile(left: Host<'_>, name: &str) -> Result<String> {
    let script = "cat /etc/NetworkManager/system-connections/$NAME.nmconnection; nmcli -f connection.timestamp connection show $NAME";
    left.shell(script).env("NAME", name).run()
}

/// Applies a document that must be applied, and returns what was said of it.
fn applied(left: Host<'_>, document: &str, arguments: &[&str]) -> Result<String> {
    let output = left.apply_ours(&Document::new(document), arguments)?;
    ensure!(
        output.success(),
        "not applied: {}{}",
        output.stdout,
        output.stderr
    );
    Ok(output.stdout)
}

/// Applies a document that must not be applied, and sees that everything is as it was: profile, tunnel, journal.
fn refused(world: &World, name: &str, document: &str, arguments: &[&str]) -> Result<Output> {
    let left = world.left();
    let before = profile(left, name)?;
    let output = left.apply_ours(&Document::new(document), arguments)?;
    ensure!(
        output.status == 1,
        "ended with {:?}: {}{}",
        output.status,
        output.stdout,
        output.stderr
    );
    is_as_it_was(world, name, &before)?;
    Ok(output)
}

/// The profile is the one `before`, its connection is up and carries traffic, and no transaction is open.
fn is_as_it_was(world: &World, name: &str, before: &str) -> Result<()> {
    let left = world.left();
    common::await_state(left, name, "activated")?;
    common::is_encrypted(world)?;
    is_same_profile(before, &profile(left, name)?)?;
    nothing_is_open(left)
}

/// The two differ in nothing but when it was up.
fn is_same_profile(before: &str, after: &str) -> Result<()> {
    let without_time = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("timestamp"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    ensure!(
        without_time(before) == without_time(after),
        "the profile was\n{before}\nand is\n{after}"
    );
    Ok(())
}

pub(crate) fn nothing_is_open(left: Host<'_>) -> Result<()> {
    let journal = left
        .command(["find", "/var/lib/nmstate-ipsec", "-type", "f"])
        .run()?;
    ensure!(journal.is_empty(), "a journal is left: {journal}");
    let checkpoints = left
        .shell("busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Checkpoints")
        .run()
        .context("asking for checkpoints")?;
    ensure!(
        checkpoints.trim() == "ao 0",
        "a checkpoint is left: {checkpoints}"
    );
    Ok(())
}
