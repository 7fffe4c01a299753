//! A host without our daemon: NetworkManager alone, as with upstream's command, and that is said.

use anyhow::{Context, Result, ensure};
use lab::install::Product;
use lab::peer::PSK_DOCUMENT;
use lab::world::World;

use super::{BRIDGE, called, ended, has_bridge, ours};

const SAID: &str = "nmstate-ipsecd is not on this host";

/// Nothing of ours but the command is there. It does what upstream does, in both of its names.
pub(crate) fn alone(world: &World) -> Result<()> {
    let left = world.left();
    Product::of_this_run()?.install_command(world.agent())?;
    let state = format!("interfaces:\n{BRIDGE}");
    let absent = state.replace("state: up", "state: absent");
    world.agent().put("/root/state", 0o600, state.as_bytes())?;
    world.agent().put("/root/absent", 0o600, absent.as_bytes())?;
    for name in ["nmstate-ipsec", lab::install::OUR_NMSTATECTL] {
        for (arguments, is_there) in [
            ("apply --no-commit --timeout 200 /root/state", true),
            ("rollback", false),
            ("apply --no-commit --timeout 200 /root/state", true),
            ("commit", true),
            ("apply /root/absent", false),
        ] {
            let output = ended(called(left, name, arguments), 0)?;
            ensure!(
                output.stderr.contains(SAID),
                "{name} {arguments} says {}",
                output.stderr
            );
            ensure!(
                has_bridge(left)? == is_there,
                "{name} {arguments}: the bridge is there or not"
            );
        }
        let none = ended(called(left, name, "commit"), 1)?;
        ensure!(
            none.stderr.contains("checkpoint"),
            "no reason is given: {}",
            none.stderr
        );
    }

    // There is no VPN plugin either: nothing comes up, but what is not there is absent.
    let ipsec = "interfaces: [{name: hosta_conn, type: ipsec, state: absent}]";
    let theirs = ended(called(left, "/usr/bin/nmstatectl", "apply -").stdin(ipsec), 0)?;
    let our = ended(ours(left, "apply -").stdin(ipsec), 0)?;
    ensure!(
        our.stdout == theirs.stdout && our.stderr.contains(SAID),
        "upstream says {}, we {}{}",
        theirs.stdout,
        our.stdout,
        our.stderr
    );
    further_keys(world)
}

/// What upstream does not know is an error before anything is touched, and shown and checked all the same.
fn further_keys(world: &World) -> Result<()> {
    let left = world.left();
    let further = PSK_DOCUMENT.replace("type: transport\n", "type: transport\n    mobike: no\n");
    world
        .agent()
        .put("/root/further", 0o600, format!("{further}{BRIDGE}").as_bytes())?;
    for (name, status) in [("nmstate-ipsec", 2), (lab::install::OUR_NMSTATECTL, 1)] {
        let refused = ended(called(left, name, "apply /root/further"), status)?;
        ensure!(
            refused.stderr.contains("'hosta_conn'") && refused.stderr.contains(SAID),
            "{name} says {}",
            refused.stderr
        );
        ensure!(!has_bridge(left)?, "{name} has applied a part of it");
    }
    ended(ours(left, "format /root/further"), 0).context("formatting")?;
    let refused = ended(called(left, "nmstate-ipsec", "apply --dry-run /root/further"), 1)?;
    ensure!(refused.stderr.contains(SAID), "a dry run: {}", refused.stderr);
    ended(ours(left, "show"), 0).map(drop)
}
