//! What NetworkManager takes by itself: for connections of a plugin that does nothing.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::host;
use lab::world::{Host, World};

/// Where the plugin is on the host.
const PROGRAM: &str = "/usr/libexec/idle-vpn";

/// Builds the plugin and has left's NetworkManager know it.
pub(super) fn install(world: &World) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(host::workspace_dir())
        .args(["build", "--release", "--package", "idle-vpn"]);
    host::run(&mut cargo)?;
    let program = host::target_dir().join("release/idle-vpn");
    let content = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    world.agent().put(PROGRAM, 0o755, &content)?;
    let name = format!(
        "[VPN Connection]\nname=idle\nservice=org.freedesktop.NetworkManager.libreswan.idle\nprogram={PROGRAM}\n\
         supports-multiple-connections=true\n"
    );
    world.agent().put(
        "/usr/lib/NetworkManager/VPN/nm-idle-service.name",
        0o644,
        name.as_bytes(),
    )?;
    world
        .left()
        .shell("systemctl restart NetworkManager.service; nm-online --quiet --timeout 60")
        .run()
        .map(drop)
}

/// Has the plugin's client do `work`, and returns how long NetworkManager took.
pub(super) fn takes(left: Host<'_>, work: &str) -> Result<Duration> {
    let said = left.shell(&format!("{PROGRAM} {work}")).run()?;
    let seconds = said.trim().parse().with_context(|| format!("reading {said:?}"))?;
    Ok(Duration::from_secs_f64(seconds))
}
