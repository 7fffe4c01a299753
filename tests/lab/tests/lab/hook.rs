//! The hook that NetworkManager's dispatcher runs for every event tells the daemon of those that matter.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer;
use lab::world::{BUS_RECORD, World};

/// Where the dispatcher finds it.
const HOOK: &str = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/90-nmstate-ipsec";

/// The bus has the daemon started, and the dispatcher runs the hook, within so long.
const TIME_OUT: Duration = Duration::from_secs(60);

/// A device that nothing else happens to.
const DEVICE: &str = "hook0";

/// What is told, and what is not: a connection can be neither brought up nor lost by it.
const TOLD: [&str; 9] = [
    "up",
    "down",
    "dhcp4-change",
    "dhcp6-change",
    "connectivity-change",
    "dns-change",
    "vpn-up",
    "vpn-down",
    "reapply",
];
const UNTOLD: [&str; 5] = ["pre-up", "pre-down", "vpn-pre-up", "vpn-pre-down", "hostname"];

/// A host without a profile of libreswan's has the daemon left alone; on any other it is told, and started for that.
pub(crate) fn tells(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    ensure!(told(world, &TOLD)?.is_empty(), "there is nothing to tell of");

    let profile = peer::psk_profile();
    profile.add(left)?;
    left.command(["systemctl", "stop", "nmstate-ipsecd.service"])
        .run()?;
    let events: Vec<&str> = TOLD.into_iter().chain(UNTOLD).collect();
    let heard = told(world, &events)?;
    ensure!(heard == TOLD, "of {events:?} the daemon was told {heard:?}");
    wait_until("the daemon was started", TIME_OUT, || {
        let is_active = ["systemctl", "is-active", "nmstate-ipsecd.service"];
        Ok(left.command(is_active).output()?.success().then_some(()))
    })?;

    // By the dispatcher itself.
    let monitor = world.monitor_bus()?;
    profile.up(left)?;
    profile.down(left)?;
    for event in ["vpn-up", "vpn-down"] {
        // Nobody waits for the dispatcher.
        wait_until("the dispatcher's hook has told of it", TIME_OUT, || {
            let record = world.agent().get(BUS_RECORD)?;
            let told = format!("\"{event}\"");
            Ok(String::from_utf8_lossy(&record).contains(&told).then_some(()))
        })
        .context(event)?;
    }
    monitor.stop()?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Runs the hook for one event after the other, and returns those that were told.
fn told(world: &World, events: &[&str]) -> Result<Vec<String>> {
    let monitor = world.monitor_bus()?;
    for event in events {
        world.left().command([HOOK, DEVICE, event]).run()?;
    }
    let heard = monitor.stop()?;
    let of_hook = heard.iter().filter(|message| message.argument(1) == DEVICE);
    Ok(of_hook
        .filter_map(|message| message.argument(0).as_str())
        .map(str::to_owned)
        .collect())
}
