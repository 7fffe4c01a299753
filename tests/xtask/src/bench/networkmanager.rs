//! What NetworkManager takes by itself: for connections of a plugin that does nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::install::Build;
use lab::world::World;

/// Where the plugin is on the host.
const PROGRAM: &str = "/usr/libexec/idle-vpn";

const NAME_FILE: &str = "/usr/lib/NetworkManager/VPN/nm-idle-service.name";

/// Our hook, and where it is meanwhile.
const HOOK: &str = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/90-nmstate-ipsec";
const PUT_ASIDE: &str = "/root/90-nmstate-ipsec";

/// Does `work` while left's NetworkManager knows the plugin, and nothing of ours runs. `work` gets what has the plugin's client do
/// something, and returns how long NetworkManager took.
pub(super) fn with_idle_plugin(
    world: &World,
    work: impl FnOnce(&dyn Fn(&str) -> Result<Duration>) -> Result<()>,
) -> Result<()> {
    let program = Build::Release.crates(["idle-vpn"])?.join("idle-vpn");
    let content = fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    world.agent().put(PROGRAM, 0o755, &content)?;
    let name = format!(
        "[VPN Connection]\nname=idle\nservice=org.freedesktop.NetworkManager.libreswan.idle\nprogram={PROGRAM}\n\
         supports-multiple-connections=true\n"
    );
    world.agent().put(NAME_FILE, 0o644, name.as_bytes())?;
    let left = world.left();
    let restart = "systemctl restart NetworkManager.service; nm-online --quiet --timeout 60";
    left.shell(&format!(
        "mv {HOOK} {PUT_ASIDE}; systemctl stop nmstate-ipsecd.service; {restart}"
    ))
    .run()?;
    work(&|work| {
        let said = left.shell(&format!("{PROGRAM} {work}")).run()?;
        let seconds = said.trim().parse().with_context(|| format!("reading {said:?}"))?;
        Ok(Duration::from_secs_f64(seconds))
    })?;
    left.shell(&format!("mv {PUT_ASIDE} {HOOK}; rm {NAME_FILE}; {restart}"))
        .run()
        .map(drop)
}
