//! Our command by the name of `nmstatectl`: it says and does what upstream's does, takes more, and is what a cluster's
//! operator calls.

mod alone;
mod operator;
mod same;
mod without_commit;

pub(crate) use alone::alone;
pub(crate) use operator::operator;
pub(crate) use same::same;
pub(crate) use without_commit::without_commit;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::{GuestCommand, Output};
use lab::install::OUR_NMSTATECTL;
use lab::world::Host;

/// A command that looks and verifies several times, under emulation. None may take longer.
const TIME_OUT: Duration = Duration::from_secs(300);

/// A bridge that was not there before.
const BRIDGE: &str = "- name: lab-bridge\n  type: linux-bridge\n  state: up\n  bridge: {port: []}\n";

fn ours<'world>(left: Host<'world>, arguments: &str) -> GuestCommand<'world> {
    called(left, OUR_NMSTATECTL, arguments)
}

/// A command with arguments that have no blanks in them.
fn called<'world>(left: Host<'world>, program: &str, arguments: &str) -> GuestCommand<'world> {
    let arguments = arguments.split_whitespace();
    left.command([program].into_iter().chain(arguments))
        .timeout(TIME_OUT)
}

/// What a command has printed that must have ended with this exit status.
fn ended(command: GuestCommand<'_>, status: i32) -> Result<Output> {
    let output = command.output()?;
    ensure!(
        output.status == status && !output.timed_out,
        "`{}` ended with {}, not {status}:\n{}{}",
        output.line,
        output.status,
        output.stdout,
        output.stderr
    );
    Ok(output)
}

fn has_bridge(left: Host<'_>) -> Result<bool> {
    let shown = left.command(["ip", "link", "show", "lab-bridge"]).output()?;
    Ok(shown.success())
}

/// What stands on standard error without what is logged.
fn complaints(output: &Output) -> Vec<&str> {
    let lines = output.stderr.lines();
    lines.filter(|line| !line.starts_with('[')).collect()
}

/// The ipsec interface of this name in what was shown as JSON.
fn shown(json: &str, name: &str) -> Result<serde_json::Value> {
    let state: serde_json::Value = serde_json::from_str(json).context("reading what is shown")?;
    let interfaces = state["interfaces"]
        .as_array()
        .context("no interfaces are shown")?;
    let found = interfaces
        .iter()
        .find(|interface| interface["name"] == name && interface["type"] == "ipsec");
    found
        .cloned()
        .with_context(|| format!("'{name}' is not shown: {state:#}"))
}
